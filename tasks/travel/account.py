"""A customer's account: trips, saved travellers, price alerts, credit, a booking in progress. A change replaces a frozen entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any

from webgym.types import seed_from

from .timetable import TODAY, Flight, Service, flight, service, taken_seats, zone_of

FARES: Mapping[str, float] = {"Light": 1.0, "Standard": 1.3, "Flex": 1.7}  # price beside the lowest
INCLUDED_BAGS: Mapping[str, int] = {"Light": 0, "Standard": 1, "Flex": 2}
CARDS = ("Card ending 4821", "Card ending 0937")
CREDIT = "Travel credit"
SEAT_WISHES = ("No preference", "Window", "Aisle")
INSURANCE = 14  # euro for a passenger
MOST_PASSENGERS, MOST_BAGS = 4, 3
STEPS = ("passengers", "seats", "extras", "payment")


@dataclass(frozen=True, slots=True)
class Passenger:
    name: str = ""
    passport: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    """A flight of a trip, by number and day."""

    number: str
    day: date

    @property
    def service(self) -> Service:
        return service(self.number)

    @property
    def flight(self) -> Flight:
        found = flight(self.number, self.day)
        assert found is not None, f"{self.number} does not go on {self.day}"
        return found


@dataclass(frozen=True, slots=True)
class Trip:
    """A booking. `seats` has a seat ("" for none) per leg and passenger, `bags` the extra checked bags per passenger."""

    reference: str
    legs: tuple[Leg, ...]
    fare: str
    passengers: tuple[Passenger, ...]
    seats: tuple[tuple[str, ...], ...]
    bags: tuple[int, ...]
    insurance: bool
    paid_by: str
    total: int
    status: str = "upcoming"  # upcoming, flown, cancelled
    refund: str = ""  # card or credit, once cancelled
    refunded: int = 0

    @property
    def origin(self) -> str:
        return self.legs[0].service.origin

    @property
    def destination(self) -> str:
        return self.legs[0].service.destination

    @property
    def days_left(self) -> int:
        return (self.legs[0].day - TODAY).days


@dataclass(frozen=True, slots=True)
class Alert:
    origin: str
    destination: str
    below: int


@dataclass(frozen=True, slots=True)
class Preferences:
    phone: str = "704512986"
    seat: str = SEAT_WISHES[0]
    newsletter: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """The agency's rules in an episode, in euro, percent and days. They differ from episode to episode, so they have to be read."""

    bag: int = 35
    seat: Mapping[str, int] = field(default_factory=lambda: {"front": 24, "middle": 12, "rear": 6})
    change: Mapping[str, int | None] = field(default_factory=lambda: {"Light": None, "Standard": 45, "Flex": 0})  # None: not at all
    early: Mapping[str, int] = field(default_factory=lambda: {"Light": 0, "Standard": 60, "Flex": 95})  # percent back to the card
    late: Mapping[str, int] = field(default_factory=lambda: {"Light": 0, "Standard": 25, "Flex": 80})
    notice_days: int = 14
    bonus: int = 10  # percent more as travel credit

    def percent(self, trip: Trip, to: str) -> int:
        """Percent of a trip's price that comes back, to the card or as credit."""
        card = (self.early if trip.days_left >= self.notice_days else self.late)[trip.fare]
        return card if to == "card" else min(100, card + self.bonus)

    def refund(self, trip: Trip, to: str) -> int:
        """Euro, cents dropped."""
        return trip.total * self.percent(trip, to) // 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A booking in progress. `done` has the finished steps."""

    legs: tuple[Leg, ...]
    fare: str
    passengers: tuple[Passenger, ...]
    seats: tuple[tuple[str, ...], ...]
    bags: tuple[int, ...]
    insurance: bool = False
    done: frozenset[str] = frozenset()

    @classmethod
    def begun(cls, legs: tuple[Leg, ...], fare: str, passengers: int) -> "Draft":
        """A new booking for this number of passengers."""
        return cls(legs, fare, (Passenger(),) * passengers, (("",) * passengers,) * len(legs), (0,) * passengers)

    @property
    def due(self) -> str:
        return next(step for step in STEPS if step not in self.done)


@dataclass(frozen=True)
class World:
    """Start of an episode. `sold_out` and `taken` are flights and (flight, seat) that are gone besides those of the timetable."""

    holder: str = "Robin Hale"
    trips: tuple[Trip, ...] = ()
    travellers: tuple[Passenger, ...] = ()
    alerts: tuple[Alert, ...] = ()
    preferences: Preferences = Preferences()
    credit: int = 0
    policy: Policy = Policy()
    sold_out: frozenset[str] = frozenset()  # keys of flights
    taken: frozenset[tuple[str, str]] = frozenset()  # key of a flight, seat
    draft: Draft | None = None


