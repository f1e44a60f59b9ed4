"""A collector as its trainer sees it: its state, and its messages while it plays."""

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError

from webgym.errors import Fault, UsageError
from webgym.nodes import wire
from webgym.nodes.batch import Part
from webgym.nodes.client import Lost, Refused
from webgym.nodes.doubt import doubt
from webgym.nodes.link import GREET_S, Link
from webgym.record.store import decode
from webgym.rollout.contract import EventKind, NodeHealth, NodeState, PictureTaker
from webgym.types import Trajectory

AGAIN_S = (0.5, 1.0, 2.0, 4.0, 5.0)  # pauses before a node that was lost, or failed, is asked again
PICTURE_S = 30.0  # longest time of one picture
SEVERAL = 3  # failures in a row after which a node is taken for lost, though it answers a greeting


class Busy(Fault):
    """No session of the node is free: others play there too."""


class Unable(Lost):
    """A node says that it cannot play, so that nothing was under way there."""


class Lied(Refused):
    """A node answered what no honest one says; it is not asked any more."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The node has the policy, and plays."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the episode with this number."""

    number: int
    kind: EventKind
    message: str
    changes: Mapping[wire.Count, int]


@dataclass(frozen=True, slots=True)
class Ended:
    """The trajectory of the episode with this number."""

    number: int
    trajectory: Trajectory


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that is the caller's to see."""

    error: Exception


