"""Tasks about what was bought before: reading orders, changing, cancelling and repeating them, returns, reviews, addresses."""

import random
from dataclasses import replace

from webgym.authoring.oracle import Memory, click, fill, find, press, quoted, wanted
from webgym.authoring.template import Draw, Instance
from webgym.types import Observation

from ..catalogue import Product, Variant
from ..oracles.walk import added, below, cart, done, impossible, ordered, pressed, radio, says, sent_back
from ..oracles.walk import order as order_page
from ..policies import REASONS, REFUNDS
from ..world import HOME, WORK, Line, Opening, Review, World
from .draws import Terms, address, arrived, due, history, must, order, plain, products, sized, stocked, told, variant
from .goal import shop_task, twins

GUESS = 0.05  # an answer may be guessed


def drawn_number(rng: random.Random) -> int:
    return rng.randint(4701, 4789)


def one_line(rng: random.Random, item: Product, pieces: int = 0) -> Line:
    return Line(item.id, variant(rng, item), pieces or rng.randint(1, 3))


# --- reading ---------------------------------------------------------------------------------------------------------------


def draw_colour(rng: random.Random) -> Instance:
    items = products(rng, 3, plain)
    lines = [one_line(rng, item) for item in items]
    bought = order(rng, drawn_number(rng), lines, "Delivered", rng.randint(8, 80))
    asked = rng.choice(lines)
    values = {"order": bought.number, "product": asked.item.name}
    return due(Opening(orders=history(rng, [bought])), values, answer=asked.variant.colour, path="/account")


def read_colour(page: Observation) -> Memory:
    (name,) = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    text = below(page, find(page, name, "link"), "text")[0].text
    yield done(text.partition(" × ")[2].partition(",")[0])


# --- orders under way ------------------------------------------------------------------------------------------------------


def draw_redirect(feasible: bool) -> Draw:
    def draw(rng: random.Random) -> Instance:
        bought = order(rng, drawn_number(rng), [one_line(rng, item) for item in products(rng, 2)], "Processing", 1, address=HOME)
        values = {"order": bought.number, "address": WORK.label}
        others = history(rng, [bought])
        if feasible:
            return due(Opening(orders=others), values, do=lambda world: must(world.redirect(bought.number, WORK.label)))
        sent = tuple(replace(one, status="On its way") if one.number == bought.number else one for one in others)
        return due(Opening(orders=sent), values)

    return draw


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


def draw_again(rng: random.Random) -> Instance:
    items = products(rng, 2)
    lines = [one_line(rng, item) for item in items]
    wrong = order(rng, drawn_number(rng), lines, "Processing", 0, address=HOME)
    terms = replace(Terms.drawn(rng), address=WORK.label)
    opening = stocked(*((one.item, one.variant) for one in lines), orders=history(rng, [wrong]))

    def mend(world: World) -> None:
        must(world.cancel(wrong.number), *(world.add(one.item, one.variant, one.quantity) for one in lines))
        terms.place(world)

    return due(opening, {"order": wrong.number, **terms.values}, do=mend)


def cancel_and_order_again(page: Observation) -> Memory:
    address, delivery, payment = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    page = yield from pressed(page, "Cancel order", "Yes, cancel it", "Order again")
    page = yield from ordered(page, address, delivery, payment)
    yield done()


# --- returns ---------------------------------------------------------------------------------------------------------------


def draw_return(feasible: bool) -> Draw:
    def draw(rng: random.Random) -> Instance:
        items = products(rng, 2)
        lines = [one_line(rng, item) for item in items]
        line, reason, refund = lines[0], rng.choice(REASONS), rng.choice(REFUNDS)
        window, number = rng.choice((14, 20, 30, 45)), drawn_number(rng)
        rng.shuffle(lines)  # from here on the twins differ
        days = rng.randint(3, window - 1) if feasible else rng.randint(window + 2, window + 30)
        bought = order(rng, number, lines, "Delivered", 9, **arrived(rng, days))
        opening = Opening(orders=history(rng, [bought]), return_days={line.item.department: window})
        values = {"product": line.item.name, "order": bought.number, "reason": reason, "refund": refund}
        if not feasible:
            return due(opening, values)
        return due(opening, values, do=lambda world: must(world.send_back(bought.number, line.key, reason, refund)))

    return draw


def return_item(page: Observation) -> Memory:
    name, reason, refund = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    page = yield from sent_back(page, name, reason, refund)
    if says(page, "could be returned until"):
        yield impossible("it is too late to return it")
    yield done()


