"""Reverse proxy: pages' requests on their way to the episode's own process of an application, as ASGI."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from webgym.sites.apps.exchange import AWAY_S, Address, Broken, Cut, Exchange, Refused, Unsendable
from webgym.sites.apps.headers import Sides, request_headers, response_headers
from webgym.sites.apps.patterns import fits, fits_any_spelling
from webgym.sites.apps.websocket import POLICY, bridge

LOOK_S = 0.5  # until the end of a process is known after it closed a connection
TEXT = (b"content-type", b"text/plain; charset=utf-8")


class Proxy:
    """The way from pages to an application. `public` are the origins that pages see, by host."""

    def __init__(self, public: Mapping[str, str], host_header: str, private: Sequence[str], same_for_all: Sequence[str]) -> None:
        self._public, self._host_header, self._private, self._same_for_all = public, host_header, private, same_for_all

    async def answer(self, address: Address, more: Mapping[str, str], ended: Callable[[], str], scope: Any, receive: Any, send: Any) -> str:
        """Answer a request; "", or the reason in words why the application is at fault.

        `more` are headers that the episode adds. `ended` says how the application's process ended, if it did. An application that lives
        and answers badly is not at fault: an agent can make it do so, and gets a page that says it.
        """
        raw = _raw_path(scope)
        if self._private and fits_any_spelling(raw, self._private):
            return await _refused(scope, receive, send)
        query = scope.get("query_string", b"")
        target = raw.encode("latin-1", "replace") + (b"?" + query if query else b"")
        sides = self._sides(address, scope)
        until, again = time.monotonic() + AWAY_S, scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        try:
            while True:
                try:
                    if scope["type"] == "websocket":
                        await bridge(address, sides, dict(more), scope, target.decode("latin-1"), receive, send)
                    else:
                        await self._http(address, sides, more, scope, target, receive, send)
                    break
                except Refused as error:  # nothing was sent yet; a server that reloads itself is away for a moment
                    if (how := await _until_ended(ended)) or time.monotonic() > until:
                        return f"it takes no requests: {how or error}"
                except Cut:  # what only asks is asked once more
                    if not again or await _until_ended(ended):
                        raise
                    again = False
        except Broken as error:
            if how := await _until_ended(ended):
                return f"its process went away while it answered {scope['path']}: {how}"
            if isinstance(error, _Begun):
                return ""  # the browser sees that the answer is cut
            await _text(send, 502, f"The application gave no proper answer: {error}")
        except Unsendable as error:
            await _text(send, 400, f"This request cannot be passed on: {error}")
        return ""

    def _sides(self, address: Address, scope: Any) -> Sides:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        public = self._public.get(host, f"{'https' if scope.get('scheme') in ('https', 'wss') else 'http'}://{host}")
        believed = self._host_header.replace("{port}", str(address.port))
        own = [f"http://{name}:{address.port}" for name in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]")]
        scheme = address.scheme if believed else public.partition(":")[0]
        return Sides(public, f"{scheme}://{believed or host}", [address.origin, *own])

    async def _http(
        self, address: Address, sides: Sides, more: Mapping[str, str], scope: Any, target: bytes, receive: Any, send: Any
    ) -> None:
        async with Exchange(address) as exchange:
            await exchange.begin(scope["method"], target, request_headers(list(scope["headers"]), sides, more))
            sending = asyncio.create_task(exchange.send(receive))
            answering = asyncio.create_task(self._answered(exchange, sides, scope, send))
            try:
                await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    answering.result()
            finally:
                sending.cancel()
                answering.cancel()
                await asyncio.gather(sending, answering, return_exceptions=True)

    async def _answered(self, exchange: Exchange, sides: Sides, scope: Any, send: Any) -> None:
        answer = await exchange.answer()
        forever = scope["method"] in ("GET", "HEAD") and answer.status == 200 and fits(_raw_path(scope), self._same_for_all)
        headers = response_headers(answer.headers, sides, forever=forever)
        with contextlib.suppress(OSError):  # the page is gone
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            try:
                async for part in exchange.body():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            except Broken as error:
                raise _Begun(str(error)) from error
            await send({"type": "http.response.body", "body": b""})


class _Begun(Broken):
    """The answer had begun when it ended."""


def _raw_path(scope: Any) -> str:
    raw = scope.get("raw_path")
    return raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"])


async def _until_ended(ended: Callable[[], str]) -> str:
    """The end of the process, in words; "" where it still runs after a moment."""
    until = time.monotonic() + LOOK_S
    while not (how := ended()) and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return how


async def _refused(scope: Any, receive: Any, send: Any) -> str:
    """Nothing is there, as far as pages know."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY})
    else:
        await _text(send, 404, "Not found")
    return ""


async def _text(send: Any, status: int, words: str) -> None:
    body = words.encode("utf-8", "replace")
    headers = [TEXT, (b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
