"""Goals about pages of the wiki, some of which say what to do with a ticket."""

import random

from webgym.authoring.template import Instance

from ..application.content import DEPUTIES, PAGES, STORES, TOPICS
from .goal import changed, due, goal, open_ticket

TEXTS = {page.name: page.text for page in PAGES}
LINES = ("The gate is shut at nine.", "Ask at pier 2 first.", "Take the blue form.", "Ring twice at the office.")
NEW_TOPICS = ("Divers", "Lanterns", "Parking", "Ferries", "Radio", "Moorings")


def draw_add_line(rng: random.Random) -> Instance:
    topic, line = rng.choice(TOPICS), rng.choice(LINES)
    name = f"Notes{topic}"
    return due({"page": name, "line": line}, pages={"changed": {name: {"text": f"{TEXTS[name]}{line}"}}})


def draw_new_page(rng: random.Random) -> Instance:
    topic, line = rng.choice(NEW_TOPICS), rng.choice(LINES)
    name = f"Notes{topic}"
    pages = {
        "changed": {"Contents": {"text": f"{TEXTS['Contents']} * [wiki:{name}]"}},
        "added": [{"name": name, "text": line}],
    }
    return due({"page": name, "line": line}, pages=pages)


def draw_remove_page(rng: random.Random) -> Instance:
    name = f"Notes{rng.choice(TOPICS)}"
    return due({"page": name}, pages={"removed": [name]})


def draw_deputy(rng: random.Random) -> Instance:
    ticket = open_ticket(rng, lambda ticket: ticket.owner != DEPUTIES[ticket.component])
    fields = changed(ticket, status="assigned", owner=DEPUTIES[ticket.component])
    return due({"summary": ticket.summary}, tickets={"changed": fields})


def draw_store(rng: random.Random) -> Instance:
    store = rng.choice(sorted(STORES))
    ticket = open_ticket(rng)
    return due({"store": store, "summary": ticket.summary}, tickets={"changed": changed(ticket, cc=STORES[store].lower())})


GOALS = [
    goal("add-line", draw_add_line),
    goal("new-page", draw_new_page),
    goal("remove-page", draw_remove_page),
    goal("hand-to-deputy", draw_deputy),
    goal("tell-the-store", draw_store),
]
