"""A site of pages that a row brings along, an agent on it, and a canary: a server on loopback that nothing may reach."""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.session import in_browser
from webgym.env.core import AsyncWebEnv
from webgym.errors import Fault
from webgym.loop_thread import loop_thread
from webgym.sites.static import reply
from webgym.task import PENDING, AsgiApp, Evidence, Start, Task, Verdict
from webgym.types import Action, Observation, Step

HOST = "hacks.localhost"


def run(coroutine: Any) -> Any:
    """A coroutine's result on the browser's loop."""
    return loop_thread().run(coroutine)


class HackSite:
    """Serves the pages that `site_state` maps paths to, and keeps what is posted."""

    host = HOST

    async def lease(self, seed: int, site_state: Any) -> dict[str, Any]:
        """The pages, and nothing posted."""
        return {"pages": dict(site_state or {}), "posted": []}

    def snapshot(self, state: dict[str, Any]) -> Any:
        """The bodies that were posted."""
        return list(state["posted"])

    async def release(self, state: dict[str, Any]) -> None:
        """Do nothing, because no resources are held."""

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close"})
        state = scope["webgym.state"]
        body = (await receive()).get("body", b"")
        if scope["method"] == "POST":
            state["posted"].append(body.decode("latin-1"))
        page = state["pages"].get(scope["path"])
        kind = b"text/javascript" if scope["path"].endswith(".js") else b"text/html; charset=utf-8"
        await reply(send, 404 if page is None else 200, kind, (page or "nothing").encode(), extra=((b"cache-control", b"no-store"),))


class Agent:
    """Plays episodes on :class:`HackSite` from ordinary code."""

    def __init__(self) -> None:
        self._task = Task("hacks.page", start=lambda seed: Start(""), check=lambda evidence: PENDING)
        self.env = AsyncWebEnv(find=lambda task_id: self._task)
        run(shared_pool()).serve([HackSite()])

    def open(
        self,
        html: str,
        pages: Mapping[str, str] | None = None,
        check: Callable[[Evidence], Verdict] = lambda evidence: PENDING,
        **task: Any,
    ) -> Observation:
        """Begin an episode on the page `html`."""
        start = Start(f"http://{HOST}/", "Send the form.", site_state={"/": html, **(pages or {})})
        given = {"hosts": (HOST,), "max_turns": 1000, **task}
        self._task = Task("hacks.page", start=lambda seed: start, check=check, **given)
        return run(self.env.reset("hacks.page", 0))

    def do(self, action: Action) -> Step:
        """A turn."""
        return run(self.env.step(action))

    def js(self, expression: str) -> Any:
        """The value of an expression in the page's own world."""
        return run(in_browser(self.env.session).tab.page_value(expression))

    def close(self) -> None:
        """Give the session back; a broken one is fine."""
        try:
            run(self.env.close())
        except Fault:
            return


_agent: list[Agent] = []


def agent() -> Agent:
    """The agent of all rows, made on first use."""
    if not _agent:
        _agent.append(Agent())
    return _agent[0]


class Canary:
    """A port on 127.0.0.1 for TCP and one for UDP. `hits` counts what came, and `read` is what it answers over HTTP."""

    MARK = "CANARY-SINGS"

    def __init__(self) -> None:
        self.hits = 0
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.port, self.udp_port = self._tcp.getsockname()[1], self._udp.getsockname()[1]
        for listen in (self._accept, self._receive):
            threading.Thread(target=listen, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._tcp.accept()
            except OSError:
                return
            with taken:
                self.hits += 1
                taken.settimeout(1.0)
                body = f"<title>canary</title><h1>{self.MARK}</h1>"
                try:
                    taken.recv(65_536)
                    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
                    taken.sendall((head + body).encode())
                except OSError:
                    continue

    def _receive(self) -> None:
        while True:
            try:
                self._udp.recvfrom(4096)
            except OSError:
                return
            self.hits += 1


_canary: list[Canary] = []


def canary() -> Canary:
    """The canary of all rows."""
    if not _canary:
        _canary.append(Canary())
    return _canary[0]


async def fetched(host: str, port: int, path: str) -> bytes:
    """The body of a page of another server; what a proxy without a guard would do."""
    reader, writer = await asyncio.open_connection(host.rstrip("."), port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]
