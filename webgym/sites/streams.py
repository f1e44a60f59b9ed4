"""Streams of one episode: WebSockets, event streams and long polls, by which sites speak when they please.

A page's time must never wait for them, and what they say must come at moments of the page's time, whatever the real time is. So it is
held here (:meth:`Streams.pass_on`) while the page's time runs and while it stands still, and handed on in order between two pieces of the
page's time (:meth:`Streams.take`), once the site has taken in what the page sent (:meth:`Streams.calm`).

Requests without an answer that are known as streams are those of a task's `streams`, and those that were found to be answered late
(:meth:`Streams.late`). To find that costs seconds, so that sites remember the addresses (:class:`Late`).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

log = logging.getLogger(__name__)

TICK_S = 0.01
PATIENCE = (
    500  # ticks that requests for one address may hold a page in one wait before they are taken for a stream; longer on a busy machine
)
LONGEST = 1.5  # times the patience, in real seconds: the longest wait on a busy machine
STORM = 1000  # requests for one address in one wait: who asks without end is not waited for
SLOW_STORM = 100  # the same once the longest wait is over
YIELDS = 25  # rounds of the loop in which a site in this process answers what it has taken in
CALM_TICKS = 25  # that a site may take over it at most


class Exchange(Protocol):
    """A request and its answer, or a WebSocket, as an episode keeps it."""

    address: str  # of the request, without its query
    url: str  # the same with it, as the page knows it
    kind: Literal["http", "websocket"]
    answered: bool
    taking: bool  # the site has a message of the page and does not ask for the next one yet
    flows: bool  # its answer is an event stream

    @property
    def gone(self) -> bool: ...  # nobody hears it any more


@dataclass(eq=False)
class Parcel:
    """Next piece that one exchange says: `amount` is how much of it a page counts (hooks/streams.js). One that `opens` is the first of a
    WebSocket, and one that `ends` has the last of an answer.
    """

    exchange: Exchange
    sends: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    amount: int = 0
    opens: bool = False
    ends: bool = False


class Late:
    """Addresses that are streams, for episodes to come: those that held pages for too long in two episodes, as one may be an accident."""

    def __init__(self) -> None:
        self._episodes: Counter[str] = Counter()

    def learn(self, streams: "Streams") -> None:
        """Count what an episode that is over has found."""
        self._episodes.update(streams.found)

    @property
    def addresses(self) -> list[str]:
        """The addresses."""
        return [address for address, count in self._episodes.items() if count >= 2]


class Streams:
    """Streams of one episode. `unanswered` gives its exchanges without a whole answer."""

    def __init__(self, unanswered: Callable[[], Sequence[Exchange]]) -> None:
        self._unanswered = unanswered
        self._known: set[str] = set()
        self.found: set[str] = set()  # the addresses of those that were found to be answered late
        self._held: list[Parcel] = []
        self._leaving: list[Parcel] = []  # what was taken and is not delivered yet
        self._opened: list[Exchange] = []  # those that a piece was held of
        self._left = asyncio.Event()
        self._since = time.monotonic()  # when this wait began
        self._held_up: Counter[str] = Counter()  # in this wait, for how many ticks requests for each address were open
        self._asked_for: Counter[str] = Counter()  # in this wait, how often each address was
        self._late = set[str]()  # the addresses without which the page's time goes on now
        self.heard: Counter[str] = Counter()  # connections, and messages of pages over WebSockets, by the URL
        self.live = False  # a browser keeps the page's time: else all is handed on at once
        self.holding = False  # what is no stream, too: the page's time runs on without waiting for requests

    def know(self, paths: Iterable[str]) -> None:
        """Requests for these paths are streams: paths from the root on any host, or addresses."""
        self._known.update(paths)

    @property
    def known(self) -> frozenset[str]:
        """The addresses and paths that are known to be left unanswered as their site pleases."""
        return frozenset(self._known)

    def _is_known(self, exchange: Exchange) -> bool:
        return exchange.address in self._known or "/" + exchange.address.split("/", 3)[-1] in self._known

    def is_stream(self, exchange: Exchange) -> bool:
        """True if the page's time does not wait for this exchange."""
        return exchange.kind == "websocket" or exchange.flows or self._is_known(exchange)

    @property
    def polls(self) -> set[str]:
        """The addresses of requests that would hold the page's time for good: of open ones, and of those that are late."""
        return {x.address for x in self._asked() if self._is_known(x)} | self._late

    @property
    def open_urls(self) -> set[str]:
        """The URLs of requests without a whole answer, event streams excepted."""
        return {x.url for x in self._asked()}

    def _asked(self) -> list[Exchange]:
        """The requests whose page has no whole answer yet, event streams excepted."""
        held = [parcel.exchange for parcel in self._held]
        return [x for x in dict.fromkeys((*self._unanswered(), *held)) if x.kind == "http" and not x.flows]

    @property
    def open(self) -> bool:
        """True if a stream is open, or something is held for the page."""
        return bool(self._held) or any(not x.answered and self.is_stream(x) for x in self._unanswered())

    @property
    def waiting(self) -> bool:
        """True if something is held for the page."""
        return bool(self._held)

    # --- from a site ---------------------------------------------------------------------------------------------------------

    async def pass_on(self, exchange: Exchange, amount: int, send: Callable[[], Awaitable[None]]) -> None:
        """Hand a message of a site on, or hold it."""
        mine = any(parcel.exchange is exchange for parcel in self._held)
        if not self.live or not (self.holding or mine or self.is_stream(exchange)):
            return await send()
        if not self._held or self._held[-1].exchange is not exchange:
            self._held.append(Parcel(exchange, opens=exchange.kind == "websocket" and exchange not in self._opened))
            if self._held[-1].opens:
                self._opened.append(exchange)
        self._held[-1].sends.append(send)
        self._held[-1].amount += amount
        self._held[-1].ends = exchange.kind == "http" and exchange.answered

    def begin(self, exchange: Exchange) -> None:
        """Note a new exchange."""
        self.heard[exchange.url] += 1
        self._asked_for[exchange.address] += 1

    async def handed_on(self, exchange: Exchange) -> None:
        """Wait until all that the exchange said is on its way: a server takes it for broken else."""
        while any(parcel.exchange is exchange for parcel in (*self._held, *self._leaving)):
            self._left.clear()
            await self._left.wait()

    async def deliver(self, parcel: Parcel) -> None:
        """Hand on what was taken. A page that was left hears nothing."""
        try:
            for send in parcel.sends:
                await send()
        except (OSError, RuntimeError):
            log.debug("a page was left: it does not hear %s", parcel.exchange.address)
        finally:
            self._leaving.remove(parcel)
            self._left.set()

    def take(self) -> list[Parcel]:
        """All that was held, in order."""
        held, self._held = self._held, []
        self._leaving += held
        return held

    async def calm(self) -> None:
        """Wait until the sites have taken in what the page sent, and have had the time to answer it."""
        for _ in range(CALM_TICKS):
            for _ in range(YIELDS):
                await asyncio.sleep(0)
            if not any(x.taking for x in self._unanswered() if x.kind == "websocket"):
                return
            await asyncio.sleep(TICK_S)

    # --- requests that are answered late --------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Say that the page's time begins to wait."""
        self._asked_for.clear()
        self._held_up.clear()
        self._since = time.monotonic()

    def gone_on(self) -> None:
        """Say that what it was given has passed, although they were late."""
        self._late = set()

    def late(self) -> bool:
        """True if only streams are open, so that the page's time must go on without them. To be asked every tick while it waits.

        An address whose requests have held the page for long enough, one after the other, is known as a stream from then on, and so is one
        that is asked for again and again.
        """
        open_now = {x.address: x for x in self._asked()}
        self._held_up.update(open_now.keys())
        over = time.monotonic() - self._since > LONGEST * PATIENCE * TICK_S
        most = SLOW_STORM if over else STORM
        storm = {address for address, count in self._asked_for.items() if count >= most}
        old = {address for address, x in open_now.items() if over or self._is_known(x) or self._held_up[address] >= PATIENCE}
        late = storm or (old if len(old) == len(open_now) else set())
        if late:
            self._find(late)
            self._late = late
        return bool(late)

    def _find(self, addresses: Iterable[str]) -> None:
        """Know addresses as streams that nobody declared."""
        fresh = set(addresses) - self._known
        self.found |= fresh
        self.know(fresh)

    async def answered(self) -> None:
        """Wait until all requests but streams have an answer, for as long as the patience lasts."""
        for _ in range(PATIENCE):
            if not any(x.kind == "http" and not x.answered and not self.is_stream(x) for x in self._unanswered()):
                return
            await asyncio.sleep(TICK_S)
        self._find(x.address for x in self._unanswered() if x.kind == "http" and not x.answered)
