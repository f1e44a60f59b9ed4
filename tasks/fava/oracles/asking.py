"""Oracles of the goals for which reports are filtered."""

from decimal import Decimal

from webgym.authoring.oracle import Memory, quoted, wanted
from webgym.types import Observation, Stop

from .walk import FILTER, TIME, amount, entry, filtered, note, opened

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def month(page: Observation) -> tuple[str, str]:
    """The month that the goal names, and how a filter says it."""
    name, year = wanted(page, rf"({'|'.join(MONTHS)}) (\d{{4}})")
    return name, f"{year}-{MONTHS.index(name) + 1:02}"


def note_total(page: Observation) -> Memory:
    account, day = quoted(page)
    name, time = month(page)
    page = yield from filtered(page, TIME, time)
    yield from note(page, day, account, f"{name}: {amount(page, account.rpartition(':')[2])} EUR")
    yield Stop()


def note_larger(page: Observation) -> Memory:
    first, second, day = quoted(page)
    sums = {}
    for payee in (first, second):
        page = yield from filtered(page, FILTER, f'payee:"{payee}"')
        sums[payee] = Decimal(amount(page, "Expenses"))
    yield from note(page, day, "Assets:Bank", f"More to {max(sums, key=sums.__getitem__)}")
    yield Stop()


def spent(page: Observation) -> Memory:
    (account,) = quoted(page)
    page = yield from filtered(page, TIME, month(page)[1])
    yield Stop(amount(page, account.rpartition(":")[2]))


def last_price(page: Observation) -> Memory:
    (payee,) = quoted(page)
    page = yield from opened(page, payee)
    yield Stop(next(number for _, number in entry(page).postings if not number.startswith("-")))
