"""Reading of a page: the snapshot of its document, with those of the frames that need worlds of their own put in at their places."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as PlaywrightError

from webgym import types as t
from webgym.backends.browser.worlds import PageError, World, Worlds

CLOSED_LEVELS = 4  # of closed shadow roots in each other that are opened at one reading
MOST_FRAMES = 40  # of other hosts, of one page; more are not read
Ask = Callable[[str], Awaitable[Any]]
Matrix = tuple[float, float, float, float, float, float]  # a, b, c, d, e, f of (x, y) -> (ax + cy + e, bx + dy + f)
SAME: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A page as it was read. `focus` is the ref of what has the focus; `cut` is true where lines were left out.

    `said` is what the browser itself has shown since the last reading, such as the reason why a form is not sent.
    """

    url: str
    title: str
    nodes: tuple[t.Node, ...]
    focus: int | None
    cut: bool
    first: int = 0  # of all lines, the one with which `nodes` begins
    top: int = 0  # of `nodes`, the first that is in view; 0 for a short page
    said: tuple[str, ...] = ()

    @property
    def notice(self) -> str:
        """Words about a page of which lines were left out."""
        shown = f"its lines {self.first + 1} to {self.first + len(self.nodes)}" if self.first else f"only its first {len(self.nodes)} lines"
        return f"the page is long: {shown} are shown; scroll to read on"


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame as its document's snapshot tells of it: the node that it comes before, its number, its id and its place."""

    at: int
    number: int
    id: str
    depth: int
    matrix: Matrix
    focused: bool
    inert: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """The snapshot of one document, with the parts that stand in its frames."""

    world: World
    raw: dict[str, Any]
    inner: tuple[tuple[_Frame, "_Part"], ...] = ()


async def read(worlds: Worlds, ask: Ask, most_nodes: int, most_chars: int) -> Reading:
    """The page that the worlds' tab shows; `ask` evaluates in its own document, once that is at rest. Raises PageError."""
    limits = f"{most_nodes}, {most_chars}, {worlds.next_view()}"
    raw = await _snapshot(worlds.main, limits, ask)
    if not raw["frames"]:  # almost every page
        worlds.number(())
        nodes = tuple(_node(node, node[2], 0, SAME) for node in raw["nodes"])
        return Reading(raw["url"], raw["title"], nodes, raw["focus"], raw["cut"], raw["first"], raw["top"], tuple(raw["said"]))
    page = await _part(worlds, worlds.main, raw, limits, [MOST_FRAMES])
    return await _joined(worlds, page, most_nodes)


async def _snapshot(world: World, given: str, ask: Ask | None = None) -> dict[str, Any]:
    """The snapshot of one document, with what stands in its closed shadow roots."""
    ask = ask or world.ask
    raw: dict[str, Any] = json.loads(await ask(f"webgym.snapshot({given})"))
    for _ in range(CLOSED_LEVELS):
        if not raw["closed"] or not await world.open_roots(raw["closed"]):
            break
        raw = json.loads(await ask(f"webgym.snapshot({given})"))
    return raw


async def _part(worlds: Worlds, world: World, raw: dict[str, Any], limits: str, left: list[int]) -> _Part:
    """The snapshot `raw` of a world, with those of its frames."""
    frames = [_Frame(*found) for found in raw["frames"]][: left[0]]
    left[0] -= len(frames)
    parts = await asyncio.gather(*(_framed(worlds, world, frame, limits, left) for frame in frames))
    return _Part(world, raw, tuple((frame, part) for frame, part in zip(frames, parts, strict=True) if part is not None))


async def _framed(worlds: Worlds, around: World, frame: _Frame, limits: str, left: list[int]) -> _Part | None:
    """The snapshot of the document in a frame; None for one that holds none, or is about to hold another."""
    try:
        frame_id = frame.id or await around.frame_id(frame.number)
        if not frame_id:
            return None
        world = worlds.of_frame(frame_id, (around, frame.number))
        raw = await _snapshot(world, f"{limits}, {json.dumps(frame.focused)}, {json.dumps(frame.inert)}")
    except (PageError, PlaywrightError) as error:
        if isinstance(error, PlaywrightError) and not any(words in str(error) for words in ("No frame", "context", "not found")):
            raise
        return None  # a frame that goes while the page is read is no part of it
    if raw["url"].startswith("chrome-error:"):
        return None
    return await _part(worlds, world, raw, limits, left)


async def _joined(worlds: Worlds, page: _Part, most_nodes: int) -> Reading:
    """One page of all parts, its refs numbered in reading order; each world is told the numbers of its own."""
    owners: list[World] = []
    numbers: dict[World, list[int | None]] = {}
    nodes: list[t.Node] = []
    focus, cut, top = None, page.raw["cut"], 0
    for part, raw, depth, matrix in _lines(page, 0, SAME):
        mine = numbers.setdefault(part.world, [None] * sum(node[2] is not None for node in part.raw["nodes"]))
        if len(nodes) >= most_nodes:
            cut = True
            break
        local = raw[2]
        if page.raw["top"] and raw is page.raw["nodes"][page.raw["top"]]:
            top = len(nodes)
        if local is not None:
            mine[local] = len(owners)
            if local == part.raw["focus"]:
                focus = len(owners)
            owners.append(part.world)
        nodes.append(_node(raw, None if local is None else len(owners) - 1, depth, matrix))
    await asyncio.gather(*(world.ask(f"webgym.number({json.dumps(mine)}, {len(owners)})") for world, mine in numbers.items()))
    worlds.number(owners)
    return Reading(page.raw["url"], page.raw["title"], tuple(nodes), focus, cut, page.raw["first"], top, tuple(_said(page)))


def _said(part: _Part) -> Iterator[str]:
    yield from part.raw["said"]
    for _, inner in part.inner:
        yield from _said(inner)


def _lines(part: _Part, depth: int, matrix: Matrix) -> Iterator[tuple[_Part, list[Any], int, Matrix]]:
    """The nodes of a part and of those in it, in reading order, each with the depth and the matrix of its document."""
    waiting = list(part.inner)
    for at in range(len(part.raw["nodes"]) + 1):
        while waiting and waiting[0][0].at == at:
            frame, inner = waiting.pop(0)
            yield from _lines(inner, depth + frame.depth, _times(matrix, frame.matrix))
        if at < len(part.raw["nodes"]):
            yield part, part.raw["nodes"][at], depth, matrix


def _node(raw: list[Any], ref: int | None, depth: int, matrix: Matrix) -> t.Node:
    role, text, _, value, states, own_depth, box = raw
    return t.Node(role, text, ref, value, tuple(states), depth + own_depth, _box(box, matrix) if box else None)


def _box(box: list[float], matrix: Matrix) -> tuple[float, float, float, float]:
    """The rectangle around a mapped one.

    >>> _box([0, 0, 10, 4], (0, 1, -1, 0, 50, 20))
    (46, 20, 4, 10)
    """
    x, y, width, height = box
    if matrix == SAME:
        return x, y, width, height
    a, b, c, d, e, f = matrix
    corners = [(a * u + c * v + e, b * u + d * v + f) for u in (x, x + width) for v in (y, y + height)]
    left, top = min(u for u, _ in corners), min(v for _, v in corners)
    return round(left), round(top), round(max(u for u, _ in corners) - left), round(max(v for _, v in corners) - top)


def _times(p: Matrix, q: Matrix) -> Matrix:
    """The matrix that maps by `q` and then by `p`."""
    a, b, c, d, e, f = p
    g, h, i, j, k, m = q
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f)
