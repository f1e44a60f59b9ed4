"""Draws of episodes: people, the agency's rules, trips, and days with flights."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from .account import CARDS, SEAT_WISHES, Alert, Leg, Passenger, Policy, Preferences, Trip, World, fare_price
from .places import CITIES
from .timetable import SEATS, TODAY, ZONES, Flight, flights, services, taken_seats, zone_of

FIRST = (
    "Alma", "Anton", "Bruno", "Carla", "Celia", "David", "Edda", "Elias", "Fiona", "Gustav", "Hanna", "Ivan", "Jonas", "Karin",
    "Lara", "Lukas", "Maria", "Milo", "Nadia", "Nils", "Olga", "Oscar", "Paula", "Rosa", "Simon", "Sofia", "Theo", "Vera",
    "Viktor", "Yara",
)  # fmt: skip
LAST = (
    "Abel", "Berg", "Costa", "Dahl", "Engel", "Fischer", "Garcia", "Holm", "Iversen", "Jansen", "Keller", "Lind", "Moreau",
    "Novak", "Olsen", "Pereira", "Quist", "Rossi", "Silva", "Tanaka", "Ulrich", "Varga", "Weber", "Young", "Ziegler",
)  # fmt: skip


def person(rng: random.Random, besides: Sequence[Passenger] = ()) -> Passenger:
    """A person with a first name that none of the others has."""
    firsts = {p.name.split()[0] for p in besides}
    first = rng.choice([name for name in FIRST if name not in firsts])
    letters = "".join(rng.choices("BCDFGHJKLMNPRSTVXZ", k=2))
    return Passenger(f"{first} {rng.choice(LAST)}", f"{letters}{rng.randrange(100_000, 1_000_000)}")


def people(rng: random.Random, count: int) -> tuple[Passenger, ...]:
    """This number of people with different first names."""
    found: list[Passenger] = []
    for _ in range(count):
        found.append(person(rng, found))
    return tuple(found)


def phone(rng: random.Random) -> str:
    """A telephone number."""
    return str(rng.randrange(600_000_000, 800_000_000))


def policy(rng: random.Random) -> Policy:
    """The agency's rules. A Light fare gives no refund to the card; Flex gives back more than Standard."""
    front = rng.choice((18, 22, 24, 28, 32))
    standard, flex = rng.randrange(45, 71), rng.randrange(86, 97)
    return Policy(
        bag=rng.choice((28, 32, 35, 39, 42, 45)),
        seat={"front": front, "middle": front - rng.choice((6, 8, 10)), "rear": rng.choice((4, 5, 6, 7))},
        change={"Light": None, "Standard": rng.choice((30, 35, 45, 55, 60)), "Flex": 0},
        early={"Light": 0, "Standard": standard, "Flex": flex},
        late={"Light": 0, "Standard": standard - rng.randrange(15, 31), "Flex": flex - rng.randrange(10, 21)},
        notice_days=rng.choice((7, 10, 14, 21)),
        bonus=rng.choice((5, 8, 10, 12)),
    )


def days(rng: random.Random, first: int = 5, last: int = 320) -> date:
    """A day at this number of days from today."""
    return TODAY + timedelta(days=rng.randrange(first, last))


def cities(rng: random.Random, count: int) -> list[str]:
    """Names of different cities."""
    return rng.sample([city.name for city in CITIES], count)


def direct(found: Sequence[Flight]) -> list[Flight]:
    """The flights without a stop."""
    return [f for f in found if not f.service.via]


def short_route(rng: random.Random) -> tuple[str, str]:
    """Two cities with direct flights."""
    while True:
        origin, destination = cities(rng, 2)
        if any(not service.via for service in services(origin, destination)):
            return origin, destination


def flying_day(rng: random.Random, origin: str, destination: str, least: int = 2) -> date:
    """A day with at least this number of direct flights."""
    while True:
        on = days(rng)
        if len(direct(flights(origin, destination, on))) >= least:
            return on


