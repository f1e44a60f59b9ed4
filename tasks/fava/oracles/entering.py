"""Oracles of the goals about new entries."""

from decimal import Decimal

from webgym.authoring.oracle import Memory, fill, find, press, quoted
from webgym.types import Observation, Stop

from .walk import amount, expense, form, looked_up, note, payer, transaction


def purchase(page: Observation) -> Memory:
    payee, narration, number, day = quoted(page)
    page, last = yield from looked_up(page, payee)
    yield from transaction(page, day, payee, narration, [(expense(last), number), (payer(last), f"-{number}")])
    yield Stop()


def again(page: Observation) -> Memory:
    payee, day = quoted(page)
    page, last = yield from looked_up(page, payee)
    yield from transaction(page, day, payee, last.narration, last.postings)
    yield Stop()


def two_accounts(page: Observation) -> Memory:
    payee, narration, day, one, first, two, second, supplier = quoted(page)
    page, last = yield from looked_up(page, supplier)
    postings = [(first, one), (second, two), (payer(last), str(-Decimal(one) - Decimal(two)))]
    yield from transaction(page, day, payee, narration, postings)
    yield Stop()


def pay_card(page: Observation) -> Memory:
    narration, day, account = quoted(page)
    page = yield press(page, "Balance Sheet", "link")
    owed = -Decimal(amount(page, "Card"))
    yield from transaction(page, day, "Card company", narration, [("Liabilities:Card", str(owed)), (account, str(-owed))])
    yield Stop()


def record_balance(page: Observation) -> Memory:
    account, day = quoted(page)
    page = yield press(page, "Balance Sheet", "link")
    number = amount(page, account.rpartition(":")[2])
    page = yield from form(page, "Balance", day)
    page = yield fill(find(page, "Account", "combobox"), account)
    page = yield fill(find(page, "Number", "textbox"), number)
    page = yield fill(find(page, "Currency", "combobox"), "EUR")
    yield press(page, "Save", "button")
    yield Stop()


def note_on_goods(page: Observation) -> Memory:
    payee, comment, day = quoted(page)
    page, last = yield from looked_up(page, payee)
    yield from note(page, day, expense(last), comment)
    yield Stop()
