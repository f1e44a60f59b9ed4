"""Goals about the customer's account: lists, addresses, alerts."""

import random
from dataclasses import asdict

from webgym.authoring.template import Instance

from ..application.content import ADDRESSES, FIRST_NAME, LAST_NAME, Address
from .goal import due, goal, products

STREETS, TOWNS = ("Orchard Road", "Church Walk", "Station Street", "Park Row"), ("Leeds", "Oxford", "Exeter", "Norwich")
POSTCODES = ("LS1 4AP", "OX1 2JD", "EX4 3SR", "NR2 1TF")


def draw_wish(rng: random.Random) -> Instance:
    first, second = products(rng, 2)
    lines = [{"name": "Default", "title": one.title, "quantity": 1} for one in (first, second)]
    return due({"first": first.title, "second": second.title}, lists={"added": [{"name": "Default"}]}, wishes={"added": lines})


def draw_named_list(rng: random.Random) -> Instance:
    (product,) = products(rng, 1)
    name = rng.choice(("Birthday", "New flat", "For Bert", "Some day"))
    line = {"name": name, "title": product.title, "quantity": 1}
    return due({"list": name, "product": product.title}, lists={"added": [{"name": name}]}, wishes={"added": [line]})


def _drawn_address(rng: random.Random) -> Address:
    return Address(FIRST_NAME, LAST_NAME, f"{rng.randint(2, 98)} {rng.choice(STREETS)}", rng.choice(TOWNS), rng.choice(POSTCODES))


def draw_new_address(rng: random.Random) -> Instance:
    new = _drawn_address(rng)
    values = {"street": new.line1, "town": new.line4, "postcode": new.postcode}
    return due(values, addresses={"added": [{**asdict(new), "default_for_shipping": 0}]})


def draw_move(rng: random.Random) -> Instance:
    number, new = rng.randrange(len(ADDRESSES)), _drawn_address(rng)
    values = {"old": ADDRESSES[number].line1, "street": new.line1, "town": new.line4, "postcode": new.postcode}
    fields = {"line1": new.line1, "line4": new.line4, "postcode": new.postcode}
    return due(values, addresses={"changed": {str(number + 1): fields}})


def draw_default(rng: random.Random) -> Instance:
    number = rng.randrange(len(ADDRESSES))
    return due({"street": ADDRESSES[number].line1}, addresses={"changed": {str(number + 1): {"default_for_shipping": 1}}})


def draw_remove(rng: random.Random) -> Instance:
    number = rng.randrange(len(ADDRESSES))
    return due({"street": ADDRESSES[number].line1}, addresses={"removed": [str(number + 1)]})


def draw_alert(rng: random.Random) -> Instance:
    (product,) = products(rng, 1, sold_out=True)
    return due({"product": product.title}, alerts={"added": [{"title": product.title, "status": "Active"}]})


def draw_rename(rng: random.Random) -> Instance:
    first, last = rng.choice(("Anna", "Annie", "Anne")), rng.choice(("Leigh", "Lee-Moss", "Leeson"))
    return due({"first": first, "last": last}, people={"changed": {"1": {"first_name": first, "last_name": last}}})


GOALS = [
    goal("wish-for-two", draw_wish),
    goal("named-list", draw_named_list),
    goal("new-address", draw_new_address),
    goal("move-house", draw_move),
    goal("default-address", draw_default),
    goal("remove-address", draw_remove),
    goal("back-in-stock", draw_alert),
    goal("new-name", draw_rename),
]