def seat_in(rng: random.Random, flown: Flight, besides: Sequence[str] = (), zones: Sequence[str] = tuple(ZONES)) -> str:
    """One of the free seats."""
    return rng.choice(free_seats(flown, besides, zones))


def free_seats(flown: Flight, besides: Sequence[str] = (), zones: Sequence[str] = tuple(ZONES)) -> list[str]:
    """The seats of these zones that nobody has."""
    gone = taken_seats(flown.service.number, flown.day)
    return [seat for seat in SEATS if seat not in gone and seat not in besides and zone_of(seat) in zones]


def reference(rng: random.Random) -> str:
    """A booking reference."""
    return "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=6))


def trip(rng: random.Random, origin: str, destination: str, passengers: Sequence[Passenger], **fields: Any) -> Trip:
    """A booked trip; `fields` are already decided values: `on`, `back` (days), `fare`, `status`, or any field of a trip."""
    status, count = fields.pop("status", "upcoming"), len(passengers)
    on = fields.pop("on", None) or (days(rng) if status != "flown" else TODAY - timedelta(days=rng.randrange(10, 300)))
    fare = fields.pop("fare", None) or rng.choice(("Light", "Standard", "Flex"))
    back = fields.pop("back", None)
    legs, total = [], 0
    for start, end, day in [(origin, destination, on)] + ([(destination, origin, back)] if back else []):
        leg, price = _leg(rng, start, end, day, fare)
        legs.append(leg)
        total += price * count
    values: dict[str, Any] = {
        "seats": tuple(("",) * count for _ in legs),
        "bags": (0,) * count,
        "insurance": False,
        "paid_by": rng.choice(CARDS),
        "total": total,
    }
    return Trip(reference(rng), tuple(legs), fare, tuple(passengers), status=status, **(values | fields))


def _leg(rng: random.Random, start: str, end: str, day: date, fare: str) -> tuple[Leg, int]:
    """One of the flights of the day (of the timetable, for a day that is past) and its price."""
    if day < TODAY:
        return Leg(rng.choice(services(start, end)).number, day), rng.randrange(60, 400)
    while not (found := flights(start, end, day)):
        day += timedelta(days=1)
    chosen = rng.choice(found)
    return Leg(chosen.service.number, day), fare_price(chosen, fare)


def alerts(rng: random.Random, count: int) -> tuple[Alert, ...]:
    """Price alerts of different routes."""
    found = cities(rng, 2 * count)
    return tuple(Alert(found[2 * i], found[2 * i + 1], rng.randrange(40, 400)) for i in range(count))


def world(rng: random.Random, trips: Sequence[Trip] = (), travellers: Sequence[Passenger] = (), distractors: int = 3) -> World:
    """A customer with these trips and travellers among others. No other trip goes to a city that one of these goes to."""
    saved = list(travellers)
    for _ in range(rng.randint(1, 3)):
        saved.append(person(rng, saved))
    visited = {trip.destination for trip in trips} | {trip.origin for trip in trips}
    elsewhere = rng.sample([city.name for city in CITIES if city.name not in visited], 2 * (distractors + 2))
    statuses = ["upcoming"] * distractors + ["flown", "cancelled"]
    others = [
        trip_to(rng, elsewhere[2 * i], elsewhere[2 * i + 1], [person(rng) for _ in range(rng.randint(1, 2))], status)
        for i, status in enumerate(statuses)
    ]
    everything = [*trips, *others]
    rng.shuffle(everything)
    rng.shuffle(saved)
    return World(
        holder=person(rng).name,
        trips=tuple(everything),
        travellers=tuple(saved),
        alerts=alerts(rng, rng.randint(2, 4)),
        preferences=Preferences(phone(rng), rng.choice(SEAT_WISHES), rng.random() < 0.5),
        credit=rng.randrange(0, 60),
        policy=policy(rng),
    )


def trip_to(rng: random.Random, origin: str, destination: str, passengers: Sequence[Passenger], status: str) -> Trip:
    """A trip that no goal is about."""
    made = trip(rng, origin, destination, passengers, status=status)
    return replace(made, refund="card", refunded=made.total // 2) if status == "cancelled" else made
