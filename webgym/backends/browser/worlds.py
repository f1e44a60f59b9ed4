"""Isolated worlds of a tab's frames, in which the reader's code runs: no page can reach into them.

The browser runs the code in each new document of a tab, because sending it takes longer than running it. In frames, and in documents that
were there before, it is sent when it is needed.

The reader walks a document and the frames whose documents are open to it. Each other frame (of another host, sandboxed) has a world of its
own, and is read there (:mod:`webgym.backends.browser.reading`). Refs are numbered through all of them.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from playwright.async_api import BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser.clipboard import Clipboard
from webgym.backends.browser.scripts import script

PARTS = ("dom", "frames", "listening", "looks", "counters", "sheets", "roles", "names", "walk")
LOST = (
    "Cannot find context",
    "context was destroyed",
    "uniqueContextId",
    "Could not find object",
)  # words of errors that tell that a world is gone


READER = f"""((ask, answer) => {{
  if (Object.hasOwn(globalThis, "webgym")) return;
  const w = {{}};
  for (const part of [{", ".join(script(f"reader/{name}.js") for name in PARTS)}]) part(w, ask, answer);
  Object.defineProperty(globalThis, "webgym", {{ value: w }});
}})"""
ACT = "\n".join(["(() => {", *(f"({script(name)})();" for name in ("reach.js", "fields.js", "act.js")), "})"])
RENDERING = script("rendering.js")
NAME = "webgym"  # of the worlds


def code(names: tuple[str, str]) -> str:
    """The text of all that runs in a world, which a process compiles once. `names` are those of the tab's hook."""
    given = ", ".join(map(json.dumps, names))
    return f"{READER}({given}), {ACT}(), {RENDERING}({given}), undefined"


def ahead(names: tuple[str, str]) -> dict[str, Any]:
    """The part of the browser: it runs the code in each new document of a tab (CDP `Page.addScriptToEvaluateOnNewDocument`)."""
    return {"source": f"window === top && ({code(names)})", "worldName": NAME}


class PageError(Exception):
    """The page did not do what was asked; the browser is well. Becomes an error in the observation."""


class Document(Protocol):
    """A tab, as its worlds need it."""

    frame_id: str

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...
    async def grant(self, budget_ms: float) -> None: ...


class World:
    """Evaluation in the isolated world of one frame. `names` are those of the tab's hook.

    `around` is the world of the document that the frame stands in, and the frame's number there (`webgym.frame`); None for the tab's own.
    """

    def __init__(self, tab: Document, names: tuple[str, str], clipboard: Clipboard, frame_id: str) -> None:
        self.around: tuple[World, int] | None = None
        self._tab = tab
        self._names = names
        self._clipboard = clipboard
        self._frame_id = frame_id
        self._world: int | None = None  # the isolated world of the frame's document, once it is known to have the reader's code
        self._bare: int | None = None  # the same, with or without it

    @property
    def entered(self) -> bool:
        """True if the current document has the snapshot's code."""
        return self._world is not None

    def forget(self) -> None:
        """Say that the document is another one now, or that its world is lost."""
        self._world = self._bare = None

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` (the reader's and the actions' functions) in the isolated world."""
        for _ in range(3):
            try:
                if self._world is None and (entered := await self._enter(expression)):
                    return entered[0]
                return await self._value(expression, self._world)
            except PlaywrightError as error:
                if not any(words in str(error) for words in LOST):
                    raise
                self.forget()  # the document was replaced under our hands
        raise PageError("the page keeps replacing itself")

    async def bare(self) -> int:
        """The isolated world of the current document, for what comes next; it need not be waited for. Returns its id."""
        world = self._bare
        if world is None:
            parameters = {"frameId": self._frame_id, "worldName": NAME, "grantUniveralAccess": True}
            world = self._bare = int((await self._tab.send("Page.createIsolatedWorld", parameters))["executionContextId"])
        return world

    async def _enter(self, expression: str) -> list[Any] | None:
        """The value of the first `expression` that is asked in a document; None where that must wait for pictures."""
        world = await self.bare()
        first = f"""Object.hasOwn(globalThis, "webgym") ? ({self._clipboard.offer()}, webgym.preload() ? null : [{expression}]) : ''"""
        _, entered = await asyncio.gather(
            self._tab.send("Runtime.addBinding", {"name": self._clipboard.name}),  # of the documents of now; the offer takes it up
            self._value(first, world),
        )
        if entered == "":
            await self._value(code(self._names), world)
            entered = await self._value(first, world)
        self._world = world
        if entered is None:
            # Pictures that show under the pointer only: while one loads, its box is empty and a click misses it. Whether it comes
            # from the network or from the browser's memory must make no difference.
            await self._tab.grant(1.0)
        return entered

    async def _value(self, expression: str, world: int | None) -> Any:
        return value_of(await self._tab.send("Runtime.evaluate", {"expression": expression, "contextId": world, "returnByValue": True}))

    async def object_id(self, expression: str) -> str | None:
        """A handle on what an expression in the isolated world evaluates to, if it is an object."""
        await self.ask("void 0")  # the world is there
        answer = await self._tab.send("Runtime.evaluate", {"expression": expression, "contextId": self._world})
        return answer["result"].get("objectId")

    async def frame_id(self, number: int) -> str:
        """The id of a frame that this document holds, by its number in the last snapshot; "" where it holds no document."""
        handle = await self.object_id(f"webgym.frame({number})")
        if handle is None:
            return ""
        found = str((await self._tab.send("DOM.describeNode", {"objectId": handle}))["node"].get("frameId", ""))
        await self.ask(f"webgym.know({number}, {json.dumps(found)})")
        return found

    async def open_roots(self, hosts: int) -> bool:
        """Hand the closed shadow roots of the last snapshot's `hosts` to the reader; True if there was one."""
        return any(await asyncio.gather(*(self._open_root(number) for number in range(hosts))))

    async def _open_root(self, number: int) -> bool:
        host = await self.object_id(f"webgym.closedHost({number})")
        if host is None:
            return False
        roots = (await self._tab.send("DOM.describeNode", {"objectId": host}))["node"].get("shadowRoots", [])
        for root in roots:
            if root.get("shadowRootType") == "closed":
                here = {"backendNodeId": root["backendNodeId"], "executionContextId": self._world}
                handle = (await self._tab.send("DOM.resolveNode", here))["object"]["objectId"]
                adopt = {"functionDeclaration": "function(number) { webgym.adopt(number, this) }", "arguments": [{"value": number}]}
                await self._tab.send("Runtime.callFunctionOn", {"objectId": handle, **adopt})
                return True
        return False


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a ref: the world of the document that the thing stands in, in which the ref has the same number."""

    ref: int
    world: World

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` in the world of the ref's document."""
        return await self.world.ask(expression)

    async def object_id(self) -> str | None:
        """A handle on the thing, for CDP; None where there is none."""
        return await self.world.object_id(f"webgym.element({self.ref})")

    @property
    def frames(self) -> tuple[tuple[World, int], ...]:
        """The frames that the document stands in, innermost first: the world around each, and its number there (`webgym.frame`)."""
        found = []
        world = self.world
        while world.around is not None:
            found.append(world.around)
            world = world.around[0]
        return tuple(found)

    async def on_page(self, x: float, y: float) -> tuple[float, float]:
        """A point of the viewport of the ref's document, in the viewport of the page. Raises PageError where a frame is gone."""
        for world, number in self.frames:
            matrix = await world.ask(f"webgym.matrix({number})")
            if matrix is None:
                raise PageError(f"element #{self.ref} is gone: the page has changed since it was shown")
            a, b, c, d, e, f = matrix
            x, y = a * x + c * y + e, b * x + d * y + f
        return x, y


