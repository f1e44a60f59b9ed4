"""The ways through the books that oracles share. Each is a generator that yields actions, is sent the page that follows, and returns the
last one.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from webgym.authoring.oracle import fill, find, press, things
from webgym.types import Action, Node, Observation, Press

Walk = Generator[Action, Observation, Observation]
TIME, FILTER, ADD = "Time", "Filter by tag, payee, …", "+ Add Journal Entry"
DAY = r"\d{4}-\d\d-\d\d"


@dataclass(frozen=True)
class Entry:
    """A transaction as its source says it: (account, amount) for each posting."""

    narration: str
    postings: Sequence[tuple[str, str]]


def filtered(page: Observation, field: str, text: str) -> Walk:
    """The report that is shown, with a filter."""
    page = yield fill(find(page, field, "combobox"), text)
    page = yield Press("Enter")
    return page


def listed(page: Observation, payee: str) -> Walk:
    """The journal of one payee."""
    page = yield press(page, "Journal", "link")
    return (yield from filtered(page, FILTER, f'payee:"{payee}"'))


def opened(page: Observation, payee: str, day: str = "") -> Walk:
    """The source of a payee's entry of a day, the newest unless a day is given."""
    page = yield from listed(page, payee)
    days = [node.text for node in things(page, "link") if re.fullmatch(DAY, node.text)]
    page = yield press(page, day or max(days), "link")
    return page


def source(page: Observation) -> Node:
    """The field with the source of the entry that is shown. Raises LookupError."""
    found = next((node for node in things(page, "textbox") if re.match(rf"{DAY} \*", node.value or "")), None)
    if found is None:
        raise LookupError("no source of an entry is shown")
    return found


def entry(page: Observation) -> Entry:
    """The transaction whose source is shown. Raises LookupError."""
    text = source(page).value or ""
    head = re.match(rf'{DAY} \* "[^"]*" "([^"]*)"', text)
    if head is None:
        raise LookupError(f"this is no transaction: {text!r}")
    return Entry(head[1], re.findall(r"^\s+(\S+)\s+(-?[\d.]+) EUR", text, re.MULTILINE))


def looked_up(page: Observation, payee: str) -> Generator[Action, Observation, tuple[Observation, Entry]]:
    """The last transaction with a payee, and the journal that is shown after it was looked at."""
    page = yield from opened(page, payee)
    found = entry(page)
    page = yield press(page, "x", "button")
    return page, found


def rewritten(page: Observation, pattern: str, new: str) -> Walk:
    """The entry whose source is shown, with the first match of a pattern replaced, and saved."""
    box = source(page)
    page = yield fill(box, re.sub(pattern, lambda _: new, box.value or "", count=1))
    page = yield press(page, "Save", "button")
    return page


def form(page: Observation, kind: str, day: str) -> Walk:
    """The form for a new entry, with its date."""
    page = yield press(page, ADD, "link")
    page = yield press(page, kind, "button")
    page = yield fill(next(node for node in things(page, "textbox") if "date" in node.states), day)
    return page


def transaction(page: Observation, day: str, payee: str, narration: str, postings: Sequence[tuple[str, str]]) -> Walk:
    """A new transaction, saved."""
    page = yield from form(page, "Transaction", day)
    page = yield fill(find(page, "Payee", "combobox"), payee)
    boxes = things(page, "combobox")
    page = yield fill(boxes[boxes.index(find(page, "Payee", "combobox")) + 1], narration)
    for number, (account, amount) in enumerate(postings):
        for field, text in (("Account", account), ("Amount", f"{amount} EUR")):
            page = yield fill([node for node in things(page, "combobox") if node.text == field][number], text)
    page = yield press(page, "Save", "button")
    return page


def note(page: Observation, day: str, account: str, comment: str) -> Walk:
    """A new note, saved."""
    page = yield from form(page, "Note", day)
    page = yield fill(find(page, "Account", "combobox"), account)
    page = yield fill(find(page, "Comment", "textbox"), comment)
    page = yield press(page, "Save", "button")
    return page


def amount(page: Observation, name: str) -> str:
    """The amount beside an account's own name in a report, "0" where the account is not there."""
    nodes = [*page.nodes]
    place = max((at for at, node in enumerate(nodes) if node.role == "link" and node.text == name), default=None)
    if place is None or place + 1 == len(nodes) or not re.fullmatch(r"[−-]?[\d.,]+", nodes[place + 1].text):
        return "0"
    return nodes[place + 1].text.replace("−", "-").replace(",", "")


def expense(found: Entry) -> str:
    """The expense account of a transaction."""
    return next(account for account, _ in found.postings if account.startswith("Expenses:"))


def payer(found: Entry) -> str:
    """The account that paid."""
    return next(account for account, number in found.postings if number.startswith("-"))
