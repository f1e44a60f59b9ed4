"""Equality of acting: the same action by WebGym and by plain Playwright, each on a fresh copy of the page, and what the page saw of it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from playwright.async_api import ElementHandle, Position
from playwright.async_api import Error as PlaywrightError

from benchmarks.pages.ours import FILES
from benchmarks.pages.reference import Reference, Seen, cause
from benchmarks.pages.tree import Element
from webgym import types as t

Verdict = Literal["equal", "wrong target", "silent miss", "differs", "refused", "Playwright refuses", "Playwright misses", "both refuse",
                  "no copy", "unseen"]  # fmt: skip

OWN = "(element, inner) => globalThis.referee ? referee.own(element, inner) : null"

NORMALISATION = {
    "movement": "mouseover, and of drags dragenter, dragover, dragleave and pointercancel on the way. How often the pointer moves between "
    "two points is no matter of the action. Hovering compares the thing that the pointer is over at the end.",
    "scrolling": "Scroll events, because both bring a thing into view before they act, to other places.",
    "point": "Pointer events in the element that is acted on count as on it, because the two may choose different points of it.",
    "own point": "The middle of a thing, where a frame lies there, or another thing in it that has a ref of its own. Playwright is then "
    "told a point of the thing itself.",
    "keys of filling": "Of fill, key events, because Playwright inserts the text at once and WebGym types it. beforeinput and input on one "
    "target are one each, and what they insert is compared as the value that results.",
    "queued events": "toggle and close are compared without their place among the others, because the browser queues them.",
    "file choosers": "cancel events, because a headless browser gives a chooser up at once, and WebGym keeps it open for an upload.",
    "trust of files": "Of uploads, the trust of input and change, because Playwright makes these events itself.",
    "loading": "All that happened before the action.",
}
"""All that is left out of the comparison, with its reason."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One action on the element of a ref. `other` is a drag's target, `text` what is filled in, pressed or chosen."""

    verb: Literal["click", "double", "right", "hover", "fill", "press", "select", "upload", "drag"]
    ref: int
    element: Element
    text: str = ""
    other: tuple[int, Element] | None = None
    apart: tuple[Element, ...] = ()  # in the element, those that have refs of their own

    def action(self) -> t.Action:
        """The action as an agent says it."""
        match self.verb:
            case "click":
                return t.Click(self.ref)
            case "double":
                return t.Click(self.ref, count=2)
            case "right":
                return t.Click(self.ref, button="right")
            case "hover":
                return t.Hover(self.ref)
            case "fill":
                return t.Fill(self.ref, self.text)
            case "press":
                return t.Press(self.text, self.ref)
            case "select":
                return t.Select(self.ref, (self.text,)) if self.element.tag == "SELECT" else t.Click(self.ref)
            case "upload":
                return t.Upload(self.ref, (next(iter(FILES)),))
            case "drag":
                assert self.other is not None
                return t.Drag(self.ref, self.other[0])

    def __str__(self) -> str:
        onto = f" onto {self.other[1].name}" if self.other else ""
        return f"{self.verb} {self.element.name}{f' {self.text!r}' if self.text else ''}{onto}"


# --- choosing deeds --------------------------------------------------------------------------------------------------------

TYPED = {
    "date": "2026-03-05", "time": "14:30", "datetime-local": "2026-03-05T14:30", "month": "2026-03", "week": "2026-W10", "color": "#336699",
    "number": "42", "range": "7", "email": "ann@example.com",
}  # fmt: skip
NO_TEXT = frozenset(("checkbox", "radio", "file", "submit", "reset", "button", "image"))
PRESSED = ("Enter", " ", "a", "Tab", "ArrowDown", "Escape", "Backspace", "Home")


def deeds(rng: random.Random, ref: int, element: Element, refs: Mapping[int, Element]) -> list[Deed]:
    """The actions that make sense on an element, most usual first, drawn by its tag alone."""
    ids = {other.id for other in refs.values()}
    apart = tuple(inner for inner in element.below if inner.id in ids)
    return [replace(deed, apart=apart) for deed in _possible(rng, ref, element, refs)]


def _possible(rng: random.Random, ref: int, element: Element, refs: Mapping[int, Element]) -> list[Deed]:
    kind = element.attributes.get("type", "text").lower() if element.tag == "INPUT" else ""
    key = rng.choice(PRESSED).replace(" ", "Space")
    if element.tag == "OPTION":  # Playwright has no action for a suggestion of a datalist
        return [Deed("select", ref, element)] if any(e.tag == "SELECT" for e in element.around) else []
    if element.tag == "SELECT":
        options = [e for e in element.below if e.tag == "OPTION" and "disabled" not in e.attributes]
        labels = [e.attributes.get("label") or e.text for e in options]
        return [Deed("select", ref, element, rng.choice(labels)), Deed("hover", ref, element)] if labels else []
    if kind == "file":
        return [Deed("upload", ref, element)]
    if element.attributes.get("draggable") == "true":
        zones = [(r, e) for r, e in refs.items() if r != ref]
        return [*([Deed("drag", ref, element, other=rng.choice(zones))] if zones else []), Deed("click", ref, element)]
    editable = "contenteditable" in element.attributes
    found = [Deed("click", ref, element), *([Deed("press", ref, element, key)] if takes_focus(element) else [])]
    if element.tag == "TEXTAREA" or (element.tag == "INPUT" and kind not in NO_TEXT) or editable:
        words = TYPED.get(kind, rng.choice(("new words", "x", "Line & <tag> €", "ümlaut 漢字")))
        fill = Deed("fill", ref, element, words)
        return [fill, fill, *found] if kind in ("", "text") or editable else [fill, *found]
    return [*found, Deed("click", ref, element), Deed("click", ref, element), Deed(rng.choice(("double", "right", "hover")), ref, element)]


