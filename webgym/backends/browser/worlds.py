"""The isolated world of a tab's document, in which the snapshot's code runs: no page can reach into it."""

import asyncio
import importlib.resources
import json
from typing import Any, Protocol

from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser.clipboard import Clipboard

FOLDER = importlib.resources.files("webgym.backends.browser")
SNAPSHOT, ACT, RENDERING = (FOLDER.joinpath(name).read_text("utf-8") for name in ("snapshot.js", "act.js", "rendering.js"))


class PageError(Exception):
    """The page did not do what was asked; the browser is well. Becomes an error in the observation."""


class Document(Protocol):
    """A tab, as its world needs it."""

    frame_id: str

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...
    async def grant(self, budget_ms: float) -> None: ...


class Worlds:
    """Evaluation in the isolated world of the document that `tab` shows. `names` are those of its hook."""

    def __init__(self, tab: Document, names: tuple[str, str], clipboard: Clipboard) -> None:
        self._tab = tab
        self._names = names
        self._clipboard = clipboard
        self._world: int | None = None  # the isolated world of the current document, once it has the snapshot's code
        self._bare: int | None = None  # the same without it

    @property
    def entered(self) -> bool:
        """True if the current document has the snapshot's code."""
        return self._world is not None

    def forget(self) -> None:
        """Say that the document is another one now, or that its worlds are lost."""
        self._world = self._bare = None

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` (snapshot.js) in the isolated world."""
        for _ in range(3):
            try:
                if self._world is None and (entered := await self._enter(expression)):
                    return entered[0]
                return value_of(
                    await self._tab.send("Runtime.evaluate", {"expression": expression, "contextId": self._world, "returnByValue": True})
                )
            except PlaywrightError as error:
                if not any(words in str(error) for words in ("Cannot find context", "context was destroyed", "uniqueContextId")):
                    raise
                self.forget()  # the document was replaced under our hands
        raise PageError("the page keeps replacing itself")

    async def bare(self) -> int:
        """The isolated world of the current document, for what comes next; it need not be waited for. Returns its id."""
        world = self._bare
        if world is None:
            parameters = {"frameId": self._tab.frame_id, "worldName": "webgym", "grantUniveralAccess": True}
            world = self._bare = int((await self._tab.send("Page.createIsolatedWorld", parameters))["executionContextId"])
        return world

    async def _enter(self, expression: str) -> list[Any] | None:
        """Bring the snapshot's code into the document, and with it the value of `expression`; None where that must wait for pictures."""
        world = await self.bare()
        names = ", ".join(map(json.dumps, self._names))
        code = f"{self._clipboard.offer()}, {SNAPSHOT}({names}), {ACT}(), {RENDERING}({names}), webgym.preload() ? null : [{expression}]"
        _, answer = await asyncio.gather(
            self._tab.send("Runtime.addBinding", {"name": self._clipboard.name}),  # reaches the documents of now, not later ones
            self._tab.send("Runtime.evaluate", {"expression": code, "contextId": world, "returnByValue": True}),
        )
        self._world = world
        entered = value_of(answer)
        if entered is None:
            # Pictures that show under the pointer only: while one loads, its box is empty and a click misses it. Whether it comes
            # from the network or from the browser's memory must make no difference.
            await self._tab.grant(1.0)
        return entered

    async def offer_clipboard(self) -> None:
        """Let the documents of all frames know what the session's clipboard holds, and hear of what they copy."""
        await asyncio.gather(
            self._tab.send("Runtime.addBinding", {"name": self._clipboard.name}), self.ask(f"void {self._clipboard.offer()}")
        )

    async def object_id(self, expression: str) -> str | None:
        """A handle on what an expression in the isolated world evaluates to, if it is an object."""
        await self.ask("void 0")  # the world is there
        answer = await self._tab.send("Runtime.evaluate", {"expression": expression, "contextId": self._world})
        return answer["result"].get("objectId")


def value_of(answer: dict[str, Any]) -> Any:
    """The JSON value of an evaluation. Raises PageError with the page's own message."""
    if problem := answer.get("exceptionDetails"):
        words = problem.get("exception", {}).get("description") or problem.get("text", "")
        raise PageError(f"script error in the page: {words.splitlines()[0][:300] if words else 'unknown'}")
    return answer["result"].get("value")
