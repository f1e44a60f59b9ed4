"""Finding flights: the search form, results with sorting and filters, the fares of a choice, the fare calendar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other, state_of

from ..account import FARES, INCLUDED_BAGS, MOST_PASSENGERS, Account, Draft, Leg, fare_price
from ..places import City, read_place, suggestions
from ..timetable import AIRLINES, LAST_DAY, TODAY, Flight, flights, month_days, read_flight
from .form import day, form, month_name, query, whole, wrong_day

PAGE_SIZE = 8
SORTS: dict[str, tuple[str, Callable[[Flight], Any]]] = {
    "departure": ("Departure", lambda f: f.service.leaves),
    "price": ("Cheapest", lambda f: f.price),
    "duration": ("Fastest", lambda f: (f.service.lasts, f.price)),
}
PARTS_OF_DAY = {"morning": (0, 12), "afternoon": (12, 18), "evening": (18, 24)}  # hours
POPULAR = (("Lisbon", "Oslo"), ("Paris", "Athens"), ("London", "Reykjavik"))


@dataclass(frozen=True)
class Search:
    """Fields of the search form, as they were typed."""

    origin: str = ""
    destination: str = ""
    depart: str = ""
    trip: str = "oneway"
    back: str = ""
    passengers: str = "1"
    sort: str = "departure"
    direct: str = ""
    airline: str = ""
    time: str = ""
    out: str = ""  # the key of the outbound flight, once it is chosen

    @classmethod
    def read(cls, asked: dict[str, str]) -> "Search":
        return cls(**{f.name: asked[f.name] for f in fields(cls) if f.name in asked})

    def problems(self) -> dict[str, str]:
        """Errors in words, by field."""
        found: dict[str, str] = {}
        for name, what in (("origin", "from"), ("destination", "to")):
            if words := wrong_place(getattr(self, name), what):
                found[name] = words
        if not found and read_place(self.origin) == read_place(self.destination):
            found["destination"] = "Choose two different cities."
        depart, back = day(self.depart), day(self.back)
        if words := wrong_day(depart, "departure date"):
            found["depart"] = words
        if self.trip == "return":
            words = wrong_day(back, "return date")
            if words or (depart and back and back < depart):
                found["back"] = words or "The return is before the departure."
        if whole(self.passengers, 1, MOST_PASSENGERS) is None:
            found["passengers"] = f"Enter 1 to {MOST_PASSENGERS} passengers."
        return found

    def address(self, **changed: str) -> str:
        """The results for this search, with some fields changed; fields with their default are left out."""
        values = {f.name: changed.get(f.name, getattr(self, f.name)) for f in fields(self)}
        values |= {key: value for key, value in changed.items() if key not in values}
        usual = {f.name: f.default for f in fields(self)}
        return "/flights?" + urlencode({key: value for key, value in values.items() if value != usual.get(key)})

    def matching(self, found: Sequence[Flight]) -> list[Flight]:
        """The flights that the filters let through, sorted."""
        first, last = PARTS_OF_DAY.get(self.time, (0, 24))
        kept = [
            f
            for f in found
            if first * 60 <= f.service.leaves < last * 60
            and (not self.direct or not f.service.via)
            and self.airline in ("", f.service.airline)
        ]
        return sorted(kept, key=SORTS.get(self.sort, SORTS["departure"])[1])


def wrong_place(text: str, what: str) -> str:
    """Error in a place, in words; "" for a known one."""
    if read_place(text):
        return ""
    near = suggestions(text[:3]) if text else []
    return f"Choose a city to fly {what}." + (f" Did you mean {near[0].name}?" if near else "")


async def home(request: Request) -> Response:
    """The search form."""
    return page(request, "home.html", search=Search.read(query(request)), problems={}, popular=POPULAR, today=TODAY, last=LAST_DAY)


async def places(request: Request) -> Response:
    """Suggestions of the place fields."""
    found = [f"{city.name}" for city in suggestions(query(request).get("q", ""))]
    return JSONResponse(found, headers={"cache-control": "no-store"})


async def results(request: Request) -> Response:
    """The flights of a day; for a return, the outbound ones first and then those back."""
    asked = query(request)
    search = Search.read(asked)
    if problems := search.problems():
        return page(request, "home.html", status=422, search=search, problems=problems, popular=POPULAR, today=TODAY, last=LAST_DAY)
    start, end, on = _route(search)
    account: Account = state_of(request)
    out = read_flight(search.out) if search.trip == "return" and search.out else None
    if out is not None:
        start, end, on = end, start, day(search.back) or on
    found = search.matching(flights(start.name, end.name, on))
    number = whole(asked.get("page", "1"), 1, 99) or 1
    shown = found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return page(
        request,
        "flights.html",
        search=search,
        start=start.name,
        end=end.name,
        on=on,
        out=out,
        offers=[(f, _offer_address(search, out, f), f.key in account.world.sold_out) for f in shown],
        total=len(found),
        sorts=SORTS,
        airlines=sorted(AIRLINES.values()),
        parts=PARTS_OF_DAY,
        number=number,
        pages=max(1, -(-len(found) // PAGE_SIZE)),
    )


def _route(search: Search) -> tuple[City, City, date]:
    start, end, on = read_place(search.origin), read_place(search.destination), day(search.depart)
    assert start and end and on
    return start, end, on


def _offer_address(search: Search, out: Flight | None, chosen: Flight) -> str:
    """Address behind a flight of the results: the flights back, or the fares."""
    if search.trip == "return" and out is None:
        return search.address(out=chosen.key)
    legs = [out.key, chosen.key] if out else [chosen.key]
    return "/fares?" + urlencode({"flights": ",".join(legs), "passengers": search.passengers})


def _chosen(request: Request, asked: dict[str, str]) -> tuple[tuple[Flight, ...], int]:
    """The flights and the number of passengers that a fare is asked for. Raises HTTPException."""
    found = [read_flight(key) for key in asked.get("flights", "").split(",")]
    passengers = whole(asked.get("passengers", "1"), 1, MOST_PASSENGERS)
    legs = tuple(f for f in found if f is not None)
    gone = state_of(request).world.sold_out
    there_and_back = len(legs) == 1 or (
        len(legs) == 2 and (legs[0].service.origin, legs[0].service.destination) == (legs[1].service.destination, legs[1].service.origin)
    )
    if passengers is None or len(legs) != len(found) or not there_and_back or legs[0].day > legs[-1].day:
        raise HTTPException(404, "These flights are not in our timetable.")
    if any(f.key in gone for f in legs):
        raise HTTPException(404, "This flight is sold out.")
    return legs, passengers


async def fares(request: Request) -> Response:
    """The fares of the chosen flights with what they include."""
    legs, passengers = _chosen(request, query(request))
    policy = state_of(request).policy
    offered = [(name, sum(fare_price(f, name) for f in legs), INCLUDED_BAGS[name], policy.change[name], name == "Flex") for name in FARES]
    return page(request, "fares.html", legs=legs, passengers=passengers, offered=offered, keys=",".join(f.key for f in legs))


async def choose_fare(request: Request) -> Response:
    """Begin a booking with the chosen fare; it replaces any booking in progress."""
    asked = await form(request)
    legs, passengers = _chosen(request, asked)
    if asked.get("fare") not in FARES:
        raise HTTPException(404, "There is no such fare.")
    state_of(request).draft = Draft.begun(tuple(Leg(f.service.number, f.day) for f in legs), asked["fare"], passengers)
    return see_other("/book/passengers")


async def calendar(request: Request) -> Response:
    """The lowest price of each day of a month."""
    asked = query(request)
    origin, destination = asked.get("origin", ""), asked.get("destination", "")
    month = day(asked.get("month", "")[:7] + "-01") or TODAY.replace(day=1)
    month = min(max(month, TODAY.replace(day=1)), LAST_DAY.replace(day=1))
    problems: dict[str, str] = {}
    weeks: list[list[tuple[date, int | None, str] | None]] = []
    if origin or destination:
        search = Search(origin, destination, month.isoformat())
        problems = {key: words for key, words in search.problems().items() if key in ("origin", "destination")}
        weeks = [] if problems else _weeks(state_of(request), search, month)
    later = (month + timedelta(days=31)).replace(day=1)
    return page(
        request,
        "calendar.html",
        origin=origin,
        destination=destination,
        month=month,
        title=month_name(month),
        problems=problems,
        weeks=weeks,
        earlier=(month - timedelta(days=1)).replace(day=1) if month > TODAY else None,
        later=later if later <= LAST_DAY else None,
    )


def _weeks(account: Account, search: Search, month: date) -> list[list[tuple[date, int | None, str] | None]]:
    """Seven columns a week: the day, its lowest price (None without flights) and its results; None before the first day."""
    origin, destination = read_place(search.origin), read_place(search.destination)
    assert origin and destination
    cells: list[tuple[date, int | None, str] | None] = [None] * month.weekday()
    for on in month_days(month.year, month.month):
        left = [f.price for f in flights(origin.name, destination.name, on) if f.key not in account.world.sold_out]
        cells.append((on, min(left, default=None), search.address(depart=on.isoformat(), sort="price")))
    cells += [None] * (-len(cells) % 7)
    return [cells[start : start + 7] for start in range(0, len(cells), 7)]


ROUTES = [
    Route("/", home),
    Route("/places", places),
    Route("/flights", results),
    Route("/fares", fares),
    Route("/book", choose_fare, methods=["POST"]),
    Route("/calendar", calendar),
]
