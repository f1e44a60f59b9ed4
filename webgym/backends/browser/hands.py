"""A person's hands in a headed browser window: their clicks and keys are reported as deeds, and the page does not receive them.

The window shows the real page. Listeners that come before the page's own (`hands.js`, in an isolated world) take each click, key and
turn of the wheel away while it is the person's turn, and report what was meant. The action is then performed as an agent's is, so that
the record holds all that happened.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from typing import Any

from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser.scripts import script
from webgym.backends.browser.tab import Tab
from webgym.backends.browser.worlds import PageError

log = logging.getLogger(__name__)

SCRIPT = script("hands.js")
WHEEL_S = 0.25  # turns of the wheel within so long are one scroll


class Hands:
    """Hands of one person, in the tab that they look at. `hear` gets each deed as JSON, `closed` is called when the window is gone.

    All methods run on the browser's loop, on which `hear` and `closed` are called too.
    """

    def __init__(self, hear: Callable[[str], None], closed: Callable[[], None]) -> None:
        self._hear, self._closed = hear, closed
        self._name = f"webgym_{secrets.token_hex(8)}"  # of the binding, which the page's own world does not see
        self._known: list[Tab] = []
        self._tab: Tab | None = None
        self._turns: set[asyncio.Task[None]] = set()

    async def enter(self, tab: Tab) -> None:
        """Come into the window, in whose later documents nothing hears of what is done before these listeners do."""
        self._known.append(tab)
        tab.on("Runtime.bindingCalled", self._called)
        tab.page.on("close", self._on_close)
        await tab.send("Page.addScriptToEvaluateOnNewDocument", {"source": f"({SCRIPT})()", "worldName": "webgym"})

    async def begin(self, tab: Tab, turn: dict[str, Any]) -> None:
        """Give the person their turn on what `tab` shows: page, goal, nodes, focus, turn, turns_left, error, over."""
        if tab not in self._known:
            await self.enter(tab)
        if tab is not self._tab:
            await tab.send("Page.bringToFront")
        self._tab = tab
        await tab.send("Runtime.addBinding", {"name": self._name, "executionContextName": "webgym"})  # reaches the documents of now only
        await self._ask(f"(({SCRIPT})(), webgymHands.begin({json.dumps(turn)}, {json.dumps(self._name)}))")
        await tab.hear_input(True)

    async def rest(self) -> None:
        """Take the turn back: the page is as it was, and hears what comes."""
        await self._ask("globalThis.webgymHands?.rest()")

    def _called(self, event: dict[str, Any]) -> None:
        if event["name"] != self._name:
            return
        if event["payload"] == '{"wheel":true}':
            task = asyncio.ensure_future(self._scrolled())
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)
        else:
            self._hear(event["payload"])

    async def _scrolled(self) -> None:
        await asyncio.sleep(WHEEL_S)  # here, since time stands still in the page
        await self._ask("globalThis.webgymHands?.scrolled()")

    async def _ask(self, expression: str) -> None:
        if self._tab is None:
            return
        try:
            await self._tab.ask(f"void {expression}")
        except (PlaywrightError, PageError) as error:
            log.debug("the page does not take the person's turn: %s", error)

    def _on_close(self, page: Any) -> None:
        if not page.context.pages:
            self._closed()
