"""The side that is judged: WebGym's own environment, with the elements behind its refs as the browser numbers them."""

import asyncio
import itertools
import re
from collections.abc import Collection, Mapping
from typing import Any

from playwright.async_api import CDPSession, Page

from benchmarks.pages import tree
from benchmarks.pages.generator import Documents
from benchmarks.pages.reference import Seen, seen
from benchmarks.pages.site import SITES, task
from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.session import Session, in_browser
from webgym.env.core import AsyncWebEnv
from webgym.types import Action, CloseTab, Observation

FILES: dict[str, str | bytes] = {"letter.txt": "Dear all"}
INPUT_EVENTS = frozenset(re.findall(r"\w+", (
    "click dblclick mousedown mouseup pointerdown pointerup touchstart touchend keydown keyup keypress contextmenu"
)))  # fmt: skip
COUNTER = itertools.count(1)


class Ours:
    """One environment of WebGym. Use :meth:`show`, :meth:`act` and what they leave; end with :meth:`close`."""

    def __init__(self) -> None:
        self._task = task({}, "/", FILES)
        self._env = AsyncWebEnv(find=lambda _: self._task, screenshots=False)
        self._cdp: tuple[Page, CDPSession] | None = None
        self.observation = Observation("", "", "", ())
        self.touched = True  # whether more was done to the page that is shown than reading it

    async def show(self, documents: Documents, path: str) -> Observation:
        """Open a fresh copy of the page, as an episode's reset does."""
        (await shared_pool()).serve(SITES)
        self._task = task(documents, path, FILES)
        self.observation = await self._env.reset("referee.page", next(COUNTER))
        self.touched = False
        return self.observation

    async def act(self, action: Action) -> str:
        """Perform one action; "" or the error in words."""
        self.touched = True
        self.observation = (await self._env.step(action)).observation
        error = self.observation.error
        while len(self.observation.tabs) > 1:  # both sides look at the page itself, whatever it opened
            self.observation = (await self._env.step(CloseTab())).observation
        return error

    async def close(self) -> None:
        await self._env.close()

    @property
    def session(self) -> Session:
        return in_browser(self._env.session)

    @property
    def page(self) -> Page:
        return self.session.tab.page

    async def seen(self) -> Seen:
        """What the page's recorders hold."""
        return await seen(self.page)

    async def cdp(self) -> CDPSession:
        """A connection of the referee's own to the page."""
        page = self.page
        if self._cdp is None or self._cdp[0] is not page:
            self._cdp = (page, await page.context.new_cdp_session(page))
        return self._cdp[1]

    async def elements_of_refs(self) -> Mapping[int, int]:
        """The browser's id of the element behind each ref."""
        refs = [node.ref for node in self.observation.nodes if node.ref is not None]
        found = await asyncio.gather(*map(self._element, refs))
        return {ref: element for ref, element in zip(refs, found, strict=True) if element is not None}

    async def _element(self, ref: int) -> int | None:
        tab = self.session.tab
        handle = await tab.worlds.at(ref).object_id()
        return None if handle is None else (await tab.send("DOM.describeNode", {"objectId": handle}))["node"]["backendNodeId"]

    async def sight(self, element: int) -> dict[str, Any]:
        """Measures of an element's visibility by the page's own layout (`referee.sight`); {} where it is gone."""
        self.touched = True  # measuring scrolls
        cdp = await self.cdp()
        node = await cdp.send("DOM.resolveNode", {"backendNodeId": element})
        call = {"functionDeclaration": "function () { return globalThis.referee ? referee.sight(this) : {} }", "returnByValue": True}
        told = await cdp.send("Runtime.callFunctionOn", {"objectId": node["object"]["objectId"], **call})
        return told["result"].get("value") or {}

    async def listens(self, element: int, events: Collection[str] = INPUT_EVENTS) -> bool:
        """True if the element itself has listeners to such events of a person."""
        cdp = await self.cdp()
        node = await cdp.send("DOM.resolveNode", {"backendNodeId": element})
        told = await cdp.send("DOMDebugger.getEventListeners", {"objectId": node["object"]["objectId"]})
        return any(listener["type"] in events for listener in told["listeners"])

    async def trees(self) -> tuple[dict[int, tree.Element], list[tree.AxNode]]:
        """The page's elements and accessibility nodes."""
        cdp = await self.cdp()
        return await asyncio.gather(tree.elements(cdp), tree.accessibility(cdp))
