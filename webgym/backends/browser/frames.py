"""Frames of a tab: the headless shell draws one only when it is told to, at the moment of the page's own clock that it is told.

Nothing that rendering drives (transitions, animations, smooth scrolling, observers, the events of scrolling) happens by itself then,
however long a policy thinks (CDP `HeadlessExperimental.beginFrame`, the target made with `enableBeginFrameControl`). Full Chromium has
no such control. It draws by real time, and a frame here waits for its next one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from playwright.async_api import Browser, BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

log = logging.getLogger(__name__)

ARGUMENTS = ("--enable-begin-frame-control", "--run-all-compositor-stages-before-draw", "--disable-threaded-animation")
"""Arguments of a browser whose frames can be controlled. What its compositor moves by itself (an opacity, then a smooth scroll of another
box) may never end a frame, so animations are the main thread's."""
INTERVAL_MS = 1000 / 60  # of frames, as pages are told
TICK_MS = 0.01  # by which a frame is later than the last one at least: the browser counts microseconds, and drops one that is not later
FRAME_S = 10.0  # that a frame may take on a busy machine; a document that is on its way out draws none
LATE_S = 4.0  # that others wait for it after that
TOLD_S = 0.5  # between two reports of a wait for others

Rescue = Callable[[], Awaitable[None]]
Waited = Callable[[float], None]
"""Told of real seconds that a page waited for others, while it does."""


class FrameLost(Exception):
    """A frame did not come in time; it may be still to come."""


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


@dataclass(frozen=True, slots=True)
class _Late:
    """A frame that has not come, and what gives its page up."""

    drawing: "asyncio.Future[dict[str, Any]]"
    rescue: Rescue


class Screen:
    """Drawing of one browser: one frame at a time, of whichever page, and none while a page is made or closed.

    A browser that is asked for a frame while another one is under way loses its GPU process, and soon ends. A frame that does not come
    holds up all pages of the browser. Its page is then given up (`rescue`), so that the others go on.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._late: _Late | None = None  # a frame that is still to come

    async def draw(
        self, begin: Callable[[], Awaitable[dict[str, Any]]], left: asyncio.Event, rescue: Rescue, waited: Waited
    ) -> dict[str, Any] | None:
        """The answer to a frame; None where it does not come in time, or where its document is `left` before it comes."""
        async with self._turn(waited):
            if left.is_set():
                return None
            drawing, leaving = asyncio.ensure_future(begin()), asyncio.ensure_future(left.wait())
            drawing.add_done_callback(lambda frame: frame.cancelled() or frame.exception())  # who asked for it may be gone
            try:
                await asyncio.wait({drawing, leaving}, timeout=FRAME_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                if not drawing.done():
                    log.debug("a frame was not drawn%s", ": its document was left" if left.is_set() else "")
                    self._late = _Late(drawing, rescue)
            return drawing.result() if drawing.done() else None

    @asynccontextmanager
    async def _turn(self, waited: Waited) -> AsyncIterator[None]:
        """The one frame that may be drawn, once those of others are."""
        telling = asyncio.ensure_future(_tell(waited)) if self._one.locked() or self._late is not None else None
        try:
            await self._one.acquire()
            try:
                await self._catch_up()
                if telling is not None:
                    telling.cancel()
                yield
            finally:
                self._one.release()
        finally:
            if telling is not None:
                telling.cancel()

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Draw nothing meanwhile, because a page is made or closed."""
        async with self._one:
            await self._catch_up()
            yield

    async def _catch_up(self) -> None:
        """Wait for a frame that is late, and give its page up where it does not come."""
        if self._late is None:
            return
        await asyncio.wait({self._late.drawing}, timeout=LATE_S)
        if not self._late.drawing.done():
            log.warning("a page that does not draw is given up")
            rescue = asyncio.ensure_future(self._late.rescue())
            await asyncio.wait({self._late.drawing, rescue}, timeout=LATE_S)
        self._late = None


async def _tell(waited: Waited) -> None:
    while True:
        await asyncio.sleep(TOLD_S)
        waited(TOLD_S)


_screens: WeakKeyDictionary[Browser, Screen] = WeakKeyDictionary()


def screen_of(browser: Browser) -> Screen:
    """The screen of a browser."""
    return _screens.setdefault(browser, Screen())


class Frames:
    """Frames of one tab. `controlled` is true where they are drawn on demand, which :meth:`probe` finds out."""

    def __init__(self, wire: Wire, clock: Clock, screen: Screen, rescue: Rescue, waited: Waited) -> None:
        self._wire = wire
        self._clock = clock
        self._screen = screen
        self._rescue = rescue
        self._waited = waited
        self._left = asyncio.Event()  # of the document that is drawn
        self._drawn = 0.0  # the moment of the last frame
        self._base, self._shift = 0.0, 0.0  # the process that it was of, and by how much frames are later than that process's time
        self.controlled = False

    def leave(self) -> None:
        """Say that the document is another one now, which draws nothing before it has run."""
        self._left.set()
        self._left = asyncio.Event()

    async def probe(self, base: float) -> None:
        """Find out if this tab's frames are drawn on demand."""
        try:
            await self.draw(base)
            self.controlled = True
        except (PlaywrightError, FrameLost) as error:
            log.debug("frames of this tab come by real time: %r", error)

    async def draw(self, base: float, screenshot: bool = False) -> str:
        """Draw the document as it is now; a picture of it (PNG, base64), where one is asked for and can be had."""
        left = self._left
        drawn = await self._screen.draw(partial(self._begin, base, screenshot), left, self._rescue, self._waited)
        if drawn is None and not left.is_set():
            raise FrameLost
        return "" if drawn is None else drawn.get("screenshotData", "")

    async def _begin(self, base: float, screenshot: bool = False) -> dict[str, Any]:
        if not self._clock.knows(base):
            await self._wire.send("Performance.enable")
            metrics = (await self._wire.send("Performance.getMetrics"))["metrics"]
            await self._wire.send("Performance.disable")
            self._clock.set(base, 1e3 * next(metric["value"] for metric in metrics if metric["name"] == "Timestamp"))
        ticks = self._clock.ticks(base)
        if base != self._base:  # time may be earlier in another process, and a frame must not be
            self._base, self._shift = base, max(0.0, self._drawn + TICK_MS - ticks)
        self._drawn = max(ticks + self._shift, self._drawn + TICK_MS)
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


async def open_page(browser: Browser, context: BrowserContext, root: CDPSession, context_id: str) -> Page:
    """A page of the context, with frames that are drawn on demand where the browser has such control."""
    if context_id:
        try:
            async with context.expect_page() as coming, screen_of(browser).still():
                asked = {"url": "about:blank", "browserContextId": context_id, "enableBeginFrameControl": True}
                await root.send("Target.createTarget", asked)
            return await coming.value
        except PlaywrightError as error:
            log.debug("a browser without control of its frames: %s", error)
    return await context.new_page()
