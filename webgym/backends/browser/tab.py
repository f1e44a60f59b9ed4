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

log = logging.getLogger(__name__)

HOOK = importlib.resources.files("webgym.backends.browser").joinpath("hook.js").read_text("utf-8")
SNAPSHOT = importlib.resources.files("webgym.backends.browser").joinpath("snapshot.js").read_text("utf-8")
INTERRUPTS = 20  # tries to stop a page that goes from document to document
ROUNDS = 20  # navigations that one settling follows: longer chains of redirects by script are cut
LOADING_MS, LOADING_ROUNDS = 0.001, 500  # virtual time granted while pictures load, and how often: together less than the clock shows


def hook(clock_s: float, seed: int, names: tuple[str, str]) -> str:
    """The script that fixes what a document takes for the time (`clock_s`, Unix seconds) and for chance, before its scripts run.

    `names` are two secret names of events by which the snapshot asks it which elements listen to clicks.
    """
    return f"{HOOK}({', '.join(json.dumps(value) for value in (clock_s * 1000, seed & 0xFFFFFFFF, *names))})"


class PageError(Exception):
    """The page did not do what was asked; the browser is well. Becomes an error in the observation."""


class Tab:
    """A page with its CDP session. `settle_ms` is the virtual time granted after every action.

    `shown` is a tab that people see: what they do there is ignored, but for their turns (:mod:`webgym.backends.browser.hands`).
    """

    def __init__(self, page: Page, cdp: CDPSession, frame: str, names: tuple[str, str], clipboard: Clipboard, shown: bool = False) -> None:
        self.page = page
        self.settle_ms = 500.0
        self.opened = 0  # tabs and windows that this page asked for since the session last looked
        self.choosing = False  # whether it asked for a file since then
        self.shown = shown
        self._frame = frame
        self._names = names
        self._clipboard = clipboard
        self._world: int | None = None  # the isolated world of the current document, once it has the snapshot's code
        self._bare_world: int | None = None  # the same without it
        self._expired = asyncio.Event()
        self._navigating = False  # a navigation was asked for and has neither been committed nor given up
        self._moved = asyncio.Event()  # set when that is decided
        self._loading = False
        self._waits = LOADING_ROUNDS  # grants left while this document's pictures load
        self._listen(cdp)
        page.on("close", self._on_close)
        page.on("crash", self._on_crash)

    def _listen(self, cdp: CDPSession) -> None:
        self._cdp = cdp
        cdp.on("Emulation.virtualTimeBudgetExpired", lambda _: self._expired.set())
        cdp.on("Runtime.bindingCalled", self._clipboard.hear)
        cdp.on("Page.windowOpen", self._on_open)
        cdp.on("Page.fileChooserOpened", self._on_chooser)
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
        if event["frame"]["id"] == self._frame:
            self._world = self._bare_world = None
            self._navigating, self._loading, self._waits = False, True, LOADING_ROUNDS
            self._moved.set()

    def _on_request(self, event: dict[str, Any]) -> None:
        within = event.get("navigationType") in ("sameDocument", "historySameDocument")
        if event.get("disposition") in ("newTab", "newWindow"):  # a click with Control or the middle button
            self.opened += 1
        if event["frameId"] == self._frame and event.get("disposition", "currentTab") == "currentTab" and not within:
            self.expect_navigation()

    def _on_stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self._navigating = False
            self._moved.set()

    def _on_load(self, _: dict[str, Any]) -> None:
        self._loading = False

    def _on_open(self, _: dict[str, Any]) -> None:
        self.opened += 1

    def _on_chooser(self, _: dict[str, Any]) -> None:
        self.choosing = True

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
        await self._grant(budget)
        moves = ROUNDS
        while (self._navigating and moves) or (self._loading and not self._navigating and self._waits):
            if self._navigating:
                moves -= 1
                await self._moved.wait()
                await self._grant(budget)
            else:
                self._waits -= 1
                await self._grant(LOADING_MS)

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
        self._world = self._bare_world = None

    async def _grant(self, budget_ms: float) -> None:
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

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` (snapshot.js) in the isolated world."""
        for _ in range(3):
            try:
                if self._world is None and (entered := await self._enter_world(expression)):
                    return entered[0]
                return _value(
                    await self.send("Runtime.evaluate", {"expression": expression, "contextId": self._world, "returnByValue": True})
                )
            except PlaywrightError as error:
                if not any(words in str(error) for words in ("Cannot find context", "context was destroyed", "uniqueContextId")):
                    raise
                self._world = self._bare_world = None  # the document was replaced under our hands
        raise PageError("the page keeps replacing itself")

    async def make_world(self) -> int:
        """The isolated world of the current document, for what comes next; it need not be waited for. Returns its id."""
        world = self._bare_world
        if world is None:
            parameters = {"frameId": self._frame, "worldName": "webgym", "grantUniveralAccess": True}
            world = self._bare_world = int((await self.send("Page.createIsolatedWorld", parameters))["executionContextId"])
        return world

    async def _enter_world(self, expression: str) -> list[Any] | None:
        """Bring the snapshot's code into the document, and with it the value of `expression`; None where that must wait for pictures."""
        world = await self.make_world()
        names = ", ".join(map(json.dumps, self._names))
        code = f"{self._clipboard.offer()}, {SNAPSHOT}({names}), webgym.preload() ? null : [{expression}]"
        _, answer = await asyncio.gather(
            self.send("Runtime.addBinding", {"name": self._clipboard.name}),  # reaches the documents of now, not later ones
            self.send("Runtime.evaluate", {"expression": code, "contextId": world, "returnByValue": True}),
        )
        self._world = world
        entered = _value(answer)
        if entered is None:
            # Pictures that show under the pointer only: while one loads, its box is empty and a click misses it. Whether it comes
            # from the network or from the browser's memory must make no difference.
            await self._grant(1.0)
        return entered

    async def frame(self) -> None:
        """Wait until the document is drawn, because it hears of scrolling just before. Frames come by real time, not virtual time."""
        drawn = {"expression": "new Promise(done => requestAnimationFrame(() => done()))", "awaitPromise": True}
        await self.send("Runtime.evaluate", {**drawn, "contextId": await self.make_world()})

    async def offer_clipboard(self) -> None:
        """Let the documents of all frames know what the session's clipboard holds, and hear of what they copy."""
        await asyncio.gather(self.send("Runtime.addBinding", {"name": self._clipboard.name}), self.ask(f"void {self._clipboard.offer()}"))

    async def object_id(self, expression: str) -> str | None:
        """A handle on what an expression in the isolated world evaluates to, if it is an object."""
        await self.ask("void 0")  # the world is there
        answer = await self.send("Runtime.evaluate", {"expression": expression, "contextId": self._world})
        return answer["result"].get("objectId")

    async def page_value(self, expression: str) -> Any:
        """The JSON value of an expression in the page's own world. Raises PageError with the page's own message."""
        return _value(await self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True}))

    async def page_promise(self, expression: str) -> Any:
        """Like :meth:`page_value` for a promise, with time passing until it is kept."""
        asked = asyncio.create_task(self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}))
        await asyncio.sleep(0)  # it is sent before time is granted: else how much of it the timers that it starts get is a race
        try:
            while True:
                await self.settle()
                if asked.done() or (await asyncio.wait({asked}, timeout=0.02))[0]:
                    return _value(asked.result())
        finally:
            asked.cancel()

    # --- input -------------------------------------------------------------------------------------------------------------

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
        await self.send("Input.dispatchMouseEvent", event)

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

        self._cdp.once("Input.dragIntercepted", on_begin)
        await self.send("Input.setInterceptDrags", {"enabled": True})
        await asyncio.gather(
            self.mouse("mouseMoved", *start),
            self.mouse("mousePressed", *start, "left", 1, 1),
            self.mouse("mouseMoved", (start[0] + end[0]) / 2, (start[1] + end[1]) / 2, "left", 0, 1),
            self.mouse("mouseMoved", *end, "left", 0, 1),
        )
        await asyncio.wait({begun}, timeout=1.0)
        if begun.done():  # else the page itself has put an end to it
            for kind in ("dragEnter", "dragOver", "drop"):
                await self.send("Input.dispatchDragEvent", {"type": kind, "x": end[0], "y": end[1], "data": begun.result()})
        await self.mouse("mouseReleased", *end, "left", 1, 0)
        await self.send("Input.setInterceptDrags", {"enabled": False})


async def _connect(context: BrowserContext, page: Page) -> CDPSession:
    """A CDP session for a page, its time standing still from now on."""
    cdp = await context.new_cdp_session(page)
    await asyncio.gather(
        cdp.send("Page.enable"),
        cdp.send("Page.setInterceptFileChooserDialog", {"enabled": True}),
        cdp.send("Emulation.setVirtualTimePolicy", {"policy": "pause"}),
    )
    return cdp


def _value(answer: dict[str, Any]) -> Any:
    if problem := answer.get("exceptionDetails"):
        words = problem.get("exception", {}).get("description") or problem.get("text", "")
        raise PageError(f"script error in the page: {words.splitlines()[0][:300] if words else 'unknown'}")
    return answer["result"].get("value")
