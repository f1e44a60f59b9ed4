"""The cities of the timetable, their distances, and the reading of a place that was typed."""

from dataclasses import dataclass
from functools import cache
from math import asin, cos, radians, sin, sqrt


@dataclass(frozen=True, slots=True)
class City:
    """A city with its airport: latitude and longitude in degrees, `offset` from UTC in hours (standard time)."""

    name: str
    code: str
    country: str
    latitude: float
    longitude: float
    offset: float


CITIES: tuple[City, ...] = (
    City("Amsterdam", "AMS", "Netherlands", 52.31, 4.76, 1),
    City("Athens", "ATH", "Greece", 37.94, 23.94, 2),
    City("Barcelona", "BCN", "Spain", 41.30, 2.08, 1),
    City("Bergen", "BGO", "Norway", 60.29, 5.22, 1),
    City("Berlin", "BER", "Germany", 52.36, 13.50, 1),
    City("Boston", "BOS", "United States", 42.36, -71.01, -5),
    City("Brussels", "BRU", "Belgium", 50.90, 4.48, 1),
    City("Budapest", "BUD", "Hungary", 47.44, 19.26, 1),
    City("Cairo", "CAI", "Egypt", 30.12, 31.41, 2),
    City("Copenhagen", "CPH", "Denmark", 55.62, 12.65, 1),
    City("Dublin", "DUB", "Ireland", 53.42, -6.27, 0),
    City("Edinburgh", "EDI", "United Kingdom", 55.95, -3.37, 0),
    City("Geneva", "GVA", "Switzerland", 46.24, 6.11, 1),
    City("Helsinki", "HEL", "Finland", 60.32, 24.96, 2),
    City("Istanbul", "IST", "Turkey", 41.26, 28.74, 3),
    City("Lisbon", "LIS", "Portugal", 38.77, -9.13, 0),
    City("London", "LHR", "United Kingdom", 51.47, -0.45, 0),
    City("Madrid", "MAD", "Spain", 40.47, -3.56, 1),
    City("Marrakesh", "RAK", "Morocco", 31.61, -8.04, 1),
    City("Milan", "MXP", "Italy", 45.63, 8.72, 1),
    City("Montreal", "YUL", "Canada", 45.47, -73.74, -5),
    City("Munich", "MUC", "Germany", 48.35, 11.79, 1),
    City("Naples", "NAP", "Italy", 40.88, 14.29, 1),
    City("New York", "JFK", "United States", 40.64, -73.78, -5),
    City("Nice", "NCE", "France", 43.66, 7.22, 1),
    City("Oslo", "OSL", "Norway", 60.19, 11.10, 1),
    City("Paris", "CDG", "France", 49.01, 2.55, 1),
    City("Porto", "OPO", "Portugal", 41.25, -8.68, 0),
    City("Prague", "PRG", "Czechia", 50.10, 14.26, 1),
    City("Reykjavik", "KEF", "Iceland", 63.99, -22.61, 0),
    City("Riga", "RIX", "Latvia", 56.92, 23.97, 2),
    City("Rome", "FCO", "Italy", 41.80, 12.25, 1),
    City("Seville", "SVQ", "Spain", 37.42, -5.90, 1),
    City("Stockholm", "ARN", "Sweden", 59.65, 17.92, 1),
    City("Tallinn", "TLL", "Estonia", 59.41, 24.83, 2),
    City("Toronto", "YYZ", "Canada", 43.68, -79.63, -5),
    City("Valencia", "VLC", "Spain", 39.49, -0.48, 1),
    City("Venice", "VCE", "Italy", 45.51, 12.35, 1),
    City("Vienna", "VIE", "Austria", 48.11, 16.57, 1),
    City("Warsaw", "WAW", "Poland", 52.17, 20.97, 1),
)
HUBS = ("Amsterdam", "Copenhagen", "Istanbul", "London", "Madrid", "Munich", "Paris", "Vienna")
_BY_NAME = {city.name: city for city in CITIES}
_BY_WORD = {word.casefold(): city for city in CITIES for word in (city.name, city.code, f"{city.name} ({city.code})")}
SUGGESTED = 5  # places that the search field offers at most
EARTH_KM = 6371.0


def city(name: str) -> City:
    """The city of this name. Raises KeyError."""
    return _BY_NAME[name]


def read_place(text: str) -> City | None:
    """The city that a text means: its name or airport code, whatever its case.

    >>> [found.name for found in (read_place(" lisbon "), read_place("osl"), read_place("Oslo (OSL)")) if found]
    ['Lisbon', 'Oslo', 'Oslo']
    """
    return _BY_WORD.get(" ".join(text.split()).casefold())


def suggestions(text: str) -> list[City]:
    """The cities whose name, code or country begins with the text.

    >>> [city.name for city in suggestions("li")]
    ['Lisbon']
    """
    begun = " ".join(text.split()).casefold()
    if not begun:
        return []
    found = [c for c in CITIES if c.name.casefold().startswith(begun) or c.code.casefold() == begun]
    found += [c for c in CITIES if c not in found and c.country.casefold().startswith(begun)]
    return found[:SUGGESTED]


@cache
def distance_km(origin: str, destination: str) -> float:
    """Kilometres along the great circle."""
    a, b = _BY_NAME[origin], _BY_NAME[destination]
    lat_a, lat_b = radians(a.latitude), radians(b.latitude)
    half = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(radians(b.longitude - a.longitude) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(half))