@dataclass
class Account:
    """The state of an episode."""

    seed: int
    world: World
    trips: dict[str, Trip]
    travellers: dict[str, Passenger]
    alerts: dict[str, Alert]
    preferences: Preferences
    credit: int
    draft: Draft | None
    added: int = 0  # entries made in this episode: their keys are counted on

    @property
    def policy(self) -> Policy:
        return self.world.policy

    def next_key(self) -> str:
        self.added += 1
        return f"n{self.added}"

    def free(self, leg: Leg, seat: str, besides: tuple[str, ...] = ()) -> bool:
        """True if this seat is free; `besides` are those that the customer holds on the flight."""
        return seat in besides or not (seat in taken_seats(leg.number, leg.day) or (leg.flight.key, seat) in self.world.taken)

    def seat_price(self, fare: str, seat: str) -> int:
        return 0 if not seat or fare == "Flex" else self.policy.seat[zone_of(seat)]

    def price(self, draft: Draft) -> int:
        """Euro for all of a booking in progress."""
        flown = sum(fare_price(leg.flight, draft.fare) for leg in draft.legs) * len(draft.passengers)
        seats = sum(self.seat_price(draft.fare, seat) for row in draft.seats for seat in row)
        return flown + seats + self.policy.bag * sum(draft.bags) + INSURANCE * len(draft.passengers) * draft.insurance

    def book(self, draft: Draft, paid_by: str) -> Trip:
        """Make the booking in progress a trip."""
        self.added += 1
        letters = seed_from("travel", "reference", self.seed, self.added)
        reference = "".join("ABCDEFGHJKLMNPQRSTUVWXYZ"[letters // 24**place % 24] for place in range(6))
        trip = Trip(
            reference, draft.legs, draft.fare, draft.passengers, draft.seats, draft.bags, draft.insurance, paid_by, self.price(draft)
        )
        self.trips[reference] = trip
        self.credit -= trip.total * (paid_by == CREDIT)
        self.draft = None
        return trip

    def change(self, reference: str, **fields: Any) -> Trip:
        """Replace a trip by one that differs in these fields."""
        self.trips[reference] = trip = replace(self.trips[reference], **fields)
        return trip


def fare_price(flown: Flight, fare: str) -> int:
    """Euro for one passenger."""
    return round(flown.price * FARES[fare])


def begin(seed: int, site_state: Any) -> Account:
    """The state of an episode that begins with the world `site_state`."""
    world: World = site_state or World()
    return Account(
        seed,
        world,
        {trip.reference: trip for trip in world.trips},
        {f"t{number}": traveller for number, traveller in enumerate(world.travellers, 1)},
        {f"a{number}": alert for number, alert in enumerate(world.alerts, 1)},
        world.preferences,
        world.credit,
        world.draft,
    )


def shown(account: Account) -> dict[str, Any]:
    """The state as plain data, for checks and hashes."""
    return {
        "trips": {reference: trip_shown(trip) for reference, trip in account.trips.items()},
        "travellers": {key: [p.name, p.passport] for key, p in account.travellers.items()},
        "alerts": {key: [a.origin, a.destination, a.below] for key, a in account.alerts.items()},
        "preferences": [account.preferences.phone, account.preferences.seat, account.preferences.newsletter],
        "credit": account.credit,
        "draft": account.draft and draft_shown(account.draft),
    }


@lru_cache(4096)
def trip_shown(trip: Trip) -> dict[str, Any]:
    """A trip as plain data, which must not be written to."""
    return {
        "legs": [[leg.number, leg.day.isoformat()] for leg in trip.legs],
        "fare": trip.fare,
        "passengers": [[p.name, p.passport] for p in trip.passengers],
        "seats": [list(row) for row in trip.seats],
        "bags": list(trip.bags),
        "insurance": trip.insurance,
        "paid_by": trip.paid_by,
        "total": trip.total,
        "status": trip.status,
        "refund": trip.refund,
        "refunded": trip.refunded,
    }


@lru_cache(4096)
def draft_shown(draft: Draft) -> dict[str, Any]:
    """A booking in progress as plain data."""
    return {
        "legs": [[leg.number, leg.day.isoformat()] for leg in draft.legs],
        "fare": draft.fare,
        "passengers": [[p.name, p.passport] for p in draft.passengers],
        "seats": [list(row) for row in draft.seats],
        "bags": list(draft.bags),
        "insurance": draft.insurance,
        "done": sorted(draft.done),
    }
