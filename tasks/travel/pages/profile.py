"""The customer's own pages: preferences, saved travellers, price alerts; and the help pages with the agency's rules."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other, state_of

from ..account import FARES, INCLUDED_BAGS, MOST_BAGS, SEAT_WISHES, Account, Alert, Passenger, Preferences
from ..places import read_place
from .booking import wrong_passenger
from .form import form, query, whole
from .search import wrong_place

TOPICS = {"cancellations": "Cancellations and refunds", "changes": "Changes", "baggage": "Baggage", "seats": "Seats"}
PHONE = re.compile(r"\+?\d{6,15}", re.ASCII)
MOST_ENTRIES = 12  # saved travellers, and price alerts


async def overview(request: Request) -> Response:
    """The signed-in customer, the credit, and the preferences."""
    account: Account = state_of(request)
    typed, problems = account.preferences, {}
    if request.method == "POST":
        asked = await form(request)
        typed = Preferences(asked.get("phone", ""), asked.get("seat", ""), "newsletter" in asked)
        problems = {} if PHONE.fullmatch(typed.phone) else {"phone": "A phone number has 6 to 15 digits."}
        if typed.seat not in SEAT_WISHES:
            raise HTTPException(404, "There is no such preference.")
        if not problems:
            account.preferences = typed
            return see_other("/account?done=1")
    values = {"wishes": SEAT_WISHES, "preferences": typed, "credit": account.credit, "done": "done" in query(request)}
    return page(request, "account.html", status=422 if problems else 200, problems=problems, **values)


async def travellers(request: Request) -> Response:
    """The saved travellers, and a form for one more."""
    account: Account = state_of(request)
    typed, problem = Passenger(), ""
    if request.method == "POST":
        asked = await form(request)
        typed = Passenger(asked.get("name", ""), asked.get("passport", "").replace(" ", "").upper())
        problem = wrong_passenger(typed)
        if not problem and len(account.travellers) >= MOST_ENTRIES:
            problem = f"You can save {MOST_ENTRIES} travellers."
        if not problem:
            account.travellers[account.next_key()] = typed
            return see_other("/account/travellers")
    return page(request, "travellers.html", status=422 if problem else 200, travellers=account.travellers, typed=typed, problem=problem)


async def forget_traveller(request: Request) -> Response:
    """Delete a saved traveller."""
    state_of(request).travellers.pop(request.path_params["key"], None)
    return see_other("/account/travellers")


async def alerts(request: Request) -> Response:
    """The price alerts, and a form for one more."""
    account: Account = state_of(request)
    asked: dict[str, str] = {}
    problems: dict[str, str] = {}
    if request.method == "POST":
        asked = await form(request)
        start, end, below = (
            read_place(asked.get("origin", "")),
            read_place(asked.get("destination", "")),
            whole(asked.get("below", ""), 1, 5000),
        )
        for name, what in (("origin", "from"), ("destination", "to")):
            if words := wrong_place(asked.get(name, ""), what):
                problems[name] = words
        if not problems and start == end:
            problems["destination"] = "Choose two different cities."
        if below is None:
            problems["below"] = "Enter a price from 1 to 5000."
        elif not problems and len(account.alerts) >= MOST_ENTRIES:
            problems["below"] = f"You can have {MOST_ENTRIES} alerts."
        if not problems and start and end and below:
            account.alerts[account.next_key()] = Alert(start.name, end.name, below)
            return see_other("/account/alerts")
    return page(request, "alerts.html", status=422 if problems else 200, alerts=account.alerts, asked=asked, problems=problems)


async def forget_alert(request: Request) -> Response:
    """Delete a price alert."""
    state_of(request).alerts.pop(request.path_params["key"], None)
    return see_other("/account/alerts")


async def help_pages(request: Request) -> Response:
    """List of the help pages."""
    return page(request, "help.html", topics=TOPICS)


async def help_page(request: Request) -> Response:
    """One page of rules."""
    topic = request.path_params["topic"]
    if topic not in TOPICS:
        raise HTTPException(404, "There is no such help page.")
    policy = state_of(request).policy
    values = {"policy": policy, "fares": list(FARES), "included": INCLUDED_BAGS, "most": MOST_BAGS}
    return page(request, f"help_{topic}.html", topic=TOPICS[topic], **values)


ROUTES = [
    Route("/account", overview, methods=["GET", "POST"]),
    Route("/account/travellers", travellers, methods=["GET", "POST"]),
    Route("/account/travellers/{key}/forget", forget_traveller, methods=["POST"]),
    Route("/account/alerts", alerts, methods=["GET", "POST"]),
    Route("/account/alerts/{key}/forget", forget_alert, methods=["POST"]),
    Route("/help", help_pages),
    Route("/help/{topic}", help_page),
]
