"""Oracles of goals with the calendar and invitations."""

import re

from webgym.authoring.oracle import Memory, click, press, quoted, seek, things
from webgym.types import Infeasible, Observation, Stop

from .walk import enter, row, rows, search, solves, texts_of, walk

Times = tuple[str, str, str]  # day as the pages say it, start, end
SLOT = r"(\w{3} \d+ \w{3}) \d{4}, (\d\d:\d\d)–(\d\d:\d\d)"


@solves("respond")
def respond(page: Observation) -> Memory:
    title = quoted(page)[1]
    goal = page.goal.lower()
    button = "Maybe" if "answer maybe to" in goal else "Decline" if "decline" in goal else "Accept"
    page = yield click(row(page, f"Invitation: {title}"))
    if seek(page, button, "button") is None:
        yield Infeasible("the event was cancelled")
        return
    yield press(page, button, "button")
    yield Stop()


@solves("meeting")
def meeting(page: Observation) -> Memory:
    name, subject, title = quoted(page)[:3]
    page = yield from search(page, subject)
    page = yield click(row(page, name, subject))
    day, start, end, place = re.findall(r"\((\d{4}-\d\d-\d\d)\), (\d\d:\d\d) to (\d\d:\d\d), in ([^?]*)\?", texts_of(page))[0]
    page = yield from walk(page, "Calendar", "New event")
    page = yield from enter(page, ("Title", title), ("Day", day), ("Start", start), ("End", end), ("Place", place), ("Guests", name))
    yield press(page, "Save", "button")
    yield Stop()


@solves("invitations")
def invitations(page: Observation) -> Memory:
    name, week = quoted(page)
    weekday, day, month = week.split()
    page = yield press(page, "Calendar", "link")
    while not any(text.startswith(f"{weekday[:3]} {day} {month[:3]} 2026 –") for text in texts_of(page).splitlines()):
        page = yield press(page, "Later", "link")
    busy = _week(page)
    page = yield press(page, "Wrenpost", "link")
    titles = [found.text.split("Invitation: ")[1] for found in rows(page, name, "Invitation: ")]
    for number, title in enumerate(titles):
        page = yield click(row(page, name, f"Invitation: {title}"))
        slot: Times = re.findall(SLOT, texts_of(page))[0]
        free = all(day != slot[0] or end <= slot[1] or slot[2] <= start for day, start, end in busy)
        page = yield press(page, "Accept" if free else "Decline", "button")
        if number + 1 < len(titles):
            page = yield press(page, "Wrenpost", "link")
    yield Stop()


def _week(page: Observation) -> list[Times]:
    """Contents of the calendar's page: the events under each day's heading."""
    found, day = [], ""
    for node in page.nodes:
        if node.role == "heading" and re.fullmatch(r"\w{3} \d+ \w{3}", node.text):
            day = node.text
        elif node in things(page, "link") and (times := re.match(r"(\d\d:\d\d)–(\d\d:\d\d)", node.text)):
            found.append((day, times[1], times[2]))
    return found
