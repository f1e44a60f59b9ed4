"""Goals that end with an answer, and small ones in the account. None of them buys a flight."""

import random
from dataclasses import replace
from datetime import date

from webgym.authoring.template import Instance

from ..pages.form import month_name
from ..timetable import flights, month_days
from ..worlds import alerts, cities, direct, flying_day, person, phone, short_route, trip, world
from .goal import answers_date, answers_number, answers_text, goal


def trip_time(rng: random.Random) -> Instance:
    """Time of departure of the flight to a city."""
    origin, destination = cities(rng, 2)
    mine = trip(rng, origin, destination, [person(rng)])
    drawn = world(rng, [mine], distractors=rng.randint(2, 6))
    return Instance({"to": destination}, mine.legs[0].service.departs, drawn, "/trips")


def delete_alert(rng: random.Random) -> Instance:
    """Deletion of a price alert."""
    drawn = replace(world(rng), alerts=alerts(rng, rng.randint(3, 6)))
    gone = rng.choice(drawn.alerts)
    kept = sorted([a.origin, a.destination, a.below] for a in drawn.alerts if a != gone)
    return Instance({"origin": gone.origin, "to": gone.destination}, {"alerts": kept}, drawn, "/account/alerts")


def change_phone(rng: random.Random) -> Instance:
    """Change of the telephone number."""
    drawn, new = world(rng), phone(rng)
    kept = drawn.preferences
    return Instance({"phone": new}, {"preferences": [new, kept.seat, kept.newsletter]}, drawn, "/account")


def set_alert(rng: random.Random) -> Instance:
    """A new price alert."""
    drawn = world(rng)
    origin, destination = cities(rng, 2)
    below = rng.randrange(40, 400)
    kept = sorted([[a.origin, a.destination, a.below] for a in drawn.alerts] + [[origin, destination, below]])
    return Instance({"origin": origin, "to": destination, "below": below}, {"alerts": kept}, drawn, "/account")


def direct_price(rng: random.Random) -> Instance:
    """The lowest price of a direct flight."""
    origin, destination = short_route(rng)
    on = flying_day(rng, origin, destination)
    price = min(f.price for f in direct(flights(origin, destination, on)))
    return Instance({"origin": origin, "to": destination, "day": on}, price, world(rng))


def cheapest_day(rng: random.Random) -> Instance:
    """The day with the lowest price in two months."""
    while True:
        origin, destination = cities(rng, 2)
        first = rng.randint(2, 4)
        days = [*month_days(2026, first), *month_days(2026, first + 1)]
        lowest = sorted((min(f.price for f in found), on) for on in days if (found := flights(origin, destination, on)))
        if lowest[0][0] < lowest[1][0]:
            break
    months = [month_name(date(2026, month, 1)) for month in (first, first + 1)]
    values = {"origin": origin, "to": destination, "one": months[0].split()[0], "other": months[1]}
    return Instance(values, lowest[0][1], world(rng))


def cheapest_city(rng: random.Random) -> Instance:
    """The lowest price of a direct flight to one of three cities."""
    while True:
        origin, *ends = cities(rng, 4)
        on = flying_day(rng, *short_route(rng), 1)
        lowest = [min((f.price for f in direct(flights(origin, end, on))), default=0) for end in ends]
        if all(lowest) and len(set(lowest)) == 3:
            return Instance({"origin": origin, "ends": ends, "day": on}, min(lowest), world(rng))


FINDING = (
    goal("trip-time", trip_time, holds=answers_text),
    goal("delete-alert", delete_alert),
    goal("change-phone", change_phone),
    goal("set-alert", set_alert),
    goal("direct-price", direct_price, holds=answers_number),
    goal("cheapest-day", cheapest_day, holds=answers_date),
    goal("cheapest-city", cheapest_city, holds=answers_number),
)
