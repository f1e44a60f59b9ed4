"""One page of the browser, driven over raw CDP: time, navigation, evaluation and input, each with a real deadline.

Time in a page is virtual: it stands still between actions and advances by exactly what :meth:`Tab.settle` grants, while the
requests that an action started hold it (CDP `Emulation.setVirtualTimePolicy`, policy `pauseIfNetworkFetchesPending`). A document
that has just been committed has not run anything yet, since time stands still; it runs when time is granted.
"""

import asyncio
import importlib.resources
import json
import secrets
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

HOOK = importlib.resources.files("webgym.browser").joinpath("hook.js").read_text("utf-8")
SNAPSHOT = importlib.resources.files("webgym.browser").joinpath("snapshot.js").read_text("utf-8")
ROUNDS = 20  # navigations that one settling follows: longer chains of redirects by script are cut


class PageError(Exception):
    """The page did not do what was asked; the browser is well. Becomes an error in the observation."""


class Tab:
    """A page with its CDP session. `settle_ms` is the virtual time granted after every action."""

    def __init__(self, page: Page, cdp: CDPSession, frame: str) -> None:
        self.page = page
        self.settle_ms = 500.0
        self._cdp = cdp
        self._frame = frame
        self._ask, self._answer = (f"webgym-{secrets.token_hex(8)}" for _ in range(2))
        self._world: int | None = None  # the isolated world of the current document
        self._script: str | None = None
        self._expired = asyncio.Event()
        self._navigating = False  # a navigation was asked for and has neither been committed nor given up
        self._moved = asyncio.Event()  # set when that is decided
        self._loading = False
        cdp.on("Emulation.virtualTimeBudgetExpired", lambda _: self._expired.set())
        cdp.on("Page.frameNavigated", self._on_commit)
        cdp.on("Page.frameRequestedNavigation", self._on_request)
        cdp.on("Page.frameStartedNavigating", self._on_request)
        cdp.on("Page.frameStoppedLoading", self._on_stopped)
        cdp.on("Page.navigatedWithinDocument", self._on_stopped)
        cdp.on("Page.loadEventFired", self._on_load)

    @classmethod
    async def attach(cls, context: BrowserContext, page: Page) -> "Tab":
        """A tab for `page`, its time standing still from now on."""
        cdp = await context.new_cdp_session(page)
        _, tree, _ = await asyncio.gather(
            cdp.send("Page.enable"),
            cdp.send("Page.getFrameTree"),
            cdp.send("Emulation.setVirtualTimePolicy", {"policy": "pause"}),
        )
        return cls(page, cdp, tree["frameTree"]["frame"]["id"])

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One CDP command."""
        return await self._cdp.send(method, params)

    # --- navigation and time -----------------------------------------------------------------------------------------------

    def _on_commit(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self._frame:
            self._world = None
            self._navigating, self._loading = False, True
            self._moved.set()

    def _on_request(self, event: dict[str, Any]) -> None:
        within = event.get("navigationType") in ("sameDocument", "historySameDocument")
        if event["frameId"] == self._frame and event.get("disposition", "currentTab") == "currentTab" and not within:
            self.expect_navigation()

    def _on_stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame:
            self._navigating = False
            self._moved.set()

    def _on_load(self, _: dict[str, Any]) -> None:
        self._loading = False

    async def hook(self, clock_s: float, seed: int) -> None:
        """Fix what every document from now on takes for the time (`clock_s`, Unix seconds) and for chance."""
        arguments = ", ".join(json.dumps(value) for value in (clock_s * 1000, seed & 0xFFFFFFFF, self._ask, self._answer))
        old = self._script
        added = await self.send("Page.addScriptToEvaluateOnNewDocument", {"source": f"{HOOK}({arguments})"})
        self._script = added["identifier"]
        if old:
            await self.send("Page.removeScriptToEvaluateOnNewDocument", {"identifier": old})

    async def navigate(self, url: str) -> None:
        """Commit `url`; the new document has not run yet. Raises PageError when it cannot be loaded."""
        self.expect_navigation()
        answer = await self.send("Page.navigate", {"url": url})
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
        """Let time pass, follow the navigations that start meanwhile, and stop it again."""
        budget = self.settle_ms if budget_ms is None else budget_ms
        await self._grant(budget)
        for _ in range(ROUNDS):
            if self._navigating:
                await self._moved.wait()
            elif not self._loading:
                return
            await self._grant(budget)

    async def _grant(self, budget_ms: float) -> None:
        self._expired.clear()
        await self.send("Emulation.setVirtualTimePolicy", {"policy": "pauseIfNetworkFetchesPending", "budget": budget_ms})
        await self._expired.wait()

    # --- evaluation --------------------------------------------------------------------------------------------------------

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` (snapshot.js) in the isolated world."""
        for _ in range(3):
            try:
                if self._world is None:
                    await self._enter_world()
                return _value(
                    await self.send("Runtime.evaluate", {"expression": expression, "contextId": self._world, "returnByValue": True})
                )
            except PlaywrightError as error:
                if not any(words in str(error) for words in ("Cannot find context", "context was destroyed", "uniqueContextId")):
                    raise
                self._world = None  # the document was replaced under our hands
        raise PageError("the page keeps replacing itself")

    async def _enter_world(self) -> None:
        made = await self.send(
            "Page.createIsolatedWorld", {"frameId": self._frame, "worldName": "webgym", "grantUniveralAccess": True}
        )
        world = made["executionContextId"]
        names = f"{json.dumps(self._ask)}, {json.dumps(self._answer)}"
        _value(await self.send("Runtime.evaluate", {"expression": f"{SNAPSHOT}({names})", "contextId": world}))
        self._world = world

    async def object_id(self, expression: str) -> str | None:
        """A handle on what an expression in the isolated world evaluates to, if it is an object."""
        if self._world is None:
            await self._enter_world()
        answer = await self.send("Runtime.evaluate", {"expression": expression, "contextId": self._world})
        return answer["result"].get("objectId")

    async def page_value(self, expression: str) -> Any:
        """The JSON value of an expression in the page's own world. Raises PageError with the page's own message."""
        return _value(await self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True}))

    async def page_promise(self, expression: str) -> Any:
        """Like :meth:`page_value` for a promise, with time passing until it is kept."""
        asked = asyncio.create_task(
            self.send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        )
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


def _value(answer: dict[str, Any]) -> Any:
    if problem := answer.get("exceptionDetails"):
        words = problem.get("exception", {}).get("description") or problem.get("text", "")
        raise PageError(f"script error in the page: {words.splitlines()[0][:300] if words else 'unknown'}")
    return answer["result"].get("value")
