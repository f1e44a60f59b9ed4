"""Goals for which reports are filtered: what they say is the answer, or is written down."""

import random
from datetime import date

from webgym.authoring.template import Instance

from ..application.content import BANK, EXPENSES, SUPPLIERS, YEAR, spent
from .goal import PATH, added, day, due, goal, note, purchases, question, supplier

MONTHS = [(account, month) for account in EXPENSES for month in range(1, 13) if spent(account, month) > 0]


def draw_note_total(rng: random.Random) -> Instance:
    (account, month), when = rng.choice(MONTHS), day(rng)
    name = f"{date(YEAR, month, 1):%B}"
    values = {"account": account, "month": f"{name} {YEAR}", "date": str(when)}
    return due(values, entries=added(note(when, account, f"{name}: {spent(account, month):.2f} EUR")))


def draw_note_larger(rng: random.Random) -> Instance:
    """The one of two suppliers who was paid more."""
    while True:
        first, second = rng.sample(sorted(SUPPLIERS), 2)
        sums = [sum(entry.postings[0][1] for entry in purchases(payee)) for payee in (first, second)]
        if sums[0] != sums[1]:
            break
    larger, when = (first, second)[sums[1] > sums[0]], day(rng)
    return due({"first": first, "second": second, "date": str(when)}, entries=added(note(when, BANK, f"More to {larger}")))


def draw_spent(rng: random.Random) -> Instance:
    account, month = rng.choice(MONTHS)
    values = {"account": account, "month": f"{date(YEAR, month, 1):%B} {YEAR}"}
    return Instance(values, spent(account, month), path=PATH)


def draw_last_price(rng: random.Random) -> Instance:
    payee = supplier(rng)
    return Instance({"payee": payee}, purchases(payee)[-1].postings[0][1], path=PATH)


GOALS = [
    goal("note-total", draw_note_total),
    goal("note-larger", draw_note_larger),
    question("spent-in-month", draw_spent),
    question("last-price", draw_last_price),
]
