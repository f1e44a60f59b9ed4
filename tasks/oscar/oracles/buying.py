"""Oracles of the goals about the basket and orders."""

import re

from webgym.authoring.oracle import Memory, click, press, quoted, things, wanted
from webgym.types import Observation, Stop

from .walk import added, basket, counted, filled, has, ordered, price, product


def fill_basket(page: Observation) -> Memory:
    one, other = quoted(page)
    (count,) = wanted(page, r"\b(\d) ")
    page = yield from added(page, other)
    page = yield from added(page, one)
    page = yield from basket(page)
    yield from counted(page, one, count)
    yield Stop()


def take_cheapest(page: Observation) -> Memory:
    category, maker = quoted(page)
    page = yield press(page, category, "link")
    found: dict[str, int] = {}
    while True:
        found |= _offers(page, maker)
        if not has(page, "next"):
            break
        page = yield press(page, "next", "link")
    page = yield from added(page, min(found, key=found.__getitem__))
    yield Stop()


def _offers(page: Observation, maker: str) -> dict[str, int]:
    """The products of a list that can be bought, with their prices in pence."""
    found, title, pence = {}, "", 0
    for node in page.nodes:
        if node.role == "link" and node.text.startswith(f"{maker} "):
            title, pence = node.text, 0
        elif node.role == "link" and node.text:
            title = ""
        elif title and (match := re.fullmatch(r"£(\d+)\.(\d\d)", node.text or "")):
            pence = int(match[1] + match[2])
        elif title and pence and node.text == "In stock":
            found[title] = pence
    return found


def buy(page: Observation) -> Memory:
    title, street = quoted(page)
    page = yield from added(page, title)
    page = yield from basket(page)
    yield from ordered(page, street)
    yield Stop()


def buy_two(page: Observation) -> Memory:
    one, other, street = quoted(page)
    (count,) = wanted(page, r"\b(\d) ")
    page = yield from added(page, other)
    page = yield from added(page, one)
    page = yield from basket(page)
    page = yield from counted(page, one, count)
    yield from ordered(page, street)
    yield Stop()


def buy_cheaper(page: Observation) -> Memory:
    one, other, street = quoted(page)
    found = {}
    for title in (one, other):
        page = yield from product(page, title)
        found[title] = price(page)
    page = yield from added(page, min(found, key=found.__getitem__))
    page = yield from basket(page)
    yield from ordered(page, street)
    yield Stop()


def review(page: Observation) -> Memory:
    product_title, title, body = quoted(page)
    (stars,) = wanted(page, r"(\d) stars?")
    page = yield from product(page, product_title)
    page = yield press(page, "Write a review", "link")
    page = yield from filled(page, Title=title, Body=body)
    page = yield click(things(page, "clickable")[int(stars) - 1])
    yield press(page, "Save review", "button")
    yield Stop()
