"""Tasks that find things out: prices, data sheets, reviews, and comparisons that need what was read on an earlier page."""

import random
import re

from webgym.authoring.oracle import Memory, find, press, quoted, things, wanted
from webgym.authoring.template import Instance
from webgym.types import Observation

from ..catalogue import Product, catalogue
from ..oracles.walk import Walk, below, done, line, option, pressed, product, results, turned_to
from ..pages.browse import opinions
from ..world import Opening
from .draws import due, must, products
from .goal import shop_task

# --- one page --------------------------------------------------------------------------------------------------------------


def draw_price(rng: random.Random) -> Instance:
    (item,) = products(rng, 1)
    return due(Opening(), {"product": item.name}, answer=item.price / 100)


def read_price(page: Observation) -> Memory:
    (name,) = quoted(page)
    page = yield from results(page, name)
    page = yield from turned_to(page, name)
    price = below(page, find(page, name, "link"), "text")[0].text
    yield done(price.partition(" ")[0].rstrip(","))


def draw_spec(rng: random.Random) -> Instance:
    (item,) = products(rng, 1)
    spec = rng.choice([spec for spec in item.specs if spec.number is not None])
    assert spec.number is not None
    return due(Opening(), {"product": item.name, "label": spec.label}, answer=spec.number)


def read_spec(page: Observation) -> Memory:
    label, name = quoted(page)
    page = yield from product(page, name)
    yield done(line(page, rf"^{re.escape(label)}: (-?[\d.]+)")[1])


PLACES = ("", "second ", "third ", "fourth ", "fifth ")


def draw_extreme(rng: random.Random) -> Instance:
    dearest, place = rng.random() < 0.5, rng.randrange(len(PLACES))
    while True:
        shelf = rng.choice(list(catalogue().categories.values()))
        ranked = sorted(shelf.products, key=lambda item: -item.price if dearest else item.price)
        if sum(item.price == ranked[place].price for item in ranked) == 1:
            break
    values = {"shelf": shelf.title, "extreme": f"{PLACES[place]}{'most expensive' if dearest else 'cheapest'}"}
    return due(Opening(), values, answer=ranked[place].name, path=f"/d/{shelf.department}")


def read_extreme(page: Observation) -> Memory:
    (shelf,) = quoted(page)
    place = next((at for at, words in enumerate(PLACES) if words and words in page.goal), 0)
    page = yield press(page, shelf, "link")
    page = yield press(page, "Price, high to low" if "expensive" in page.goal else "Price, low to high", "link")
    yield done(below(page, find(page, "Filter", "button"), "link")[place].text)


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


def read_count(page: Observation) -> Memory:
    brand, shelf, department = quoted(page)
    (rating,) = wanted(page, r"(\d(?:\.\d)?) stars")
    page = yield from pressed(page, "Departments", department, shelf, "Filter")
    page = yield from option(page, "Brand", brand)
    page = yield from option(page, "Rating", f"{rating} and more")
    page = yield press(page, "Apply filters", "button")
    yield done(line(page, r"^(\d+) products?$")[1])


def draw_reviewer(rng: random.Random) -> Instance:
    stars = rng.choice((1, 2, 3, 4, 5))
    (item,) = products(rng, 1, lambda item: 2 <= item.stars.count(stars) < len(item.stars))
    newest = next(one for one in opinions(item) if one.stars == stars)
    return due(Opening(), {"product": item.name, "stars": stars}, answer=newest.author)


def read_reviewer(page: Observation) -> Memory:
    (name,) = quoted(page)
    (stars,) = wanted(page, r"(\d)[ -]stars?")
    page = yield from product(page, name)
    page = yield press(page, next(node.text for node in things(page, "link") if node.text.endswith("reviews")), "link")
    page = yield press(page, next(node.text for node in things(page, "link") if node.text.startswith(f"{stars} stars: ")), "link")
    yield done(line(page, rf"^{stars} stars, (\w+ \w\.),")[1])


# --- comparing -------------------------------------------------------------------------------------------------------------


def rivals(rng: random.Random, count: int) -> tuple[str, list[Product], bool, Product]:
    """A label of a data sheet, products of one shelf that differ in it, whether most of it is wanted, and the one that has it."""
    while True:
        shelf = rng.choice([shelf for shelf in catalogue().categories.values() if not shelf.products[0].sizes])
        label = rng.choice([spec.label for spec in shelf.products[0].specs if spec.number is not None])
        drawn = rng.sample(shelf.products, count)
        numbers = {item.id: spec.number or 0.0 for item in drawn if (spec := item.spec(label)) is not None}
        if len(set(numbers.values())) == count:
            most = rng.random() < 0.5
            return label, drawn, most, (max if most else min)(drawn, key=lambda item: numbers[item.id])


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


def draw_pair(rng: random.Random) -> Instance:
    label, drawn, most, best = rivals(rng, 2)
    values = {"label": label, "one": drawn[0].name, "other": drawn[1].name, "extreme": "higher" if most else "lower"}
    return due(Opening(), values, do=lambda world: world.wishes.update({best.id: None}))


def wish_for_the_better(page: Observation) -> Memory:
    label, one, other = quoted(page)
    page = yield from compared(page, label, [one, other], "higher" in page.goal)
    yield press(page, "Save to wish list", "button")
    yield done()


def draw_four(rng: random.Random) -> Instance:
    label, drawn, most, best = rivals(rng, 4)
    names = {key: item.name for key, item in zip(("one", "two", "three", "four"), drawn, strict=True)}
    values = {"label": label, **names, "extreme": "highest" if most else "lowest"}
    return due(Opening(), values, do=lambda world: must(world.add(best, best.variants[0])))  # as its page has it chosen


def buy_the_best(page: Observation) -> Memory:
    label, *names = quoted(page)
    page = yield from compared(page, label, names, "highest" in page.goal)
    yield press(page, "Add to cart", "button")
    yield done()


# --- keeping ---------------------------------------------------------------------------------------------------------------


def draw_wish(rng: random.Random) -> Instance:
    (item,) = products(rng, 1)
    return due(Opening(), {"product": item.name}, do=lambda world: world.wishes.update({item.id: None}))


def wish(page: Observation) -> Memory:
    (name,) = quoted(page)
    page = yield from product(page, name)
    yield press(page, "Save to wish list", "button")
    yield done()


GUESS = 0.05  # an answer may be guessed

TASKS = [
    shop_task("product-price", draw_price, read_price, chance=GUESS),
    shop_task("shelf-extreme", draw_extreme, read_extreme, chance=GUESS),
    shop_task("product-spec", draw_spec, read_spec, chance=GUESS),
    shop_task("save-wish", draw_wish, wish),
    shop_task("newest-reviewer", draw_reviewer, read_reviewer, chance=GUESS),
    shop_task("count-filtered", draw_count, read_count, chance=0.35),  # two of two to seven are often equal
    shop_task("compare-two", draw_pair, wish_for_the_better),
    shop_task("compare-four", draw_four, buy_the_best),
]
