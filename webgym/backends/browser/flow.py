"""Time of a page with streams, in pieces. Between two of them, while it stands still, the page hears what servers say as they please.

The same pieces, and the same words between them, make the same page, however fast servers, network and policy are.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol

from webgym.sites.streams import TICK_S, Streams

PIECES_MS = (1.0, 49.0, 150.0)  # and what is left: replies to what an action sent come early
REPLY_MS = 1.0  # of time that a reply gets which comes at the end of a turn
REPLIES = 4  # at the end of a turn, that are waited for
MOMENT_S = 0.002  # real time in which bytes reach a page at best
ARRIVES_TICKS = 300  # that a page which counts them is waited for at most
OPENS_TICKS = 10  # the same for the opening of a WebSocket, which a page hears of when its time passes
ARRIVES_S = 0.02  # real time in which bytes reach what does not count them, a worker; longer where a question to the page takes long
TRIPS = 2.0  # times a question to the page, that such bytes may take
TAKEN_TICKS = 100  # that a site may take to hear what the page sent, on a busy machine
AGAIN_TICKS = 20  # the same for an address of which something was not heard: the browser holds it back, or answers it itself
MOMENT_MS = 0.001  # of time, in which a page hears what has arrived


class Page(Protocol):
    """A tab, as the flow needs it. `expiries` counts the ends of grants."""

    expiries: int

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...
    async def run(self, budget_ms: float, policy: str = ...) -> None: ...
    async def ask(self, expression: str) -> Any: ...
    async def any(self, expression: str) -> bool: ...
    async def finish(self) -> None: ...
    async def passed_ms(self) -> float: ...


class Flow:
    """Time of one tab while streams are open."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._sent: dict[str, int] = {}  # by the page so far, by address
        self._heard: dict[str, int] = {}  # by sites
        self._unheard: set[str] = set()  # addresses of which something did not reach a site
        self._told: set[str] = set()  # addresses for whose answers the page waits no more
        self._trip_s = 0.0  # of the last question to the page
        self.runs = self.goes_on = False  # whether time passes in pieces; and whether it does within a grant that streams hold up

    def forget(self) -> None:
        """Say that the document is another one now, which has sent nothing yet."""
        self._sent = {}
        self._unheard.clear()
        self._told.clear()

    async def run(self, streams: Streams, budget_ms: float) -> None:
        """Let time pass in pieces, with what is held handed on before each of them."""
        self.runs = True
        try:
            for piece in _pieces(budget_ms):
                await self._deliver(streams)
                await self._pass(streams, piece)
            for _ in range(REPLIES):
                await self._catch_up(streams)
                if not streams.waiting:
                    break
                await self._deliver(streams)
                await self._pass(streams, REPLY_MS)
        finally:
            self.runs = False

    async def go_on(self, streams: Streams, budget_ms: float) -> None:
        """Let the rest of a budget pass that streams hold up. It ends where the budget does: a piece that went beyond would be cut there,
        and what is left of it would cut the next turn.
        """
        ends, inner = self._page.expiries, (self.runs, self.goes_on)
        # Else time passes as soon as the page waits for them no more.
        await self._page.send("Emulation.setVirtualTimePolicy", {"policy": "pause"})
        self.runs = self.goes_on = True
        try:
            left = budget_ms - REPLY_MS - await self._page.passed_ms()
            for piece in _pieces(left) if left > 0 else ():
                await self._deliver(streams)
                await self._pass(streams, piece)
                ends += 1
            await self._deliver(streams)
            if self._page.expiries <= ends:
                await self._without(streams, self._page.finish())
        finally:
            self.runs, self.goes_on = inner

    async def _pass(self, streams: Streams, piece_ms: float) -> None:
        """One piece of time. Where a long poll is open, it waits for no request, and all answers come after it."""
        if streams.polls:
            await self._without(streams, self._page.run(piece_ms, "advance"))
        else:
            await self._page.run(piece_ms)

    async def _without(self, streams: Streams, passes: Coroutine[Any, Any, None]) -> None:
        """Let time pass that waits for no request."""
        if fresh := sorted(streams.polls - self._told):
            self._told.update(fresh)
            await self._page.any(f"webgym.without({json.dumps(fresh)})")
        streams.holding = True
        try:
            await passes
        finally:
            streams.holding = False
        await streams.answered()

    async def _catch_up(self, streams: Streams) -> None:
        """Wait until the sites have heard what the page sent, and have answered what they answer at once."""
        begun = time.monotonic()
        told: dict[str, tuple[int, int]] = await self._page.ask("webgym.sent()")
        self._trip_s = time.monotonic() - begun
        sent = {url: amount for url, (amount, _) in told.items()}
        on_the_way = {url: sent[url] - self._sent.get(url, 0) for url, (_, unanswered) in told.items() if unanswered}
        missing: set[str] = set()
        for tick in range(TAKEN_TICKS):
            missing = {url for url, amount in on_the_way.items() if streams.heard[url] - self._heard.get(url, 0) < amount}
            if not missing or (tick >= AGAIN_TICKS and missing <= self._unheard):
                break
            await asyncio.sleep(TICK_S)
        else:
            self._unheard |= missing
        self._sent, self._heard = sent, dict(streams.heard)
        await streams.calm()

    async def _deliver(self, streams: Streams) -> None:
        """Hand on what is held, one exchange after another, so that the page hears it in order."""
        await self._catch_up(streams)
        held = streams.take()
        for number, parcel in enumerate(held):
            if number:
                await self._page.run(MOMENT_MS, "advance")
            counted = parcel.amount and await self._page.ask(
                f"(webgym.expect({json.dumps(parcel.exchange.url)}, {parcel.amount}), webgym.due())"
            )
            await streams.deliver(parcel)
            if counted:
                await self._arrived(OPENS_TICKS if parcel.opens else ARRIVES_TICKS)
            else:
                await asyncio.sleep(max(ARRIVES_S, TRIPS * self._trip_s))

    async def _arrived(self, ticks: int) -> None:
        """Wait until the page has heard what was handed on: an answer that comes while time passes moves that by 10 ms."""
        for tick in range(ticks):
            await asyncio.sleep(TICK_S if tick else MOMENT_S)
            if not await self._page.ask("webgym.due()"):
                break


def _pieces(budget_ms: float) -> Iterator[float]:
    left = budget_ms
    for piece in PIECES_MS:
        if piece < left:
            yield piece
            left -= piece
    yield left
