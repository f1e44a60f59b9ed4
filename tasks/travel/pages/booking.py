"""The steps of a booking: passengers, seats, extras, payment. The booking in progress waits at the first step that is not done."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other, state_of

from ..account import CARDS, CREDIT, INCLUDED_BAGS, INSURANCE, MOST_BAGS, STEPS, Account, Draft, Leg, Passenger
from ..timetable import LETTERS, SEATS, ZONES
from .form import form, query, whole

PASSPORT = re.compile(r"[A-Z]{2}\d{6}")


def wrong_passenger(passenger: Passenger) -> str:
    """Error in a passenger's details, in words."""
    if len(passenger.name.split()) < 2:
        return "Enter first and last name."
    return "" if PASSPORT.fullmatch(passenger.passport) else "A passport number is two letters and six digits."


def typed_passengers(asked: Mapping[str, str], count: int) -> tuple[Passenger, ...]:
    """The passengers that a form holds."""
    found = ((asked.get(f"name{number}", ""), asked.get(f"passport{number}", "")) for number in range(1, count + 1))
    return tuple(Passenger(name, passport.replace(" ", "").upper()) for name, passport in found)


async def step(request: Request) -> Response:
    """A step of the booking in progress; a request for a later step leads to the one that is due."""
    account: Account = state_of(request)
    draft, name = account.draft, request.path_params["step"]
    if draft is None:
        return page(request, "no_booking.html")
    if name not in STEPS or STEPS.index(name) > STEPS.index(draft.due):
        return see_other(f"/book/{draft.due}")
    return _show(request, name, draft)


def _show(request: Request, name: str, draft: Draft, *, status: int = 200, **values: Any) -> Response:
    account: Account = state_of(request)
    shared = {"draft": draft, "price": account.price(draft), "step": name, "steps": STEPS, "problems": {}, "problem": ""}
    match name:
        case "passengers":
            named = {passenger.name for passenger in draft.passengers}
            own: dict[str, Any] = {"saved": [(key, p) for key, p in account.travellers.items() if p.name not in named]}
        case "seats":
            own = seat_map(account, draft.legs, draft.fare, draft.seats, query(request))
            own |= {"passengers": draft.passengers, "action": "/book/seats", "here": "/book/seats"}
        case "extras":
            own = {"policy": account.policy, "included": INCLUDED_BAGS[draft.fare], "most": MOST_BAGS, "insurance": INSURANCE, "asked": {}}
        case _:
            ways = [(card, True, "") for card in CARDS]
            ways.append((CREDIT, account.credit >= account.price(draft), f"€{account.credit} left"))
            own = {"ways": ways, "asked": {}}
    return page(request, f"book_{name}.html", status=status, **(shared | own | values))


def _advance(account: Account, draft: Draft, name: str) -> Response:
    """Mark the step as done, and go on to the one that is due."""
    account.draft = done = replace(draft, done=draft.done | {name})
    return see_other(f"/book/{done.due}")


async def passengers(request: Request) -> Response:
    """Step of the passengers: typed, or one of the saved travellers put into the first free place."""
    account, asked = state_of(request), await form(request)
    draft: Draft | None = account.draft
    if draft is None:
        return see_other("/book/passengers")
    typed = typed_passengers(asked, len(draft.passengers))
    if saved := account.travellers.get(asked.get("add", "")):
        place = next((i for i, p in enumerate(typed) if not p.name), len(typed) - 1)
        account.draft = replace(draft, passengers=(*typed[:place], saved, *typed[place + 1 :]))
        return see_other("/book/passengers")
    problems = {number: words for number, p in enumerate(typed, 1) if (words := wrong_passenger(p))}
    if len({p.passport for p in typed}) < len(typed) and not problems:
        problems = {len(typed): "Two passengers have the same passport number."}
    if problems:
        return _show(request, "passengers", replace(draft, passengers=typed), status=422, problems=problems)
    return _advance(account, replace(draft, passengers=typed), "passengers")


