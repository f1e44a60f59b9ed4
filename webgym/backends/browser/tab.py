"""One page of the browser, driven over raw CDP: time, navigation, evaluation and input, each with a real deadline.

Time in a page is virtual: it stands still between actions and advances by exactly what :meth:`Tab.settle` grants, while the
requests that an action started hold it (CDP `Emulation.setVirtualTimePolicy`, policy `pauseIfNetworkFetchesPending`). A document
that has just been committed has not run anything yet, since time stands still; it runs when time is granted.

Frames are drawn at moments of that time (:mod:`webgym.backends.browser.frames`), for documents that wait for what comes with frames.
Full Chromium draws by real time, and while a page's time stands still it does so only where that is ahead of the real one. There sessions
begin hours ahead (`session.AHEAD_MS`). What pages are shown is the episode's clock (:mod:`webgym.backends.browser.hooks`). A page's time is
that of its process: one of another host has its own.
"""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser.clipboard import Clipboard
from webgym.backends.browser.flow import Flow
from webgym.backends.browser.frames import Clock, FrameLost, Frames, Screen, screen_of
from webgym.backends.browser.pointer import Pointer
from webgym.backends.browser.worlds import LOST, PageError, Worlds, connect, value_of
from webgym.sites.streams import TICK_S, Streams

log = logging.getLogger(__name__)

INTERRUPTS = 20  # tries to stop a page that goes from document to document
ROUNDS = 20  # navigations that one settling follows: longer chains of redirects by script are cut
LOST_MS = 250.0  # for a frame that does not come
ENDS_S = 5.0  # until an earlier grant is over
CLOSED_S = 2.0  # until a page is known to be closed, after a command that says so
ANSWER_S = 0.25  # that the answer to a mouse event may be behind its frame
FRAMES, SMOOTH, ONCE, STREAMS, MOVING = 1, 4, 8, 16, 64  # what a document waits for, as bits (rendering.js)
FRAME_MS = 17.0  # from one frame to the next, in whole milliseconds
BEGINNING = 2  # frames that smooth scrolling takes to begin: from the next one on it shows
STEP_MS = 50.0  # between two frames while something is scrolled, or may be cut short
EDGE_MS = 0.013  # after a turn's time: whether a timer runs that is due at the very end of what was granted is a race
LAST_MS = 1.0  # of a budget, for what the last frame has told the page
FIRST_MS = 50.0  # for a document that is found to wait for frames
READINGS = 4  # of a page that moves while it is read
TIME_S = "(performance.timeOrigin + performance.now()) / 1000"  # of a world whose clock is the browser's
DATED = ("Input.dispatchMouseEvent", "Input.dispatchKeyEvent")
INPUT = (*DATED, "Input.insertText", "Input.dispatchDragEvent", "Input.setInterceptDrags")
LOADING_MS, LOADING_ROUNDS = 0.001, 500  # virtual time granted while pictures load, and how often: together less than the clock shows


