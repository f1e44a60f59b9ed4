"""Oracles of goals in which a mail goes out."""

import re

from webgym.authoring.oracle import Memory, click, press, quoted, seek
from webgym.types import Back, Infeasible, Node, Observation, Stop

from .walk import enter, row, rows, search, solves, texts_of, walk


@solves("reply")
def reply(page: Observation) -> Memory:
    name, subject, text = quoted(page)
    page = yield click(row(page, name, subject))
    page = yield press(page, "Reply", "link")
    page = yield from enter(page, ("Text", text))
    yield press(page, "Send", "button")
    yield Stop()


@solves("send-file")
def send_file(page: Observation) -> Memory:
    name, file, subject, text = quoted(page)
    page = yield from walk(page, "Compose", "Attach files")
    box = seek(page, file, "checkbox")
    if box is None:
        yield Infeasible("there is no such file")
        return
    page = yield click(box)
    page = yield press(page, "Attach", "button")
    page = yield from enter(page, ("To", name), ("Subject", subject), ("Text", text))
    yield press(page, "Send", "button")
    yield Stop()


@solves("find-forward")
def find_forward(page: Observation) -> Memory:
    name, subject, target, text = quoted(page)
    page = yield press(page, "Options", "link")
    page = yield from enter(page, ("From", name), ("Subject", subject))
    page = yield press(page, "Find", "button")
    if not rows(page, name, subject):
        yield Infeasible("there is no such mail")
        return
    page = yield click(row(page, name, subject))
    page = yield press(page, "Forward", "link")
    page = yield from enter(page, ("To", target), ("Text", text))
    yield press(page, "Send", "button")
    yield Stop()


@solves("best-offer")
def best_offer(page: Observation) -> Memory:
    thing, text = quoted(page)
    page = yield from search(page, thing)
    subject = f"Offer: {thing}"
    asked: list[int] = []
    count = len(rows(page, subject))
    while len(asked) < count:
        page = yield click(rows(page, subject)[len(asked)])
        goods, delivery = (int(amount) for amount in re.findall(r"€(\d+)", texts_of(page)))
        asked.append(goods + delivery)
        if len(asked) < count or min(asked) != asked[-1]:
            page = yield Back()
    if min(asked) != asked[-1]:
        page = yield click(rows(page, subject)[asked.index(min(asked))])
    page = yield press(page, "Reply", "link")
    page = yield from enter(page, ("Text", text))
    yield press(page, "Send", "button")
    yield Stop()


@solves("approval")
def approval(page: Observation) -> Memory:
    rules, subject, text = quoted(page)
    page = yield press(page, "Files", "link")
    page = yield from enter(page, ("File name", rules))
    page = yield press(page, "Filter", "button")
    page = yield click(row(page, rules))
    said = texts_of(page)
    limits = [(int(limit), name) for limit, name in re.findall(r"Up to €(\d+): ([^.\n]+)\.", said)]
    (largest,) = re.findall(r"Above that: ([^.\n]+)\.", said)
    copied, from_ = re.findall(r"(\S+ \S+) gets a copy \(Cc\) of all above €(\d+)", said)[0]
    page = yield from search(page, subject)
    page = yield click(row(page, subject))
    amount = int(re.findall(r"we charge €(\d+)", texts_of(page))[0])
    approver = next((name for limit, name in limits if amount <= limit), largest)
    page = yield press(page, "Forward", "link")
    page = yield from enter(page, ("To", approver), *([("Cc", copied)] if amount > int(from_) else []), ("Text", text))
    yield press(page, "Send", "button")
    yield Stop()


@solves("claim")
def claim(page: Observation) -> Memory:
    receipt, name, subject = quoted(page)
    page = yield from search(page, receipt)
    cents, count = 0, len(_december(page, receipt))
    for number in range(count):
        page = yield click(_december(page, receipt)[number])
        cents += int("".join(re.findall(r"€(\d+)\.(\d\d)", texts_of(page))[0]))
        if number + 1 < count:
            page = yield Back()
    page = yield press(page, "Compose", "link")
    page = yield from enter(page, ("To", name), ("Subject", subject), ("Text", f"€{cents // 100}.{cents % 100:02}"))
    yield press(page, "Send", "button")
    yield Stop()


def _december(page: Observation, receipt: str) -> list[Node]:
    return [found for found in rows(page, receipt) if found.text.endswith(" Dec")]


@solves("handover")
def handover(page: Observation) -> Memory:
    name, subject = quoted(page)
    page = yield click(row(page, name, subject))
    said = texts_of(page)
    first, last, text = re.findall(r'responder from (\S+) to (\S+), no subject, text: "([^"]*)"', said)[0]
    given, deputy = re.findall(r'Forward "([^"]*)" to ([^,]*),', said)[0]
    kept, folder = re.findall(r'Move "([^"]*)" to the folder (\w+)', said)[0]
    page = yield from walk(page, "Settings", "Vacation")
    page = yield press(page, "Responder on", "checkbox")
    page = yield from enter(page, ("First day", first), ("Last day", last), ("Text", text))
    page = yield press(page, "Save", "button")
    page = yield from search(page, given)
    page = yield click(row(page, given))
    page = yield press(page, "Forward", "link")
    page = yield from enter(page, ("To", deputy))
    page = yield press(page, "Send", "button")
    page = yield from search(page, kept)
    page = yield click(row(page, kept))
    page = yield press(page, "Move", "button")
    yield press(page, folder, "button")
    yield Stop()