def seat_map(
    account: Account, legs: tuple[Leg, ...], fare: str, seats: tuple[tuple[str, ...], ...], asked: Mapping[str, str]
) -> dict[str, Any]:
    """Values for the page of seats: a zone of the plane for one leg and passenger, by default the first without a seat."""
    open_places = [(leg, who) for leg, row in enumerate(seats) for who, seat in enumerate(row) if not seat]
    leg = whole(asked.get("leg", ""), 0, len(legs) - 1)
    who = whole(asked.get("who", ""), 0, len(seats[0]) - 1)
    if leg is None or who is None:
        leg, who = open_places[0] if open_places else (0, 0)
    zone = asked.get("zone", "")
    zone = zone if zone in ZONES else "middle"
    held = tuple(seat for seat in seats[leg] if seat)
    rows = [
        [(f"{row}{letter}", account.free(legs[leg], f"{row}{letter}") and f"{row}{letter}" not in held) for letter in LETTERS]
        for row in ZONES[zone]
    ]
    prices = {name: 0 if fare == "Flex" else account.policy.seat[name] for name in ZONES}
    return {"leg": leg, "who": who, "zone": zone, "rows": rows, "zones": prices, "legs": legs, "seats": seats, "complete": not open_places}


def seat_chosen(
    account: Account, legs: tuple[Leg, ...], seats: tuple[tuple[str, ...], ...], asked: Mapping[str, str]
) -> tuple[tuple[str, ...], ...] | None:
    """The seats after a choice, or None where the seat is not free."""
    leg = whole(asked.get("leg", ""), 0, len(legs) - 1)
    who = whole(asked.get("who", ""), 0, len(seats[0]) - 1)
    seat = asked.get("seat", "")
    if leg is None or who is None or seat not in SEATS or seat in seats[leg] or not account.free(legs[leg], seat):
        return None
    row = (*seats[leg][:who], seat, *seats[leg][who + 1 :])
    return (*seats[:leg], row, *seats[leg + 1 :])


async def seats(request: Request) -> Response:
    """A seat was chosen, or the step is finished."""
    account, asked = state_of(request), await form(request)
    draft: Draft | None = account.draft
    if draft is None or "passengers" not in draft.done:
        return see_other("/book/passengers")
    if asked.get("go") == "on":
        return _advance(account, draft, "seats")
    if asked.get("go") == "without":
        return _advance(account, replace(draft, seats=tuple(tuple("" for _ in row) for row in draft.seats)), "seats")
    chosen = seat_chosen(account, draft.legs, draft.seats, asked)
    if chosen is None:
        return _show(request, "seats", draft, status=422, problem="This seat is taken. Choose another.")
    account.draft = replace(draft, seats=chosen)
    more = any(not seat for seat in chosen[whole(asked["leg"], 0, 9) or 0])
    return see_other(f"/book/seats?zone={asked['zone']}" if more and asked.get("zone") in ZONES else "/book/seats")


def typed_bags(asked: Mapping[str, str], count: int) -> tuple[int, ...] | None:
    """The extra bags that a form asks for, or None where a number is wrong."""
    found = [whole(asked.get(f"bags{number}", ""), 0, MOST_BAGS) for number in range(1, count + 1)]
    return tuple(bags for bags in found if bags is not None) if None not in found else None


async def extras(request: Request) -> Response:
    """Bags and insurance."""
    account, asked = state_of(request), await form(request)
    draft: Draft | None = account.draft
    if draft is None or "seats" not in draft.done:
        return see_other("/book/passengers")
    bags = typed_bags(asked, len(draft.passengers))
    if bags is None:
        return _show(request, "extras", draft, status=422, problem=f"Enter 0 to {MOST_BAGS} extra bags.", asked=asked)
    return _advance(account, replace(draft, bags=bags, insurance="insurance" in asked), "extras")


async def payment(request: Request) -> Response:
    """The booking is paid and made."""
    account, asked = state_of(request), await form(request)
    draft: Draft | None = account.draft
    if draft is None or draft.due != "payment":
        return see_other("/book/passengers")
    way, price = asked.get("way", ""), account.price(draft)
    problem = ""
    if way not in (*CARDS, CREDIT):
        problem = "Choose how to pay."
    elif way == CREDIT and account.credit < price:
        problem = "Your travel credit does not cover this booking."
    elif "terms" not in asked:
        problem = "Accept the fare rules to book."
    if problem:
        return _show(request, "payment", draft, status=422, problem=problem, asked=asked)
    trip = account.book(draft, way)
    return see_other(f"/trips/{trip.reference}?done=booked")


async def abandon(request: Request) -> Response:
    """The booking in progress is dropped."""
    state_of(request).draft = None
    return see_other("/")


ROUTES = [
    Route("/book/abandon", abandon, methods=["POST"]),
    Route("/book/passengers", passengers, methods=["POST"]),
    Route("/book/seats", seats, methods=["POST"]),
    Route("/book/extras", extras, methods=["POST"]),
    Route("/book/payment", payment, methods=["POST"]),
    Route("/book/{step}", step),
]