def takes_focus(element: Element) -> bool:
    """True for an element that takes the focus, by its markup."""
    attributes = element.attributes
    native = element.tag in ("BUTTON", "INPUT", "SELECT", "TEXTAREA", "SUMMARY") or (element.tag in ("A", "AREA") and "href" in attributes)
    return native or "tabindex" in attributes or "contenteditable" in attributes


# --- acting ----------------------------------------------------------------------------------------------------------------


async def theirs(reference: Reference, deed: Deed) -> str | None:
    """Playwright's part; "" or the cause of its refusal, None where it only took too long."""
    element = await reference.element(deed.element.path)
    if element is None:
        return "no copy"
    try:
        await _perform(reference, element, deed)
    except PlaywrightError as error:
        return cause(error)
    return ""


async def _perform(reference: Reference, element: ElementHandle, deed: Deed) -> None:
    match deed.verb:
        case "click":
            await element.click(position=await _place(element, deed))
        case "double":
            await element.dblclick(position=await _place(element, deed))
        case "right":
            await element.click(button="right", position=await _place(element, deed))
        case "hover":
            await element.hover(position=await _place(element, deed))
        case "fill":
            await element.fill(deed.text)
        case "press":
            await element.press(deed.text)
        case "upload":
            name, content = next(iter(FILES.items()))
            buffer = content.encode() if isinstance(content, str) else content
            await element.set_input_files({"name": name, "mimeType": "text/plain", "buffer": buffer})
        case "select":
            await _select(element, deed)
        case "drag":
            assert deed.other is not None
            target = await reference.element(deed.other[1].path)
            assert target is not None
            await element.hover()
            await reference.page.mouse.down()
            await target.hover()
            await target.hover()  # the first move begins the drag, the second is over the target
            await reference.page.mouse.up()


async def _place(element: ElementHandle, deed: Deed) -> Position | None:
    """The place in the element's box to press, where another thing in it that has a ref, or a frame, lies in the middle.

    None for the middle, also where no point of the element itself was found.
    """
    start = len(deed.element.path)
    inner = [e.path[start:] for e in deed.apart if "F" not in e.path[start:]]
    framed = any(e.tag in FRAMES for e in deed.element.below)
    return await element.evaluate(OWN, inner) if inner or framed else None


async def _select(element: ElementHandle, deed: Deed) -> None:
    if deed.element.tag == "OPTION":
        select = (await element.evaluate_handle("option => option.closest('select')")).as_element()
        assert select is not None
        several = await select.evaluate("select => select.multiple")
        chosen = await select.evaluate("(select, one) => [...select.options].map((o, i) => (o === one ? !o.selected : o.selected) ? i : -1)"
                                       ".filter(i => i >= 0)", element)  # fmt: skip
        index = await element.evaluate("option => option.index")
        await select.focus()  # as a person's choosing does
        await select.select_option(index=chosen if several else [index])
    else:
        await element.focus()
        await element.select_option(label=deed.text)


# --- comparing -------------------------------------------------------------------------------------------------------------

Event = tuple[Any, ...]
MOVING = frozenset(("mouseover", "scroll", "dragenter", "dragover", "dragleave", "pointercancel", "cancel"))
QUEUED = frozenset(("toggle", "close"))
FRAMES = frozenset(("IFRAME", "FRAME", "OBJECT", "EMBED"))
POINTED = frozenset(("pointerdown", "pointerup", "mousedown", "mouseup", "click", "dblclick", "auxclick", "contextmenu", "over"))
KEYS = frozenset(("keydown", "keypress", "keyup"))
HIT = frozenset(("click", "dblclick", "auxclick", "contextmenu", "mousedown", "keydown", "input", "change"))
EFFECTS = HIT | {"drop", "dragstart", "submit", "reset", "handler", "toggle"}


def normal(log: Sequence[Sequence[Any]], verb: str) -> list[Event]:
    """The events of one document without what :data:`NORMALISATION` leaves out."""
    kept: list[Event] = []
    queued: list[Event] = []
    last_over = ""
    for entry in log:
        kind, target, data, trusted = entry
        if kind == "mouseover":
            last_over = target
        if kind in MOVING or (verb == "fill" and kind in KEYS):
            continue
        event: Event = (kind, target, data, trusted or verb == "upload")
        if verb == "fill" and kind in ("beforeinput", "input"):
            event = (kind, target)
            if event in kept:
                continue
        (queued if kind in QUEUED else kept).append(event)
    if verb == "hover":
        kept.append(("over", last_over))
    return [*kept, *sorted(queued, key=str)]


