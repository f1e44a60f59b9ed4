"""An executor of collectors on other machines: one that is lost, hangs or is slow takes no episode with it.

Each node is asked to play by one request per free session, whose answer streams events and trajectories. What a node had when its
connection broke, or when it was silent for too long, is given to another; so is what it plays far more slowly than usual, and the first
trajectory counts, which is the same one. An episode goes to the node that failed at it least often. Where one was under way on several
nodes that were lost, it is played alone; one that brings down more nodes than may be tried again ends as a fault. A node that answers
greetings and fails at each episode rests longer and longer. Nodes may come and go: those that were lost are asked again and again, and a
file with addresses is read again when it changes.
"""

import asyncio
import contextlib
import logging
import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from webgym.errors import ConfigError, Fault, UsageError
from webgym.loop_thread import loop_thread
from webgym.nodes import wire
from webgym.nodes.batch import LOOK_S, Batch, Part
from webgym.nodes.client import Lost, Refused, Unreached
from webgym.nodes.link import HttpLink, Link
from webgym.nodes.node import AGAIN_S, Busy, Ended, Failed, Lied, Node, Told, Unable
from webgym.nodes.nodes_file import NodesFile
from webgym.policies.policy import Policy
from webgym.rollout.contract import (
    Deadlines,
    EventKind,
    Listener,
    NodeHealth,
    NodeListener,
    PictureTaker,
    PolicyHandle,
    Record,
    Request,
    Retries,
)
from webgym.rollout.episode import Board
from webgym.rollout.executor import Played
from webgym.types import EpisodeKey, Outcome, Trajectory

log = logging.getLogger(__name__)

