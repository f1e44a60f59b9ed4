"""One running episode on the side of its sites: an ASGI application through which every request of the episode goes.

A browser's requests come over its session's listener (:mod:`webgym.sites.listener`); a backend without a browser calls the episode in its
own process. Either way the request's scheme, host and port say which site answers. A request for any other address gets 403.

The episode knows its requests: which are unanswered, and since when (:meth:`Episode.unanswered`), and what their answers leave behind in a
browser (:class:`Traces`). All messages between browser and sites pass through :class:`Exchange`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from webgym.errors import SiteFault
from webgym.sites.address import origin, origin_of, port_of
from webgym.sites.immutable import Immutables
from webgym.sites.streams import Streams
from webgym.sites.workers import HOOKS, asks_for_worker, is_navigation, plainly, with_hooks
from webgym.task import Scope, Site

log = logging.getLogger(__name__)

BLANK = "/webgym-blank"  # the address of an empty page on every host: no site is asked
OWN = (b"proxy-connection", b"proxy-authorization")  # headers of a request that are meant for the listener
FLOWS = b"text/event-stream"
LASTING = {
    b"accept-ch", b"alt-svc", b"attribution-reporting-register-source", b"attribution-reporting-register-trigger", b"nel",
    b"origin-agent-cluster", b"report-to", b"reporting-endpoints", b"set-login", b"speculation-rules", b"strict-transport-security",
    b"use-as-dictionary",
}  # fmt: skip
"""Headers of an answer that a browser remembers beyond the page, or that make it send requests later."""


@dataclass
class Traces:
    """Traces of an episode in the browser that no clearing of cookies and storages takes away, as its requests and answers show them.

    `origins` are those that were asked. `cached` says that answers may lie in the browser's cache which only this episode may see.
    `lasting` names what the browser will remember otherwise: HTTP credentials, or headers that set policies or ask for reports. `workers`
    says that a page asked for the script of a worker, `cut` that requests had no whole answer when the episode ended.
    """

    origins: set[str] = field(default_factory=set)
    cached: bool = False
    lasting: str = ""
    workers: bool = False
    cut: bool = False

    def of_request(self, found: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Note a request to the origin `found`."""
        self.origins.add(found)
        for name, value in headers:
            if name == b"authorization" and value[:7].lower() != b"bearer ":
                self.lasting = "HTTP credentials"
            elif name == b"sec-purpose":
                self.lasting = "pages that are fetched ahead"
            elif name == b"sec-fetch-dest" and value.endswith(b"worker"):
                self.workers = True

    def of_answer(self, scope: Scope, message: Mapping[str, Any]) -> None:
        """Note the head of an answer."""
        kept = b""
        for name, value in message.get("headers", ()):
            name = name.lower()
            if name == b"cache-control":
                kept += b"," + value.lower()
            elif name in LASTING:
                self.lasting = f"the header {name.decode('latin-1')}"
        if message["status"] == 401:
            self.lasting = "HTTP credentials"
        if scope.get("method") == "GET" and b"no-store" not in kept and b"immutable" not in kept:
            self.cached = True


STATUSES = frozenset(range(200, 600)) - {407}  # that a site may answer: others end no request, or are a proxy's (RFC 9110, section 15)
BAD_GATEWAY = 502  # which stands for them
BODILESS = (204, 304)  # whose bodies a browser never hears of, whatever a site sends


class Exchange:
    """One request and its answer, or one WebSocket. `receive` and `send` are the ASGI callables that the site is given."""

    def __init__(
        self, address: str, scope: Scope, receive: Any, send: Any, traces: Traces, closed: Callable[[], bool], streams: Streams
    ) -> None:
        self.address = address
        query = scope.get("query_string", b"").decode("latin-1")
        self.url = f"{address}?{query}" if query else address
        self.flows = self.taking = False
        self._streams = streams
        self.method: str = scope.get("method", "WEBSOCKET")
        self.kind: Literal["http", "websocket"] = scope["type"]
        self.begun = time.monotonic()
        self.answered = False  # wholly; a WebSocket: it is closed
        self.status = 0  # until the head of an answer is there
        self._scope, self._receive, self._send = scope, receive, send
        self._traces, self._closed = traces, closed
        self._gone = False

    @property
    def gone(self) -> bool:
        """True if the page has left, so that nobody hears of an answer any more."""
        return self._gone or self._closed()

    def leave(self) -> None:
        """Say that nobody hears of the answer any more: what a site makes of that is no failure."""
        self._gone = True

    async def receive(self) -> Any:
        """The next message of the page."""
        self.taking = False
        message = await self._receive()
        self.taking = message["type"] == "websocket.receive"
        if self.taking:
            self._streams.heard[self.url] += 1
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            self._gone = self._gone or not self.answered
        return message

    async def send(self, message: Any) -> None:
        """Hand a message of the site to the page."""
        kind, amount = message["type"], 1  # what the page counts of it
        if kind in ("http.response.start", "websocket.http.response.start") and message["status"] not in STATUSES:
            message = {**message, "status": BAD_GATEWAY}
        if kind == "http.response.start":
            self._traces.of_answer(self._scope, message)
            self.status = message["status"]
            amount = 0
        elif kind == "http.response.body":
            message = {**message, "body": b""} if self.status in BODILESS else message
            amount = len(message.get("body", b"")) if self.flows else int(not message.get("more_body"))
        if kind == "websocket.close" or (kind in ("http.response.body", "websocket.http.response.body") and not message.get("more_body")):
            self.answered = True
        await self._streams.pass_on(self, amount, partial(self._hand_on, message))
        if kind == "http.response.start":  # the page's time waits for the head of an event stream, and not for the rest
            self.flows = any(n.lower() == b"content-type" and v.lower().startswith(FLOWS) for n, v in message.get("headers", ()))

    async def _hand_on(self, message: Any) -> None:
        try:
            await self._send(message)
        except OSError:
            self._gone = True
            raise


