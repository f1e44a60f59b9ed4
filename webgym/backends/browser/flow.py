"""Time of a page with streams, in pieces. Between two of them, while it stands still, the page hears what servers say as they please.

The same pieces, and the same words between them, make the same page, however fast servers, network and policy are.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from webgym.sites.streams import TICK_S, Streams

PIECES_MS = (1.0, 49.0, 150.0)  # and what is left: replies to what an action sent come early
REPLY_MS = 1.0  # of time that a reply gets which comes at the end of a turn
REPLIES = 4  # at the end of a turn, that are waited for
MOMENT_S = 0.002  # real time in which bytes reach a page at best
ARRIVES_TICKS = 300  # that a page which counts them is waited for at most
OPENS_TICKS = 10  # the same for the opening of a WebSocket, which a page hears of when its time passes
ARRIVES_S = 0.02  # real time in which bytes reach what does not count them; longer where a question to the page takes long
TRIPS = 2.0  # times a question to the page, that such bytes may take
TAKEN_TICKS = 100  # that a site may take to hear what the page sent, on a busy machine
AGAIN_TICKS = 20  # the same for an address of which something was not heard: the browser holds it back, or answers it itself
ALIKE_TICKS = 3  # the same while the site has another request for it open: a browser asks for one answer at a time, to keep it
MOMENT_MS = 0.001  # of time, in which a page hears what has arrived
LEAP_MS = 11.0  # the same for a worker: an answer to the page may move its time by 10 ms before it hears its workers

Told = Mapping[str, tuple[int, int, int]]
"""By URL: how often something was sent since the last question, how much to it is open, and how many workers sent it (hooks/wire.js)."""


class Page(Protocol):
    """A tab, as the flow needs it. `expiries` counts the ends of grants."""

    expiries: int

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]: ...
    async def run(self, budget_ms: float, policy: str = ...) -> None: ...
    async def ask(self, expression: str) -> Any: ...
    async def any(self, expression: str) -> bool: ...
    async def finish(self) -> None: ...
    async def passed_ms(self) -> float: ...


class Accounts:
    """Counts of what a document and its workers have sent to servers, as the document tells, and sites have heard: by URL."""

    def __init__(self) -> None:
        self._sent: dict[str, int] = {}
        self._heard: Mapping[str, int] = {}  # when the document told it last
        self._late = set[str]()  # the URLs to which workers sent something: sites may hear of it before the document tells it
        self._begun: dict[str, int] = {}  # what sites had heard before the first of that
        self._ahead: dict[str, int] = {}  # by how much more they had heard than was told, at the last question

    def begin(self, heard: Mapping[str, int]) -> None:
        """Say that the document is another one now, which has sent nothing yet."""
        self._sent, self._heard, self._late, self._begun, self._ahead = {}, dict(heard), set(), dict(heard), {}

    def due(self, told: Told) -> dict[str, int]:
        """The number of messages that sites have heard of each URL once all is there that was told, and is not answered."""
        for url, (amount, _, by_workers) in told.items():
            self._sent[url] = self._sent.get(url, 0) + amount
            if by_workers:
                self._late.add(url)
        return {url: self._due(url, amount) for url, (amount, unanswered, _) in told.items() if unanswered > 0}

    def _due(self, url: str, amount: int) -> int:
        if url in self._late:
            return self._begun.get(url, 0) + self._sent[url]
        return self._heard.get(url, 0) + amount

    def settle(self, heard: Mapping[str, int]) -> None:
        """Wait no more for what did not come. What is not told at two questions in a row is never told."""
        ahead = {url: heard.get(url, 0) - self._due(url, 0) for url in self._late}
        for url, by in ahead.items():
            if by < 0 or by == self._ahead.get(url):
                self._begun[url] = heard.get(url, 0) - self._sent[url]
        self._ahead, self._heard = ahead, dict(heard)


class Flow:
    """Time of one tab while streams are open."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._accounts = Accounts()
        self._of: Streams | None = None  # the episode of that
        self._unheard: set[str] = set()  # URLs of which something did not reach a site
        self._told: set[str] = set()  # addresses for whose answers the page waits no more
        self._trip_s = 0.0  # of the last question to the page
        self._grants = 0  # of time, that have ended
        self.runs = self.goes_on = False  # whether time passes in pieces; and whether it does within a grant that streams hold up

    def forget(self) -> None:
        """Say that the document is another one now, which has sent nothing yet."""
        self._accounts.begin(self._of.heard if self._of else {})
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
                _, leaps = await self._deliver(streams, REPLIES * LEAP_MS)
                await self._pass(streams, LEAP_MS if leaps else REPLY_MS)
        finally:
            self.runs = False

    async def go_on(self, streams: Streams, budget_ms: float) -> None:
        """Let the rest of a budget pass that streams hold up. It ends where the budget does: a piece that went beyond would be cut there,
        and what is left of it would cut the next turn.
        """
        ends, grants, inner = self._page.expiries, self._grants, (self.runs, self.goes_on)
        self.runs = self.goes_on = True
        try:
            # Else time passes as soon as the page waits for them no more.
            await self._page.send("Emulation.setVirtualTimePolicy", {"policy": "pause"})
            left = budget_ms - REPLY_MS - await self._page.passed_ms()
            if left > 0:
                await self._pass_all(streams, left)
            await self._deliver(streams, 0.0)
            if self._page.expiries - ends <= self._grants - grants:
                await self._without(streams, self._page.finish())
        finally:
            self.runs, self.goes_on = inner
            streams.gone_on()

    async def _pass_all(self, streams: Streams, budget_ms: float) -> None:
        """Hand on what is held before each piece of a budget."""
        left = budget_ms
        for piece in (*PIECES_MS, budget_ms):
            spent, leaps = await self._deliver(streams, left)
            left = max(left - spent, MOMENT_MS)
            piece = min(max(piece, LEAP_MS) if leaps else piece, left)
            await self._pass(streams, piece)
            left -= piece
            if left <= 0:
                break

    async def _pass(self, streams: Streams, piece_ms: float) -> None:
        """One piece of time. Where a long poll is open, it waits for no request, and all answers come after it."""
        if streams.polls:
            await self._without(streams, self._grant(piece_ms, "advance"))
        else:
            await self._grant(piece_ms, "pauseIfNetworkFetchesPending")

    async def _grant(self, budget_ms: float, policy: str) -> None:
        await self._page.run(budget_ms, policy)
        self._grants += 1

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
            self._of = streams
            self._accounts.begin({})
        begun = time.monotonic()
        due = self._accounts.due(await self._page.ask("webgym.sent()"))
        self._trip_s = time.monotonic() - begun
        missing: set[str] = set()
        for tick in range(TAKEN_TICKS):
            missing = {url for url, amount in due.items() if streams.heard[url] < amount}
            if tick >= ALIKE_TICKS:
                missing -= streams.open_urls
            if not missing or (tick >= AGAIN_TICKS and missing <= self._unheard):
                break
            await asyncio.sleep(TICK_S)
        else:
            self._unheard |= missing
        self._accounts.settle(streams.heard)
        await streams.calm()

    async def _deliver(self, streams: Streams, left_ms: float) -> tuple[float, bool]:
        """Hand on what is held, one exchange after another, so that the page hears it in order.

        Gives the time that passed, `left_ms` at most, and whether a worker hears the last of it once time goes on, while an answer may move
        that.
        """
        await self._catch_up(streams)
        spent_ms, late, leaps = 0.0, False, True  # `leaps`: an answer to the page may have come since time passed
        for number, parcel in enumerate(streams.take()):
            if number:
                leap_ms = min(LEAP_MS, left_ms - spent_ms) if late and leaps else 0.0
                await self._grant(max(leap_ms, MOMENT_MS), "advance")
                spent_ms, leaps = spent_ms + max(leap_ms, 0.0), leaps and not late
            said = parcel.exchange
            counts = parcel.amount and not said.gone
            told = f"{json.dumps(said.url)}, {parcel.amount}, {json.dumps(parcel.ends)}"
            heard, late = await self._page.ask(f"(webgym.expect({told}), webgym.due())") if counts else (False, False)
            await streams.deliver(parcel)
            if heard:
                await self._arrived(OPENS_TICKS if parcel.opens else ARRIVES_TICKS)
            elif not late and not said.gone:
                await asyncio.sleep(max(ARRIVES_S, TRIPS * self._trip_s))
            leaps = leaps or (said.kind == "http" and not late)
        return spent_ms, late and leaps

    async def _arrived(self, ticks: int) -> None:
        """Wait until the page has heard what was handed on: an answer that comes while time passes moves that by 10 ms."""
        for tick in range(ticks):
            await asyncio.sleep(TICK_S if tick else MOMENT_S)
            if not (await self._page.ask("webgym.due()"))[0]:
                break
