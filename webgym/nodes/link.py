"""The way to one collector: messages of :mod:`webgym.nodes.wire` go out, lines come back, whatever carries them."""

from collections.abc import AsyncGenerator
from typing import Protocol

from webgym.nodes import wire
from webgym.nodes.client import Client

GREET_S = 10.0  # longest wait for an answer to terms


class Link(Protocol):
    """A collector's far end, for one event loop. Every method raises Lost where it is gone or silent, and Refused where it refuses."""

    async def hello(self, terms: wire.Terms) -> wire.Hello:
        """The collector's answer to the terms."""
        ...

    def play(self, asked: wire.Asked) -> AsyncGenerator[bytes, None]:
        """The lines of its answer without their ends, while it plays. Closing the generator gives the episodes up."""
        ...

    async def picture(self, name: str) -> bytes:
        """A picture by its name, as PNG."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class HttpLink:
    """A collector that listens at an address. `silence_s` is the longest time without a byte from it."""

    def __init__(self, address: str, token: str, silence_s: float) -> None:
        self._client = Client(address, token, silence_s)
        self._quick = Client(address, token, min(silence_s, GREET_S))

    async def hello(self, terms: wire.Terms) -> wire.Hello:
        """The collector's answer to the terms."""
        return await self._quick.post("/hello", terms, wire.Hello)

    async def play(self, asked: wire.Asked) -> AsyncGenerator[bytes, None]:
        """The lines of its answer."""
        async with self._client.stream("POST", "/play", asked) as response:
            async for line in self._client.lines(response):
                yield line

    async def picture(self, name: str) -> bytes:
        """A picture by its name."""
        return await self._client.get(f"/pictures/{name}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._quick.close()
