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
ALIKE_TICKS = 3  # the same while the site has another request for it open: a browser asks for one answer at a time, to keep it
MOMENT_MS = 0.001  # of time, in which a page hears what has arrived
LEAP_MS = 11.0  # the same for a worker: an answer to the page may move its time by 10 ms before it hears its workers


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
        self._heard: dict[str, int] = {}  # by sites, of what it is known to have sent
        self._of: Streams | None = None  # the episode of that
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
            await self._pass_all(streams, budget_ms)
            for _ in range(REPLIES):
                await self._catch_up(streams)
                if not streams.waiting:
                    break
                hears_late = await self._deliver(streams)
                await self._pass(streams, LEAP_MS if hears_late else REPLY_MS)
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
            if left > 0:
                ends += await self._pass_all(streams, left)
            await self._deliver(streams)
            if self._page.expiries <= ends:
                await self._without(streams, self._page.finish())
        finally:
            self.runs, self.goes_on = inner
            streams.gone_on()

    async def _pass_all(self, streams: Streams, budget_ms: float) -> int:
        """Hand on what is held before each piece of a budget; the number of pieces."""
        pieces, count = _pieces(budget_ms), 0
        for piece in pieces:
            hears_late = await self._deliver(streams)
            await self._pass(streams, piece + next(pieces, 0.0) if hears_late and piece < LEAP_MS else piece)
            count += 1
        return count

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
        if streams is not self._of:
            self._of, self._heard = streams, {}
        begun = time.monotonic()
        told: dict[str, tuple[int, int, int]] = await self._page.ask("webgym.sent()")
        self._trip_s = time.monotonic() - begun
        more = {url: amount - self._sent.get(url, 0) for url, (amount, _, _) in told.items()}
        on_the_way = {url: more[url] for url, (_, unanswered, _) in told.items() if unanswered}
        missing: set[str] = set()
        for tick in range(TAKEN_TICKS):
            missing = {url for url, amount in on_the_way.items() if streams.heard[url] - self._heard.get(url, 0) < amount}
            if tick >= ALIKE_TICKS:
                missing -= streams.open_urls
            if not missing or (tick >= AGAIN_TICKS and missing <= self._unheard):
                break
            await asyncio.sleep(TICK_S)
        else:
            self._unheard |= missing
        for url, (amount, _, by_workers) in told.items():
            self._sent[url], heard = amount, streams.heard[url]  # what workers send, a site may hear of before the page does
            self._heard[url] = min(heard, self._heard.get(url, 0) + max(0, more[url])) if by_workers else heard
        await streams.calm()

    async def _deliver(self, streams: Streams) -> bool:
        """Hand on what is held, one exchange after another, so that the page hears it in order. True if a worker hears some of it, once
        time goes on.
        """
        await self._catch_up(streams)
        moment_ms = 0.0
        for parcel in streams.take():
            if moment_ms:
                await self._page.run(moment_ms, "advance")
            said = parcel.exchange
            ends = said.kind == "http" and said.answered
            told = f"{json.dumps(said.url)}, {parcel.amount}, {json.dumps(ends)}"
            heard, late = await self._page.ask(f"(webgym.expect({told}), webgym.due())") if parcel.amount else (False, False)
            moment_ms = LEAP_MS if late else MOMENT_MS
            await streams.deliver(parcel)
            if heard:
                await self._arrived(OPENS_TICKS if parcel.opens else ARRIVES_TICKS)
            elif not late:
                await asyncio.sleep(max(ARRIVES_S, TRIPS * self._trip_s))
        return moment_ms == LEAP_MS

    async def _arrived(self, ticks: int) -> None:
        """Wait until the page has heard what was handed on: an answer that comes while time passes moves that by 10 ms."""
        for tick in range(ticks):
            await asyncio.sleep(TICK_S if tick else MOMENT_S)
            if not (await self._page.ask("webgym.due()"))[0]:
                break


def _pieces(budget_ms: float) -> Iterator[float]:
    left = budget_ms
    for piece in PIECES_MS:
        if piece < left:
            yield piece
            left -= piece
    yield left
