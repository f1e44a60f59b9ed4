"""Frames of a tab: the headless shell draws one only when it is told to, at the moment of the page's own clock that it is told.

Nothing that rendering drives (transitions, animations, smooth scrolling, observers, the events of scrolling) happens by itself then,
however long a policy thinks (CDP `HeadlessExperimental.beginFrame`, the target made with `enableBeginFrameControl`). Full Chromium has
no such control. It draws by real time, and a frame here waits for its next one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from playwright.async_api import Browser, BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

log = logging.getLogger(__name__)

ARGUMENTS = ("--enable-begin-frame-control", "--run-all-compositor-stages-before-draw")
"""Arguments of a browser whose frames can be controlled."""
INTERVAL_MS = 1000 / 60  # of frames, as pages are told
TICK_MS = 0.01  # by which a frame is later than the last one at least: the browser counts microseconds, and drops one that is not later
FRAME_S = 2.0  # that a frame may take; a document that is on its way out draws none


class Wire(Protocol):
    """A tab's connection to the browser."""

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...


class Clock:
    """Times of the processes that a session's pages live in. A process is known by the moment at which its time became virtual."""

    def __init__(self) -> None:
        self._ticks: dict[float, float] = {}  # by that moment: milliseconds, as the browser counts them

    def knows(self, base: float) -> bool:
        return base in self._ticks

    def set(self, base: float, ticks: float) -> None:
        self._ticks[base] = ticks

    def pass_by(self, base: float, budget_ms: float) -> None:
        """Say that so much time was granted and has passed."""
        if base in self._ticks:
            self._ticks[base] += budget_ms

    def forget(self, base: float) -> None:
        """Say that it is not known any more how much time has passed."""
        self._ticks.pop(base, None)

    def ticks(self, base: float) -> float:
        return self._ticks[base]


class Screen:
    """Drawing of one browser: one frame at a time, of whichever page. A browser that is asked for two at once loses its GPU process."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._late: asyncio.Future[dict[str, Any]] | None = None  # a frame that is still to come

    async def draw(self, begin: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any] | None:
        """The answer to a frame; None where it does not come in time, as for a document that is on its way out."""
        async with self._one:
            if self._late is not None:
                await asyncio.wait({self._late})
            self._late = drawing = asyncio.ensure_future(begin())
            drawing.add_done_callback(lambda frame: frame.cancelled() or frame.exception())  # who asked for it may be gone
            done, _ = await asyncio.wait({drawing}, timeout=FRAME_S)
            if not done:
                log.debug("a frame was not drawn")
                return None
            self._late = None
            return drawing.result()


_screens: WeakKeyDictionary[Browser, Screen] = WeakKeyDictionary()


def screen_of(browser: Browser) -> Screen:
    """The screen of a browser."""
    return _screens.setdefault(browser, Screen())


class Frames:
    """Frames of one tab. `controlled` is true where they are drawn on demand, which :meth:`probe` finds out."""

    def __init__(self, wire: Wire, clock: Clock, screen: Screen) -> None:
        self._wire = wire
        self._clock = clock
        self._screen = screen
        self._drawn = 0.0
        self.controlled = False

    async def probe(self, base: float) -> None:
        """Find out if this tab's frames are drawn on demand."""
        try:
            await self.draw(base)
            self.controlled = True
        except PlaywrightError as error:
            log.debug("frames of this tab come by real time: %s", error)

    async def draw(self, base: float, screenshot: bool = False) -> str:
        """Draw the document as it is now; a picture of it (PNG, base64), where one is asked for and can be had."""
        drawn = await self._screen.draw(partial(self._begin, base, screenshot))
        return "" if drawn is None else drawn.get("screenshotData", "")

    async def _begin(self, base: float, screenshot: bool = False) -> dict[str, Any]:
        if not self._clock.knows(base):
            await self._wire.send("Performance.enable")
            metrics = (await self._wire.send("Performance.getMetrics"))["metrics"]
            await self._wire.send("Performance.disable")
            self._clock.set(base, 1e3 * next(metric["value"] for metric in metrics if metric["name"] == "Timestamp"))
        self._drawn = max(self._clock.ticks(base), self._drawn + TICK_MS)
        asked: dict[str, Any] = {"frameTimeTicks": self._drawn, "interval": INTERVAL_MS}
        if screenshot:
            asked["screenshot"] = {"format": "png", "optimizeForSpeed": True}
        return await self._wire.send("HeadlessExperimental.beginFrame", asked)


_making = asyncio.Lock()


async def open_context(browser: Browser, root: CDPSession, **options: Any) -> tuple[BrowserContext, str]:
    """A context, and its id. `root` is a session with the whole browser, of which Playwright does not tell the ids of contexts."""
    async with _making:
        before = set((await root.send("Target.getBrowserContexts"))["browserContextIds"])
        context = await browser.new_context(**options)
        fresh = [found for found in (await root.send("Target.getBrowserContexts"))["browserContextIds"] if found not in before]
    return context, fresh[0] if len(fresh) == 1 else ""


async def open_page(context: BrowserContext, root: CDPSession, context_id: str) -> Page:
    """A page of the context, with frames that are drawn on demand where the browser has such control."""
    if context_id:
        try:
            async with context.expect_page() as coming:
                asked = {"url": "about:blank", "browserContextId": context_id, "enableBeginFrameControl": True}
                await root.send("Target.createTarget", asked)
            return await coming.value
        except PlaywrightError as error:
            log.debug("a browser without control of its frames: %s", error)
    return await context.new_page()
