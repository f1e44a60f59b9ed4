"""The ways through the shop that oracles share. They read pages only: each is a generator that yields actions, is sent the page that
follows, and returns the last one.
"""

import re
from collections.abc import Generator

from webgym.authoring.oracle import click, fill, find, press, seek, texts, things
from webgym.types import Action, Infeasible, Node, Observation, Stop

Walk = Generator[Action, Observation, Observation]
AMOUNT = r"\$([\d,]+\.\d\d)"


def cents(text: str) -> int:
    """The first amount of a text, in cents.

    >>> cents("Goods $1,204.50")
    120450
    """
    found = re.search(AMOUNT, text)
    if found is None:
        raise LookupError(f"there is no amount in {text!r}")
    return int(found[1].replace(",", "").replace(".", ""))


def line(page: Observation, pattern: str) -> re.Match[str]:
    """The first text of the page that matches. Raises LookupError."""
    found = next((match for text in texts(page) if (match := re.search(pattern, text))), None)
    if found is None:
        raise LookupError(f"no text of the page matches {pattern!r}")
    return found


def says(page: Observation, words: str) -> bool:
    """True if some text of the page has these words."""
    return any(words in text for text in texts(page))


def below(page: Observation, node: Node, *roles: str) -> list[Node]:
    """Things of these roles below a thing, in reading order."""
    after = page.nodes[page.nodes.index(node) + 1 :]
    return [one for one in after if not roles or one.role in roles]


def starting(page: Observation, words: str, *roles: str) -> Node:
    """The thing whose text begins so. Raises LookupError."""
    found = next((node for node in things(page, *roles) if node.text.startswith(words)), None)
    if found is None:
        raise LookupError(f"nothing on the page begins with {words!r}")
    return found


# --- browsing --------------------------------------------------------------------------------------------------------------


def pressed(page: Observation, *names: str) -> Walk:
    """Press links or buttons one after the other."""
    for name in names:
        page = yield press(page, name, "link", "button")
    return page


def results(page: Observation, text: str) -> Walk:
    """The results of a search."""
    page = yield fill(find(page, "Search products", "searchbox"), text)
    page = yield press(page, "Search", "button")
    return page


def turned_to(page: Observation, name: str) -> Walk:
    """The page of a listing that has this link."""
    while seek(page, name, "link") is None:
        page = yield press(page, "Next", "link")
    return page


def product(page: Observation, name: str) -> Walk:
    """The product's page, through the search."""
    page = yield from results(page, name)
    page = yield from turned_to(page, name)
    page = yield press(page, name, "link")
    return page


def option(page: Observation, box: str, label: str) -> Walk:
    """An option of a select box, chosen unless it is already."""
    combobox = find(page, box, "combobox")
    if combobox.value == label:
        return page
    node = next((node for node in below(page, combobox, "option") if node.text == label), None)
    if node is None:
        raise LookupError(f"{box} has no option {label!r}")
    page = yield click(node)
    return page


def chosen(page: Observation, variant: str) -> Walk:
    """Choose a colour and a size, written as "Red" or "Red, size M", on a product's page."""
    colour, _, size = variant.partition(", size ")
    page = yield from option(page, "Colour", colour)
    if size:
        page = yield from option(page, "Size", size)
    return page


def added(page: Observation, name: str, variant: str, quantity: str = "1") -> Walk:
    """Put this number of pieces of a product into the cart, from any page."""
    page = yield from product(page, name)
    page = yield from chosen(page, variant)
    if quantity != "1":
        page = yield fill(find(page, "Quantity", "spinbutton"), quantity)
    page = yield press(page, "Add to cart", "button")
    return page


def is_sold_out(page: Observation, variant: str) -> bool:
    """True if a product's page says that this variant is sold out."""
    listed = next((text for text in texts(page) if text.startswith("Sold out: ")), "")
    return variant.replace(", size ", ", ") in listed.removeprefix("Sold out: ").split("; ")


# --- buying ----------------------------------------------------------------------------------------------------------------


def cart(page: Observation) -> Walk:
    page = yield click(starting(page, "Cart (", "link"))
    return page


def radio(page: Observation, words: str) -> Walk:
    """A radio button whose text begins so, chosen unless it is already."""
    node = starting(page, words, "radio")
    if "checked" not in node.states:
        page = yield click(node)
    return page


def ordered(page: Observation, address: str, delivery: str, payment: str, message: str = "") -> Walk:
    """Go from the cart to the placed order; with a message, as a gift."""
    page = yield press(page, "Check out", "link")
    page = yield from radio(page, f"{address}:")
    page = yield press(page, "Continue", "button")
    page = yield from delivered(page, delivery, message)
    return (yield from paid(page, payment))


def delivered(page: Observation, delivery: str, message: str = "") -> Walk:
    """Go from the delivery step to the payment step."""
    page = yield from radio(page, delivery)
    if message:
        page = yield click(starting(page, "Gift wrapping", "checkbox"))
        page = yield fill(find(page, "Gift message", "textbox"), message)
    page = yield press(page, "Continue", "button")
    return page


def paid(page: Observation, payment: str) -> Walk:
    """Go from the payment step to the placed order."""
    page = yield from radio(page, payment)
    page = yield press(page, "Continue", "button")
    page = yield press(page, "Place order", "button")
    return page


# --- afterwards ------------------------------------------------------------------------------------------------------------


def order(page: Observation, number: str) -> Walk:
    """An order's page."""
    page = yield press(page, "Orders", "link")
    page = yield from turned_to(page, f"Order {number}")
    page = yield press(page, f"Order {number}", "link")
    return page


def sent_back(page: Observation, name: str, reason: str, refund: str) -> Walk:
    """Return a line from an order's page, through the form; ends on the order's page, or on the form with its errors."""
    page = yield press(page, "Return something", "link")
    page = yield from radio(page, f"{name},")
    page = yield from radio(page, reason)
    page = yield from radio(page, refund)
    page = yield press(page, "Send it back", "button")
    return page


def done(answer: str = "") -> Stop:
    return Stop(answer)


def impossible(why: str) -> Infeasible:
    return Infeasible(why)
