"""Goals that fill the cart and order: variants, coupons, carts that begin wrong, gifts, several orders, policies to be read first."""

import random
from dataclasses import replace
from datetime import timedelta

from webgym.authoring.template import Draw, Instance

from ..catalogue import Product, Variant
from ..policies import DELIVERIES, TODAY, Coupon, Delivery
from ..world import HOME, WORK, Line, Opening, World
from .draws import Terms, address, due, must, plain, products, sized, stocked, told, variant
from .goal import goal, twins

Lines = list[tuple[Product, Variant, int]]


def filled(world: World, lines: Lines) -> World:
    """The world with these in its cart."""
    must(*(world.add(item, chosen, pieces) for item, chosen, pieces in lines))
    return world


# --- the cart --------------------------------------------------------------------------------------------------------------


def draw_variant(feasible: bool) -> Draw:
    def draw(rng: random.Random) -> Instance:
        (item,) = products(rng, 1, sized)
        wish = variant(rng, item)
        values = {"product": item.name, "variant": told(wish)}
        if feasible:
            return due(stocked((item, wish)), values, do=lambda world: filled(world, [(item, wish, 1)]))
        return due(Opening(sold_out=frozenset({(item.id, wish)})), values)

    return draw


def draw_quantity(rng: random.Random) -> Instance:
    items = products(rng, 3)
    lines = [Line(item.id, item.variants[0], rng.randint(1, 3)) for item in items]
    changed, pieces = rng.choice(lines), rng.randint(4, 9)
    values = {"product": changed.item.name, "pieces": pieces}
    return due(Opening(cart=tuple(lines)), values, do=lambda world: must(world.set_quantity(changed.key, pieces)))


def draw_wrong_cart(rng: random.Random) -> Instance:
    item, stray, kept = products(rng, 3, plain)
    while len(item.colours) < 2:
        item, stray, kept = products(rng, 3, plain)
    right, wrong = rng.sample(item.variants, 2)
    pieces = rng.randint(2, 5)
    before = (Line(item.id, wrong), Line(stray.id, stray.variants[0], rng.randint(1, 2)), Line(kept.id, kept.variants[0]))
    values = {"product": item.name, "variant": told(right), "pieces": pieces, "kept": kept.name}

    def mend(world: World) -> None:
        for key in [one.key for one in before[:2]]:
            world.remove(key)
        filled(world, [(item, right, pieces)])

    return due(stocked((item, right), cart=tuple(rng.sample(before, 3))), values, do=mend)


def draw_basket(rng: random.Random) -> Instance:
    items = products(rng, 3, plain)
    lines = [(item, variant(rng, item), rng.randint(1, 5)) for item in items]
    values = {}
    for key, (item, wish, pieces) in zip("abc", lines, strict=True):
        values |= {key: item.name, f"{key}_variant": told(wish), f"{key}_pieces": pieces}
    opening = stocked(*((item, wish) for item, wish, _ in lines))
    return due(opening, values, do=lambda world: filled(world, lines))


# --- coupons ---------------------------------------------------------------------------------------------------------------

CODES = ("FROST", "LANTERN", "HEARTH", "PEPPER", "MARBLE", "COMPASS", "SPRUCE", "VELVET", "ORCHID", "TANGO")


