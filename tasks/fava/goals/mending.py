"""Goals about what is in the books already, and about documents."""

import random
from dataclasses import replace

from webgym.authoring.template import Instance

from ..application.content import BANK, CARD, CASH, EXPENSES, FILES, GOODS, PURCHASES, SUPPLIERS, Transaction, key, row_of
from .goal import day, due, goal, supplier

WISHES = ("for the fair", "for the school", "returned in part", "paid late", "second delivery")


def _changed(before: Transaction, after: Transaction) -> dict[str, object]:
    return {"added": [row_of(after)], "removed": [key(row_of(before))]}


def draw_narration(rng: random.Random) -> Instance:
    entry, wish = rng.choice(PURCHASES), rng.choice(WISHES)
    narration = f"{entry.narration} {wish}"
    values = {"payee": entry.payee, "date": str(entry.date), "narration": narration}
    return due(values, entries=_changed(entry, replace(entry, narration=narration)))


def draw_account(rng: random.Random) -> Instance:
    entry = rng.choice(PURCHASES)
    account = rng.choice([name for name in EXPENSES if name != entry.expense])
    (_, amount), *rest = entry.postings
    values = {"payee": entry.payee, "date": str(entry.date), "account": account}
    return due(values, entries=_changed(entry, replace(entry, postings=((account, amount), *rest))))


def draw_source(rng: random.Random) -> Instance:
    """The account that somebody's last purchase was paid from, changed."""
    payee = supplier(rng)
    entry = [each for each in PURCHASES if each.payee == payee][-1]
    source = rng.choice([name for name in (BANK, CASH, CARD) if name != entry.source])
    *rest, (_, amount) = entry.postings
    return due({"payee": payee, "source": source}, entries=_changed(entry, replace(entry, postings=(*rest, (source, amount)))))


def draw_removal(rng: random.Random) -> Instance:
    entry = rng.choice(PURCHASES)
    return due({"payee": entry.payee, "date": str(entry.date)}, entries={"removed": [key(row_of(entry))]})


def draw_file(rng: random.Random) -> Instance:
    """A receipt among the documents of the account of somebody's goods."""
    name, payee, when = rng.choice(sorted(FILES)), supplier(rng), day(rng)
    account = SUPPLIERS[payee]
    new = f"{when}.{rng.choice(GOODS[account]).split()[0].lower()}.txt"
    row = {"path": f"documents/{account.replace(':', '/')}/{new}", "text": FILES[name]}
    return due({"file": name, "payee": payee, "name": new}, files={"added": [row]})


GOALS = [
    goal("mend-narration", draw_narration),
    goal("move-to-account", draw_account),
    goal("paid-from", draw_source),
    goal("remove-purchase", draw_removal),
    goal("file-receipt", draw_file),
]
