"""The base catalogue: every service between two cities, the flights of a day with their prices, and the seats that are taken.

All of it follows from the names alone, is the same in every episode and process, and is never written to.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache

from webgym.types import seed_from

from .places import CITIES, HUBS, city, distance_km

TODAY = date(2026, 1, 5)  # the day on the clock of an episode
LAST_DAY = date(2026, 12, 31)
AIRLINES: Mapping[str, str] = {
    "NV": "Norvane",
    "SO": "Solenta",
    "BJ": "Brightjet",
    "PG": "Pelagia",
    "TV": "Terravia",
    "CM": "Cloudmere",
}
LONGEST_DIRECT_KM = 6500.0
ROWS, LETTERS, WINDOWS = 12, "ACDF", "AF"
ZONES: Mapping[str, range] = {"front": range(1, 5), "middle": range(5, 9), "rear": range(9, 13)}


@dataclass(frozen=True, slots=True)
class Service:
    """A service of an airline under one number: `leaves` in minutes after midnight, `lasts` in minutes, the weekdays (0 is Monday)."""

    number: str
    airline: str
    origin: str
    destination: str
    leaves: int
    lasts: int
    via: tuple[str, ...]
    weekdays: frozenset[int]
    level: float  # its price beside the others of the route

    @property
    def departs(self) -> str:
        return _clock(self.leaves)

    @property
    def arrives(self) -> str:
        days, minutes = divmod(self.lands, 24 * 60)
        return _clock(minutes) + (f" +{days}" if days > 0 else "")

    @property
    def lands(self) -> int:
        """Minutes after the midnight of the day of departure, in the time of the destination."""
        return self.leaves + self.lasts + round(60 * (city(self.destination).offset - city(self.origin).offset))

    @property
    def duration(self) -> str:
        return f"{self.lasts // 60} h {self.lasts % 60:02} min"

    @property
    def stops(self) -> str:
        return f"1 stop in {self.via[0]}" if self.via else "Direct"


@dataclass(frozen=True, slots=True)
class Flight:
    """A service on a day, and the lowest price in euro for one passenger."""

    service: Service
    day: date
    price: int

    @property
    def key(self) -> str:
        """Name in addresses and forms: `NV-214.2026-03-14`."""
        return f"{self.service.number.replace(' ', '-')}.{self.day.isoformat()}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


@cache
def services(origin: str, destination: str) -> tuple[Service, ...]:
    """Services between two cities, by time of departure. Times of departure, durations and numbers all differ."""
    rng = random.Random(seed_from("travel", "services", origin, destination))
    km = distance_km(origin, destination)
    hubs = sorted((h for h in HUBS if h not in (origin, destination)), key=lambda h: distance_km(origin, h) + distance_km(h, destination))
    direct = rng.randint(3, 5) if km < LONGEST_DIRECT_KM else 0
    count = direct + rng.randint(4, 6)
    first = 100 + 12 * _route_number(origin, destination)
    times = rng.sample(range(6 * 60, 22 * 60, 5), count)
    found: list[Service] = []
    for index, leaves in enumerate(times):
        via = () if index < direct else (hubs[rng.randrange(3)],)
        lasts = _minutes(km) if not via else _minutes(distance_km(origin, via[0])) + _minutes(distance_km(via[0], destination))
        lasts += rng.randrange(0, 25, 5) if not via else rng.randrange(55, 200, 5)
        while any(other.lasts == lasts for other in found):
            lasts += 5
        weekdays = frozenset(range(7)) - frozenset(rng.sample(range(7), rng.choice((0, 0, 1, 2))))
        level = rng.uniform(0.9, 1.35) if not via else rng.uniform(0.7, 1.2)
        code = rng.choice(list(AIRLINES))
        found.append(Service(f"{code} {first + index}", AIRLINES[code], origin, destination, leaves, lasts, via, weekdays, level))
    return tuple(sorted(found, key=lambda service: service.leaves))


def _minutes(km: float) -> int:
    """Minutes in the air and on the runways."""
    return 5 * round((35 + km / 13.5) / 5)


@cache
def _names() -> tuple[str, ...]:
    return tuple(c.name for c in CITIES)


def _route_number(origin: str, destination: str) -> int:
    return _names().index(origin) * len(CITIES) + _names().index(destination)


@lru_cache(4096)
def flights(origin: str, destination: str, day: date) -> tuple[Flight, ...]:
    """The flights of a day by time of departure; no two have the same price. None outside the days that are on sale."""
    if not TODAY <= day <= LAST_DAY or origin == destination:
        return ()
    rng = random.Random(seed_from("travel", "prices", origin, destination, day))
    season = rng.uniform(0.75, 1.5) * (1.15 if day.weekday() in (4, 6) else 1.0)
    base = 22 + 0.052 * distance_km(origin, destination)
    taken: set[int] = set()
    found = []
    for service in services(origin, destination):
        price = max(19, round(base * service.level * season * rng.uniform(0.9, 1.1)))
        if day.weekday() not in service.weekdays:
            continue
        while price in taken:
            price += 1
        taken.add(price)
        found.append(Flight(service, day, price))
    return tuple(found)


def read_flight(key: str) -> Flight | None:
    """The flight that a key of an address names, if there is one."""
    number, _, day_text = key.partition(".")
    code, _, figures = number.partition("-")
    if code not in AIRLINES or not figures.isdecimal() or len(figures) > 6:
        return None
    try:
        day = date.fromisoformat(day_text)
    except ValueError:
        return None
    return flight(f"{code} {int(figures)}", day)


def flight(number: str, day: date) -> Flight | None:
    """The flight with this number on this day, if it goes."""
    origin, destination = route_of(number)
    return next((f for f in flights(origin, destination, day) if f.service.number == number), None) if origin else None


def service(number: str) -> Service:
    """The service with this number. Raises KeyError."""
    origin, destination = route_of(number)
    for found in services(origin, destination) if origin else ():
        if found.number == number:
            return found
    raise KeyError(number)


def route_of(number: str) -> tuple[str, str]:
    """Origin and destination of a flight number; ("", "") for an unknown one."""
    index = (int(number.split()[1]) - 100) // 12
    start, end = divmod(index, len(CITIES))
    return (CITIES[start].name, CITIES[end].name) if 0 <= start < len(CITIES) and start != end else ("", "")


@lru_cache(4096)
def taken_seats(number: str, day: date) -> frozenset[str]:
    """The seats of a flight that other customers have, about half of them."""
    rng = random.Random(seed_from("travel", "seats", number, day))
    return frozenset(seat for seat in SEATS if rng.random() < 0.5)


SEATS: tuple[str, ...] = tuple(f"{row}{letter}" for row in range(1, ROWS + 1) for letter in LETTERS)


def zone_of(seat: str) -> str:
    """front, middle or rear."""
    return next(zone for zone, rows in ZONES.items() if int(seat[:-1]) in rows)


def month_days(year: int, month: int) -> list[date]:
    """The days of a month."""
    first = date(year, month, 1)
    return [day for day in (first + timedelta(days=offset) for offset in range(31)) if day.month == month]
