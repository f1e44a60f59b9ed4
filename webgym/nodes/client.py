"""Requests between machines of one run, and what their failure means: a machine that is gone, or one that refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from webgym.errors import Fault, UsageError
from webgym.nodes import wire

M = TypeVar("M", bound=BaseModel)

CONNECT_S = 5.0
MOST_BYTES = 1 << 28  # of a file or a line


class Lost(Fault):
    """A machine cannot be reached, broke off, or was silent for too long."""


class Unreached(Lost):
    """A machine did not take the connection, so that nothing was under way there."""


class Refused(UsageError):
    """A machine that answered will not do what it was asked, or answered what no honest one says."""


class Client:
    """A machine at an address. It belongs to the event loop of its first request.

    `silence_s` is the longest time without a byte from it. With `keep`, connections are kept for the next request; one that was kept
    may turn out to be gone, which says nothing about the machine.
    """

    def __init__(self, address: str, token: str = "", silence_s: float = 30.0, *, keep: bool = False) -> None:
        self.address = address
        timeout = httpx2.Timeout(silence_s, connect=min(CONNECT_S, silence_s), pool=None)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256 if keep else 0)
        self._http = httpx2.AsyncClient(
            base_url=address, headers=wire.headers(token), timeout=timeout, limits=limits, trust_env=False, follow_redirects=False
        )

    async def post(self, path: str, body: BaseModel, kind: type[M]) -> M:
        """The answer to a message. Raises Lost, Refused."""
        async with self.stream("POST", path, body) as response:
            content = await self._read(response, wire.MOST_BYTES)
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            raise Refused(f"{self.address} answered in another form than the protocol's: {wire.problem(error)}") from None

    async def get(self, path: str) -> bytes:
        """The bytes at a path. Raises Lost, Refused."""
        async with self.stream("GET", path) as response:
            return await self._read(response, MOST_BYTES)

    @asynccontextmanager
    async def stream(self, method: str, path: str, body: BaseModel | None = None) -> AsyncIterator[httpx2.Response]:
        """The answer while it comes in. Raises Lost, Refused."""
        content = None if body is None else body.model_dump_json().encode()
        try:
            async with self._http.stream(method, path, content=content) as response:
                if response.status_code != 200:
                    words = _words(await self._read(response, wire.MOST_BYTES))
                    if response.status_code >= 500:
                        raise Lost(f"{self.address} answered with status {response.status_code}{words}")
                    raise Refused(f"{self.address} refused (status {response.status_code}){words}")
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Unreached(f"{self.address} cannot be reached: {error}") from error
        except httpx2.RequestError as error:
            raise Lost(f"{self.address}: {type(error).__name__} {error}".rstrip()) from error

    async def lines(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """The lines of an answer, without their ends. Raises Lost where it breaks off, as one that is half written does, and Refused."""
        rest = bytearray()
        try:
            async for part in response.aiter_bytes():
                head, *others = part.split(b"\n")
                rest += head
                for other in others:
                    yield bytes(rest)
                    rest = bytearray(other)
                self._bound(rest, MOST_BYTES)
        except httpx2.RequestError as error:
            raise Lost(f"{self.address}: {type(error).__name__} {error}".rstrip()) from error
        if rest:
            raise Lost(f"{self.address} broke off in the middle of a line")

    async def _read(self, response: httpx2.Response, most: int) -> bytes:
        """The content of an answer. Raises Lost, and Refused where it is too long."""
        content = bytearray()
        try:
            async for part in response.aiter_bytes():
                content += part
                self._bound(content, most)
            return bytes(content)
        except httpx2.RequestError as error:
            raise Lost(f"{self.address}: {type(error).__name__} {error}".rstrip()) from error

    def _bound(self, content: bytearray, most: int) -> None:
        if len(content) > most:
            raise Refused(f"{self.address} answered with more than {most:,} bytes at once, which no message of the protocol has")

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.shield(self._http.aclose())


def _words(content: bytes) -> str:
    """The sentence of a refusal, as ": ..."; "" where there is none."""
    try:
        found = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {' '.join(str(found).split())[:500]}"
