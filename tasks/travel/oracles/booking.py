"""Oracles of the goals that end with a new booking."""

import re

from webgym.authoring.oracle import Memory, fill, find, press, quoted, things
from webgym.types import Infeasible, Observation, Stop

from .walk import (
    add_saved,
    choose_fare,
    click_on,
    direct_only,
    fare_of,
    named,
    offers,
    open_trip,
    pay,
    said,
    search,
    search_again,
    take_seat,
    type_in,
    without_seats_and_extras,
)


def book_cheapest(page: Observation) -> Memory:
    origin, to, day, name, card = quoted(page)
    fare = fare_of(page)
    page = yield from search(page, origin, to, day)
    page = yield press(page, "Cheapest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, fare)
    page = yield from add_saved(page, name)
    page = yield from without_seats_and_extras(page)
    page = yield from pay(page, card)
    yield Stop()


def book_seat(page: Observation) -> Memory:
    origin, to, day, name, passport, seat, bags, card = quoted(page)
    fare = fare_of(page)
    page = yield from search(page, origin, to, day)
    page = yield press(page, "Fastest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, fare)
    page = yield from type_in(page, (name, passport))
    page = yield from take_seat(page, seat)
    page = yield press(page, "Continue to extras", "button")
    page = yield fill(find(page, f"Extra bags for {name}"), bags)
    page = yield press(page, "Continue to payment", "button")
    page = yield from pay(page, card)
    yield Stop()


def book_direct(page: Observation) -> Memory:
    origin, to, day, name, card = quoted(page)
    fare = fare_of(page)
    page = yield from search(page, origin, to, day)
    page = yield from direct_only(page)
    if not offers(page):
        yield Infeasible("every direct flight is sold out")
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, fare)
    page = yield from add_saved(page, name)
    page = yield from without_seats_and_extras(page)
    page = yield from pay(page, card)
    yield Stop()


def book_return(page: Observation) -> Memory:
    origin, to, day, back, name, *rest = quoted(page)
    seats = [text for text in rest if re.fullmatch(r"\d+[A-F]", text)]
    (card,) = [text for text in rest if text not in seats]
    fare = fare_of(page)
    page = yield from search(page, origin, to, day, back)
    page = yield press(page, "Cheapest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, fare)
    page = yield from add_saved(page, name)
    for seat in seats:
        page = yield from take_seat(page, seat)
    page = yield press(page, "Continue to extras", "button")
    page = yield press(page, "Continue to payment", "button")
    page = yield from pay(page, card)
    yield Stop()


def book_pair(page: Observation) -> Memory:
    origin, to, day, *rest = quoted(page)
    names = [text for text in rest if re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", text)]
    passports = [text for text in rest if re.fullmatch(r"[A-Z]{2}\d{6}", text)]
    seats = [text for text in rest if re.fullmatch(r"\d+[A-F]", text)]
    (bags,) = [text for text in rest if re.fullmatch(r"\d", text)]
    fare, card = fare_of(page), rest[-1]
    page = yield from search(page, origin, to, day, passengers="2")
    page = yield press(page, "Cheapest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, fare)
    page = yield from type_in(page, *zip(names, passports, strict=True))
    for seat in seats:
        page = yield from take_seat(page, seat)
    page = yield press(page, "Continue to extras", "button")
    for name in names:
        page = yield fill(find(page, f"Extra bags for {name}"), bags)
    page = yield press(page, "Continue to payment", "button")
    page = yield from pay(page, card)
    yield Stop()


def book_like(page: Observation) -> Memory:
    model, origin, to, day, card = quoted(page)
    page = yield from open_trip(page, model)
    fare = said(page, r"(\w+) fare, upcoming")[1]
    lines = [re.fullmatch(r"(\w+ \w+), passport \w+, seat \w+, (\d) extra bags?", node.text) for node in page.nodes]
    bags = {line[1]: line[2] for line in lines if line}
    page = yield press(page, "Farewing", "link")
    page = yield from search(page, origin, to, day, passengers=str(len(bags)))
    page = yield press(page, "Cheapest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, fare)
    page = yield from add_saved(page, *bags)
    page = yield press(page, "Continue without seats", "button")
    for name, count in bags.items():
        if count != "0":
            page = yield fill(find(page, f"Extra bags for {name}"), count)
    page = yield press(page, "Continue to payment", "button")
    page = yield from pay(page, card)
    yield Stop()


def book_cheapest_city(page: Observation) -> Memory:
    origin, first, *others, day, name, card = quoted(page)
    page = yield from search(page, origin, first, day)
    page = yield press(page, "Cheapest", "link")
    prices = {first: offers(page)[0].price}
    for to in others:
        page = yield from search_again(page, to)
        prices[to] = offers(page)[0].price
    best = min(prices, key=lambda to: prices[to])
    if best != others[-1]:
        page = yield from search_again(page, best)
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, "Light")
    page = yield from add_saved(page, name)
    page = yield from without_seats_and_extras(page)
    page = yield from pay(page, card)
    yield Stop()


def rebook(page: Observation) -> Memory:
    origin, to, day, name = quoted(page)
    page = yield from open_trip(page, to)
    page = yield press(page, "Cancel trip", "link")
    page = yield click_on(named(page, "^As travel credit", "radio"))
    page = yield press(page, "Yes, give up this trip", "checkbox")
    page = yield press(page, "Cancel this trip", "button")
    page = yield press(page, "Farewing", "link")
    page = yield from search(page, origin, to, day)
    page = yield press(page, "Cheapest", "link")
    page = yield click_on(offers(page)[0].node)
    page = yield from choose_fare(page, "Light")
    page = yield from add_saved(page, name)
    page = yield from without_seats_and_extras(page)
    page = yield from pay(page, "Travel credit")
    yield Stop()


def finish_booking(page: Observation) -> Memory:
    _, seat, bags, card = quoted(page)
    page = yield press(page, "Edit seats", "link")
    page = yield from take_seat(page, seat)
    page = yield press(page, "Continue to extras", "button")
    page = yield press(page, "Edit extras", "link")
    page = yield click_on(named(page, "^Travel insurance", "checkbox"))
    page = yield fill(things(page, "spinbutton")[0], bags)
    page = yield press(page, "Continue to payment", "button")
    page = yield from pay(page, card)
    yield Stop()
