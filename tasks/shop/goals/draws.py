"""Draws of the tasks: products, variants and past orders; and the wanted end, computed by playing the task on a world of its own."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from webgym.authoring.checks import read_number, squash
from webgym.authoring.template import Instance
from webgym.task import Evidence

from ..catalogue import Product, Variant, catalogue
from ..policies import DELIVERIES, PAYMENTS, TODAY
from ..world import HOME, WORK, Address, Line, Opening, Order, World, outcome


@dataclass(frozen=True)
class Due:
    """The wanted end of an episode: the outcome of the site's state, and the answer where one is asked for (a number, or words).

    `page` is what else the page with the answer says, where the answer is drawn by the seed: then the agent must have been there.
    """

    state: Mapping[str, Any]
    answer: float | str | None = None
    page: str = ""


def due(opening: Opening, values: Mapping[str, Any], *, do: Callable[[World], object] = lambda world: None, **more: Any) -> Instance:
    """The instance that begins with this opening and ends as `do` leaves a world of it; `more` is `answer`, `page` and `path`."""
    world = World(opening)
    do(world)
    return Instance(values, Due(outcome(world.shown()), more.get("answer"), more.get("page", "")), opening, more.get("path", "/"))


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the final state of the site is exactly the wanted one and the answer is right."""
    wanted: Due = instance.expected
    if outcome(evidence.site_state) != wanted.state or not evidence.showed(wanted.page):
        return False
    match wanted.answer:
        case None:
            return True
        case float():
            return read_number(evidence.answer.replace("$", "")) == wanted.answer
        case _:
            given, right = (squash(text).casefold().rstrip(".") for text in (evidence.answer, str(wanted.answer)))
            return given == right


def must(*refusals: str) -> None:
    """Raises when a world refused an action of a task, because then the task's draw cannot be solved."""
    for refusal in refusals:
        if refusal:
            raise LookupError(f"the shop would refuse what the task asks for: {refusal}")


# --- products --------------------------------------------------------------------------------------------------------------


def products(rng: random.Random, count: int, fits: Callable[[Product], bool] = lambda product: True) -> list[Product]:
    """Different products of different shelves, at random."""
    shelves = rng.sample(list(catalogue().categories.values()), len(catalogue().categories))
    found = []
    for shelf in shelves:
        if fitting := [product for product in shelf.products if fits(product)]:
            found.append(rng.choice(fitting))
        if len(found) == count:
            return found
    raise LookupError(f"the catalogue has no {count} such products")


def sized(product: Product) -> bool:
    return bool(product.sizes)


def plain(product: Product) -> bool:
    """Comes without sizes, so that a colour is all there is to choose."""
    return not product.sizes


def variant(rng: random.Random, product: Product) -> Variant:
    return rng.choice(product.variants)


def stocked(*chosen: tuple[Product, Variant], **opening: Any) -> Opening:
    """An opening in which these can be bought."""
    return Opening(in_stock=frozenset((product.id, variant) for product, variant in chosen), **opening)


def told(variant: Variant) -> str:
    """A variant in the words of a goal.

    >>> told(Variant("Red", "M")), told(Variant("Red"))
    ('Red, size M', 'Red')
    """
    return f"{variant.colour}, size {variant.size}" if variant.size else variant.colour


# --- people, places, orders ------------------------------------------------------------------------------------------------

FRIENDS = ("Ida Brenner", "Tom Okafor", "Mina Sorel", "Jack Tarver", "Lena Voss", "Amir Dahl", "Greta Moss", "Paul Ekin", "Nora Quist")
STREETS = ("Mill Lane", "Orchard Way", "Harbour Street", "Elm Close", "Castle Road", "Weaver Street", "North Quay", "Ferry Lane")
TOWNS = ("Ashby", "Kelton", "Marsham", "Oldbridge", "Penrow", "Stonehaven", "Whitford", "Yarnley")
LABELS = ("Mum", "Studio", "Cabin", "Granny", "Neighbour", "Club")


def address(rng: random.Random, label: str = "", name: str = "") -> Address:
    """The address of a person."""
    street = f"{rng.randint(2, 98)} {rng.choice(STREETS)}"
    return Address(label or rng.choice(LABELS), name or rng.choice(FRIENDS), street, rng.choice(TOWNS), f"{rng.randint(10000, 99999)}")


def order(rng: random.Random, number: int, lines: Sequence[Line], status: str, age: int, **more: Any) -> Order:
    """An order of the past, `age` days old; delivered ones came three days later unless `delivered` says otherwise."""
    placed = TODAY - timedelta(days=age)
    arrived = {"delivered": placed + timedelta(days=3)} if status == "Delivered" else {}
    total = sum(line.cents for line in lines) + 490
    made = Order(number, placed, tuple(lines), rng.choice((HOME, WORK)), "standard", rng.choice(PAYMENTS[:2]).id, total, status)
    return replace(made, **{**arrived, **more})


def history(rng: random.Random, others: Iterable[Order], count: int = 2, but: Iterable[str] = ()) -> tuple[Order, ...]:
    """These orders among `count` more that are delivered, of products that are not named in `but`."""
    given = list(others)
    kept = {line.product for one in given for line in one.lines} | set(but)
    found = list(given)
    taken = {one.number for one in given}
    for product in products(rng, count, lambda product: product.id not in kept):
        number = rng.choice([n for n in range(4701, 4790) if n not in taken])
        taken.add(number)
        lines = [Line(product.id, variant(rng, product), rng.randint(1, 2))]
        found.append(order(rng, number, lines, "Delivered", rng.randint(8, 90)))
    return tuple(sorted(found, key=lambda one: one.number))


def arrived(rng: random.Random, days_ago: int) -> dict[str, date]:
    """The fields of an order that was delivered this number of days ago."""
    came = TODAY - timedelta(days=days_ago)
    return {"delivered": came, "placed": came - timedelta(days=rng.randint(2, 5))}


@dataclass(frozen=True)
class Terms:
    """Delivery and payment of an order."""

    address: str
    delivery: str
    payment: str

    @classmethod
    def drawn(cls, rng: random.Random, addresses: Sequence[Address] = (HOME, WORK)) -> "Terms":
        return cls(rng.choice(addresses).label, rng.choice(DELIVERIES).id, rng.choice(PAYMENTS[:2]).id)

    @property
    def values(self) -> dict[str, str]:
        """Values for the wordings of goals."""
        delivery = next(one.title for one in DELIVERIES if one.id == self.delivery)
        payment = next(one.title for one in PAYMENTS if one.id == self.payment)
        return {"address": self.address, "delivery": delivery, "payment": payment}

    def place(self, world: World, **more: Any) -> None:
        """Order the contents of the world's cart by these terms; `more` is the gift's wrapping and message."""
        world.draft = replace(world.draft, address=self.address, delivery=self.delivery, payment=self.payment, **more)
        must(world.place()[1])
