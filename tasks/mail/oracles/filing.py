"""Oracles of goals of order."""

from webgym.authoring.oracle import Memory, click, press, quoted, seek
from webgym.types import Node, Observation, Stop

from .walk import beside, enter, row, rows, solves, walk


def box_of(page: Observation, mail: Node) -> Node:
    """The box in front of a mail of the list."""
    before = [node for node in page.nodes if node.role == "checkbox" and node.ref is not None and node.ref < (mail.ref or 0)]
    return before[-1]


def unticked(page: Observation, firm: str) -> Node | None:
    """The box of the first mail from this firm that is not ticked yet."""
    boxes = (box_of(page, mail) for mail in rows(page, firm))
    return next((box for box in boxes if "checked" not in box.states), None)


@solves("tidy")
def tidy(page: Observation) -> Memory:
    firm, folder = quoted(page)
    while box := unticked(page, firm):
        page = yield click(box)
    yield press(page, folder, "button")
    yield Stop()


@solves("restore")
def restore(page: Observation) -> Memory:
    name, subject, folder = quoted(page)
    page = yield press(page, "Trash", "link")
    page = yield click(row(page, name, subject))
    page = yield press(page, "Move", "button")
    yield press(page, folder, "button")
    yield Stop()


@solves("file-under")
def file_under(page: Observation) -> Memory:
    name, subject, label, folder = quoted(page)
    page = yield click(row(page, name, subject))
    page = yield press(page, "Label", "button")
    page = yield press(page, label, "button")
    page = yield press(page, "Move", "button")
    yield press(page, folder, "button")
    yield Stop()


@solves("sweep")
def sweep(page: Observation) -> Memory:
    firm, folder = quoted(page)
    page = yield from walk(page, "Settings", "Folders")
    page = yield from enter(page, ("New folder", folder))
    page = yield from walk(page, "Add folder", "Options")
    page = yield from enter(page, ("From", firm))
    page = yield press(page, "Find", "button")
    while True:
        page = yield press(page, "Select all", "checkbox")
        page = yield press(page, "Move", "button")
        page = yield press(page, folder, "button")
        following = seek(page, "Next", "link")
        if following is None:
            break
        page = yield click(following)
    yield Stop()


@solves("wrong-filter")
def wrong_filter(page: Observation) -> Memory:
    email, firm = quoted(page)
    page = yield from walk(page, "Settings", "Filters")
    page = yield click(beside(page, email, "Delete"))
    page = yield from walk(page, "Delete filter", "Wrenpost", "Trash")
    while box := unticked(page, firm):
        page = yield click(box)
    page = yield press(page, "Move", "button")
    yield press(page, "Inbox", "button")
    yield Stop()
