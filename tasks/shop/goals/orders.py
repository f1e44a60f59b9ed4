"""Goals about past orders: reading, changing, cancelling and repeating them, returns, reviews, addresses."""

import random
from dataclasses import replace

from webgym.authoring.template import Draw, Instance

from ..catalogue import Product, Variant
from ..policies import REASONS, REFUNDS
from ..world import HOME, WORK, Line, Opening, Review, World
from .draws import Terms, address, arrived, due, history, must, order, plain, products, sized, stocked, told, variant
from .goal import goal, twins


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
    return due(
        Opening(orders=history(rng, [bought])), values, answer=asked.variant.colour, path="/account", page=f"× {asked.variant.colour}"
    )


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


def draw_move(rng: random.Random) -> Instance:
    new = address(rng, label="Home", name=HOME.name)
    values = {"street": new.street, "town": new.town, "postcode": new.postcode, "address": new.label}
    third = address(rng)
    return due(Opening(addresses=(HOME, WORK, third)), values, do=lambda world: world.addresses.update({"Home": new}))


GOALS = [
    goal("ordered-colour", draw_colour),
    *twins("redirect-order", "redirect-order-sent", draw_redirect),
    goal("move-house", draw_move),
    goal("write-review", draw_review),
    *twins("return-item", "return-item-late", draw_return),
    goal("cancel-and-order-again", draw_again),
    goal("return-what-can-go", draw_return_what_can_go),
    goal("exchange-size", draw_exchange),
]
