"""Oracles of the goals about what is in the books already, and about documents."""

from webgym.authoring.oracle import Memory, fill, press, quoted, things
from webgym.types import Observation, Stop, Upload

from .walk import entry, expense, looked_up, opened, payer, rewritten


def narration(page: Observation) -> Memory:
    payee, day, new = quoted(page)
    page = yield from opened(page, payee, day)
    yield from rewritten(page, f'"{entry(page).narration}"', f'"{new}"')
    yield Stop()


def account(page: Observation) -> Memory:
    payee, day, new = quoted(page)
    page = yield from opened(page, payee, day)
    yield from rewritten(page, expense(entry(page)), new)
    yield Stop()


def source(page: Observation) -> Memory:
    payee, new = quoted(page)
    page = yield from opened(page, payee)
    yield from rewritten(page, payer(entry(page)), new)
    yield Stop()


def remove(page: Observation) -> Memory:
    payee, day = quoted(page)
    page = yield from opened(page, payee, day)
    yield press(page, "Delete", "button")
    yield Stop()


def receipt(page: Observation) -> Memory:
    file, payee, name = quoted(page)
    page, last = yield from looked_up(page, payee)
    page = yield press(page, "Import", "link")
    field = things(page, "file")[0]
    assert field.ref is not None
    page = yield Upload(field.ref, (file,))
    page = yield press(page, "Upload", "button")
    page = yield fill(next(node for node in things(page, "textbox") if (node.value or "").endswith(file)), name)
    page = yield fill([node for node in things(page, "combobox") if node.text == "Account"][-1], expense(last))
    yield press(page, "Move", "button")
    yield Stop()
