"""Oracles of the goals that end with an answer, and of the small ones in the account."""

import re
from datetime import datetime

from webgym.authoring.oracle import Memory, fill, find, press, quoted
from webgym.types import Observation, Stop

from .walk import click_on, direct_only, named, offers, said, search, search_again


def trip_time(page: Observation) -> Memory:
    (to,) = quoted(page)
    page = yield click_on(named(page, rf" to {re.escape(to)} ", "link"))
    yield Stop(said(page, r"leaves (\d\d:\d\d)")[1])


def delete_alert(page: Observation) -> Memory:
    origin, to = quoted(page)
    page = yield press(page, f"Delete {origin} to {to}", "button")
    page = yield press(page, "Yes, delete", "button")
    yield Stop()


def change_phone(page: Observation) -> Memory:
    page = yield fill(find(page, "Phone", "textbox"), quoted(page)[0])
    page = yield press(page, "Save preferences", "button")
    yield Stop()


def set_alert(page: Observation) -> Memory:
    origin, to, below = quoted(page)
    page = yield press(page, "Price alerts", "link")
    page = yield fill(find(page, "From", "textbox"), origin)
    page = yield fill(find(page, "To", "textbox"), to)
    page = yield fill(find(page, "Price below", "spinbutton"), below)
    page = yield press(page, "Save alert", "button")
    yield Stop()


def direct_price(page: Observation) -> Memory:
    origin, to, day = quoted(page)
    page = yield from search(page, origin, to, day)
    page = yield from direct_only(page)
    yield Stop(str(min(offer.price for offer in offers(page))))


def cheapest_day(page: Observation) -> Memory:
    origin, to = quoted(page)
    wanted = re.findall(r"(February|March|April|May)\b", page.goal)
    page = yield press(page, "Fare calendar", "link")
    page = yield fill(find(page, "From", "textbox"), origin)
    page = yield fill(find(page, "To", "textbox"), to)
    page = yield press(page, "Show prices", "button")
    prices: dict[str, int] = {}
    while True:
        month = datetime.strptime(next(n.text for n in page.nodes if re.fullmatch(r"\w+ 2026", n.text)), "%B %Y")
        if month.strftime("%B") in wanted:
            cells = [match for node in page.nodes if (match := re.fullmatch(r"(\d+) €(\d+)", node.text))]
            prices |= {month.replace(day=int(cell[1])).date().isoformat(): int(cell[2]) for cell in cells}
            if month.strftime("%B") == wanted[-1]:
                break
        page = yield press(page, "Later month", "link")
    yield Stop(min(prices, key=lambda day: prices[day]))


def cheapest_city(page: Observation) -> Memory:
    origin, first, *others, day = quoted(page)
    page = yield from search(page, origin, first, day)
    page = yield from direct_only(page)
    prices = [min(offer.price for offer in offers(page))]
    for to in others:
        page = yield from search_again(page, to)
        prices.append(min(offer.price for offer in offers(page)))
    yield Stop(str(min(prices)))
