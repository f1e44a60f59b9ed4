"""Aim of the reference: where plain Playwright misses a thing, the referee presses at a point that the browser's own hit test has found.

In frames that are turned or scaled, Playwright takes the middle of a thing for another place than it is, and does not see that it misses.
A draggable thing that is hardly there, such as an empty one of two pixels, it presses between two pixels, and no drag begins.
It sends a key without a look at the focus, which a page may have moved on meanwhile.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from playwright.async_api import CDPSession, ElementHandle
from playwright.async_api import Error as PlaywrightError

from benchmarks.pages import tree
from benchmarks.pages.equality import POINTED, Comparison, Deed, compare, inside, normal
from benchmarks.pages.reference import Reference, Seen

Path = Sequence[tree.Step]
VERBS = frozenset(("click", "double", "right", "hover"))
"""Actions at one point."""
ALIGNMENTS = ("center", "start", "end")
STEPS_PX = (24, 8)  # between the points that are tried, and then again
PLACE = """steps => {
    const box = referee.at(steps).getBoundingClientRect();
    const left = Math.max(0, box.left), top = Math.max(0, box.top);
    return { left, top, right: Math.min(innerWidth, box.right), bottom: Math.min(innerHeight, box.bottom), x: scrollX, y: scrollY };
}"""
FOCUSED = "element => element.getRootNode().activeElement === element"
FOCUSED_TRIES = 3
BRING = "(element, block) => element.scrollIntoView({ block, inline: block, behavior: 'instant' })"


def missed(deed: Deed, theirs: Seen) -> bool:
    """True where Playwright acted at a point, and nothing of what the page saw of the pointer was on the deed's element itself.

    Of a drag, true where it began none of a thing that can be dragged. Of a key, true where it came to another thing.
    """
    if deed.verb == "press":
        keyed = [event[1] for log in theirs.logs.values() for event in normal(log, deed.verb) if event[0] == "keydown"]
        return bool(keyed) and not inside(deed, keyed[0])
    if deed.verb == "drag":
        begun = any(event[0] == "dragstart" for log in theirs.logs.values() for event in normal(log, deed.verb))
        return deed.element.attributes.get("draggable") == "true" and not begun
    others = [replace(deed, element=inner) for inner in deed.apart]
    pointed = _pointed(deed, theirs)
    return bool(pointed) and not any(inside(deed, on) and not any(inside(other, on) for other in others) for on in pointed)


def astray(deed: Deed, theirs: Seen) -> bool:
    """The same, where nothing was on another thing in the element either."""
    pointed = _pointed(deed, theirs)
    return bool(pointed) and not any(inside(deed, on) for on in pointed)


def _pointed(deed: Deed, theirs: Seen) -> list[str]:
    """What the pointer was on, of an action at a point."""
    if deed.verb not in VERBS:
        return []
    return [event[1] for log in theirs.logs.values() for event in normal(log, deed.verb) if event[0] in POINTED]


async def press(reference: Reference, deed: Deed) -> bool:
    """Perform a deed at a point of its element that the browser's own hit test has found, or press a key once it has the focus.

    False where there is no such point, or where the focus does not stay. The page is a copy on which the deed was not done yet.
    """
    element = await reference.element(deed.element.path)
    if element is not None and deed.verb == "press":
        return await _key(reference, element, deed)
    point = None if element is None else await _point(reference, element, deed)
    if point is None:
        return False
    mouse = reference.page.mouse
    match deed.verb:
        case "drag":
            return await _drag(reference, point, deed)
        case "double":
            await mouse.dblclick(*point)
        case "hover":
            await mouse.move(*point)
        case _:
            await mouse.click(*point, button="right" if deed.verb == "right" else "left")
    return True


def judged(deed: Deed, ours: Seen, theirs: Seen, told: Comparison) -> Comparison:
    """The verdict where `theirs` is what the page saw of :func:`press`, and `told` the verdict on Playwright's own action."""
    aimed = compare(deed, "", ours, "", theirs)
    if aimed.verdict != "equal":
        return aimed
    return Comparison("Playwright misses", f"{told.detail}; equal by the referee's aim", told.ours, told.theirs)


async def _key(reference: Reference, element: ElementHandle, deed: Deed) -> bool:
    for _ in range(FOCUSED_TRIES):
        await element.focus()
        await reference.settle()
        if await element.evaluate(FOCUSED):
            await reference.page.keyboard.press(deed.text)
            return True
    return False


async def _drag(reference: Reference, source: tuple[float, float], deed: Deed) -> bool:
    assert deed.other is not None
    target = await reference.element(deed.other[1].path)
    box = None if target is None else await target.bounding_box()
    if box is None:
        return False
    mouse, (x, y) = reference.page.mouse, (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await mouse.move(*source)
    await mouse.down()
    await mouse.move(x, y)
    await mouse.move(x, y)  # the first move begins the drag, the second is over the target
    await mouse.up()
    return True


async def _point(reference: Reference, element: ElementHandle, deed: Deed) -> tuple[float, float] | None:
    cdp = await reference.page.context.new_cdp_session(reference.page)
    try:
        apart = [e.path for e in deed.apart]
        outer = deed.element.path[: deed.element.path.index("F")] if "F" in deed.element.path else deed.element.path
        own = {number for number, e in (await tree.elements(cdp)).items() if _is_own(e.path, deed.element.path, apart)}
        for step in STEPS_PX:
            for alignment in ALIGNMENTS:
                await element.evaluate(BRING, alignment)
                await reference.settle()
                hits = await _hits(reference, cdp, outer, own, step)
                if hits:
                    return hits[len(hits) // 2]
    finally:
        await cdp.detach()
    return None


def _is_own(path: Path, thing: Path, apart: Collection[Path]) -> bool:
    """True for the path of a thing, or of what is in it, but in none of those apart and in no frame.

    >>> [_is_own(path, (1, 0), [(1, 0, 2)]) for path in [(1, 0), (1, 0, 1), (1, 0, 2), (1, 0, 2, 0), (1, 1), (1, 0, "F", 0)]]
    [True, True, False, False, False, False]
    """

    def within(outer: Path) -> bool:
        return list(path[: len(outer)]) == list(outer)

    return within(thing) and "F" not in path[len(thing) :] and not any(within(outer) for outer in apart)


def _along(first: float, last: float, step: int) -> list[float]:
    """Whole pixels from `first` to before `last`, one each `step`, and one at least where there is any.

    >>> _along(10.2, 40.0, 8), _along(10.2, 12.0, 8)
    ([14.0, 22.0, 30.0, 38.0], [11.0])
    """
    step = max(1, min(step, round(last - first)))
    return [float(x) for x in range(round(first) + step // 2, round(last), step)]


async def _hits(reference: Reference, cdp: CDPSession, outer: Path, own: Collection[int], step: int) -> list[tuple[float, float]]:
    """The points, one each `step` pixels of what is in view of the element at `outer`, at which an element of `own` lies on top."""
    seen: dict[str, float] = await reference.page.evaluate(PLACE, list(outer))
    points = [(x, y) for y in _along(seen["top"], seen["bottom"], step) for x in _along(seen["left"], seen["right"], step)]

    async def top(x: float, y: float) -> int | None:
        try:
            hit = await cdp.send("DOM.getNodeForLocation", {"x": round(x + seen["x"]), "y": round(y + seen["y"])})
        except PlaywrightError:
            return None  # nothing is drawn there
        return int(hit["backendNodeId"])

    tops = await asyncio.gather(*(top(x, y) for x, y in points))
    return [point for point, hit in zip(points, tops, strict=True) if hit in own]