class Node:
    """A collector at the end of a link. `playing` are the episodes that it has, `base` the number of its first session.

    `failures` counts requests in a row that failed though it answers greetings, as where it cannot reach the gateway. Such a node rests,
    longer and longer, and is asked for one episode at a time until it has played one. `under_way` counts requests whose episodes began,
    and `busy` is true where it did not take the last one.
    """

    def __init__(self, address: str, link: Link) -> None:
        self.address = address
        self.state: NodeState = "new"
        self.reason = ""
        self.sessions = self.base = 0
        self.playing: set[Part] = set()
        self.pace_s = 0.0
        self.failures = self.under_way = 0
        self.busy = False
        self._rests_until = self._failed_at = 0.0
        self._since, self._episodes, self._losses = time.time(), 0, 0
        self._link = link

    def change(self, state: NodeState, reason: str) -> None:
        """Note how it does, and since when. One that lied stays expelled."""
        if self.state == "expelled":
            return
        self._losses += state == "lost" and self.state == "well"
        if state != self.state:
            self._since = time.time()
        self.state, self.reason = state, reason

    @property
    def serves(self) -> bool:
        """True where it can be expected to play: it plays now, or neither was busy nor failed several times when it was asked last."""
        return self.state == "well" and (self.under_way > 0 or (not self.busy and self.failures < SEVERAL))

    @property
    def ready(self) -> bool:
        """True where it may be asked now."""
        return time.monotonic() >= self._rests_until and not (self.failures and self.playing)

    def took(self, taken: bool, reason: str = "") -> None:
        """Note whether it took a request, or others play there."""
        if self.busy == taken:
            self.busy = not taken
            self.reason = self.reason if self.failures else reason

    def fail(self, reason: str, begun: float) -> None:
        """Note that a request of that moment failed. One that began before the last failure says nothing new about the node."""
        if begun >= self._failed_at:
            self.failures += 1
        self._failed_at = time.monotonic()
        self._rests_until = self._failed_at + self.pause_s
        if self.state == "well":
            self.change("lost" if self.failures >= SEVERAL else "well", reason)

    @property
    def pause_s(self) -> float:
        """Pause after so many failures in a row."""
        return AGAIN_S[min(max(self.failures - 1, 0), len(AGAIN_S) - 1)]

    def played(self, took_s: float, *, fault: bool) -> None:
        """Note that an episode ended there, and whether as a fault, which says nothing good about the node."""
        self._episodes += 1
        if not fault and self.failures:
            self.failures = 0
            self.reason = "" if self.state == "well" else self.reason
        self.pace_s = took_s if self.pace_s == 0 else 0.8 * self.pace_s + 0.2 * took_s

    def health(self) -> NodeHealth:
        """Its present state."""
        return NodeHealth(
            self.address, self.state, self._since, self.sessions, len(self.playing), self._episodes, self._losses, self.pace_s, self.reason
        )

    async def greet(self, terms: wire.Terms) -> wire.Hello:
        """Its answer to the terms. Raises Lost, Refused."""
        try:
            async with asyncio.timeout(GREET_S):  # a link's own limit is on the time without a byte
                return await self._link.hello(terms)
        except TimeoutError:
            raise Lost(f"{self.address} did not answer a greeting within {GREET_S:g} s") from None

    async def play(self, asked: wire.Asked) -> AsyncGenerator[Begun | Told | Ended | Failed | None, None]:
        """Its messages while it plays; None where it says that it lives. Raises Lost, Unable, Refused, Busy."""
        ended = 0
        async with contextlib.aclosing(self._link.play(asked)) as lines:
            async for content in lines:
                line = self._line(content)
                match line.kind:
                    case "told":
                        if not line.told:
                            yield Begun()
                        for told in line.told:
                            if not 0 <= told.number < len(asked.keys):
                                raise Lied(f"{self.address} told of an episode that it was not asked for: it is not asked any more")
                            yield Told(told.number, told.kind, told.message, told.changes)
                    case "ended":
                        if line.number != ended:
                            raise Lied(f"{self.address} ended an episode that it was not asked for: it is not asked any more")
                        trajectory = self._trajectory(await anext(lines, b""), asked)
                        ended += 1
                        yield Ended(line.number, trajectory)
                    case "busy":
                        raise Busy(f"{self.address} is busy: others play in all of its sessions")
                    case "failed":
                        if line.reason == "refused":
                            raise Refused(f"{self.address} refused: {line.message}")
                        if line.reason == "fault":
                            raise Unable(f"{self.address} cannot play: {line.message}")
                        error = UsageError(line.message) if line.reason == "usage" else RuntimeError(f"on {self.address}: {line.message}")
                        yield Failed(error)
                    case "beat":
                        yield None
        if ended < len(asked.keys):
            raise Lost(f"{self.address} broke off")

    def _line(self, content: bytes) -> wire.Line:
        try:
            return wire.Line.model_validate_json(content)
        except ValidationError as error:
            raise Lied(f"{self.address} said what is no line of the protocol, and is not asked any more: {wire.problem(error)}") from None

    def _trajectory(self, content: bytes, asked: wire.Asked) -> Trajectory:
        if not content:
            raise Lost(f"{self.address} broke off before a trajectory")
        try:
            trajectory = decode(content)
        except (ValueError, KeyError, TypeError) as error:
            raise Lied(f"{self.address} gave no trajectory, and is not asked any more: {type(error).__name__}: {error}") from None
        if found := doubt(trajectory, asked):
            raise Lied(f"{self.address} gave a trajectory that no honest collector gives, and is not asked any more: {found}")
        return trajectory

    async def pictured(self, trajectory: Trajectory, on_picture: PictureTaker) -> Trajectory:
        """The trajectory with its pictures fetched and kept. Raises Lost, Lied."""
        turns = list(trajectory.turns)
        for number, turn in enumerate(turns):
            if turn.screenshot:
                turns[number] = replace(turn, screenshot=on_picture(trajectory.key, number, await self._picture(turn.screenshot)))
        return replace(trajectory, turns=tuple(turns))

    async def _picture(self, name: str) -> np.ndarray:
        """The pixels [height, width, 3] of a picture by its name."""
        from PIL import Image

        if not name.isalnum():
            raise Lied(f"{self.address} named a picture that is none: it is not asked any more")
        try:
            async with asyncio.timeout(PICTURE_S):
                content = await self._link.picture(name)
        except TimeoutError:
            raise Lost(f"{self.address} did not give a picture within {PICTURE_S:g} s") from None
        except Refused as error:  # it had too many, or was started anew
            raise Lost(str(error)) from error
        if wire.picture_name(content) != name:
            raise Lied(f"{self.address} gave another picture than it named: it is not asked any more")
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises for a damaged or huge file
            raise Lied(f"{self.address} gave a picture that cannot be read, and is not asked any more: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the link."""
        await self._link.close()
