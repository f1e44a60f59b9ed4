"""Goals that find things out: prices, data sheets, reviews, and comparisons over several pages."""

import random

from webgym.authoring.template import Instance

from ..catalogue import Product, catalogue
from ..oracles.finding import PLACES
from ..pages.browse import opinions
from ..world import Opening
from .draws import due, must, products
from .goal import goal

# --- one page --------------------------------------------------------------------------------------------------------------


def draw_price(rng: random.Random) -> Instance:
    (item,) = products(rng, 1)
    return due(Opening(), {"product": item.name}, answer=item.price / 100)


def draw_spec(rng: random.Random) -> Instance:
    (item,) = products(rng, 1)
    spec = rng.choice([spec for spec in item.specs if spec.number is not None])
    assert spec.number is not None
    return due(Opening(), {"product": item.name, "label": spec.label}, answer=spec.number)


def draw_extreme(rng: random.Random) -> Instance:
    dearest, place = rng.random() < 0.5, rng.randrange(len(PLACES))
    while True:
        shelf = rng.choice(list(catalogue().categories.values()))
        ranked = sorted(shelf.products, key=lambda item: -item.price if dearest else item.price)
        if sum(item.price == ranked[place].price for item in ranked) == 1:
            break
    values = {"shelf": shelf.title, "extreme": f"{PLACES[place]}{'most expensive' if dearest else 'cheapest'}"}
    return due(Opening(), values, answer=ranked[place].name, path=f"/d/{shelf.department}")


# --- shelves and reviews ---------------------------------------------------------------------------------------------------


def draw_count(rng: random.Random) -> Instance:
    while True:
        shelf = rng.choice(list(catalogue().categories.values()))
        brand, rating = rng.choice(catalogue().departments[shelf.department].brands), rng.choice(("3.5", "4"))
        found = [item for item in shelf.products if item.brand == brand and item.rating >= float(rating)]
        if 1 < len(found) < 8:
            break
    floor = catalogue().departments[shelf.department].title
    return due(Opening(), {"department": floor, "shelf": shelf.title, "brand": brand, "rating": rating}, answer=float(len(found)))


def draw_reviewer(rng: random.Random) -> Instance:
    stars = rng.choice((1, 2, 3, 4, 5))
    (item,) = products(rng, 1, lambda item: 2 <= item.stars.count(stars) < len(item.stars))
    newest = next(one for one in opinions(item) if one.stars == stars)
    return due(Opening(), {"product": item.name, "stars": stars}, answer=newest.author)


# --- comparing -------------------------------------------------------------------------------------------------------------


def rivals(rng: random.Random, count: int) -> tuple[str, list[Product], bool, Product]:
    """A label of a data sheet, products of one shelf that differ in it, true if the largest value is wanted, and the wanted product."""
    while True:
        shelf = rng.choice([shelf for shelf in catalogue().categories.values() if not shelf.products[0].sizes])
        label = rng.choice([spec.label for spec in shelf.products[0].specs if spec.number is not None])
        drawn = rng.sample(shelf.products, count)
        numbers = {item.id: spec.number or 0.0 for item in drawn if (spec := item.spec(label)) is not None}
        if len(set(numbers.values())) == count:
            most = rng.random() < 0.5
            return label, drawn, most, (max if most else min)(drawn, key=lambda item: numbers[item.id])


def draw_pair(rng: random.Random) -> Instance:
    label, drawn, most, best = rivals(rng, 2)
    values = {"label": label, "one": drawn[0].name, "other": drawn[1].name, "extreme": "higher" if most else "lower"}
    return due(Opening(), values, do=lambda world: world.wishes.update({best.id: None}))


def draw_four(rng: random.Random) -> Instance:
    label, drawn, most, best = rivals(rng, 4)
    names = {key: item.name for key, item in zip(("one", "two", "three", "four"), drawn, strict=True)}
    values = {"label": label, **names, "extreme": "highest" if most else "lowest"}
    return due(Opening(), values, do=lambda world: must(world.add(best, best.variants[0])))  # as its page has it chosen


# --- keeping ---------------------------------------------------------------------------------------------------------------


def draw_wish(rng: random.Random) -> Instance:
    (item,) = products(rng, 1)
    return due(Opening(), {"product": item.name}, do=lambda world: world.wishes.update({item.id: None}))


GOALS = [
    goal("product-price", draw_price),
    goal("shelf-extreme", draw_extreme),
    goal("product-spec", draw_spec),
    goal("save-wish", draw_wish),
    goal("newest-reviewer", draw_reviewer),
    goal("count-filtered", draw_count),
    goal("compare-two", draw_pair),
    goal("compare-four", draw_four),
]