def effects(logs: Mapping[str, Sequence[Event]]) -> set[tuple[str, str, str]]:
    """What was hit, by document: the kind of event and its target."""
    return {(document, event[0], event[1]) for document, log in logs.items() for event in log if event[0] in EFFECTS or event[0] == "over"}


def inside(deed: Deed, target: str) -> bool:
    """True if the target of an event, as the recorder names it, is the deed's element, or in it, or in its label."""
    things = [deed.element, *deed.element.below]
    if deed.verb == "select":
        things += deed.element.around
    if label := deed.element.label:
        things += [label, *label.below]
    names = {e.name for e in things}
    return target in names or target.startswith((f"{deed.element.name}/", f"{deed.element.name}^"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one deed, and what differs."""

    verdict: Verdict
    detail: str = ""
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()


def compare(deed: Deed, our_error: str, ours: Seen, their_error: str, theirs: Seen) -> Comparison:
    """The verdict on what both pages saw."""
    if their_error == "no copy":
        return Comparison("no copy", "the element is not on the other copy")
    if our_error and their_error:
        return Comparison("both refuse", f"{our_error} / {their_error}")
    mine = {document: normal(log, deed.verb) for document, log in ours.logs.items()}
    other = {document: normal(log, deed.verb) for document, log in theirs.logs.items()}
    lines = (_lines(mine, ours), _lines(other, theirs))
    if our_error:
        return Comparison("refused", our_error, *lines)
    if ours.blind and theirs.blind and not their_error and not any(mine.values()) and not any(other.values()):
        return Comparison("unseen", "both acted in a frame that records nothing")
    hit, wanted = effects(mine), effects(other)
    heard = any(mine.values()) or (deed.verb == "fill" and any(entry[0] in KEYS for log in ours.logs.values() for entry in log))
    if ours.logs and not heard:
        return Comparison(
            "silent miss", f"no event at all; Playwright: {their_error or ('events' if wanted else 'nothing either')}", *lines
        )
    if their_error:
        astray = {target for _, _, target in hit if not inside(deed, target)}
        if hit and astray == {target for _, _, target in hit}:
            return Comparison("wrong target", f"acted on {', '.join(sorted(astray))}; Playwright refuses: {their_error}", *lines)
        return Comparison("Playwright refuses", their_error, *lines)
    differences = _differences(mine, other, ours, theirs)
    if not differences:
        return Comparison("equal")
    if ours.url.partition("#")[0] != theirs.url.partition("#")[0]:
        return Comparison("wrong target", differences, *lines)
    points = (
        {document: _points(log, deed) for document, log in mine.items()},
        {document: _points(log, deed) for document, log in other.items()},
    )
    if not _differences(*points, ours, theirs):
        return Comparison("equal", "at another point of it", *lines)
    if all(inside(deed, target) for _, kind, target in hit | wanted if kind != "handler"):
        return Comparison("differs", differences, *lines)
    targets = {(document, target) for document, _, target in hit}, {(document, target) for document, _, target in wanted}
    if not targets[0] <= targets[1] or (wanted and not targets[0] & targets[1]):
        return Comparison("wrong target", differences, *lines)
    return Comparison("differs", differences, *lines)


def _differences(mine: Mapping[str, list[Event]], other: Mapping[str, list[Event]], ours: Seen, theirs: Seen) -> str:
    if ours.url != theirs.url:
        return f"address {ours.url} instead of {theirs.url}"
    for document in {**mine, **other}:
        left, right = mine.get(document, []), other.get(document, [])
        if left != right:
            i = next((i for i, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), min(len(left), len(right)))
            return (
                f"event {i + 1}: {_event(left[i]) if i < len(left) else 'none'} instead of {_event(right[i]) if i < len(right) else 'none'}"
            )
    for document, wanted in theirs.states.items():
        found = ours.states.get(document, {})
        for name in {**wanted, **found}:
            if found.get(name) != wanted.get(name):
                return f"state of {name}: {found.get(name)} instead of {wanted.get(name)}"
    for document, wanted in theirs.focus.items():
        if ours.focus.get(document) != wanted:
            return f"focus on {ours.focus.get(document)} instead of {wanted}"
    return ""


def _points(log: Sequence[Event], deed: Deed) -> list[Event]:
    """The events, those of the pointer on the deed's element or in it as on the element."""
    return [(event[0], "it", *event[2:]) if event[0] in POINTED and inside(deed, event[1]) else event for event in log]


def _event(event: Event) -> str:
    return " ".join(str(part) for part in event if part not in ("", True)).replace("False", "untrusted")


def _lines(logs: Mapping[str, list[Event]], told: Seen) -> tuple[str, ...]:
    return tuple(f"{document}: {_event(event)}" for document, log in logs.items() for event in log)[:40]
