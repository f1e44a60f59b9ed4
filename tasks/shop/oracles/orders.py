"""Oracles of the goals about past orders."""

from webgym.authoring.oracle import Memory, click, fill, find, press, quoted, wanted
from webgym.types import Observation

from .walk import added, below, cart, done, impossible, ordered, pressed, radio, says, sent_back
from .walk import order as order_page


def read_colour(page: Observation) -> Memory:
    (name,) = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    text = below(page, find(page, name, "link"), "text")[0].text
    yield done(text.partition(" × ")[2].partition(",")[0])


def redirect(page: Observation) -> Memory:
    (label,) = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    if not says(page, "Processing."):
        yield impossible("the order is on its way already")
    page = yield press(page, "Change address", "link")
    page = yield from radio(page, f"{label}:")
    yield press(page, "Save", "button")
    yield done()


def cancel_and_order_again(page: Observation) -> Memory:
    address, delivery, payment = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    page = yield from pressed(page, "Cancel order", "Yes, cancel it", "Order again")
    page = yield from ordered(page, address, delivery, payment)
    yield done()


def return_item(page: Observation) -> Memory:
    name, reason, refund = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    page = yield from sent_back(page, name, reason, refund)
    if says(page, "could be returned until"):
        yield impossible("it is too late to return it")
    yield done()


def return_what_can_go(page: Observation) -> Memory:
    reason, refund = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    names = [node.text for node in below(page, find(page, "Your orders", "link"), "link") if _is_line(page, node.text)]
    for name in names:
        page = yield from sent_back(page, name, reason, refund)
        if says(page, "could be returned until"):
            page = yield press(page, f"Order {number}", "link")
    yield done()


def _is_line(page: Observation, name: str) -> bool:
    """True if this link names a line of an order, because the number of pieces stands right below it."""
    after = below(page, find(page, name, "link"))
    return bool(after) and " × " in after[0].text


def exchange(page: Observation) -> Memory:
    name, reason, refund, wish, address, delivery, payment = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    page = yield from sent_back(page, name, reason, refund)
    page = yield from added(page, name, wish)
    page = yield from cart(page)
    page = yield from ordered(page, address, delivery, payment)
    yield done()


def write_review(page: Observation) -> Memory:
    name, title, text = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    (stars,) = wanted(page, r"(\d)[ -]stars?")
    page = yield from order_page(page, number)
    page = yield click(next(node for node in below(page, find(page, name, "link"), "link") if node.text == "Review"))
    page = yield from radio(page, f"{stars} star")
    page = yield fill(find(page, "Title", "textbox"), title)
    page = yield fill(find(page, "Review", "textbox"), text)
    yield press(page, "Send review", "button")
    yield done()


def move(page: Observation) -> Memory:
    label, street, town, postcode = quoted(page)
    page = yield from pressed(page, "Account", "Your addresses", f"Edit {label}")
    for field, text in {"Street and number": street, "Town": town, "Postcode": postcode}.items():
        page = yield fill(find(page, field, "textbox"), text)
    yield press(page, "Save address", "button")
    yield done()
