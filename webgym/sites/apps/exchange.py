"""One HTTP request to an application over a connection of its own, streamed in both directions.

Connections are not kept: on loopback a new one costs a fraction of a millisecond, while an old one may be closed by the application at
the moment it is used again, and a server with one thread would serve nobody else meanwhile.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11

from webgym.sites.apps.headers import Headers

CHUNK = 1 << 16
MOST_HEADERS = 1 << 18  # bytes
CONNECT_S = 10.0
AWAY_S = 5.0  # that an application whose process lives may take no connections, as one that reloads itself does for a moment
LOOK_S = 0.05


class Refused(Exception):
    """No connection to the application could be made."""


class Broken(Exception):
    """The application closed the connection, or what it said is no HTTP."""


class Cut(Broken):
    """It closed the connection before it said a word, as one that reloads itself does."""


class Unsendable(Exception):
    """The request cannot be said in HTTP/1.1."""


@dataclass(frozen=True)
class Address:
    """Place of an application: the server that connections are made to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address of a URL."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))

    @property
    def origin(self) -> str:
        """The address as an origin, such as http://127.0.0.1:8000."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme] == self.port
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")


async def connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the application. Raises Refused."""
    try:
        async with asyncio.timeout(CONNECT_S):
            secure = ssl.create_default_context() if address.scheme == "https" else None
            return await asyncio.open_connection(address.host, address.port, ssl=secure, limit=MOST_HEADERS)
    except (OSError, TimeoutError) as error:
        raise Refused(f"no connection to {address.origin}: {error or 'no answer'}") from error


@dataclass
class Answer:
    """Beginning of an application's answer."""

    status: int
    headers: Headers


class Exchange:
    """A request that was begun. Use as an asynchronous context manager; its end closes the connection."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEADERS)
        self._heard = False  # whether a byte of the answer has come
        self._spare: socket.socket | None = None  # the connection once more, from which an answer can be read that it no longer hands out

    async def __aenter__(self) -> "Exchange":
        self._reader, self._writer = await connect(self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        if self._spare is not None:
            self._spare.close()

    async def begin(self, method: str, target: bytes, headers: Headers) -> None:
        """Send the head of the request. Raises Unsendable."""
        try:
            head = self._http.send(h11.Request(method=method, target=target, headers=[*headers, (b"connection", b"close")]))
        except h11.LocalProtocolError as error:
            raise Unsendable(str(error)) from error
        self._writer.write(head or b"")

    def end(self) -> None:
        """Say that the request has no body."""
        self._write(b"", last=True)

    async def send(self, receive: Callable[[], Awaitable[Any]]) -> None:
        """Send the body as it comes in, and return when the page is gone; an application that reads no further may still answer."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
            if more and self._spare is None:
                self._spare = socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno()))
            try:
                self._write(message.get("body", b""), last=not more)
                await self._writer.drain()
            except (OSError, h11.LocalProtocolError):
                break
        while more:  # what it does not take must still be read, so that the page's end is seen
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
        while (await receive())["type"] != "http.disconnect":
            await asyncio.sleep(LOOK_S)  # a caller that says nothing new must not be asked all the time

    def _write(self, body: bytes, *, last: bool) -> None:
        if body:
            self._writer.write(self._http.send(h11.Data(data=body)) or b"")
        if last:
            self._writer.write(self._http.send(h11.EndOfMessage()) or b"")

    async def answer(self) -> Answer:
        """The beginning of the answer. Raises Broken."""
        while not isinstance(event := await self._event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise self._broken("it closed the connection without an answer")
        return Answer(event.status_code, list(event.headers))

    async def body(self) -> AsyncIterator[bytes]:
        """The parts of the answer's body as they come. Raises Broken."""
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Broken("it closed the connection in the middle of an answer")
            yield bytes(event.data)

    async def _event(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(part := await self._received())
                self._heard = self._heard or bool(part)
        except (OSError, h11.RemoteProtocolError) as error:
            raise self._broken(f"{type(error).__name__}: {error}") from error
        return event

    def _broken(self, how: str) -> Broken:
        return Broken(how) if self._heard else Cut(how)

    async def _received(self) -> bytes:
        """The next bytes of the answer, b"" at its end. Raises OSError.

        An application may answer before it has read a body, and close the connection. Then a write fails, and the connection is closed on
        this side, while the answer has come and was not read.
        """
        try:
            return await self._reader.read(CHUNK)
        except OSError:
            if self._spare is None or self._address.scheme == "https":
                raise
            with contextlib.suppress(OSError):
                if found := self._spare.recv(CHUNK):
                    return found
            raise
