"""Oracles of goals with the address book."""

import re

from webgym.authoring.oracle import Memory, click, press, quoted
from webgym.types import Back, Observation, Stop

from .walk import enter, row, rows, search, solves, texts_of, tick_all, walk

NO = ("cannot come", "not, I am in", "have to work")


@solves("new-contact")
def new_contact(page: Observation) -> Memory:
    name, email, phone, company = quoted(page)
    page = yield from walk(page, "Contacts", "New contact")
    page = yield from enter(page, ("Name", name), ("Mail", email), ("Phone", phone), ("Company", company))
    yield press(page, "Save", "button")
    yield Stop()


@solves("new-numbers")
def new_numbers(page: Observation) -> Memory:
    firm, subject = quoted(page)
    page = yield from search(page, subject)
    numbers, count = {}, len(rows(page, subject))
    for at in range(count):
        mail = rows(page, subject)[at]
        page = yield click(mail)
        (new,) = re.findall(r"the new one is ([\d ]+)\.", texts_of(page))
        numbers[mail.text.split(subject)[0].strip()] = new
        if at + 1 < count:
            page = yield Back()
    for name, new in numbers.items():
        page = yield press(page, "Contacts", "link")
        page = yield from enter(page, ("Name", firm))
        page = yield press(page, "Filter", "button")
        page = yield click(row(page, name))
        page = yield press(page, "Edit", "link")
        page = yield from enter(page, ("Phone", new))
        page = yield press(page, "Save", "button")
    yield Stop()


@solves("guests")
def guests(page: Observation) -> Memory:
    party, group = quoted(page)
    page = yield from search(page, party)
    coming, count = [], len(rows(page, f"Re: {party}"))
    for at in range(count):
        mail = rows(page, f"Re: {party}")[at]
        page = yield click(mail)
        if not any(words in texts_of(page) for words in NO):
            coming.append(re.sub(r" \(\d+\)$", "", mail.text.split("Re: ")[0].strip()))
        if at + 1 < count:
            page = yield Back()
    page = yield from walk(page, "Contacts", "New group")
    page = yield from enter(page, ("Name", group))
    page = yield from tick_all(page, coming)
    yield press(page, "Save", "button")
    yield Stop()
