"""Tasks that fill the cart and order: variants, coupons, carts that begin wrong, gifts, several orders, policies to be read first."""

import random
import re
from dataclasses import replace
from datetime import timedelta

from webgym.authoring.checks import read_date
from webgym.authoring.oracle import Memory, click, fill, find, press, quoted, seek, texts, wanted
from webgym.authoring.template import Draw, Instance
from webgym.types import Observation

from ..catalogue import Product, Variant
from ..oracles.walk import (
    added,
    below,
    cart,
    cents,
    chosen,
    delivered,
    done,
    impossible,
    is_sold_out,
    line,
    ordered,
    paid,
    pressed,
    product,
    radio,
)
from ..policies import DELIVERIES, TODAY, Coupon, Delivery
from ..world import HOME, WORK, Line, Opening, World
from .draws import Terms, address, due, must, plain, products, sized, stocked, told, variant
from .goal import shop_task, twins

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


def buy_variant(page: Observation) -> Memory:
    name, wish = quoted(page)
    page = yield from product(page, name)
    if is_sold_out(page, wish):
        yield impossible("it is sold out")
    page = yield from chosen(page, wish)
    yield press(page, "Add to cart", "button")
    yield done()


def draw_quantity(rng: random.Random) -> Instance:
    items = products(rng, 3)
    lines = [Line(item.id, item.variants[0], rng.randint(1, 3)) for item in items]
    changed, pieces = rng.choice(lines), rng.randint(4, 9)
    values = {"product": changed.item.name, "pieces": pieces}
    return due(Opening(cart=tuple(lines)), values, do=lambda world: must(world.set_quantity(changed.key, pieces)))


def change_quantity(page: Observation) -> Memory:
    name, pieces = quoted(page)
    page = yield from cart(page)
    field = below(page, find(page, name, "link"), "spinbutton")[0]
    page = yield fill(field, pieces)
    update = below(page, find(page, name, "link"), "button")[0]
    yield click(update)
    yield done()


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


def mend_cart(page: Observation) -> Memory:
    pieces, name, wish, kept = quoted(page)
    page = yield from cart(page)
    while strays := [node for node in page.nodes if node.role == "link" and _in_cart(page, node.text) and node.text != kept]:
        page = yield click(next(node for node in below(page, strays[0], "button") if node.text == "Remove"))
    page = yield from added(page, name, wish, pieces)
    yield done()


def _in_cart(page: Observation, name: str) -> bool:
    """Whether this link names a line of the cart: a quantity comes before the next link."""
    after = below(page, find(page, name, "link"), "spinbutton", "link")
    return bool(after) and after[0].role == "spinbutton"


def draw_basket(rng: random.Random) -> Instance:
    items = products(rng, 3, plain)
    lines = [(item, variant(rng, item), rng.randint(1, 5)) for item in items]
    values = {}
    for key, (item, wish, pieces) in zip("abc", lines, strict=True):
        values |= {key: item.name, f"{key}_variant": told(wish), f"{key}_pieces": pieces}
    opening = stocked(*((item, wish) for item, wish, _ in lines))
    return due(opening, values, do=lambda world: filled(world, lines))


def fill_basket(page: Observation) -> Memory:
    strings = quoted(page)
    for pieces, name, wish in zip(strings[::3], strings[1::3], strings[2::3], strict=True):
        page = yield from added(page, name, wish, pieces)
    yield done()


# --- coupons ---------------------------------------------------------------------------------------------------------------

CODES = ("FROST", "LANTERN", "HEARTH", "PEPPER", "MARBLE", "COMPASS", "SPRUCE", "VELVET", "ORCHID", "TANGO")


def coupons(rng: random.Random, goods: int, departments: set[str]) -> tuple[Coupon, ...]:
    """Five coupons of which exactly one saves most: one has run out, one wants dearer goods, one is for goods of another department."""
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


OFFER = re.compile(r"^(\w+): (?:(\d+)%|(\$[\d,.]+)) off .*?(?: from (\$[\d,.]+))?, until (.*)$")


