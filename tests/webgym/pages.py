"""A site for tests: each episode brings its own pages, and what the browser asked for is kept."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from webgym.backends.browser.pool import BrowserPool, shared_pool
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.task import PENDING, AsgiApp, Evidence, Start, Task, Verdict
from webgym.types import Action, InvalidAction, Node, Observation, Step

HOST, OTHER = "pages.localhost", "other.localhost"

Page = str | tuple[int, Mapping[str, str], str | bytes]
"""HTML, or status, headers and body."""


@dataclass
class Visit:
    """The state of one episode: its pages by path, and the requests so far as (method, path with query, headers, body)."""

    pages: Mapping[str, Page]
    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    closed: bool = False


class PageSite:
    """Serves the pages that `site_state` maps paths to. `/hang` never answers, `/broken` raises, `/ws` echoes over a WebSocket."""

    def __init__(self, host: str = HOST) -> None:
        self.host = host
        self.visits: list[Visit] = []

    async def lease(self, seed: int, site_state: Any) -> Visit:
        self.visits.append(Visit(site_state or {}))
        return self.visits[-1]

    def snapshot(self, state: Visit) -> Any:
        return [body for method, _, _, body in state.requests if method == "POST"]

    async def release(self, state: Visit) -> None:
        state.closed = True

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        state: Visit = scope["webgym.state"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        path = scope["path"]
        full = f"{path}?{query}" if query else path
        if scope["type"] == "websocket":
            state.requests.append(("WEBSOCKET", full, headers, ""))
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"]})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        state.requests.append((scope["method"], full, headers, body.decode()))
        if path == "/broken":
            raise RuntimeError("the site broke")
        if path == "/hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        page = state.pages.get(full, state.pages.get(path, (404, {}, "<p>not found")))
        status, given, text = page if isinstance(page, tuple) else (200, {}, page)
        given = {"content-type": "text/html; charset=utf-8", **given}
        pairs = [(name.encode(), value.encode()) for name, value in given.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": text.encode() if isinstance(text, str) else text})


SITE, OTHER_SITE = PageSite(HOST), PageSite(OTHER)


class Visitor:
    """Plays episodes on a :class:`PageSite` from ordinary code: `open` a page, `do` actions, look at what the agent sees."""

    def __init__(self) -> None:
        self.visit = self.other = Visit({})  # this episode's state at the two sites
        self.task = Task("pages.test", start=lambda _: Start(""), check=lambda _: PENDING)
        self.env = AsyncWebEnv(find=lambda _: self.task)
        self.observation = Observation("", "", "", ())

    def open(
        self,
        html: str = "<p>page",
        pages: Mapping[str, Page] | None = None,
        *,
        seed: int = 0,
        path: str = "/",
        check: Callable[[Evidence], Verdict] = lambda _: PENDING,
        files: Mapping[str, str | bytes] | None = None,
        **task: Any,
    ) -> Observation:
        """Begin an episode whose start page is `html`, with other `pages` by path, and with `files` to upload."""
        start = Start(f"http://{HOST}{path}", "the goal", site_state={"/": html, **(pages or {})}, files=files or {})
        self.task = Task("pages.test", start=lambda _: start, check=check, **{"hosts": (HOST,), "max_turns": 1000, **task})
        self.observation = run(self.env.reset("pages.test", seed))
        self.visit, self.other = SITE.visits[-1], OTHER_SITE.visits[-1] if OTHER in self.task.hosts else Visit({})
        return self.observation

    def step(self, action: Action | InvalidAction) -> Step:
        step = run(self.env.step(action))
        self.observation = step.observation
        return step

    def do(self, action: Action | InvalidAction) -> Observation:
        """The observation after an action that works."""
        observation = self.step(action).observation
        assert observation.error == "", observation.error
        return observation

    def fails(self, action: Action | InvalidAction) -> str:
        """The error in words of an action that does not work."""
        error = self.step(action).observation.error
        assert error, f"{action} worked"
        return error

    def node(self, text: str, role: str = "") -> Node:
        """The one thing of the current page with this text that can be acted on."""
        found = [n for n in self.observation.nodes if n.text == text and n.ref is not None and role in ("", n.role)]
        assert len(found) == 1, f"{len(found)} things are called {text!r} on {lines(self.observation)}"
        return found[0]

    def ref(self, text: str, role: str = "") -> int:
        ref = self.node(text, role).ref
        assert ref is not None
        return ref

    def js(self, expression: str) -> Any:
        """What an expression is in the page's own world."""
        return run(self.env.session.tab.page_value(expression))

    def promise(self, expression: str) -> Any:
        """What a promise of the page's own world comes to, or `"failed"`."""
        return run(self.env.session.tab.page_promise(f"({expression}).catch(() => 'failed')"))


def run(coroutine: Any) -> Any:
    """A coroutine's result on the browser's loop."""
    return loop_thread().run(coroutine)


def pool() -> BrowserPool:
    """This process's browser pool."""
    return run(shared_pool())


@contextmanager
def visitor() -> Iterator[Visitor]:
    """A visitor, with the two test sites served."""
    found = Visitor()
    pool().serve([SITE, OTHER_SITE])
    try:
        yield found
    finally:
        run(found.env.close())


def lines(observation: Observation) -> list[str]:
    """The page, one line per node as "role text", with value and states where there are any."""
    shown = []
    for n in observation.nodes:
        value = f" = {n.value}" if n.value is not None else ""
        states = f" ({', '.join(n.states)})" if n.states else ""
        shown.append(f"{n.role} {n.text}{value}{states}")
    return shown
