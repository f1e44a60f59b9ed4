"""Goals about trips that are booked: seats, bags, names, changes, refunds, cancellations."""

import random
from dataclasses import replace
from datetime import timedelta
from functools import partial

from webgym.authoring.template import Instance
from webgym.task import Evidence

from ..account import Leg, Passenger, Trip
from ..timetable import LAST_DAY, SEATS, TODAY, WINDOWS, flights, taken_seats, zone_of
from ..worlds import cities, days, people, person, policy, seat_in, short_route, trip, world
from .goal import answers_number, as_expected, essence, goal


def _trip_for(rng: random.Random, count: int, **fields: object) -> Trip:
    origin, destination = short_route(rng)
    return trip(rng, origin, destination, people(rng, count), **fields)


def add_bags(rng: random.Random) -> Instance:
    """Extra bags for one of two passengers."""
    mine = _trip_for(rng, 2)
    drawn = world(rng, [mine], distractors=rng.randint(2, 4))
    who, bags = rng.randrange(2), rng.randint(1, 3)
    after = replace(mine, bags=tuple(bags if number == who else 0 for number in range(2)))
    values = {"name": mine.passengers[who].name, "bags": bags, "to": mine.destination}
    return Instance(values, {"trips": {mine.reference: essence(after)}}, drawn)


def change_seat(rng: random.Random) -> Instance:
    """A certain seat for one of two passengers."""
    mine = _trip_for(rng, 2)
    flown = mine.legs[0].flight
    first = seat_in(rng, flown)
    second = seat_in(rng, flown, [first])
    mine = replace(mine, seats=((first, second),))
    who, seat = rng.randrange(2), seat_in(rng, flown, [first, second])
    after = replace(mine, seats=(tuple(seat if number == who else old for number, old in enumerate((first, second))),))
    values = {"name": mine.passengers[who].name, "seat": seat, "to": mine.destination}
    return Instance(values, {"trips": {mine.reference: essence(after)}}, world(rng, [mine], distractors=rng.randint(2, 4)))


FRONT_WINDOWS = tuple(seat for seat in SEATS if zone_of(seat) == "front" and seat[-1] in WINDOWS)


def front_window(rng: random.Random, feasible: bool) -> Instance:
    """A window seat in front; where it is not feasible, all of them are gone."""
    while True:
        mine = _trip_for(rng, 1)
        leg = mine.legs[0]
        free = [seat for seat in FRONT_WINDOWS if seat not in taken_seats(leg.number, leg.day)]
        if free:
            break
    kept = rng.sample(free, rng.randint(1, min(2, len(free))))
    drawn = world(rng, [mine], distractors=rng.randint(2, 4))
    gone = frozenset((leg.flight.key, seat) for seat in free if not feasible or seat not in kept)
    values = {"name": mine.passengers[0].name, "to": mine.destination}
    return Instance(values, (mine, tuple(kept)), replace(drawn, taken=gone))


def _in_front_window(feasible: bool, instance: Instance, evidence: Evidence) -> bool:
    """True if one of the free seats was taken, or, where there was none, the trip is unchanged."""
    mine, kept = instance.expected
    ways = [replace(mine, seats=((seat,),)) for seat in kept] if feasible else [mine]
    return any(as_expected(replace(instance, expected={"trips": {mine.reference: essence(way)}}), evidence) for way in ways)


def refund_sum(rng: random.Random) -> Instance:
    """Sum that two cancellations would bring back to the card."""
    rules = policy(rng)
    origin, *ends = cities(rng, 3)
    fares = rng.choice((("Standard", "Flex"), ("Flex", "Standard"), ("Standard", "Standard"), ("Flex", "Flex"), ("Light", "Flex")))
    mine = [
        trip(rng, origin, end, [person(rng)], fare=fare, on=days(rng, *rng.choice(((2, rules.notice_days), (rules.notice_days, 150)))))
        for end, fare in zip(ends, fares, strict=True)
    ]
    drawn = replace(world(rng, mine), policy=rules)
    return Instance({"ends": ends}, sum(rules.refund(one, "card") for one in mine), drawn)


def card_refund(rng: random.Random, feasible: bool) -> Instance:
    """A trip is cancelled with the money back to the card; where it is not feasible, its fare does not allow that."""
    mine = _trip_for(rng, 1, fare=rng.choice(("Standard", "Flex")))
    mine = mine if feasible else replace(mine, fare="Light")
    drawn = world(rng, [mine], distractors=rng.randint(2, 5))
    after = {"trips": {mine.reference: essence(replace(mine, status="cancelled", refund="card"))}} if feasible else None
    return Instance({"to": mine.destination}, after, drawn)