class Episode:
    """The sites of one episode with their leased states, as one ASGI application."""

    def __init__(self, sites: Mapping[str, Site], immutables: Immutables) -> None:
        self.sites = sites  # by host, as the task names it
        self._immutables = immutables
        self.states: dict[str, Any] = {}
        self.traces = Traces()
        self.asked = 0  # requests of which a site was asked
        self.lease: tuple[tuple[str, ...], int, Any, float] = ((), 0, None, 0.0)  # what it was opened with
        self.over = False
        self.elsewhere: set[str] = set()  # the addresses that pages asked for and no site has
        self._hosts = {origin(host): host for host in sites}
        self._failure: tuple[str, Exception] | None = None  # the first one of a site, with its place
        self._running: dict[Exchange, asyncio.Task[Any] | None] = {}
        self._page: Exchange | None = None  # the last one that opened a page in a tab
        self.streams = Streams(self.unanswered)
        self.worker_hooks: Callable[[], str] | None = None  # the hooks that a browser's workers get before their own scripts

    def serves(self, found: str) -> bool:
        """True if a site of this episode has the origin."""
        return found in self._hosts and not self.over

    def unanswered(self) -> tuple[Exchange, ...]:
        """The requests without a whole answer and the open WebSockets, oldest first."""
        return tuple(exchange for exchange in self._running if not exchange.answered)

    @property
    def page_status(self) -> int:
        """The status that the last page was answered with, 0 where a browser has asked for none."""
        return self._page.status if self._page is not None else 0

    def must_be_well(self) -> None:
        """Raises SiteFault if a site has failed."""
        if self._failure:
            where, error = self._failure
            if isinstance(error, SiteFault):  # it says all itself
                raise SiteFault(str(error)) from error
            raise SiteFault(f"the site {where} failed while answering: {error!r}") from error

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI; its scheme and its header `host` say whom it is for."""
        if scope["type"] in ("http", "websocket"):
            await self.answer(_origin_of(scope), scope, receive, send)

    async def answer(self, found: str, scope: Scope, receive: Any, send: Any, closed: Callable[[], bool] = lambda: False) -> None:
        """Answer a request to the origin `found`, as ASGI. `closed` says whether its connection is gone."""
        if not self.serves(found):
            return await _refuse(scope, send)
        if scope["path"] == BLANK:
            return await reply(send, 200, {"content-type": "text/html", "cache-control": "no-store"})
        if self.worker_hooks is not None:
            if scope["path"] == HOOKS and not is_navigation(scope):  # they hold the episode's seed, which no page shows
                return await reply(
                    send, 200, {"content-type": "text/javascript", "cache-control": "no-store"}, self.worker_hooks().encode()
                )
            if asks_for_worker(scope):
                scope, send = plainly(scope), with_hooks(send, self.worker_hooks)
        self.asked += 1
        self.traces.of_request(found, scope["headers"])
        host = self._hosts[found]
        exchange = Exchange(f"{found}{scope['path']}", scope, receive, send, self.traces, closed, self.streams)
        if any(name == b"sec-fetch-dest" and value == b"document" for name, value in scope["headers"]):
            self._page = exchange
        self.streams.begin(exchange)
        headers = [(name, value) for name, value in scope["headers"] if name not in OWN]
        inner = {**scope, "headers": headers, "webgym.state": self.states[host]}
        self._running[exchange] = asyncio.current_task()
        try:
            await self._immutables.answer(found, self.sites[host].app, inner, exchange.receive, exchange.send)
            await self.streams.handed_on(exchange)
        except Exception as error:
            if not exchange.gone:
                log.exception("site %s failed at %s", host, scope["path"])
                self._failure = self._failure or (f"{host}{scope['path']}", error)
            else:
                log.debug("site %s wrote to a page that was left, %s: %r", host, scope["path"], error)
            raise
        finally:
            del self._running[exchange]

    async def hang_up(self) -> None:
        """Give up the requests without a whole answer: a page whose script waits for one, and does nothing else, gets an error for it."""
        waiting = [exchange for exchange in self.unanswered() if exchange.kind == "http"]
        for exchange in waiting:
            exchange.leave()
        await self._stop(waiting)

    async def end(self) -> None:
        """Let nothing more in, and stop what the sites are still answering."""
        self.over = True
        self.traces.cut = any(exchange.kind == "http" and not exchange.gone for exchange in self.unanswered())
        await self._stop(self._running)

    async def _stop(self, exchanges: Iterable[Exchange]) -> None:
        running = [self._running[exchange] for exchange in exchanges]
        tasks = [task for task in running if task is not None and task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)


def _origin_of(scope: Scope) -> str:
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    name, colon, port = host.rpartition(":")
    number = port_of(port) if colon else None
    return origin_of(scope.get("scheme", "http"), (host if number is None else name).strip("[]"), number)


async def _refuse(scope: Scope, send: Any) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    await reply(send, 403, {})


async def reply(send: Any, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    """An answer of the episode's own."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*pairs, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
