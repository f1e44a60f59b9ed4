"""One page of the browser, driven over raw CDP: time, navigation, evaluation and input, each with a real deadline.

Time in a page is virtual: it stands still between actions and advances by exactly what :meth:`Tab.settle` grants, while the
requests that an action started hold it (CDP `Emulation.setVirtualTimePolicy`, policy `pauseIfNetworkFetchesPending`). A document
that has just been committed has not run anything yet, since time stands still; it runs when time is granted.

A page paints while time stands still only where its time is ahead of the real one, since a frame waits for its moment, and then so does
what waits for a frame. Sessions therefore begin hours ahead (`session.AHEAD_MS`), which `Date` and `performance.now` do not show
(:func:`hook`). A page's time is that of its process: one of another host has its own, until the next episode.
"""

import asyncio
import importlib.resources
import json
import logging
from collections.abc import Callable
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser.clipboard import Clipboard
from webgym.backends.browser.pointer import Pointer
from webgym.backends.browser.worlds import PageError, Worlds, value_of

log = logging.getLogger(__name__)

HOOK, LISTENERS = (
    importlib.resources.files("webgym.backends.browser").joinpath(name).read_text("utf-8") for name in ("hook.js", "listeners.js")
)
INTERRUPTS = 20  # tries to stop a page that goes from document to document
ROUNDS = 20  # navigations that one settling follows: longer chains of redirects by script are cut
LOADING_MS, LOADING_ROUNDS = 0.001, 500  # virtual time granted while pictures load, and how often: together less than the clock shows


def hook(clock_s: float, seed: int, names: tuple[str, str]) -> str:
    """The script that fixes what a document takes for the time (`clock_s`, Unix seconds) and for chance, before its scripts run.

    `names` are two secret names of events by which the reader asks which elements listen to clicks (listeners.js).
    """
    return f"{HOOK}({json.dumps(clock_s * 1000)}, {seed & 0xFFFFFFFF});\n{LISTENERS}({', '.join(map(json.dumps, names))})"