def fix_passenger(rng: random.Random) -> Instance:
    """A name and passport that were typed wrong."""
    right, other = people(rng, 2)
    wrong = Passenger(_misspelt(right.name, rng), _other_figures(right.passport, rng))
    booked = [wrong, other]
    rng.shuffle(booked)
    origin, destination = short_route(rng)
    mine = trip(rng, origin, destination, booked)
    after = replace(mine, passengers=tuple(right if p == wrong else p for p in booked))
    drawn = world(rng, [mine], [right, other])
    return Instance({"first": right.name.split()[0], "to": destination}, {"trips": {mine.reference: essence(after)}}, drawn)


def _misspelt(name: str, rng: random.Random) -> str:
    """The name with two letters of the last one in the wrong order."""
    first, last = name.split()
    places = [i for i in range(len(last) - 1) if last[i].lower() != last[i + 1].lower()]
    place = rng.choice(places)
    return f"{first} {(last[:place] + last[place + 1] + last[place] + last[place + 2 :]).capitalize()}"


def _other_figures(passport: str, rng: random.Random) -> str:
    place = rng.randrange(2, 8)
    return passport[:place] + rng.choice([figure for figure in "0123456789" if figure != passport[place]]) + passport[place + 1 :]


def swap_cancelled(rng: random.Random) -> Instance:
    """The wrong trip was cancelled, so it is booked again, and the other one is given back."""
    origin, *ends = cities(rng, 3)
    wrong, right = (trip(rng, origin, end, [person(rng)]) for end in ends)
    cancelled = replace(wrong, status="cancelled", refund="card", refunded=wrong.total // 2)
    drawn = world(rng, [cancelled, right], distractors=rng.randint(2, 4))
    after = {wrong.reference: essence(wrong), right.reference: essence(replace(right, status="cancelled", refund="credit"))}
    credit = drawn.credit + drawn.policy.refund(right, "credit")
    return Instance({"wrong": ends[0], "right": ends[1]}, {"trips": after, "credit": credit}, drawn)


def change_day(rng: random.Random) -> Instance:
    """One leg of a return moves to another day, to the first or the fastest flight."""
    while True:
        origin, destination = short_route(rng)
        on = days(rng, 30, 250)
        back = on + timedelta(days=rng.randint(8, 20))
        mine = trip(rng, origin, destination, people(rng, rng.randint(1, 2)), on=on, back=back, fare=rng.choice(("Standard", "Flex")))
        leg = rng.randrange(2)
        days_of = [flown.day for flown in mine.legs]
        new = days_of[leg] + timedelta(days=rng.choice((-6, -5, -4, -3, -2, 2, 3, 4, 5, 6)))
        start, end = (origin, destination) if leg == 0 else (destination, origin)
        if days_of[0] <= days_of[1] and TODAY < new <= LAST_DAY and len(flights(start, end, new)) >= 3:
            break
    which = rng.choice(("first", "fastest"))
    offered = flights(start, end, new)
    chosen = offered[0] if which == "first" else min(offered, key=lambda f: f.service.lasts)
    moved = tuple(Leg(chosen.service.number, new) if number == leg else old for number, old in enumerate(mine.legs))
    after = {"trips": {mine.reference: essence(replace(mine, legs=moved))}}
    values = {"to": destination, "part": ("outbound", "return")[leg], "day": new, "which": which}
    return Instance(values, after, world(rng, [mine]))


MANAGING = (
    goal("add-bags", add_bags),
    goal("change-seat", change_seat),
    goal("front-window", partial(front_window, feasible=True), holds=partial(_in_front_window, True), twin="front-window-none"),
    goal(
        "front-window-none",
        partial(front_window, feasible=False),
        holds=partial(_in_front_window, False),
        feasible=False,
        twin="front-window",
    ),
    goal("refund-sum", refund_sum, holds=answers_number),
    goal("card-refund", partial(card_refund, feasible=True), twin="card-refund-none"),
    goal("card-refund-none", partial(card_refund, feasible=False), feasible=False, twin="card-refund"),
    goal("fix-passenger", fix_passenger),
    goal("swap-cancelled", swap_cancelled),
    goal("change-day", change_day),
)
