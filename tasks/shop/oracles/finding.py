"""Oracles of the goals that find things out."""

import re

from webgym.authoring.oracle import Memory, find, press, quoted, things, wanted
from webgym.types import Observation

from .walk import Walk, below, done, line, option, pressed, product, results, turned_to


def read_price(page: Observation) -> Memory:
    (name,) = quoted(page)
    page = yield from results(page, name)
    page = yield from turned_to(page, name)
    price = below(page, find(page, name, "link"), "text")[0].text
    yield done(price.partition(" ")[0].rstrip(","))


def read_spec(page: Observation) -> Memory:
    label, name = quoted(page)
    page = yield from product(page, name)
    yield done(line(page, rf"^{re.escape(label)}: (-?[\d.]+)")[1])


PLACES = ("", "second ", "third ", "fourth ", "fifth ")


def read_extreme(page: Observation) -> Memory:
    (shelf,) = quoted(page)
    place = next((at for at, words in enumerate(PLACES) if words and words in page.goal), 0)
    page = yield press(page, shelf, "link")
    page = yield press(page, "Price, high to low" if "expensive" in page.goal else "Price, low to high", "link")
    yield done(below(page, find(page, "Filter", "button"), "link")[place].text)


def read_count(page: Observation) -> Memory:
    brand, shelf, department = quoted(page)
    (rating,) = wanted(page, r"(\d(?:\.\d)?) stars")
    page = yield from pressed(page, "Departments", department, shelf, "Filter")
    page = yield from option(page, "Brand", brand)
    page = yield from option(page, "Rating", f"{rating} and more")
    page = yield press(page, "Apply filters", "button")
    yield done(line(page, r"^(\d+) products?$")[1])


def read_reviewer(page: Observation) -> Memory:
    (name,) = quoted(page)
    (stars,) = wanted(page, r"(\d)[ -]stars?")
    page = yield from product(page, name)
    page = yield press(page, next(node.text for node in things(page, "link") if node.text.endswith("reviews")), "link")
    page = yield press(page, next(node.text for node in things(page, "link") if node.text.startswith(f"{stars} stars: ")), "link")
    yield done(line(page, rf"^{stars} stars, (\w+ \w\.),")[1])


def compared(page: Observation, label: str, names: list[str], most: bool) -> Walk:
    """Looks at each product and returns to the page of the best one."""
    found: dict[str, float] = {}
    for name in names:
        page = yield from product(page, name)
        found[name] = float(line(page, rf"^{re.escape(label)}: (-?[\d.]+)")[1])
    best = (max if most else min)(names, key=lambda name: found[name])
    if best != names[-1]:
        page = yield from product(page, best)
    return page


def wish_for_the_better(page: Observation) -> Memory:
    label, one, other = quoted(page)
    page = yield from compared(page, label, [one, other], "higher" in page.goal)
    yield press(page, "Save to wish list", "button")
    yield done()


def buy_the_best(page: Observation) -> Memory:
    label, *names = quoted(page)
    page = yield from compared(page, label, names, "highest" in page.goal)
    yield press(page, "Add to cart", "button")
    yield done()


def wish(page: Observation) -> Memory:
    (name,) = quoted(page)
    page = yield from product(page, name)
    yield press(page, "Save to wish list", "button")
    yield done()
