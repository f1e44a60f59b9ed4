"""Goals about the basket and orders."""

import random

from webgym.authoring.template import Instance

from ..application.content import ADDRESSES, KINDS, PRODUCTS
from .goal import due, goal, ordered, products


def draw_fill(rng: random.Random) -> Instance:
    first, second = products(rng, 2)
    count = rng.randint(2, 9)
    lines = [{"title": first.title, "quantity": count}, {"title": second.title, "quantity": 1}]
    return due({"first": first.title, "count": count, "second": second.title}, basket={"added": lines})


def draw_cheapest(rng: random.Random) -> Instance:
    """The cheapest product of a category that is in stock: sold-out ones do not count."""
    category = rng.choice(sorted(KINDS))
    maker = rng.choice(("Alder", "Birch", "Cedar", "Dogwood"))
    found = [one for one in PRODUCTS if one.category == category and one.title.startswith(maker) and one.stock]
    cheapest = min(found, key=lambda one: one.price)
    return due({"category": category, "maker": maker}, basket={"added": [{"title": cheapest.title, "quantity": 1}]})


def draw_buy(rng: random.Random) -> Instance:
    (product,), to = products(rng, 1), rng.choice(ADDRESSES)
    return due({"product": product.title, "street": to.line1}, **ordered((product, 1), to=to))


def draw_buy_two(rng: random.Random) -> Instance:
    (first, second), to, count = products(rng, 2), rng.choice(ADDRESSES), rng.randint(2, 6)
    values = {"first": first.title, "count": count, "second": second.title, "street": to.line1}
    return due(values, **ordered((first, count), (second, 1), to=to))


def draw_buy_cheaper(rng: random.Random) -> Instance:
    (first, second), to = products(rng, 2), rng.choice(ADDRESSES)
    cheaper = min(first, second, key=lambda one: one.price)
    return due({"first": first.title, "second": second.title, "street": to.line1}, **ordered((cheaper, 1), to=to))


def draw_review(rng: random.Random) -> Instance:
    (product,) = products(rng, 1)
    stars = rng.randint(1, 5)
    title = rng.choice(("As it should be", "A good buy", "Not for me", "It does its work"))
    body = rng.choice(("I have used it for a month.", "My neighbour has one too.", "It came on a Tuesday."))
    row = {"product": product.title, "score": stars, "title": title, "body": body}
    return due({"product": product.title, "stars": stars, "title": title, "body": body}, reviews={"added": [row]})


GOALS = [
    goal("fill-basket", draw_fill),
    goal("cheapest", draw_cheapest),
    goal("buy", draw_buy),
    goal("buy-two", draw_buy_two),
    goal("buy-cheaper", draw_buy_cheaper),
    goal("review", draw_review),
]
