"""The mouse of one tab, as input events of the browser (CDP `Input`)."""

import asyncio
from typing import Any, Protocol


class Wire(Protocol):
    """A tab's connection to the browser."""

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...
    def once(self, event: str, heard: Any) -> None: ...


class Pointer:
    """The mouse of a tab. Coordinates are CSS pixels of the viewport."""

    def __init__(self, tab: Wire) -> None:
        self._tab = tab

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
        held = {"left": 1, "right": 2, "middle": 4}[button]
        events = [self.mouse("mouseMoved", x, y, modifiers=modifiers)]
        for number in range(1, count + 1):
            events.append(self.mouse("mousePressed", x, y, button, number, held, modifiers))
            events.append(self.mouse("mouseReleased", x, y, button, number, 0, modifiers))
        await asyncio.gather(*events)

    async def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
        """Press at `start`, move in a straight line, release at `end`."""
        (x0, y0), (x1, y1) = start, end
        events = [self.mouse("mouseMoved", x0, y0), self.mouse("mousePressed", x0, y0, "left", 1, 1)]
        for i in range(1, steps + 1):
            events.append(self.mouse("mouseMoved", x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps, "left", 0, 1))
        events.append(self.mouse("mouseReleased", x1, y1, "left", 1, 0))
        await asyncio.gather(*events)

    async def drag_native(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Like :meth:`drag` for a `draggable` thing, which the browser drags itself, so its drag events are made one by one."""
        begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def on_begin(event: dict[str, Any]) -> None:
            if not begun.done():
                begun.set_result(event["data"])

        self._tab.once("Input.dragIntercepted", on_begin)
        await self._tab.send("Input.setInterceptDrags", {"enabled": True})
        await asyncio.gather(
            self.mouse("mouseMoved", *start),
            self.mouse("mousePressed", *start, "left", 1, 1),
            self.mouse("mouseMoved", (start[0] + end[0]) / 2, (start[1] + end[1]) / 2, "left", 0, 1),
            self.mouse("mouseMoved", *end, "left", 0, 1),
        )
        await asyncio.wait({begun}, timeout=1.0)
        if begun.done():  # else the page itself has put an end to it
            for kind in ("dragEnter", "dragOver", "drop"):
                await self._tab.send("Input.dispatchDragEvent", {"type": kind, "x": end[0], "y": end[1], "data": begun.result()})
        await self.mouse("mouseReleased", *end, "left", 1, 0)
        await self._tab.send("Input.setInterceptDrags", {"enabled": False})