class Tab:
    """A page with its CDP session. `settle_ms` is the virtual time granted after every action.

    `shown` is a tab that people see: what they do there is ignored, but for their turns (:mod:`webgym.backends.browser.hands`).
    """

    def __init__(self, page: Page, cdp: CDPSession, frame: str, names: tuple[str, str], clipboard: Clipboard, shown: bool = False) -> None:
        self.page = page
        self.settle_ms = 500.0
        self.opened = 0  # tabs and windows that this page asked for since the session last looked
        self.choosing = False  # whether it asked for a file since then
        self.chooser: dict[str, Any] | None = None  # what it asks for, until it gets it or the agent does something else
        self.shown = shown
        self.frame_id = frame
        self._clipboard = clipboard
        self.worlds = Worlds(self, names, clipboard)
        self._expired = asyncio.Event()
        self._navigating = False  # a navigation was asked for and has neither been committed nor given up
        self._moved = asyncio.Event()  # set when that is decided
        self._loading = False
        self._waits = LOADING_ROUNDS  # grants left while this document's pictures load
        self.pointer = Pointer(self)
        self._listen(cdp)
        page.on("close", self._on_close)
        page.on("crash", self._on_crash)

    def _listen(self, cdp: CDPSession) -> None:
        self._cdp = cdp
        cdp.on("Emulation.virtualTimeBudgetExpired", lambda _: self._expired.set())
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
    async def attach(cls, context: BrowserContext, page: Page, names: tuple[str, str], clipboard: Clipboard, shown: bool = False) -> "Tab":
        """A tab for `page`, its time standing still from now on; `names` are those of its hook (:func:`hook`)."""
        cdp = await _connect(context, page)
        tree = await cdp.send("Page.getFrameTree")
        return cls(page, cdp, tree["frameTree"]["frame"]["id"], names, clipboard, shown)

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One CDP command."""
        return await self._cdp.send(method, params)

    def on(self, event: str, heard: Callable[[dict[str, Any]], None]) -> None:
        """Call `heard` at each such CDP event of a tab that is shown."""
        self._cdp.on(event, heard)

    async def hear_input(self, hears: bool) -> None:
        """Let a tab that is shown take input or ignore it: a person's, and also an agent's, because it comes the same way."""
        if self.shown and not self.page.is_closed():
            await self.send("Input.setIgnoreInputEvents", {"ignore": not hears})

    # --- navigation and time -----------------------------------------------------------------------------------------------

    def _on_commit(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self.frame_id:
            self.worlds.forget()
            self._navigating, self._loading, self._waits = False, True, LOADING_ROUNDS
            self._moved.set()

    def _on_request(self, event: dict[str, Any]) -> None:
        within = event.get("navigationType") in ("sameDocument", "historySameDocument")
        if event.get("disposition") in ("newTab", "newWindow"):  # a click with Control or the middle button
            self.opened += 1
        if event["frameId"] == self.frame_id and event.get("disposition", "currentTab") == "currentTab" and not within:
            self.expect_navigation()

    def _on_stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self.frame_id:
            self._navigating = False
            self._moved.set()

    def _on_load(self, _: dict[str, Any]) -> None:
        self._loading = False

    def _on_open(self, _: dict[str, Any]) -> None:
        self.opened += 1

    def _on_chooser(self, event: dict[str, Any]) -> None:
        self.choosing = True
        self.chooser = event if "backendNodeId" in event else None

    def _on_close(self, _: Page) -> None:
        self._navigating = self._loading = False
        self._moved.set()
        self._expired.set()

    def _on_crash(self, page: Page) -> None:
        self._on_close(page)
        self._leaving = asyncio.ensure_future(self._leave())  # a crashed page answers nothing: who waits for it is told so

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

    def expect_navigation(self) -> None:
        """Say that the next command starts a navigation, so that settling waits for its end."""
        self._navigating = True
        self._moved.clear()

    async def settle(self, budget_ms: float | None = None) -> None:
        """Let time pass, follow the navigations that start meanwhile, and stop it again. A page that closes itself is settled."""
        budget = self.settle_ms if budget_ms is None else budget_ms
        await self.hear_input(False)  # what a person does meanwhile is no part of the episode
        await self.grant(budget)
        moves = ROUNDS
        while (self._navigating and moves) or (self._loading and not self._navigating and self._waits):
            if self._navigating:
                moves -= 1
                await self._moved.wait()
                await self.grant(budget)
            else:
                self._waits -= 1
                await self.grant(LOADING_MS)

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
        self._listen(await _connect(self.page.context, self.page))
        self.worlds.forget()

    async def grant(self, budget_ms: float) -> None:
        """Let so much time pass, in virtual milliseconds, and no navigation be followed."""
        if self.page.is_closed():
            return
        self._expired.clear()
        try:
            await self.send("Emulation.setVirtualTimePolicy", {"policy": "pauseIfNetworkFetchesPending", "budget": budget_ms})
        except PlaywrightError as error:
            if "closed" not in str(error):
                raise
        await self._expired.wait()

    # --- evaluation --------------------------------------------------------------------------------------------------------

    async def frame(self) -> None:
        """Wait until the document is drawn, because it hears of scrolling just before. Frames come by real time, not virtual time."""
        drawn = {"expression": "new Promise(done => requestAnimationFrame(() => done()))", "awaitPromise": True}
        await self.send("Runtime.evaluate", {**drawn, "contextId": await self.worlds.bare()})

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` in the isolated world (:class:`webgym.backends.browser.worlds.Worlds`)."""
        return await self.worlds.ask(expression)

    async def any(self, expression: str) -> bool:
        """True where an expression over `webgym` is true in the world of any document of the page."""
        return any(await asyncio.gather(*(world.ask(expression) for world in self.worlds.all)))

    async def page_value(self, expression: str) -> Any:
        """The JSON value of an expression in the page's own world. Raises PageError with the page's own message."""
        return value_of(await self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True}))

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


async def _connect(context: BrowserContext, page: Page) -> CDPSession:
    """A CDP session for a page, its time standing still from now on."""
    cdp = await context.new_cdp_session(page)
    await asyncio.gather(
        cdp.send("Page.enable"),
        cdp.send("Page.setInterceptFileChooserDialog", {"enabled": True}),
        cdp.send("Emulation.setVirtualTimePolicy", {"policy": "pause"}),
    )
    return cdp