FAULTS = 2  # nodes on which an episode may end as a fault before that is its outcome
STOP_S = 10.0
FILE_S = 2.0  # between two looks at the file of addresses


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds after which a node is given up: silent, one episode under way, and no node at all."""

    silence_s: float = 30.0
    episode_s: float = 3600.0
    wait_s: float = 120.0


class NodesExecutor(ABC):
    """Collectors at the ends of links, of whatever kind; a context manager.

    Implements :class:`webgym.rollout.executor.Executor`. `on_nodes` hears how the nodes do whenever that changes.
    """

    def __init__(self, backend: str, limits: Limits, on_nodes: NodeListener | None) -> None:
        self._backend, self._limits, self._on_nodes = backend, limits, on_nodes
        self._nodes: dict[str, Node] = {}
        self._sessions = 0  # numbers given to sessions so far
        self._machinery: tuple[str, dict[str, str]] | None = None  # of the first node, which all others must have
        self._busy = False

    @abstractmethod
    def _wanted(self) -> tuple[str, ...]:
        """The addresses of the collectors at this moment."""
        ...

    @abstractmethod
    def _link(self, address: str) -> Link:
        """A link to the collector at an address."""
        ...

    @property
    def health(self) -> list[NodeHealth]:
        """The state of each node, in the order in which they came."""
        return [node.health() for node in self._nodes.values()]

    def play(
        self,
        policy: Policy | PolicyHandle,
        keys: Iterable[EpisodeKey],
        *,
        record: Record = Record(),
        on_event: Listener | None = None,
        on_picture: PictureTaker | None = None,
        deadlines: Deadlines = Deadlines(),
        retries: Retries = Retries(),
    ) -> Iterator[Played]:
        """Each episode's key and trajectory as it ends. See :class:`webgym.rollout.executor.Executor`.

        Raises UsageError for a policy that is no handle, where every node refuses, and for what a node says is the caller's to mend;
        Fault where no node answers for `limits.wait_s`.
        """
        if not isinstance(policy, PolicyHandle):
            raise UsageError(
                f"collectors play policies by name, got a {type(policy).__name__}: give a PolicyHandle('module:function', settings)"
            )
        keys = list(keys)
        if not keys:
            return iter(())
        terms = wire.Terms.here(self._backend, tuple(dict.fromkeys(key.task_id for key in keys)), policy.factory)
        request = Request((), policy, record, deadlines, retries, pictures=on_picture is not None)
        return self._play(_Play(self._nodes, terms, request, keys, Board(on_event), on_event is not None, on_picture))

    def _play(self, play: "_Play") -> Iterator[Played]:
        if self._busy:
            raise UsageError("these collectors play a batch already: read it to its end or close its iterator, then begin the next")
        self._busy = True
        future = loop_thread().submit(self._all(play))
        over = False
        try:
            while (trajectory := play.ended.get()) is not None:
                yield trajectory.key, trajectory
                loop_thread().loop.call_soon_threadsafe(play.batch.read)
            over = True
            future.result()
        finally:
            self._busy = False
            if not over:
                future.cancel()
                with contextlib.suppress(queue.Empty):
                    while play.ended.get(timeout=STOP_S) is not None:
                        pass

    # --- one batch, on the loop --------------------------------------------------------------------------------------------

    async def _all(self, play: "_Play") -> None:
        """Play the batch to its end."""
        attending: dict[str, asyncio.Task[None]] = {}
        try:
            await self._forget(self._wanted())
            for node in self._nodes.values():
                node.change("new", "")
            await self._watch(play, attending)
        finally:
            for task in attending.values():
                task.cancel()
            await asyncio.gather(*attending.values(), return_exceptions=True)
            self._tell()
            play.ended.put(None)

    async def _watch(self, play: "_Play", attending: dict[str, asyncio.Task[None]]) -> None:
        """Keep a task for each node until the batch is over. Raises the first error of any, and where there is no node for too long."""
        well_at = time.monotonic()
        while not play.batch.over:
            wanted = self._wanted()
            for address in wanted:
                if address not in attending:
                    attending[address] = asyncio.ensure_future(self._attend(self._node(address), play))
            for address in [address for address in attending if address not in wanted]:
                log.warning("%s is no longer listed: its episodes are given to others", address)
                task = attending.pop(address)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await self._forget(wanted)
            for task in attending.values():
                if task.done():
                    task.result()
            now = time.monotonic()
            states = {node.state for node in self._nodes.values()}
            if play.batch.held or any(node.serves for node in self._nodes.values()):
                well_at = now
            elif states and states <= {"refused", "expelled"}:
                raise UsageError("; ".join(node.reason for node in self._nodes.values()))
            elif now - well_at > self._limits.wait_s:
                reasons = "; ".join(node.reason or node.address for node in self._nodes.values()) or "no address is listed"
                raise Fault(f"no collector could be reached for {self._limits.wait_s:g} s: {reasons}")
            await play.batch.wait(LOOK_S)

    async def _forget(self, wanted: Collection[str]) -> None:
        """Close the nodes that are listed no longer, so that they count neither as well nor as lost."""
        for address in [address for address in self._nodes if address not in wanted]:
            await self._nodes.pop(address).close()

    def _node(self, address: str) -> Node:
        if address not in self._nodes:
            self._nodes[address] = Node(address, self._link(address))
        return self._nodes[address]

    async def _attend(self, node: Node, play: "_Play") -> None:
        """Play on a node as long as it answers, and ask again and again where it does not."""
        tries = 0
        while not play.batch.over:
            try:
                hello = await self._greet(node, play)
            except Refused as error:
                node.change("refused", str(error))
            except Lost as error:
                node.change("lost", str(error))
            else:
                tries = 0
                self._seat(node, hello.sessions)
                node.change("well", node.reason if node.failures else "")
                self._tell()
                await _together(self._lane(node, lane, play) for lane in range(max(1, min(hello.sessions, play.batch.left))))
            self._tell()
            play.batch.wake()
            if play.batch.over or node.state == "expelled":
                return
            await asyncio.sleep(max(node.pause_s, AGAIN_S[min(tries, len(AGAIN_S) - 1)]))
            tries += 1

    async def _greet(self, node: Node, play: "_Play") -> wire.Hello:
        """The node's answer to the terms. Raises Lost, and Refused also where it plays on another browser than the first one did."""
        hello = await node.greet(play.terms)
        first, machinery = self._machinery = self._machinery or (node.address, hello.machinery)
        if hello.machinery != machinery:
            raise Refused(
                f"{node.address} plays on {hello.machinery}, and {first}, which came first, on {machinery}: install the same browser on all"
            )
        return hello

    def _seat(self, node: Node, sessions: int) -> None:
        """Number the node's sessions behind those of the others."""
        if sessions > node.sessions:
            node.base, self._sessions = self._sessions, self._sessions + sessions
        node.sessions = sessions

    async def _lane(self, node: Node, lane: int, play: "_Play") -> None:
        """Play in one of the node's sessions, one request after the other."""
        while node.state == "well" and not play.batch.over:
            parts = self._parts(node, play) if node.ready else []
            if not parts:
                await play.batch.wait(LOOK_S)
                continue
            run = _Run(node, lane, parts, play, self._limits)
            node.playing.update(parts)
            lost: Lost | None = None
            try:
                await run.play()
            except Busy as error:
                node.took(False, str(error))
            except Refused as error:
                node.change("expelled" if isinstance(error, Lied) else "refused", str(error))
                log.warning("%s", error)
            except Lost as error:
                log.warning("episodes are given to another collector: %s", error)
                lost = error
            finally:
                node.playing.difference_update(parts)
                run.give_back(lost)
                self._tell()
            if lost is not None:
                await self._probe(node, play, lost, run.begun)
            elif node.busy:
                await asyncio.sleep(LOOK_S)

    def _parts(self, node: Node, play: "_Play") -> list[Part]:
        """Episodes for a node; one that failed at its last is asked for a single one."""
        lanes = sum(other.sessions for other in self._nodes.values() if other.state == "well")
        return play.batch.take(node.address, node.playing, 0.0 if node.failures else node.pace_s, lanes, play.others(node))

    async def _probe(self, node: Node, play: "_Play", error: Lost, begun: float) -> None:
        """Ask the node how it does after a request was lost; it is given up where it does not answer well, else it rests."""
        try:
            await self._greet(node, play)
        except Refused as refused:
            node.change("refused", str(refused))
        except Lost:
            node.change("lost", str(error))
        else:
            node.fail(str(error), begun)

    def _tell(self) -> None:
        if self._on_nodes is not None:
            self._on_nodes(self.health)

    def close(self) -> None:
        """Close the connections."""

        async def close_all() -> None:
            for node in self._nodes.values():
                await node.close()

        loop_thread().run(close_all())
        self._nodes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class HttpExecutor(NodesExecutor):
    """Collectors at these addresses, and at those in a file, one a line; a context manager."""

    def __init__(
        self,
        addresses: Sequence[str] = (),
        *,
        file: NodesFile | Path | None = None,
        backend: str = "browser",
        token: str = "",
        limits: Limits = Limits(),
        on_nodes: NodeListener | None = None,
    ) -> None:
        super().__init__(backend, limits, on_nodes)
        self._given = tuple(dict.fromkeys(map(wire.address, addresses)))
        self._file = NodesFile(file) if isinstance(file, Path) else file
        self._read_at, self._listed = 0.0, tuple[str, ...]()
        self._token = token
        if not self._given and file is None:
            raise ConfigError("expected the address of at least one collector, such as http://10.0.0.2:8400")
        self._wanted()  # a file that cannot be read is said at once

    def _link(self, address: str) -> Link:
        return HttpLink(address, self._token, self._limits.silence_s)

    def _wanted(self) -> tuple[str, ...]:
        """The addresses that are given and listed at this moment. Raises ConfigError for a file that cannot be read at first."""
        now = time.monotonic()
        if self._file is not None and now - self._read_at >= FILE_S:
            try:
                self._listed = self._file.addresses()
            except ConfigError as error:
                if not self._read_at:
                    raise
                log.warning("the nodes stay as they are: %s", error)
            self._read_at = now
        return tuple(dict.fromkeys([*self._given, *self._listed]))


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all until they have ended; the first error ends the others and is raised, and a cancellation ends all."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Play:
    """One call: what is asked for, what has ended, and who hears of it."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        terms: wire.Terms,
        request: Request,
        keys: list[EpisodeKey],
        board: Board,
        events: bool,
        on_picture: PictureTaker | None,
    ) -> None:
        self._nodes = nodes
        self.terms, self.request, self.board, self.events, self.on_picture = terms, request, board, events, on_picture
        self.batch = Batch(keys)
        self.ended: queue.SimpleQueue[Trajectory | None] = queue.SimpleQueue()

    def others(self, node: Node) -> list[str]:
        """The other nodes that can play."""
        return [address for address, other in self._nodes.items() if other is not node and other.serves]

    def end(self, part: Part, trajectory: Trajectory, took_s: float) -> None:
        """Give the trajectory of an episode to the caller, and tell its end."""
        outcome = trajectory.outcome
        changes = {name: -count for name, count in part.running.items()} | {"done": 1}
        changes |= {"successes": int(outcome.success), "faults": int(outcome.faulted)}
        part.running = {}
        self.batch.end(part, took_s)
        self.board.tell(part.session, "end", part.key, trajectory, "", **changes)
        self.ended.put(trajectory)


class _Run:
    """Episodes that a node was asked to play in one request."""

    def __init__(self, node: Node, lane: int, parts: Sequence[Part], play: _Play, limits: Limits) -> None:
        self._node, self._parts, self._play, self._limits = node, parts, play, limits
        self._session = node.base + lane
        self.begun = self._since = time.monotonic()  # of the request, and of the present episode
        self._under_way = False
        self._left = list(parts)  # those that this node still has to play
        for part in parts:
            if part.teller is None:
                part.teller, part.session = self, self._session

    async def play(self) -> None:
        """Ask, and take in what comes. Returns when its episodes have ended here or elsewhere. Raises Lost, Refused, Busy."""
        request = replace(self._play.request, keys=tuple(part.key for part in self._parts))
        asked = wire.Asked.of(self._play.terms, request, self._play.events)
        try:
            async with asyncio.timeout(self._limits.episode_s), contextlib.aclosing(self._node.play(asked)) as messages:
                async for message in messages:
                    self._node.took(True)
                    if message is not None:  # a sign of life alone does not say that episodes are under way
                        self._note(True)
                    match message:
                        case Told(number, kind, words, changes):
                            self._hear(self._parts[number], kind, words, changes)
                        case Ended(number, trajectory):
                            await self._take(self._parts[number], trajectory)
                        case Failed(error):
                            raise error
                    if all(part.ended for part in self._left):
                        return
        except TimeoutError:
            raise Lost(f"{self._node.address} did not end an episode within {self._limits.episode_s:g} s") from None
        finally:
            self._note(False)

    def _note(self, begun: bool) -> None:
        """Note whether episodes of this request are under way."""
        self._node.under_way += begun - self._under_way
        self._under_way = begun

    def _hear(self, part: Part, kind: EventKind, message: str, changes: Mapping[wire.Count, int]) -> None:
        if part.ended or part.teller is not self:
            return
        for name in ("acting", "thinking"):
            part.running[name] = part.running.get(name, 0) + changes.get(name, 0)
        self._play.board.tell(self._session, kind, part.key, None, message, **changes)

    async def _take(self, part: Part, trajectory: Trajectory) -> None:
        """An episode has ended on the node. Raises Lied where it is another one."""
        if trajectory.key != part.key:
            raise Lied(f"{self._node.address} gave an episode of {trajectory.key} for {part.key}: it is not asked any more")
        took_s, self._since = time.monotonic() - self._since, time.monotonic()
        fault = trajectory.outcome.kind == "fault"
        self._node.played(took_s, fault=fault)
        if fault and not part.ended and self._is_tried_again(part):
            self._drop(part, f"it ended as a fault on {self._node.address}: {trajectory.outcome.message}")
        elif not part.ended:
            if self._play.on_picture is not None:
                trajectory = await self._node.pictured(trajectory, self._play.on_picture)
            if not part.ended:  # nor elsewhere, while its pictures came
                self._play.end(part, trajectory, took_s)
        if part in self._left:
            self._left.remove(part)

    def _is_tried_again(self, part: Part) -> bool:
        """Count the fault. False where it is the outcome: two nodes had it, or one had it twice and no other is there to try."""
        part.faulted[self._node.address] += 1
        if len(part.nodes) > 1:
            return True  # another plays it still
        left = any(other not in part.faulted for other in self._play.others(self._node))
        return len(part.faulted) < FAULTS and (left or part.faulted.total() < FAULTS)

    def give_back(self, lost: Lost | None) -> None:
        """Let others play what did not end here. What brought down too many nodes ends as a fault."""
        blamed = self._left[0] if self._left and lost is not None and not isinstance(lost, Unreached | Unable) else None
        for part in list(self._left):
            if part.ended:
                continue
            if part is blamed and self._brought_down(part):
                message = f"{part.losses} collectors in a row were lost while they played it alone, the last one: {lost}"
                self._play.end(part, Trajectory(part.key, "", (), Outcome("fault", nan, 0.0, message, part.losses - 1)), 0.0)
            else:
                self._drop(part, f"it left {self._node.address}" if lost is None else str(lost))
        self._left.clear()

    def _brought_down(self, part: Part) -> bool:
        """Count the loss, for which the episode may be to blame, and is where it was played alone. True where that is its end."""
        part.losses += part.suspect
        part.lost[self._node.address] += 1
        return part.losses > self._play.request.retries.limit and len(part.nodes) == 1

    def _drop(self, part: Part, reason: str) -> None:
        """Give an episode back, and tell that it begins again where this run told of it."""
        if part.teller is self:
            if part.running:
                undone = {name: -count for name, count in part.running.items()}
                self._play.board.tell(self._session, "retry", part.key, None, reason, retries=1, **undone)
            part.teller, part.running = None, {}
        if self._play.batch.give_back(part, self._node.address):
            log.info("%s of seed %d is played again: %s", part.key.task_id, part.key.seed, reason)
