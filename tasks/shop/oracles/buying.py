"""Oracles of the goals that fill the cart and order."""

import re

from webgym.authoring.checks import read_date
from webgym.authoring.oracle import Memory, click, fill, find, press, quoted, seek, texts, wanted
from webgym.types import Observation

from .walk import (
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


def buy_variant(page: Observation) -> Memory:
    name, wish = quoted(page)
    page = yield from product(page, name)
    if is_sold_out(page, wish):
        yield impossible("it is sold out")
    page = yield from chosen(page, wish)
    yield press(page, "Add to cart", "button")
    yield done()


def change_quantity(page: Observation) -> Memory:
    name, pieces = quoted(page)
    page = yield from cart(page)
    field = below(page, find(page, name, "link"), "spinbutton")[0]
    page = yield fill(field, pieces)
    update = below(page, find(page, name, "link"), "button")[0]
    yield click(update)
    yield done()


def mend_cart(page: Observation) -> Memory:
    pieces, name, wish, kept = quoted(page)
    page = yield from cart(page)
    while strays := [node for node in page.nodes if node.role == "link" and _in_cart(page, node.text) and node.text != kept]:
        page = yield click(next(node for node in below(page, strays[0], "button") if node.text == "Remove"))
    page = yield from added(page, name, wish, pieces)
    yield done()


def _in_cart(page: Observation, name: str) -> bool:
    """True if this link names a line of the cart, because a quantity comes before the next link."""
    after = below(page, find(page, name, "link"), "spinbutton", "link")
    return bool(after) and after[0].role == "spinbutton"


def fill_basket(page: Observation) -> Memory:
    strings = quoted(page)
    for pieces, name, wish in zip(strings[::3], strings[1::3], strings[2::3], strict=True):
        page = yield from added(page, name, wish, pieces)
    yield done()


OFFER = re.compile(r"^(\w+): (?:(\d+)%|(\$[\d,.]+)) off .*?(?: from (\$[\d,.]+))?, until (.*)$")


def offers(page: Observation, goods: int) -> list[str]:
    """The codes on the page of coupons that have not expired and do not need dearer goods, those first that would save most."""
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


def buy(page: Observation) -> Memory:
    name, wish, address, delivery, payment = quoted(page)
    page = yield from added(page, name, wish)
    page = yield from cart(page)
    page = yield from ordered(page, address, delivery, payment)
    yield done()


def give(page: Observation) -> Memory:
    pieces, name, wish, code, address, delivery, payment, words = quoted(page)
    page = yield from added(page, name, wish, pieces)
    page = yield from cart(page)
    page = yield fill(find(page, "Coupon code", "textbox"), code)
    page = yield press(page, "Apply", "button")
    page = yield from ordered(page, address, delivery, payment, words)
    yield done()


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


def order_twice(page: Observation) -> Memory:
    strings = quoted(page)
    for first in (0, 5):
        name, wish, address, delivery, payment = strings[first : first + 5]
        page = yield from added(page, name, wish)
        page = yield from cart(page)
        page = yield from ordered(page, address, delivery, payment)
    yield done()


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
