"""Aim of the reference: where plain Playwright misses a thing, the referee presses at a point that the browser's own hit test has found.

In frames that are turned or scaled, Playwright takes the middle of a thing for another place than it is, and does not see that it misses.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from playwright.async_api import CDPSession, ElementHandle
from playwright.async_api import Error as PlaywrightError

from benchmarks.pages import tree
from benchmarks.pages.equality import POINTED, Deed, inside, normal
from benchmarks.pages.reference import Reference, Seen

Path = Sequence[tree.Step]
VERBS = frozenset(("click", "double", "right", "hover"))
"""Actions at one point."""
ALIGNMENTS = ("center", "start", "end")
STEPS_PX = (32, 12)  # between the points that are tried, first over the whole view and then again
BRING = "(element, block) => element.scrollIntoView({ block, inline: block, behavior: 'instant' })"


def missed(deed: Deed, theirs: Seen) -> bool:
    """True where Playwright acted at a point, and nothing of what the page saw of the pointer was on the deed's element itself."""
    if deed.verb not in VERBS:
        return False
    events = [event for log in theirs.logs.values() for event in normal(log, deed.verb) if event[0] in POINTED]
    others = [replace(deed, element=inner) for inner in deed.apart]
    return bool(events) and not any(inside(deed, on) and not any(inside(other, on) for other in others) for _, on, *_ in events)


async def press(reference: Reference, deed: Deed) -> bool:
    """Perform a deed at a point of its element that the browser's own hit test has found; False where there is none.

    The page is a fresh copy.
    """
    element = await reference.element(deed.element.path)
    point = None if element is None else await _point(reference, element, deed)
    if point is None:
        return False
    mouse = reference.page.mouse
    match deed.verb:
        case "double":
            await mouse.dblclick(*point)
        case "hover":
            await mouse.move(*point)
        case _:
            await mouse.click(*point, button="right" if deed.verb == "right" else "left")
    return True


async def _point(reference: Reference, element: ElementHandle, deed: Deed) -> tuple[float, float] | None:
    cdp = await reference.page.context.new_cdp_session(reference.page)
    try:
        apart = [e.path for e in deed.apart]
        own = {number for number, e in (await tree.elements(cdp)).items() if _is_own(e.path, deed.element.path, apart)}
        for step in STEPS_PX:
            for alignment in ALIGNMENTS:
                await element.evaluate(BRING, alignment)
                await reference.settle()
                hits = await _hits(reference, cdp, own, step)
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


async def _hits(reference: Reference, cdp: CDPSession, own: Collection[int], step: int) -> list[tuple[float, float]]:
    """The points of the view, one each `step` pixels, at which an element of `own` lies on top."""
    size: dict[str, Any] = await reference.page.evaluate("({ x: scrollX, y: scrollY, width: innerWidth, height: innerHeight })")
    found: list[tuple[float, float]] = []
    for y in range(step // 2, size["height"], step):
        for x in range(step // 2, size["width"], step):
            try:
                hit = await cdp.send("DOM.getNodeForLocation", {"x": x + round(size["x"]), "y": y + round(size["y"])})
            except PlaywrightError:
                continue  # nothing is drawn there
            if hit["backendNodeId"] in own:
                found.append((x, y))
    return found
