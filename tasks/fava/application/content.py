"""Content of the books: a year of a made-up bakery, as entries of a ledger. Everything follows from one seed.

It is read by `prepare.py`, which writes it as a ledger, and by the goals, which ask for it.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

CLOCK_S = 1_767_600_000  # 2026-01-05 08:00 UTC, when episodes begin
YEAR = 2025
BANK, CASH, SAVINGS, CARD = "Assets:Bank", "Assets:Cash", "Assets:Savings", "Liabilities:Card"
SHOP, MARKET, OPENING = "Income:Shop", "Income:Market", "Equity:Opening"
SUPPLIERS = {
    "Alder Mill": "Expenses:Flour", "Brook Dairy": "Expenses:Dairy", "Copper Works": "Expenses:Repairs", "Dell Print": "Expenses:Packaging",
    "Elm Orchard": "Expenses:Fruit", "Fenland Oats": "Expenses:Flour", "Glen Farm": "Expenses:Dairy", "Heath Tools": "Expenses:Repairs",
    "Ivy Paper": "Expenses:Packaging", "Juniper Fruit": "Expenses:Fruit",
}  # fmt: skip
GOODS = {
    "Expenses:Flour": ("Rye", "Wheat", "Spelt"), "Expenses:Dairy": ("Butter", "Cream", "Milk"),
    "Expenses:Repairs": ("Oven door", "Mixer belt", "Scales"), "Expenses:Packaging": ("Bags", "Boxes", "Labels"),
    "Expenses:Fruit": ("Apples", "Plums", "Cherries"),
}  # fmt: skip
EXPENSES = tuple(GOODS)
ACCOUNTS = (BANK, CASH, SAVINGS, CARD, SHOP, MARKET, OPENING, "Expenses:Rent", "Expenses:Wages", *EXPENSES)
FILES = {
    "receipt-oven.txt": "Oven door, 2 hinges. Paid.",
    "receipt-plums.txt": "Plums, 40 kg. Paid.",
    "receipt-boxes.txt": "Boxes, 500 of the small ones. Paid.",
    "receipt-butter.txt": "Butter, 25 kg. Paid.",
}
"""Files on the agent's side, by name, with their content."""


@dataclass(frozen=True)
class Transaction:
    """A transaction of the ledger: (account, amount in EUR) for each posting."""

    date: date
    payee: str
    narration: str
    postings: tuple[tuple[str, Decimal], ...]

    def amount(self, account: str) -> Decimal:
        """The change of an account."""
        return sum((amount for name, amount in self.postings if name == account), Decimal(0))

    @property
    def expense(self) -> str:
        """The account of the first posting."""
        return self.postings[0][0]

    @property
    def source(self) -> str:
        """The account of the last posting."""
        return self.postings[-1][0]

    def text(self) -> str:
        """The transaction as a ledger has it."""
        head = f'{self.date} * "{self.payee}" "{self.narration}"\n'
        return head + "".join(f"  {account:<30} {amount:>10} EUR\n" for account, amount in self.postings)


def plain(number: Decimal) -> str:
    """An amount without needless zeros, as states have it.

    >>> plain(Decimal("-12.50")), plain(Decimal("300.00"))
    ('-12.5', '300')
    """
    return f"{number.normalize():f}"


def row(when: date, payee: str, narration: str, postings: Sequence[tuple[str, Decimal]]) -> dict[str, Any]:
    """A transaction as states have it."""
    entries = sorted(f"{account} {plain(amount)} EUR" for account, amount in postings)
    return {
        "type": "Transaction", "date": str(when), "flag": "*", "payee": payee, "narration": narration, "postings": entries, "labels": [],
        "meta": {},
    }  # fmt: skip


def row_of(entry: Transaction) -> dict[str, Any]:
    """A transaction of the ledger as states have it."""
    return row(entry.date, entry.payee, entry.narration, entry.postings)


def key(entry: dict[str, Any]) -> str:
    """The key of an entry: all that it says."""
    return json.dumps(entry, sort_keys=True)


def _bought(rng: random.Random, when: date, payee: str) -> Transaction:
    account, amount = SUPPLIERS[payee], Decimal(rng.randrange(1200, 29900)) / 100
    source = rng.choice((BANK, BANK, CASH, CARD))
    return Transaction(when, payee, rng.choice(GOODS[account]), ((account, amount), (source, -amount)))


def _transactions() -> tuple[Transaction, ...]:
    rng = random.Random(20)
    first = {BANK: Decimal("9400.00"), CASH: Decimal("350.00"), SAVINGS: Decimal("4000.00"), OPENING: Decimal("-13750.00")}
    found = [Transaction(date(YEAR, 1, 1), "Opening", "Brought forward", tuple(first.items()))]
    for month in range(1, 13):
        begin = date(YEAR, month, 1)
        sold, market = Decimal(rng.randrange(520000, 760000)) / 100, Decimal(rng.randrange(60000, 140000)) / 100
        wages, rent = Decimal(rng.randrange(210000, 260000)) / 100, Decimal("850.00")
        found += [
            Transaction(begin + timedelta(1), "Mill Lane Estate", f"Rent {begin:%B}", (("Expenses:Rent", rent), (BANK, -rent))),
            Transaction(begin + timedelta(26), "Crew", f"Wages {begin:%B}", (("Expenses:Wages", wages), (BANK, -wages))),
            Transaction(begin + timedelta(27), "Shop", f"Sales {begin:%B}", ((BANK, sold), (SHOP, -sold))),
            Transaction(begin + timedelta(15), "Market", f"Stall {begin:%B}", ((CASH, market), (MARKET, -market))),
        ]
        payees = sorted(SUPPLIERS)
        days = rng.sample(range(2, 26), 6)  # one purchase a day at most, so that a payee and a date name it
        found += [_bought(rng, begin + timedelta(day), rng.choice(payees)) for day in days]
    return tuple(sorted(found, key=lambda entry: entry.date))


TRANSACTIONS = _transactions()
PURCHASES = tuple(entry for entry in TRANSACTIONS if entry.payee in SUPPLIERS)


def balance(account: str) -> Decimal:
    """The balance of an account at the end of the year."""
    return sum((entry.amount(account) for entry in TRANSACTIONS), Decimal(0))


def spent(account: str, month: int) -> Decimal:
    """The sum of what was spent on an account in a month."""
    return sum((entry.amount(account) for entry in TRANSACTIONS if entry.date.month == month), Decimal(0))
