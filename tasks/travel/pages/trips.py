"""Booked trips: the list, one trip, and the actions on it, which are seats, bags, passengers, changes, cancelling and restoring."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other, state_of

from ..account import INCLUDED_BAGS, MOST_BAGS, Account, Leg, Trip, fare_price
from ..timetable import Flight, flights, read_flight
from .booking import seat_chosen, seat_map, typed_bags, typed_passengers, wrong_passenger
from .form import day, form, query, whole, wrong_day
from .search import PAGE_SIZE, SORTS

TABS = {"upcoming": "Upcoming", "flown": "Past", "cancelled": "Cancelled"}
DONE = {
    "booked": "Your booking is confirmed.",
    "changed": "Your flight was changed.",
    "seat": "Your seat was changed.",
    "bags": "Your bags were updated.",
    "passengers": "The passenger details were saved.",
    "cancelled": "Your trip was cancelled.",
    "restored": "Your trip is booked again.",
}


def _trip(request: Request, *, upcoming: bool = False) -> Trip:
    """The trip that the address names. Raises HTTPException."""
    trip = state_of(request).trips.get(request.path_params["reference"])
    if trip is None:
        raise HTTPException(404, "There is no booking with this reference.")
    if upcoming and trip.status != "upcoming":
        raise HTTPException(404, f"This trip is {trip.status} and cannot be changed.")
    return trip


async def listing(request: Request) -> Response:
    """The trips of a tab, the next one first, with a search over cities, names and references."""
    account: Account = state_of(request)
    asked = query(request)
    tab = asked.get("show", "upcoming")
    tab = tab if tab in TABS else "upcoming"
    words = asked.get("q", "").casefold()
    found = [
        trip
        for trip in account.trips.values()
        if trip.status == tab
        and all(
            word in " ".join((trip.reference, trip.origin, trip.destination, *(p.name for p in trip.passengers))).casefold()
            for word in words.split()
        )
    ]
    found.sort(key=lambda trip: (trip.legs[0].day, trip.reference), reverse=tab != "upcoming")
    number = whole(asked.get("page", "1"), 1, 99) or 1
    return page(
        request,
        "trips.html",
        tabs=TABS,
        tab=tab,
        words=asked.get("q", ""),
        trips=found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE],
        number=number,
        pages=max(1, -(-len(found) // PAGE_SIZE)),
    )


async def trip(request: Request) -> Response:
    """One trip with all its details."""
    found = _trip(request)
    return page(request, "trip.html", trip=found, done=DONE.get(query(request).get("done", ""), ""), included=INCLUDED_BAGS[found.fare])


async def seats(request: Request) -> Response:
    """The seat map of a booked trip; a click takes the seat."""
    account: Account = state_of(request)
    found = _trip(request, upcoming=True)
    asked = query(request) if request.method == "GET" else await form(request)
    problem = ""
    if request.method == "POST":
        chosen = seat_chosen(account, found.legs, found.seats, asked)
        if chosen is not None:
            before, after = (sum(account.seat_price(found.fare, seat) for row in rows for seat in row) for rows in (found.seats, chosen))
            account.change(found.reference, seats=chosen, total=found.total + max(0, after - before))
            return see_other(f"/trips/{found.reference}?done=seat")
        problem = "This seat is taken. Choose another."
    shown = seat_map(account, found.legs, found.fare, found.seats, asked)
    if "leg" not in asked:
        shown |= seat_map(account, found.legs, found.fare, found.seats, {**asked, "leg": "0", "who": "0"})
    here = f"/trips/{found.reference}/seats"
    return page(
        request,
        "trip_seats.html",
        status=422 if problem else 200,
        trip=found,
        passengers=found.passengers,
        action=here,
        here=here,
        problem=problem,
        **shown,
    )


async def bags(request: Request) -> Response:
    """Extra checked bags of each passenger."""
    account: Account = state_of(request)
    found = _trip(request, upcoming=True)
    problem, asked = "", {}
    if request.method == "POST":
        asked = await form(request)
        typed = typed_bags(asked, len(found.passengers))
        if typed is not None:
            more = account.policy.bag * max(0, sum(typed) - sum(found.bags))
            account.change(found.reference, bags=typed, total=found.total + more)
            return see_other(f"/trips/{found.reference}?done=bags")
        problem = f"Enter 0 to {MOST_BAGS} extra bags."
    return page(
        request,
        "trip_bags.html",
        status=422 if problem else 200,
        trip=found,
        problem=problem,
        asked=asked,
        price=account.policy.bag,
        included=INCLUDED_BAGS[found.fare],
        most=MOST_BAGS,
    )


async def passengers(request: Request) -> Response:
    """Names and passport numbers."""
    found = _trip(request, upcoming=True)
    typed, problems = found.passengers, {}
    if request.method == "POST":
        typed = typed_passengers(await form(request), len(found.passengers))
        problems = {number: words for number, p in enumerate(typed, 1) if (words := wrong_passenger(p))}
        if not problems:
            state_of(request).change(found.reference, passengers=typed)
            return see_other(f"/trips/{found.reference}?done=passengers")
    return page(request, "trip_passengers.html", status=422 if problems else 200, trip=found, typed=typed, problems=problems)


async def change(request: Request) -> Response:
    """Another day for a leg, then the flights of that day with their extra costs."""
    account: Account = state_of(request)
    found = _trip(request, upcoming=True)
    asked = query(request)
    leg = whole(asked.get("leg", "0"), 0, len(found.legs) - 1) or 0
    on, fee, problem = day(asked.get("date", "")), account.policy.change[found.fare], ""
    sort = asked.get("sort", "departure")
    offers: list[tuple[Flight, int, str]] = []
    if "date" in asked and fee is not None:
        problem = wrong_day(on, "new date") or _out_of_order(found, leg, on)
        if not problem and on is not None:
            now = found.legs[leg].service
            for flown in sorted(flights(now.origin, now.destination, on), key=SORTS.get(sort, SORTS["departure"])[1]):
                if flown.key not in account.world.sold_out and flown.key != f"{now.number.replace(' ', '-')}.{found.legs[leg].day}":
                    address = f"/trips/{found.reference}/change/confirm?" + urlencode({"leg": leg, "flight": flown.key})
                    offers.append((flown, max(0, _difference(found, leg, flown)), address))
    number = whole(asked.get("page", "1"), 1, 99) or 1
    return page(
        request,
        "trip_change.html",
        status=422 if problem else 200,
        trip=found,
        leg=leg,
        fee=fee,
        asked=asked,
        problem=problem,
        on=on,
        sort=sort,
        sorts=SORTS,
        offers=offers[(number - 1) * PAGE_SIZE : number * PAGE_SIZE],
        number=number,
        pages=max(1, -(-len(offers) // PAGE_SIZE)),
    )


def _out_of_order(found: Trip, leg: int, on: Any) -> str:
    days = [on if number == leg else flown.day for number, flown in enumerate(found.legs)]
    return "" if on is None or days == sorted(days) else "The return is before the departure."


def _difference(found: Trip, leg: int, flown: Flight) -> int:
    """Euro for all passengers, below zero where the new flight is cheaper."""
    return (fare_price(flown, found.fare) - fare_price(found.legs[leg].flight, found.fare)) * len(found.passengers)


async def confirm_change(request: Request) -> Response:
    """Cost of the change, and the form that makes it."""
    account: Account = state_of(request)
    found = _trip(request, upcoming=True)
    asked = query(request) if request.method == "GET" else await form(request)
    leg, flown = whole(asked.get("leg", ""), 0, len(found.legs) - 1), read_flight(asked.get("flight", ""))
    fee = account.policy.change[found.fare]
    now = found.legs[leg].service if leg is not None else None
    if leg is None or now is None or flown is None or fee is None or flown.key in account.world.sold_out:
        raise HTTPException(404, "This change cannot be made.")
    if (flown.service.origin, flown.service.destination) != (now.origin, now.destination) or _out_of_order(found, leg, flown.day):
        raise HTTPException(404, "This change cannot be made.")
    more, fees = max(0, _difference(found, leg, flown)), fee * len(found.passengers)
    if request.method == "POST" and "accept" in asked:
        moved = (*found.legs[:leg], Leg(flown.service.number, flown.day), *found.legs[leg + 1 :])
        seats = (*found.seats[:leg], tuple("" for _ in found.passengers), *found.seats[leg + 1 :])  # they were of another flight
        account.change(found.reference, legs=moved, seats=seats, total=found.total + more + fees)
        return see_other(f"/trips/{found.reference}?done=changed")
    problem = "Accept the change to go on." if request.method == "POST" else ""
    values = {"trip": found, "leg": leg, "flown": flown, "more": more, "fees": fees, "problem": problem}
    return page(request, "trip_confirm.html", status=422 if problem else 200, **values)


async def cancel(request: Request) -> Response:
    """Give a trip back for the refund of the policy."""
    account: Account = state_of(request)
    found = _trip(request, upcoming=True)
    problem, asked = "", {}
    possible = {to: account.policy.percent(found, to) > 0 for to in ("card", "credit")}
    if request.method == "POST":
        asked = await form(request)
        to = asked.get("refund", "")
        if not possible.get(to):
            problem = "Choose where the refund goes."
        elif "sure" not in asked:
            problem = "Confirm that you want to cancel."
        else:
            back = account.policy.refund(found, to)
            account.change(found.reference, status="cancelled", refund=to, refunded=back)
            account.credit += back * (to == "credit")
            return see_other(f"/trips/{found.reference}?done=cancelled")
    return page(request, "trip_cancel.html", status=422 if problem else 200, trip=found, possible=possible, problem=problem, asked=asked)


async def restore(request: Request) -> Response:
    """Take a cancellation back, as long as its credit was not spent."""
    account: Account = state_of(request)
    found = _trip(request)
    owed = found.refunded * (found.refund == "credit")
    if found.status != "cancelled" or found.days_left < 0 or owed > account.credit:
        raise HTTPException(404, "This trip cannot be restored.")
    account.credit -= owed
    account.trips[found.reference] = replace(found, status="upcoming", refund="", refunded=0)
    return see_other(f"/trips/{found.reference}?done=restored")


ROUTES = [
    Route("/trips", listing),
    Route("/trips/{reference}", trip),
    Route("/trips/{reference}/seats", seats, methods=["GET", "POST"]),
    Route("/trips/{reference}/bags", bags, methods=["GET", "POST"]),
    Route("/trips/{reference}/passengers", passengers, methods=["GET", "POST"]),
    Route("/trips/{reference}/change", change),
    Route("/trips/{reference}/change/confirm", confirm_change, methods=["GET", "POST"]),
    Route("/trips/{reference}/cancel", cancel, methods=["GET", "POST"]),
    Route("/trips/{reference}/restore", restore, methods=["POST"]),
]