class Tab:
    """A page with its CDP session. `settle_ms` is the virtual time granted after every action.

    `shown` is a tab that people see: what they do there is ignored, but for their turns (:mod:`webgym.backends.browser.hands`).
    """

    def __init__(
        self,
        page: Page,
        cdp: CDPSession,
        frame: str,
        names: tuple[str, str],
        clipboard: Clipboard,
        clock: Clock,
        screen: Screen,
        drawing: CDPSession,
        shown: bool = False,
    ) -> None:
        self.page = page
        self.settle_ms = 500.0
        self.opened = 0  # tabs and windows that this page asked for since the session last looked
        self.choosing = False  # whether it asked for a file since then
        self.chooser: dict[str, Any] | None = None  # what it asks for, until it gets it or the agent does something else
        self.shown = shown
        self.frame_id = frame
        self._names = names
        self._clipboard = clipboard
        self.streams: Streams | None = None  # of the episode
        self.waited: Callable[[float], None] = lambda _: None  # told of real seconds that are no page's own
        self._flow = Flow(self)
        self.worlds = Worlds(self, names, clipboard)
        self._expired = asyncio.Event()
        self.expiries = 0  # ends of grants so far
        self._navigating = False  # a navigation was asked for and has neither been committed nor given up
        self._moved = asyncio.Event()  # set when that is decided
        self._loading = False
        self._waits = LOADING_ROUNDS  # grants left while this document's pictures load
        self.pointer = Pointer(self)
        self.lost = False  # whether it was given up, because it did not draw
        self._closed = asyncio.Event()
        self._leaving: asyncio.Task[None] | None = None  # of a page whose process crashed
        self.frames = Frames(drawing, clock, screen, self._give_up, lambda seconds: self.waited(seconds))
        self._clock = clock
        self._base = 0.0  # the moment at which the time of this page's process became virtual: the process's name to the clock
        self._uses = 0  # what this document waits for
        self._granted = 0.0  # to this document
        self._awaited = frame  # the frame whose navigation is followed
        self._wanders = False  # through the history, and which frame goes on is not known yet
        self._moment: asyncio.Task[float | None] | None = None  # the page's time, until it goes on
        self._inputs = self._flushed = 0  # mouse events sent, and the last of those that do not wait for a frame
        self._listen(cdp)
        page.on("close", self._on_close)
        page.on("crash", self._on_crash)

    def _listen(self, cdp: CDPSession) -> None:
        self._cdp = cdp
        cdp.on("Emulation.virtualTimeBudgetExpired", self._on_expired)
        cdp.on("Runtime.bindingCalled", self._clipboard.hear)
        cdp.on("Page.windowOpen", self._on_open)
        cdp.on("Page.fileChooserOpened", self._on_chooser)
        cdp.on("Input.dragIntercepted", self.pointer.intercepted)
        cdp.on("Page.frameNavigated", self._on_commit)
        cdp.on("Page.frameRequestedNavigation", self._on_request)
        cdp.on("Page.frameStartedNavigating", self._on_request)
        cdp.on("Page.frameStoppedLoading", self._on_stopped)
        cdp.on("Page.navigatedWithinDocument", self._on_stopped)
        cdp.on("Page.loadEventFired", self._on_load)

    @classmethod
    async def attach(
        cls, context: BrowserContext, page: Page, names: tuple[str, str], clipboard: Clipboard, clock: Clock, shown: bool = False
    ) -> "Tab":
        """A tab for `page`, its time standing still from now on; `names` are those of its hook."""
        browser = context.browser
        assert browser is not None  # it was made by one
        cdp, base = await connect(context, page, names)
        tree = await cdp.send("Page.getFrameTree")
        drawing = await context.new_cdp_session(page)  # never left: a frame whose connection is gone is still under way in the browser
        tab = cls(page, cdp, tree["frameTree"]["frame"]["id"], names, clipboard, clock, screen_of(browser), drawing, shown)
        tab._base = base
        await tab.frames.probe(base)
        return tab

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One CDP command."""
        if params is not None and method in INPUT:
            time_s = await self._now()
            params = params if time_s is None or method not in DATED else {**params, "timestamp": time_s}
            if method == "Input.dispatchMouseEvent" and self.frames.controlled:
                return await self._mouse(params)
        return await self._cdp.send(method, params)

    async def _now(self) -> float | None:
        """The time of events of input: the page's own, which stands still meanwhile. What is sent together is sent in its order.

        By the browser's time they would be hours before the page's own beginning. The page sees that, and a page that goes on to another
        address after a click (a "soft navigation", to Chromium) ends its process over it.
        """
        self.foresee_input()
        assert self._moment is not None
        return await asyncio.shield(self._moment)

    def foresee_input(self) -> None:
        """Ask for the page's time beside what comes before input, rather than after it."""
        if self._moment is None:
            self._moment = asyncio.ensure_future(self.time_s())

    async def behind(self, ahead_ms: float) -> bool:
        """True where the document is drawn by real time, and its own is not so far ahead of it."""
        if self.frames.controlled:
            await self.worlds.bare()  # for what comes next
            return False
        time_s = await self.time_s()
        return time_s is None or 1e3 * (time_s - time.time()) < ahead_ms

    async def time_s(self) -> float | None:
        """Seconds since 1970 by the page's own time, whatever its clock shows; None where it does not say."""
        try:
            asked = {"expression": TIME_S, "contextId": await self.worlds.bare(), "returnByValue": True}
            return value_of(await self._cdp.send("Runtime.evaluate", asked))
        except (PlaywrightError, PageError) as error:
            log.debug("a page that does not tell its time: %s", error)
            return None

    async def _mouse(self, event: dict[str, Any]) -> dict[str, Any]:
        """A mouse event. One of moving waits for a frame, unless a button follows at once: then one is drawn for it."""
        self._inputs += 1
        number = self._inputs
        sent = asyncio.ensure_future(self._cdp.send("Input.dispatchMouseEvent", event))
        try:
            if event["type"] not in ("mouseMoved", "mouseWheel"):
                self._flushed = number
            else:
                await asyncio.sleep(0)
                await asyncio.sleep(0)  # what is sent together with it is sent now
                for _ in range(2 if self._flushed < number else 0):
                    await self.page_value("0")  # the event is there by then: after a frame without it, one that shows its scrolling hangs
                while not sent.done() and self._flushed < number:
                    if event["type"] == "mouseWheel":
                        await self.frame()  # one is over before the page is asked about the wheel
                    await self.frame()
                    await asyncio.wait({sent}, timeout=ANSWER_S)
            return await sent
        finally:
            sent.cancel()

    def on(self, event: str, heard: Callable[[dict[str, Any]], None]) -> None:
        """Call `heard` at each such CDP event of a tab that is shown."""
        self._cdp.on(event, heard)

    async def hear_input(self, hears: bool) -> None:
        """Let a tab that is shown take input or ignore it: a person's, and also an agent's, because it comes the same way."""
        if self.shown or len(self.page.context.pages) > 1:  # another tab of the same process may have let its time pass
            self._moment = None
        if self.shown and not self.page.is_closed():
            await self.send("Input.setIgnoreInputEvents", {"ignore": not hears})

    # --- navigation and time -----------------------------------------------------------------------------------------------

    def _on_commit(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self.frame_id:
            self.worlds.forget()
            self._flow.forget()
            self.frames.leave()
            self._uses, self._granted, self._moment = 0, 0.0, None
            self._navigating, self._loading, self._waits = False, True, LOADING_ROUNDS
            self._moved.set()
        elif event["frame"]["id"] == self._awaited:
            self._arrive()

    def _arrive(self) -> None:
        self._navigating = False
        self._moved.set()

    def _on_expired(self, _: dict[str, Any]) -> None:
        self.expiries += 1
        self._expired.set()

    def _on_request(self, event: dict[str, Any]) -> None:
        within = event.get("navigationType") in ("sameDocument", "historySameDocument")
        if event.get("disposition") in ("newTab", "newWindow"):  # a click with Control or the middle button
            self.opened += 1
        if self._wanders:
            self._awaited, self._wanders = event["frameId"], False
        elif event["frameId"] == self.frame_id and event.get("disposition", "currentTab") == "currentTab" and not within:
            self.expect_navigation()

    def _on_stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] in (self.frame_id, self._awaited):
            self._arrive()

    def _on_load(self, _: dict[str, Any]) -> None:
        self._loading = False

    def _on_open(self, _: dict[str, Any]) -> None:
        self.opened += 1

    def _on_chooser(self, event: dict[str, Any]) -> None:
        self.choosing = True
        self.chooser = event if "backendNodeId" in event else None

    def _on_close(self, _: Page) -> None:
        self._closed.set()
        self._navigating = self._loading = False
        self._moved.set()
        self._expired.set()

    def _on_crash(self, page: Page) -> None:
        self._on_close(page)
        self._leaving = asyncio.ensure_future(self._leave())  # a crashed page answers nothing: who waits for it is told so

    async def closed_itself(self, error: PlaywrightError) -> bool:
        """True if a command failed because a script of the page closed its window, which Playwright may tell a moment later."""
        if not _is_gone(error) or self.lost:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), CLOSED_S)
        return self._closed.is_set() and self._leaving is None

    async def _leave(self) -> None:
        try:
            await self.page.close()
        except PlaywrightError as error:
            log.debug("closing a crashed page: %s", error)

    async def navigate(self, url: str) -> None:
        """Commit `url`; the new document has not run yet. Raises PageError when it cannot be loaded."""
        self.expect_navigation()
        try:
            answer = await self.send("Page.navigate", {"url": url})
        except PlaywrightError:
            self._navigating = False
            raise
        failed = answer.get("errorText")
        if failed or not answer.get("loaderId"):  # without a loader, it was a move within the document
            self._navigating = False
        if failed:
            raise PageError(f"{url} could not be opened: {failed}")
        if self._navigating:
            await self._moved.wait()

    async def forget_history(self) -> None:
        """Let the current page be the first one of the tab. A page that was just committed in another process takes a moment to answer."""
        for left in reversed(range(INTERRUPTS)):
            try:
                await self.send("Page.resetNavigationHistory")
                return
            except PlaywrightError as error:
                if "active page" not in str(error) or not left:
                    raise
                await asyncio.sleep(0.02)

    def expect_navigation(self, wanders: bool = False) -> None:
        """Say that the next command starts a navigation, so that settling waits for its end.

        One that `wanders` through the history may be one of an inner frame.
        """
        self._navigating, self._wanders, self._awaited = True, wanders, self.frame_id
        self._moved.clear()

    async def settle(self, budget_ms: float | None = None) -> None:
        """Let time pass, follow the navigations that start meanwhile, and stop it again. A page that closes itself is settled."""
        budget = EDGE_MS + (self.settle_ms if budget_ms is None else budget_ms)
        await self.hear_input(False)  # what a person does meanwhile is no part of the episode
        await self._pass(budget)
        moves = ROUNDS
        while (self._navigating and moves) or (self._loading and not self._navigating and self._waits):
            if self._navigating:
                moves -= 1
                await self._moved.wait()
                await self._pass(budget)
            else:
                self._waits -= 1
                await self.grant(LOADING_MS)

    async def _pass(self, budget: float) -> None:
        """Let time pass. A document that waits for frames gets one at the beginning, at the end, and where what moves is over."""
        if not self._uses & ~STREAMS or budget <= LAST_MS:
            return await self.grant(budget)
        await self.frame()
        left = budget - LAST_MS
        for _ in range(BEGINNING if self._uses & SMOOTH and left > BEGINNING * FRAME_MS else 0):
            await self.grant(FRAME_MS)
            await self.frame()
            left -= FRAME_MS
        while left > 0 and self._uses & ~STREAMS:
            step = min(left, await self._next_frame(left))
            await self.grant(step)
            await self.frame()
            left -= step
        await self.grant(LAST_MS + max(0.0, left))

    async def _next_frame(self, left: float) -> float:
        """Milliseconds until the next frame is wanted: what moves is over then, or is seen on its way."""
        if not self.worlds.entered or self.page.is_closed():
            return left
        try:
            ends, soon = await self.ask(f"webgym.progress({self._uses}, {json.dumps(not self.frames.controlled)})")
        except PlaywrightError as error:
            if not _is_gone(error):
                raise
            return left
        if not self.frames.controlled:
            return STEP_MS if ends else left
        end = _whole(ends) if ends else left
        return min(STEP_MS, end) if soon else end

    async def read(self, expression: str) -> Any:
        """The value of an expression over the page, once what was due to move on it has come to its end."""
        left = self.settle_ms
        value: Any = None
        for _ in range(READINGS):
            value, (uses, ends), now = await self.ask(f"[{expression}, webgym.rendering(), {TIME_S}]")
            self._moment = asyncio.ensure_future(asyncio.sleep(0, now))
            fresh, kept = uses & ~self._uses, (self._uses & ~MOVING | uses) & ~ONCE
            wait = _whole(ends) if ends else left - LAST_MS if fresh & SMOOTH else FIRST_MS if fresh & ~MOVING else 0.0
            self._uses = kept
            if not wait or wait > left:
                if fresh & MOVING:  # what takes longer begins now
                    await self.frame()
                break
            left -= wait
            self._uses = kept | (FRAMES if ends or uses & ~STREAMS else 0)
            await self._pass(wait + LAST_MS)
            if self._uses and not ends:  # the document is the same
                self._uses = kept
        return value

    async def interrupt(self) -> None:
        """Give up what holds the page: a script that does not end, a request that gets no answer."""
        for left in reversed(range(INTERRUPTS)):
            try:
                # Loading first: while a navigation waits for its answer, the renderer does not hear of time.
                await self.send("Page.stopLoading")
                await self.send("Runtime.terminateExecution")
                await self.send("Emulation.setVirtualTimePolicy", {"policy": "pause"})
                await self.page_value("1")
                break
            except PlaywrightError:
                if self.page.is_closed() or not left:
                    raise
                await asyncio.sleep(0.05)  # it is on its way from one document to the next: the next one is stopped
        if not self.shown:  # else what hears a person's turn would go, too
            await self._reconnect()
        self._navigating = self._loading = False
        self._moved.set()

    async def _reconnect(self) -> None:
        """Drop the time that was granted and has not passed: later it would end another grant early, to any page of the process."""
        for grant in ({"policy": "pauseIfNetworkFetchesPending", "budget": LOADING_MS}, {"policy": "pause"}):
            await self.send("Emulation.setVirtualTimePolicy", grant)  # a document that was just committed is held by this connection
        await self._cdp.detach()
        cdp, self._base = await connect(self.page.context, self.page, self._names)
        self._listen(cdp)
        self._clock.forget(self._base)  # how much of the grant has passed is not known
        self.worlds.forget()

    async def grant(self, budget_ms: float) -> None:
        """Let so much time pass, in virtual milliseconds, and no navigation be followed."""
        if self.streams is not None and not self._flow.runs and (self._uses & STREAMS or self.streams.open):
            try:
                await self._flow.run(self.streams, budget_ms)
            except PlaywrightError as error:
                if not _is_gone(error):
                    raise
        else:
            await self.run(budget_ms)

    async def run(self, budget_ms: float, policy: str = "pauseIfNetworkFetchesPending") -> None:
        """Let time pass, waiting for requests or not. Where only streams are open, it goes on without them."""
        if self.page.is_closed():
            return
        granted, within = self._granted, self._flow.goes_on
        await self._set_time({"policy": policy, "budget": budget_ms})
        if policy == "advance" or self.streams is None:
            await self._expired.wait()
        elif not await self._expires(self.streams):
            await self._flow.go_on(self.streams, budget_ms)
        if not within:
            self._clock.pass_by(self._base, budget_ms)
        self._granted += budget_ms if self._granted == granted else 0.0  # else that is known already, or the document is a new one

    async def _set_time(self, how: dict[str, Any]) -> None:
        self._expired.clear()
        self._moment = None
        try:
            self._base = (await self.send("Emulation.setVirtualTimePolicy", how))["virtualTimeTicksBase"]
        except PlaywrightError as error:
            if not _is_gone(error):
                raise

    async def _expires(self, streams: Streams) -> bool:
        """False where only streams are open, which never let time expire."""
        streams.wait()
        begun = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    await self._expired.wait()
                return True
            except TimeoutError:
                if not self._expired.is_set() and not self._navigating and streams.late():
                    self.waited(time.monotonic() - begun)
                    return False

    async def finish(self) -> None:
        """Let the rest of an earlier grant pass, without waiting for requests. One of a process that is gone never ends."""
        await self._set_time({"policy": "advance"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDS_S):
                await self._expired.wait()
        if not self.page.is_closed():
            self._granted += await self.passed_ms()

    async def passed_ms(self) -> float:
        """Virtual milliseconds of this document that no grant accounts for yet."""
        now = await self.page_value("performance.now()")
        return max(0.0, float(now) - self._granted) if isinstance(now, int | float) else 0.0

    # --- evaluation --------------------------------------------------------------------------------------------------------

    async def frame(self) -> None:
        """Draw the document, because it hears of scrolling, and much else, just before or after."""
        if self.page.is_closed():
            return
        if self.frames.controlled:
            try:
                await self.frames.draw(self._base)
            except FrameLost:
                await self.run(LOST_MS)  # what the browser does for a frame may wait by this clock
            except PlaywrightError as error:
                if not _is_gone(error):
                    raise
        else:
            drawn = {"expression": "new Promise(done => requestAnimationFrame(() => done()))", "awaitPromise": True}
            await self.send("Runtime.evaluate", {**drawn, "contextId": await self.worlds.bare()})

    async def _give_up(self) -> None:
        """End a page that holds up the frames of others; where only a dialog holds it, accept that."""
        try:
            await self.send("Page.handleJavaScriptDialog", {"accept": True})
        except PlaywrightError:
            self.lost = True
            await self._leave()

    async def picture(self) -> str:
        """The document as it is drawn now (PNG, base64)."""
        if self.frames.controlled:
            with contextlib.suppress(FrameLost):
                for _ in range(READINGS):  # a frame may come without a picture
                    if drawn := await self.frames.draw(self._base, screenshot=True):
                        return drawn
            raise PageError("the page is not drawn")
        return (await self.send("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True}))["data"]

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` in the isolated world (:class:`webgym.backends.browser.worlds.Worlds`)."""
        return await self.worlds.ask(expression)

    async def any(self, expression: str) -> bool:
        """True where an expression over `webgym` is true in the world of any document of the page."""
        return any(await asyncio.gather(*(world.ask(expression) for world in self.worlds.all)))

    async def page_value(self, expression: str) -> Any:
        """The JSON value of an expression in the page's own world. Raises PageError with the page's own message."""
        return value_of(await self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True}))

    async def value_in(self, document: str, expression: str) -> Any:
        """The same in the document that has this handle (of Runtime.evaluate); None where that is gone."""
        asked = {"functionDeclaration": f"() => ({expression})", "objectId": document, "returnByValue": True}
        try:
            return value_of(await self.send("Runtime.callFunctionOn", asked))
        except PlaywrightError as error:
            if not any(words in str(error) for words in LOST):
                raise

    async def page_promise(self, expression: str) -> Any:
        """Like :meth:`page_value` for a promise, with time passing until it is kept."""
        asked = asyncio.create_task(self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}))
        await asyncio.sleep(0)  # it is sent before time is granted: else how much of it the timers that it starts get is a race
        try:
            while True:
                await self.settle()
                if asked.done() or (await asyncio.wait({asked}, timeout=0.02))[0]:
                    return value_of(asked.result())
        finally:
            asked.cancel()


def _is_gone(error: PlaywrightError) -> bool:
    """True if a page closed itself: then nothing more is to be done with it."""
    return "closed" in str(error)


def _whole(ms: float) -> float:
    """The next whole millisecond by which something is over for certain, because documents count whole ones and fractions tip them over."""
    return float(math.ceil(ms + 0.5))