def offers(page: Observation, goods: int) -> list[str]:
    """The codes on the page of coupons that have not run out and do not want dearer goods, those first that would save most."""
    today, saved = read_date(line(page, r"Today is (.*)\.")[1]), dict[str, int]()
    for offer in filter(None, map(OFFER.match, texts(page))):
        code, percent, amount, least, until = offer.groups()
        last = read_date(until)
        if last and today and last >= today and (least is None or cents(least) <= goods):
            saved[code] = goods * int(percent) // 100 if percent else cents(amount)
    return sorted(saved, key=lambda code: -saved[code])


def use_best_coupon(page: Observation) -> Memory:
    page = yield from cart(page)
    goods = cents(line(page, r"^Goods (.*)")[0])
    page = yield from pressed(page, "Help", "Coupons")
    codes = offers(page, goods)
    page = yield from cart(page)
    for code in codes:  # one may be for goods of another department: then the next
        page = yield fill(find(page, "Coupon code", "textbox"), code)
        page = yield press(page, "Apply", "button")
        if seek(page, "Remove coupon", "button"):
            break
    yield done()


# --- orders ----------------------------------------------------------------------------------------------------------------


def draw_order(rng: random.Random) -> Instance:
    (item,) = products(rng, 1, sized)
    wish, terms = variant(rng, item), Terms.drawn(rng)
    values = {"product": item.name, "variant": told(wish), **terms.values}
    return due(stocked((item, wish)), values, do=lambda world: terms.place(filled(world, [(item, wish, 1)])))


def buy(page: Observation) -> Memory:
    name, wish, address, delivery, payment = quoted(page)
    page = yield from added(page, name, wish)
    page = yield from cart(page)
    page = yield from ordered(page, address, delivery, payment)
    yield done()


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


def give(page: Observation) -> Memory:
    pieces, name, wish, code, address, delivery, payment, words = quoted(page)
    page = yield from added(page, name, wish, pieces)
    page = yield from cart(page)
    page = yield fill(find(page, "Coupon code", "textbox"), code)
    page = yield press(page, "Apply", "button")
    page = yield from ordered(page, address, delivery, payment, words)
    yield done()


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


def send_to_a_friend(page: Observation) -> Memory:
    one, one_wish, other, other_wish, label, name, street, town, postcode, delivery, payment, words = quoted(page)
    page = yield from added(page, one, one_wish)
    page = yield from added(page, other, other_wish)
    page = yield from cart(page)
    page = yield from pressed(page, "Check out", "Add an address")
    for field, text in {"Label": label, "Full name": name, "Street and number": street, "Town": town, "Postcode": postcode}.items():
        page = yield fill(find(page, field, "textbox"), text)
    page = yield press(page, "Save address", "button")
    page = yield from radio(page, f"{label}:")
    page = yield press(page, "Continue", "button")
    page = yield from delivered(page, delivery, words)
    page = yield from paid(page, payment)
    yield done()


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


def order_twice(page: Observation) -> Memory:
    strings = quoted(page)
    for first in (0, 5):
        name, wish, address, delivery, payment = strings[first : first + 5]
        page = yield from added(page, name, wish)
        page = yield from cart(page)
        page = yield from ordered(page, address, delivery, payment)
    yield done()


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


def order_in_time(page: Observation) -> Memory:
    one, one_wish, other, other_wish, address, payment = quoted(page)
    (days,) = wanted(page, r"(\d+) days?")
    page = yield from pressed(page, "Help", "Delivery")
    ways = [match for text in texts(page) if (match := re.match(r"^(.+): (\$[\d.]+), arrives in (\d+) day", text))]
    best = min((match for match in ways if int(match[3]) <= int(days)), key=lambda match: cents(match[2]))[1]
    page = yield from added(page, one, one_wish)
    page = yield from added(page, other, other_wish)
    page = yield from cart(page)
    page = yield from ordered(page, address, best, payment)
    yield done()


TASKS = [
    shop_task("change-quantity", draw_quantity, change_quantity),
    *twins("buy-variant", "buy-variant-sold-out", draw_variant, buy_variant),
    shop_task("best-coupon", draw_coupon, use_best_coupon),
    shop_task("mend-cart", draw_wrong_cart, mend_cart),
    shop_task("fill-basket", draw_basket, fill_basket),
    shop_task("checkout", draw_order, buy),
    shop_task("gift", draw_gift, give),
    shop_task("order-in-time", draw_in_time, order_in_time),
    shop_task("two-orders", draw_two_orders, order_twice),
    shop_task("send-to-a-friend", draw_to_a_friend, send_to_a_friend),
]
