"""The episodes of one call, wherever they stand: waiting, played by one node, or by two where the first is slow."""

import asyncio
import statistics
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from webgym.types import EpisodeKey

CHUNK_S = 0.25  # of playing that a request asks for at least; a longer episode comes alone
MOST_AT_ONCE = 16  # episodes of a request
SUSPECT = 2  # nodes lost while they played an episode; from then on it is played alone
SLOW = 3.0  # times the usual duration after which an idle node plays an episode too
SLOW_S = 2.0  # shortest such time
ELSEWHERE_S = 2.0  # that an episode waits for another node than the one whose machinery failed
LOOK_S = 0.25  # between two looks of an idle node for slow ones


@dataclass(eq=False)
class Part:
    """One episode. `nodes` are the addresses that play it; `losses` counts those that were lost while they played it alone."""

    key: EpisodeKey
    nodes: list[str] = field(default_factory=list)
    since: float = 0.0
    ended: bool = False
    lost: Counter[str] = field(default_factory=Counter)  # how often each node was lost while it played it
    losses: int = 0
    faulted: Counter[str] = field(default_factory=Counter)  # how often it ended as a fault of the machinery on each node
    waits_since: float = 0.0
    teller: object = None  # the run whose events are told
    running: dict[str, int] = field(default_factory=dict)  # its share of the counts of what runs
    session: int = 0

    @property
    def suspect(self) -> bool:
        """True where it may be what brings nodes down."""
        return self.lost.total() >= SUSPECT

    def failed(self, node: str) -> int:
        """Number of times that the node failed at it."""
        return self.lost[node] + self.faulted[node]


class Batch:
    """Hands out episodes, those that come again first. Every method is for one event loop.

    Trajectories that the caller has not read yet hold it back: with `most_unread` of them, nothing is handed out.
    """

    def __init__(self, keys: Collection[EpisodeKey], most_unread: int = 256) -> None:
        self._fresh: Iterator[EpisodeKey] = iter(keys)
        self._left = len(keys)  # of those
        self._again: deque[Part] = deque()
        self._open: set[Part] = set()
        self._exhausted = False
        self._durations: deque[float] = deque(maxlen=64)
        self._unread, self._most_unread = 0, most_unread
        self._changed = asyncio.Event()

    @property
    def over(self) -> bool:
        """True if every episode has ended."""
        return self._exhausted and not self._again and not self._open

    @property
    def left(self) -> int:
        """The number of episodes that have not ended."""
        return self._left + len(self._again) + len(self._open)

    async def wait(self, timeout_s: float) -> None:
        """Return when something has changed, or so much later."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    @property
    def held(self) -> bool:
        """True while trajectories that the caller has not read hold it back."""
        return self._unread >= self._most_unread

    def wake(self) -> None:
        """Let those who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def read(self) -> None:
        """The caller has read a trajectory."""
        self._unread -= 1
        if self._unread == self._most_unread - 1:
            self.wake()

    def take(self, node: str, playing: Collection[Part], pace_s: float, lanes: int, others: Collection[str] = ()) -> list[Part]:
        """Episodes for a node that plays `playing`; none where there are none for it now.

        `pace_s` is what one took there, and `lanes` how many sessions there are on all nodes: short episodes come several at once. `others`
        are the other nodes that can play: an episode waits for the one that failed at it least often.
        """
        if self.held or any(part.suspect for part in playing):
            return []
        found = self._next(node, others, alone=not playing)
        if found is None:
            slow = self._slow(node)
            return [] if slow is None else self._begun([slow], node)
        parts = [found]
        if not found.suspect:
            most = min(MOST_AT_ONCE, int(CHUNK_S / pace_s) if pace_s > 0 else 1)
            most = min(most, self._left // max(1, 2 * lanes))
            while len(parts) < most and (more := self._next(node, others, alone=False)) is not None:
                parts.append(more)
        return self._begun(parts, node)

    def _next(self, node: str, others: Collection[str], alone: bool) -> Part | None:
        for part in self._again:
            elsewhere = part.faulted[node] and time.monotonic() - part.waits_since < ELSEWHERE_S
            elsewhere = elsewhere or any(part.failed(other) < part.failed(node) for other in others)
            if (alone or not part.suspect) and not elsewhere:
                self._again.remove(part)
                return part
        if not self._exhausted:
            for key in self._fresh:
                self._left -= 1
                return Part(key)
            self._exhausted = True
        return None

    def _slow(self, node: str) -> Part | None:
        """The episode that another node has played for far longer than usual, and no second one plays."""
        if len(self._durations) < 3:
            return None
        before = time.monotonic() - max(SLOW_S, SLOW * statistics.median(self._durations))
        late = [p for p in self._open if len(p.nodes) == 1 and p.nodes[0] != node and not p.suspect and p.since < before]
        late = [part for part in late if not part.failed(node)]
        return min(late, key=lambda part: part.since, default=None)

    def _begun(self, parts: list[Part], node: str) -> list[Part]:
        now = time.monotonic()
        for part in parts:
            part.since = part.since if part.nodes else now
            part.nodes.append(node)
            self._open.add(part)
        return parts

    def end(self, part: Part, duration_s: float) -> None:
        """The episode has ended; the caller will read its trajectory."""
        part.ended = True
        self._open.discard(part)
        self._durations.append(duration_s)
        self._unread += 1
        self.wake()

    def give_back(self, part: Part, node: str) -> bool:
        """The node plays it no longer. True if nobody does, so that it waits again."""
        if node in part.nodes:
            part.nodes.remove(node)
        if part.ended or part.nodes:
            return False
        self._open.discard(part)
        part.waits_since = time.monotonic()
        self._again.append(part)
        self.wake()
        return True
