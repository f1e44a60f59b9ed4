"""Goals about new entries: purchases, payments, balances, notes."""

import random
from decimal import Decimal

from webgym.authoring.template import Instance

from ..application.content import BANK, CARD, CASH, EXPENSES, GOODS, SAVINGS, SUPPLIERS, balance, plain, row
from .goal import added, day, due, goal, note, purchases, supplier

WORDS = (
    "Send the order by post.",
    "Ask for the new prices.",
    "Delivers on Mondays only.",
    "Closed in August.",
    "Wants to be paid at once.",
)
HOLDERS = (BANK, CASH, SAVINGS, CARD)


def draw_purchase(rng: random.Random) -> Instance:
    """A purchase that is paid as the last one from the same supplier was."""
    payee, when = supplier(rng), day(rng)
    account, amount = SUPPLIERS[payee], Decimal(rng.randrange(1000, 9900)) / 100
    narration = rng.choice(GOODS[account])
    source = purchases(payee)[-1].source
    values = {"payee": payee, "narration": narration, "amount": f"{amount:.2f}", "date": str(when)}
    return due(values, entries=added(row(when, payee, narration, [(account, amount), (source, -amount)])))


def draw_again(rng: random.Random) -> Instance:
    payee, when = supplier(rng), day(rng)
    last = purchases(payee)[-1]
    return due({"payee": payee, "date": str(when)}, entries=added(row(when, payee, last.narration, last.postings)))


def draw_two_accounts(rng: random.Random) -> Instance:
    """A purchase of two kinds of goods, paid as the last one from a supplier was."""
    when, (first, second) = day(rng), rng.sample(EXPENSES, 2)
    one, two = (Decimal(rng.randrange(500, 5000)) / 100 for _ in range(2))
    payee, narration = rng.choice(("Corner Shop", "Fair", "Wholesale")), rng.choice(("Supplies", "For the stall", "Samples"))
    other = supplier(rng)
    source = purchases(other)[-1].source
    values = {"payee": payee, "narration": narration, "date": str(when), "one": f"{one:.2f}", "first": first, "two": f"{two:.2f}",
              "second": second, "supplier": other}  # fmt: skip
    return due(values, entries=added(row(when, payee, narration, [(first, one), (second, two), (source, -one - two)])))


def draw_pay_card(rng: random.Random) -> Instance:
    """All that the card owes, paid from an account."""
    when, source, owed = day(rng), rng.choice((BANK, SAVINGS)), -balance(CARD)
    narration = rng.choice(("Card of the year", "Card paid off", "Settled"))
    values = {"narration": narration, "date": str(when), "source": source}
    return due(values, entries=added(row(when, "Card company", narration, [(CARD, owed), (source, -owed)])))


def draw_balance(rng: random.Random) -> Instance:
    account, when = rng.choice(HOLDERS), day(rng)
    entry = {"type": "Balance", "date": str(when), "account": account, "amount": f"{plain(balance(account))} EUR", "meta": {}}
    return due({"account": account, "date": str(when)}, entries=added(entry))


def draw_note(rng: random.Random) -> Instance:
    """A note on the account of somebody's goods."""
    payee, when, words = supplier(rng), day(rng), rng.choice(WORDS)
    values = {"payee": payee, "comment": words, "date": str(when)}
    return due(values, entries=added(note(when, SUPPLIERS[payee], words)))


GOALS = [
    goal("enter-purchase", draw_purchase),
    goal("buy-again", draw_again),
    goal("two-accounts", draw_two_accounts),
    goal("pay-card", draw_pay_card),
    goal("record-balance", draw_balance),
    goal("note-on-goods", draw_note),
]