class Worlds:
    """Worlds of a tab: that of its own document, and those of the frames that it cannot walk."""

    def __init__(self, tab: Document, names: tuple[str, str], clipboard: Clipboard) -> None:
        self._tab, self._names, self._clipboard = tab, names, clipboard
        self.main = World(tab, names, clipboard, tab.frame_id)
        self._frames: dict[str, World] = {}
        self._owners: Sequence[World] = ()  # by ref; empty where all are of the tab's own document
        self._views = 0

    def next_view(self) -> int:
        """The number of the next view of the page."""
        self._views += 1
        return self._views

    def forget(self) -> None:
        """Say that the tab's document is another one now, or that its worlds are lost."""
        self.main.forget()
        self._frames.clear()
        self._owners = ()

    def at(self, ref: int) -> Place:
        """The place of a ref of the last snapshot. A ref that there is not is taken for one of the tab's own document, which says so."""
        return Place(ref, self._owners[ref] if 0 <= ref < len(self._owners) else self.main)

    def number(self, owners: Sequence[World]) -> None:
        """Say which world each ref of the page belongs to."""
        self._owners = owners

    def of_frame(self, frame_id: str, around: tuple[World, int]) -> World:
        """The world of a frame that cannot be walked."""
        world = self._frames.setdefault(frame_id, World(self._tab, self._names, self._clipboard, frame_id))
        world.around = around
        return world

    @property
    def entered(self) -> bool:
        """True if the tab's own document has the reader's code."""
        return self.main.entered

    @property
    def all(self) -> tuple[World, ...]:
        """The worlds of all documents that were read."""
        return (self.main, *self._frames.values())

    async def ask(self, expression: str) -> Any:
        """The JSON value of an expression over `webgym` in the world of the tab's own document."""
        return await self.main.ask(expression)

    async def bare(self) -> int:
        """The id of the isolated world of the tab's own document, with or without the reader's code."""
        return await self.main.bare()

    async def object_id(self, expression: str) -> str | None:
        """A handle on what an expression in the world of the tab's own document evaluates to, if it is an object."""
        return await self.main.object_id(expression)

    async def offer_clipboard(self) -> None:
        """Let the documents of all frames know what the session's clipboard holds, and hear of what they copy."""
        offer = f"void {self._clipboard.offer()}"
        await asyncio.gather(
            self._tab.send("Runtime.addBinding", {"name": self._clipboard.name}),
            self.main.ask(offer),
            *(world.ask(offer) for world in self._frames.values()),
        )


def value_of(answer: dict[str, Any]) -> Any:
    """The JSON value of an evaluation. Raises PageError with the page's own message."""
    if problem := answer.get("exceptionDetails"):
        words = problem.get("exception", {}).get("description") or problem.get("text", "")
        raise PageError(f"script error in the page: {words.splitlines()[0][:300] if words else 'unknown'}")
    return answer["result"].get("value")


async def connect(context: BrowserContext, page: Page, names: tuple[str, str]) -> tuple[CDPSession, float]:
    """A CDP session for a page, its time standing still from now on, and the moment at which the time of its process became virtual.

    Its new documents have the reader's code. `names` are those of its hook.
    """
    cdp = await context.new_cdp_session(page)
    *_, answer = await asyncio.gather(
        cdp.send("Page.enable"),
        cdp.send("Page.setInterceptFileChooserDialog", {"enabled": True}),
        cdp.send("Page.addScriptToEvaluateOnNewDocument", ahead(names)),
        cdp.send("Emulation.setVirtualTimePolicy", {"policy": "pause"}),
    )
    return cdp, answer["virtualTimeTicksBase"]