def coupons(rng: random.Random, goods: int, departments: set[str]) -> tuple[Coupon, ...]:
    """Five coupons of which exactly one saves most: one has expired, one needs dearer goods, one is for goods of another department."""
    codes = [f"{word}{rng.randint(5, 99)}" for word in rng.sample(CODES, 5)]
    elsewhere = rng.choice(
        [one for one in ("kitchen", "outdoor", "clothing", "footwear", "home", "office", "garden", "play") if one not in departments]
    )
    best = rng.choice((10, 12, 15))
    found = [
        Coupon(codes[0], percent=best, least=goods // 200 * 100),
        Coupon(codes[1], amount=goods * rng.randint(3, 7) // 100, least=goods // 300 * 100),
        Coupon(codes[2], percent=best + 10, until=TODAY - timedelta(days=rng.randint(2, 40))),
        Coupon(codes[3], percent=best + 8, least=(goods // 100 + rng.randint(10, 80)) * 100),
        Coupon(codes[4], percent=best + 5, department=elsewhere),
    ]
    rng.shuffle(found)
    return tuple(found)


def draw_coupon(rng: random.Random) -> Instance:
    items = products(rng, 2, lambda item: item.price > 2500)
    lines = tuple(Line(item.id, item.variants[0]) for item in items)
    offered = coupons(rng, sum(one.cents for one in lines), {item.department for item in items})
    opening = Opening(cart=lines, coupons=offered)
    saved = {one.code: one.discount([(item.department, item.price) for item in items]) for one in offered}
    best = max(saved, key=lambda code: saved[code])
    return due(opening, {}, do=lambda world: must(world.apply(best)))


# --- orders ----------------------------------------------------------------------------------------------------------------


def draw_order(rng: random.Random) -> Instance:
    (item,) = products(rng, 1, sized)
    wish, terms = variant(rng, item), Terms.drawn(rng)
    values = {"product": item.name, "variant": told(wish), **terms.values}
    return due(stocked((item, wish)), values, do=lambda world: terms.place(filled(world, [(item, wish, 1)])))


def draw_gift(rng: random.Random) -> Instance:
    (item,) = products(rng, 1, lambda item: sized(item) and len(item.colours) > 1)
    wish = rng.choice([one for one in item.variants if one.colour != item.colours[0]])  # another colour than the page has chosen
    terms, pieces, words = Terms.drawn(rng), rng.randint(2, 4), rng.choice(MESSAGES)
    code = f"{rng.choice(CODES)}{rng.randint(5, 30)}"
    values = {"product": item.name, "variant": told(wish), "pieces": pieces, "coupon": code, "message": words, **terms.values}

    def give(world: World) -> None:
        must(filled(world, [(item, wish, pieces)]).apply(code))
        terms.place(world, wrapping=True, message=words)

    return due(stocked((item, wish), coupons=(Coupon(code, percent=rng.randint(5, 30)),)), values, do=give)


MESSAGES = ("Happy birthday!", "With love from Robin", "Good luck with the new job", "Thank you for everything", "Get well soon", "Enjoy!")


def draw_to_a_friend(rng: random.Random) -> Instance:
    items = products(rng, 2, plain)
    lines = [(item, variant(rng, item), 1) for item in items]
    friend, words = address(rng), rng.choice(MESSAGES)
    terms = replace(Terms.drawn(rng), address=friend.label)
    values = {"one": items[0].name, "one_variant": told(lines[0][1]), "other": items[1].name, "other_variant": told(lines[1][1])}
    values |= {"label": friend.label, "name": friend.name, "street": friend.street, "town": friend.town, "postcode": friend.postcode}

    def send(world: World) -> None:
        world.addresses[friend.label] = friend
        terms.place(filled(world, lines), wrapping=True, message=words)

    opening = stocked(*((item, wish) for item, wish, _ in lines))
    return due(opening, {**values, **terms.values, "message": words}, do=send)


def draw_two_orders(rng: random.Random) -> Instance:
    items = products(rng, 2, plain)
    lines = [(item, variant(rng, item), 1) for item in items]
    both = [replace(Terms.drawn(rng), address=label) for label in rng.sample((HOME.label, WORK.label), 2)]
    values = {}
    for key, (item, wish, _), terms in zip(("one", "other"), lines, both, strict=True):
        values |= {key: item.name, f"{key}_variant": told(wish), **{f"{key}_{name}": text for name, text in terms.values.items()}}

    def send(world: World) -> None:
        for item, terms in zip(lines, both, strict=True):
            terms.place(filled(world, [item]))

    return due(stocked(*((item, wish) for item, wish, _ in lines)), values, do=send)


# --- what the policies say -------------------------------------------------------------------------------------------------


def draw_in_time(rng: random.Random) -> Instance:
    items = products(rng, 2, plain)
    lines = [(item, variant(rng, item), 1) for item in items]
    days = rng.sample(range(1, 9), 3)
    prices = sorted(rng.sample(range(190, 1900, 100), 3), reverse=True)  # the sooner, the dearer
    ways = zip(rng.sample(DELIVERIES, 3), sorted(days), prices, strict=True)
    deliveries = tuple(Delivery(one.id, one.title, price, day) for one, day, price in ways)
    latest = rng.choice(sorted(days)) + rng.choice((0, 0, 1))
    best = min((one for one in deliveries if one.days <= latest), key=lambda one: one.price)
    terms = replace(Terms.drawn(rng), delivery=best.id)
    values = {"one": items[0].name, "one_variant": told(lines[0][1]), "other": items[1].name, "other_variant": told(lines[1][1])}
    opening = stocked(*((item, wish) for item, wish, _ in lines), deliveries=tuple(rng.sample(deliveries, 3)))
    return due(opening, {**values, **terms.values, "days": latest}, do=lambda world: terms.place(filled(world, lines)))


GOALS = [
    goal("change-quantity", draw_quantity),
    *twins("buy-variant", "buy-variant-sold-out", draw_variant),
    goal("best-coupon", draw_coupon),
    goal("mend-cart", draw_wrong_cart),
    goal("fill-basket", draw_basket),
    goal("checkout", draw_order),
    goal("gift", draw_gift),
    goal("order-in-time", draw_in_time),
    goal("two-orders", draw_two_orders),
    goal("send-to-a-friend", draw_to_a_friend),
]
