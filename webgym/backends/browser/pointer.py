"""The mouse of one tab, as input events of the browser (CDP `Input`).

A drag is one of two kinds, and only the browser knows which: of a link, a picture, a selected text or a `draggable` thing it makes a drag
of its own (dragstart, dragover, drop), while of anything else the page hears mouse events. A page may make a thing draggable when it is
pressed. So every drag is intercepted (`Input.setInterceptDrags`), and after the first move the document is asked whether it began one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Point = tuple[float, float]
BITS = {"left": 1, "right": 2, "middle": 4}  # of the buttons that are held down
STEPS = 5  # mouse moves of a drag
HOLD_MS = 40.0  # virtual time for a page to follow a drag: two frames, and what it does a moment later
NUDGE = 6.0  # pixels that begin a drag whose end is not known yet
FARTHEST = 1e8  # pixels of a turn of the wheel, which is beyond the end of every page


class Wire(Protocol):
    """A tab's connection to the browser."""

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...
    async def any(self, expression: str) -> bool: ...
    async def grant(self, budget_ms: float) -> None: ...


class Pointer:
    """The mouse of a tab. Coordinates are CSS pixels of the viewport."""

    def __init__(self, tab: Wire) -> None:
        self._tab = tab
        self._held: dict[str, int] = {}  # the buttons that are down, in the order in which they were pressed
        self._begun: asyncio.Future[Any] | None = None  # of the drag that the browser may begin while the left button is down
        self._load: Any = None  # what the browser's own drag carries, while there is one

    @property
    def dragging(self) -> bool:
        """True during a drag of the browser's own."""
        return self._load is not None

    async def mouse(
        self, kind: str, x: float, y: float, button: str = "none", count: int = 0, buttons: int = 0, modifiers: int = 0
    ) -> None:
        """One mouse event: kind is mouseMoved, mousePressed or mouseReleased."""
        event = {
            "type": kind,
            "x": x,
            "y": y,
            "button": button,
            "clickCount": count,
            "buttons": buttons,
            "modifiers": modifiers,
            "pointerType": "mouse",
        }
        await self._tab.send("Input.dispatchMouseEvent", event)

    async def click(self, x: float, y: float, button: str = "left", count: int = 1, modifiers: int = 0) -> None:
        """Move there, press and release `count` times. The events are sent together; the browser keeps their order."""
        held = BITS[button]
        events = [self.mouse("mouseMoved", x, y, modifiers=modifiers)]
        for number in range(1, count + 1):
            events.append(self.mouse("mousePressed", x, y, button, number, held, modifiers))
            events.append(self.mouse("mouseReleased", x, y, button, number, 0, modifiers))
        await asyncio.gather(*events)

    async def wheel(self, x: float, y: float, dx: float, dy: float) -> None:
        """Turn the wheel over a point. The browser hears no input any more after a distance that no float holds."""
        dx, dy = (max(-FARTHEST, min(FARTHEST, distance)) for distance in (dx, dy))
        event = {"type": "mouseWheel", "x": x, "y": y, "deltaX": dx, "deltaY": dy, "pointerType": "mouse"}
        await self._tab.send("Input.dispatchMouseEvent", event)

    def intercepted(self, event: dict[str, Any]) -> None:
        """Keep what a drag of the browser's own carries (CDP `Input.dragIntercepted`)."""
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(event["data"])

    def forget(self) -> None:
        """Say that no button is held, because another episode begins."""
        self._held.clear()
        self._begun = self._load = None

    # --- a button that is held ------------------------------------------------------------------------------------------------

    async def press(self, x: float, y: float, button: str = "left") -> None:
        """Press a button and hold it."""
        await asyncio.gather(*self._pressed(x, y, button))

    def _pressed(self, x: float, y: float, button: str) -> list[Awaitable[Any]]:
        events: list[Awaitable[Any]] = []
        if button == "left" and self._begun is None:
            self._begun = asyncio.get_running_loop().create_future()
            events.append(self._tab.send("Input.setInterceptDrags", {"enabled": True}))
        self._held[button] = BITS[button]
        events.append(self.mouse("mousePressed", x, y, button, 1, sum(self._held.values())))
        return events

    async def move(self, x: float, y: float) -> None:
        """Move the mouse; with the left button held, this may begin a drag of the browser's own, or carry one on."""
        if self._load is not None:
            await self._drag_event("dragOver", x, y)
            return
        await self._moved(x, y)
        if "left" in self._held:
            await self._look(x, y)

    async def _moved(self, x: float, y: float) -> None:
        await self.mouse("mouseMoved", x, y, next(iter(self._held), "none"), 0, sum(self._held.values()))

    async def _look(self, x: float, y: float) -> None:
        """See whether the browser has begun a drag of its own."""
        if self._begun is not None and await self._tab.any("webgym.dragBegun()"):
            self._load = await self._begun  # the document began it, so the browser says so
            await self._drag_event("dragEnter", x, y)

    async def release(self, x: float, y: float, button: str = "left") -> None:
        """Release a button; of a drag of the browser's own, this is the drop."""
        if button == "left" and self._load is not None:
            await self._drag_event("drop", x, y)
            self._held.pop("left", None)
        else:
            self._held.pop(button, None)
            await self.mouse("mouseReleased", x, y, button, 1, sum(self._held.values()))
        if button == "left":
            await self._end()

    async def _end(self) -> None:
        if self._begun is not None:
            self._begun.cancel()
            self._begun = self._load = None
            await self._tab.send("Input.setInterceptDrags", {"enabled": False})

    async def _drag_event(self, kind: str, x: float, y: float) -> None:
        await self._tab.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": self._load})

    # --- a whole drag ---------------------------------------------------------------------------------------------------------

    async def drag(self, start: Point, end: Point, find_end: Callable[[], Awaitable[Point]] | None = None) -> bool:
        """Press at `start`, move in a straight line, release at `end`. True if it was a drag of the browser's own.

        `find_end` finds the end anew after the drag has begun, because the page may have to be scrolled for it.
        """
        (x0, y0), at = start, _between(start, end)[0] if find_end is None else (start[0] + NUDGE, start[1] + NUDGE)
        await asyncio.gather(self.mouse("mouseMoved", x0, y0), *self._pressed(x0, y0, "left"))
        try:
            await self.move(*at)
            if self.dragging:
                await self._tab.grant(HOLD_MS)
            way = _between(start, end)[1:]
            if find_end is not None:
                end = await find_end()
                way = _between(at, end)
            if not self.dragging:
                for point in way:  # one after the other, because each is heard with a frame of its own
                    await self._moved(*point)
                await self._look(*end)  # a short way begins it late
                way = []
            for point in way:
                await self.move(*point)
            at = end
            await self._tab.grant(HOLD_MS)
            await self.move(*end)  # again, for what follows the mouse once a frame
            await self._tab.grant(HOLD_MS)
            return self.dragging
        except BaseException:
            await self._give_up(*at)
            raise
        finally:
            if "left" in self._held:
                await self.release(*at)

    async def drop_files(self, x: float, y: float, paths: list[str]) -> bool:
        """Drop files at a point, as if they came from outside of the browser; False, and no drop, where the page takes none."""
        self._load = {"items": [], "files": paths, "dragOperationsMask": 1}
        await self._tab.any("webgym.awaitFiles()")
        try:
            await self._drag_event("dragEnter", x, y)
            await self._drag_event("dragOver", x, y)
            welcome = await self._tab.any("webgym.filesWelcome()")
            await self._drag_event("drop" if welcome else "dragCancel", x, y)
            return welcome
        finally:
            self._load = None
            await self._tab.any("webgym.filesOver()")

    async def _give_up(self, x: float, y: float) -> None:
        """End a drag without a drop."""
        if self._load is not None:
            await self._drag_event("dragCancel", x, y)
            self._load = None
        self._held.pop("left", None)
        await self.mouse("mouseReleased", x, y, "left", 1, 0)
        await self._end()


def _between(start: Point, end: Point) -> list[Point]:
    """The points of a straight line, the last of which is its end."""
    (x0, y0), (x1, y1) = start, end
    return [(x0 + (x1 - x0) * i / STEPS, y0 + (y1 - y0) * i / STEPS) for i in range(1, STEPS + 1)]
