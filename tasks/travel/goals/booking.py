"""Goals that end with a new booking."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from webgym.authoring.template import Instance

from ..account import CARDS, CREDIT, Draft, Leg, Passenger, Trip, World, fare_price
from ..timetable import ZONES, Flight, flights
from ..worlds import cities, days, direct, flying_day, free_seats, people, person, seat_in, short_route, trip, world
from .goal import essence, goal


def _booked(flown: Sequence[Flight], fare: str, passengers: Sequence[Passenger], paid_by: str, **fields: Any) -> dict[str, Any]:
    """The wanted new booking, without seats and bags unless given."""
    legs = tuple(Leg(f.service.number, f.day) for f in flown)
    values = {"seats": tuple(("",) * len(passengers) for _ in legs), "bags": (0,) * len(passengers), "insurance": False} | fields
    return essence(Trip("", legs, fare, tuple(passengers), paid_by=paid_by, total=0, **values))


def _day_with(rng: random.Random, origin: str, destination: str, least: int = 3) -> date:
    while True:
        on = days(rng)
        if len(flights(origin, destination, on)) >= least:
            return on


def _cheapest(origin: str, destination: str, on: date) -> Flight:
    return min(flights(origin, destination, on), key=lambda f: f.price)


def _fastest(origin: str, destination: str, on: date) -> Flight:
    return min(flights(origin, destination, on), key=lambda f: f.service.lasts)


def book_cheapest(rng: random.Random) -> Instance:
    """The cheapest flight of a day for a saved traveller."""
    origin, destination = cities(rng, 2)
    on, who, card, fare = _day_with(rng, origin, destination), person(rng), rng.choice(CARDS), rng.choice(("Light", "Standard", "Flex"))
    values = {"origin": origin, "to": destination, "day": on, "name": who.name, "card": card, "fare": fare}
    expected = {"booked": [_booked([_cheapest(origin, destination, on)], fare, [who], card)]}
    return Instance(values, expected, world(rng, travellers=[who]))


def book_seat(rng: random.Random) -> Instance:
    """The fastest flight for a new traveller, with a certain seat and bags."""
    origin, destination = cities(rng, 2)
    on, who, card, fare = _day_with(rng, origin, destination), person(rng), rng.choice(CARDS), rng.choice(("Light", "Standard", "Flex"))
    chosen = _fastest(origin, destination, on)
    seat, bags = seat_in(rng, chosen), rng.randint(1, 3)
    values = {"origin": origin, "to": destination, "day": on, "name": who.name, "passport": who.passport, "card": card, "fare": fare}
    expected = {"booked": [_booked([chosen], fare, [who], card, seats=((seat,),), bags=(bags,))]}
    return Instance(values | {"seat": seat, "bags": bags}, expected, world(rng))


def book_direct(rng: random.Random, feasible: bool) -> Instance:
    """The first direct flight that is not sold out; where it is not feasible, all of them are sold out."""
    origin, destination = short_route(rng)
    on, who, card, fare = flying_day(rng, origin, destination), person(rng), rng.choice(CARDS), rng.choice(("Light", "Standard", "Flex"))
    offered = direct(flights(origin, destination, on))
    left = rng.sample(offered, rng.randint(1, len(offered) - 1))
    chosen = min(left, key=lambda f: f.service.leaves)
    drawn = world(rng, travellers=[who])
    gone = frozenset(f.key for f in offered if not feasible or f not in left)
    values = {"origin": origin, "to": destination, "day": on, "name": who.name, "card": card, "fare": fare}
    expected = {"booked": [_booked([chosen], fare, [who], card)]} if feasible else None
    return Instance(values, expected, replace(drawn, sold_out=gone))


def book_return(rng: random.Random) -> Instance:
    """A return trip with the cheapest flights and certain seats."""
    origin, destination = cities(rng, 2)
    on = _day_with(rng, origin, destination)
    while not flights(destination, origin, back := on + timedelta(days=rng.randint(2, 12))):
        pass
    who, card, fare = person(rng), rng.choice(CARDS), rng.choice(("Light", "Standard", "Flex"))
    out, home = _cheapest(origin, destination, on), _cheapest(destination, origin, back)
    seats = [seat_in(rng, out), seat_in(rng, home)]
    values = {"origin": origin, "to": destination, "day": on, "back": back, "name": who.name, "card": card, "fare": fare, "seats": seats}
    expected = {"booked": [_booked([out, home], fare, [who], card, seats=tuple((seat,) for seat in seats))]}
    return Instance(values, expected, world(rng, travellers=[who]))


def book_pair(rng: random.Random) -> Instance:
    """Two people who are not saved, side by side in certain seats, with bags."""
    origin, destination = cities(rng, 2)
    on, two, card, fare = _day_with(rng, origin, destination), people(rng, 2), rng.choice(CARDS), rng.choice(("Light", "Standard", "Flex"))
    chosen = _cheapest(origin, destination, on)
    zone = rng.choice(tuple(ZONES))
    while len(free_seats(chosen, zones=(zone,))) < 2:
        zone = rng.choice(tuple(ZONES))
    while len(seats := list(dict.fromkeys(seat_in(rng, chosen, zones=(zone,)) for _ in range(6)))) < 2:
        pass
    bags = rng.randint(1, 3)
    values = {
        "origin": origin,
        "to": destination,
        "day": on,
        "names": [p.name for p in two],
        "passports": [p.passport for p in two],
        "seats": seats[:2],
        "bags": bags,
        "card": card,
        "fare": fare,
    }
    expected = {"booked": [_booked([chosen], fare, two, card, seats=(tuple(seats[:2]),), bags=(bags, bags))]}
    return Instance(values, expected, world(rng))


def book_like(rng: random.Random) -> Instance:
    """The same people, fare and extra bags as on another trip, which has to be looked up."""
    model_from, model_to, origin, destination = cities(rng, 4)
    two, card = people(rng, 2), rng.choice(CARDS)
    on = _day_with(rng, origin, destination)
    bags = rng.choice(((1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 0), (0, 2)))
    model = trip(rng, model_from, model_to, two, bags=bags)
    values = {"model": model_to, "origin": origin, "to": destination, "day": on, "card": card}
    expected = {"booked": [_booked([_cheapest(origin, destination, on)], model.fare, two, card, bags=bags)]}
    return Instance(values, expected, world(rng, [model], two))


def book_nearest_price(rng: random.Random) -> Instance:
    """The cheapest flight to one of three cities."""
    while True:
        origin, *ends = cities(rng, 4)
        on = days(rng)
        found = [flights(origin, end, on) for end in ends]
        lowest = [min((f.price for f in offered), default=0) for offered in found]
        if all(lowest) and len(set(lowest)) == 3:
            break
    end = ends[lowest.index(min(lowest))]
    who, card = person(rng), rng.choice(CARDS)
    values = {"origin": origin, "ends": ends, "day": on, "name": who.name, "card": card}
    expected = {"booked": [_booked([_cheapest(origin, end, on)], "Light", [who], card)]}
    return Instance(values, expected, world(rng, travellers=[who]))


def rebook(rng: random.Random) -> Instance:
    """A trip is given back for travel credit, which pays for another day."""
    while True:
        origin, destination = cities(rng, 2)
        who = person(rng)
        mine = trip(rng, origin, destination, [who], fare=rng.choice(("Standard", "Flex")))
        on = _day_with(rng, origin, destination)
        drawn = world(rng, [mine], [who])
        credit = drawn.credit + drawn.policy.refund(mine, "credit")
        cheapest = _cheapest(origin, destination, on)
        if on != mine.legs[0].day and fare_price(cheapest, "Light") <= credit:
            break
    after = {mine.reference: essence(replace(mine, status="cancelled", refund="credit"))}
    booked = [_booked([cheapest], "Light", [who], CREDIT)]
    values = {"origin": origin, "to": destination, "day": on, "name": who.name}
    return Instance(values, {"trips": after, "booked": booked, "credit": credit - cheapest.price}, drawn)


def finish_booking(rng: random.Random) -> Instance:
    """A booking in progress with a wrong seat, wrong bags and an unwanted insurance is corrected and paid."""
    origin, destination = cities(rng, 2)
    on, who, card, fare = _day_with(rng, origin, destination), person(rng), rng.choice(CARDS), rng.choice(("Light", "Standard", "Flex"))
    chosen = rng.choice(flights(origin, destination, on))
    wrong, right = (seat := seat_in(rng, chosen)), seat_in(rng, chosen, [seat])
    wrong_bags, bags = rng.sample(range(4), 2)
    draft = Draft(
        (Leg(chosen.service.number, on),),
        fare,
        (who,),
        ((wrong,),),
        (wrong_bags,),
        insurance=True,
        done=frozenset(("passengers", "seats", "extras")),
    )
    drawn: World = replace(world(rng, travellers=[who]), draft=draft)
    values = {"to": destination, "seat": right, "bags": bags, "card": card}
    expected = {"booked": [_booked([chosen], fare, [who], card, seats=((right,),), bags=(bags,))]}
    return Instance(values, expected, drawn, "/book/payment")


BOOKING = (
    goal("book-cheapest", book_cheapest),
    goal("book-seat", book_seat),
    goal("book-direct", partial(book_direct, feasible=True), twin="book-direct-none"),
    goal("book-direct-none", partial(book_direct, feasible=False), feasible=False, twin="book-direct"),
    goal("book-return", book_return),
    goal("book-pair", book_pair),
    goal("book-like", book_like),
    goal("book-cheapest-city", book_nearest_price),
    goal("rebook", rebook),
    goal("finish-booking", finish_booking),
)