def draw_return_what_can_go(rng: random.Random) -> Instance:
    while True:
        items = products(rng, 3)
        if len({item.department for item in items}) == 3:
            break
    lines, reason, refund = [one_line(rng, item) for item in items], rng.choice(REASONS), rng.choice(REFUNDS)
    days = rng.randint(16, 40)
    late = rng.choice(items)
    windows = {item.department: rng.randint(days + 3, days + 40) for item in items} | {late.department: rng.randint(7, days - 2)}
    bought = order(rng, drawn_number(rng), lines, "Delivered", 9, **arrived(rng, days))
    opening = Opening(orders=history(rng, [bought]), return_days=windows)

    def send(world: World) -> None:
        must(*(world.send_back(bought.number, one.key, reason, refund) for one in lines if one.item is not late))

    return due(opening, {"order": bought.number, "reason": reason, "refund": refund}, do=send)


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
    """Whether this link names a line of an order: so many pieces stand right below it."""
    after = below(page, find(page, name, "link"))
    return bool(after) and " × " in after[0].text


def draw_exchange(rng: random.Random) -> Instance:
    (item,) = products(rng, 1, sized)
    colour = rng.choice(item.colours)
    wrong, right = (Variant(colour, size) for size in rng.sample(item.sizes, 2))
    line, terms, refund = Line(item.id, wrong), Terms.drawn(rng), rng.choice(REFUNDS)
    bought = order(rng, drawn_number(rng), [line], "Delivered", 9, **arrived(rng, rng.randint(2, 9)))
    opening = stocked((item, right), orders=history(rng, [bought]))
    values = {"product": item.name, "order": bought.number, "variant": told(right), "refund": refund, **terms.values}

    def exchange(world: World) -> None:
        must(world.send_back(bought.number, line.key, "Does not fit", refund), world.add(item, right))
        terms.place(world)

    return due(opening, values, do=exchange)


def exchange(page: Observation) -> Memory:
    name, reason, refund, wish, address, delivery, payment = quoted(page)
    (number,) = wanted(page, r"[oO]rder (\d+)")
    page = yield from order_page(page, number)
    page = yield from sent_back(page, name, reason, refund)
    page = yield from added(page, name, wish)
    page = yield from cart(page)
    page = yield from ordered(page, address, delivery, payment)
    yield done()


# --- reviews and addresses -------------------------------------------------------------------------------------------------

OPINIONS = {
    5: ("Splendid", "I would buy it again at once."),
    4: ("Very good", "It does what it should, and looks fine."),
    3: ("All right", "Good enough for the price."),
    2: ("Disappointing", "It feels flimsy in the hand."),
    1: ("Broken", "It fell apart after two days."),
}


def draw_review(rng: random.Random) -> Instance:
    items = products(rng, 2)
    bought = order(rng, drawn_number(rng), [one_line(rng, item) for item in items], "Delivered", rng.randint(10, 60))
    stars = rng.randint(1, 5)
    title, text = OPINIONS[stars]
    values = {"product": items[0].name, "order": bought.number, "stars": stars, "title": title, "text": text}
    review = Review(items[0].id, stars, title, text)
    return due(Opening(orders=history(rng, [bought])), values, do=lambda world: world.reviews.update({items[0].id: review}))


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


def draw_move(rng: random.Random) -> Instance:
    new = address(rng, label="Home", name=HOME.name)
    values = {"street": new.street, "town": new.town, "postcode": new.postcode, "address": new.label}
    third = address(rng)
    return due(Opening(addresses=(HOME, WORK, third)), values, do=lambda world: world.addresses.update({"Home": new}))


def move(page: Observation) -> Memory:
    label, street, town, postcode = quoted(page)
    page = yield from pressed(page, "Account", "Your addresses", f"Edit {label}")
    for field, text in {"Street and number": street, "Town": town, "Postcode": postcode}.items():
        page = yield fill(find(page, field, "textbox"), text)
    yield press(page, "Save address", "button")
    yield done()


TASKS = [
    shop_task("ordered-colour", draw_colour, read_colour, chance=GUESS),
    *twins("redirect-order", "redirect-order-sent", draw_redirect, redirect),
    shop_task("move-house", draw_move, move),
    shop_task("write-review", draw_review, write_review),
    *twins("return-item", "return-item-late", draw_return, return_item),
    shop_task("cancel-and-order-again", draw_again, cancel_and_order_again),
    shop_task("return-what-can-go", draw_return_what_can_go, return_what_can_go),
    shop_task("exchange-size", draw_exchange, exchange),
]
