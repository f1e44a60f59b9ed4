"""Nodes without machines: each answers as the test says, at the end of a link in this process."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

from webgym.nodes import wire
from webgym.nodes.executor import Limits, NodesExecutor
from webgym.nodes.link import Link
from webgym.nodes.wire import Asked, Hello, Line, Terms
from webgym.policies.scripted import RandomPolicy
from webgym.record.store import encode
from webgym.rollout.contract import PolicyHandle
from webgym.types import Completion, EpisodeKey, Outcome, OutcomeKind, Sampling, Trajectory, Turn

TASK = "wizard.h4-x1-late1-undo-slack4"
RANDOM = PolicyHandle(f"{RandomPolicy.__module__}:RandomPolicy", {"seed": 1})
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 64, "greedy": False}
MODEL = PolicyHandle(
    wire.REMOTE_POLICY, {"gateway": "http://127.0.0.1:1", "reader": "x", "version": 4, "sampling": SAMPLING, "run_seed": 0}
)
BROWSER = {"chromium": "156"}


def keys(count: int) -> list[EpisodeKey]:
    """So many episodes."""
    return [EpisodeKey(TASK, seed) for seed in range(count)]


def turn(*, ends: bool, screenshot: str = "") -> Turn:
    """A turn of a model; `ends` where it is the successful last one."""
    completion = Completion("x", "p", (1, 2), (3,), (-0.5,), Sampling(), 4)
    return Turn(completion, "", "", float(ends), ends, False, "", "", screenshot=screenshot)


def episode(key: EpisodeKey, kind: OutcomeKind = "success", screenshot: str = "") -> Trajectory:
    """What an honest node plays: two turns to a success, or a fault."""
    if kind == "fault":
        return Trajectory(key, "goal", (turn(ends=False),), Outcome("fault", math.nan, 0.0, "its browser is broken"))
    return Trajectory(key, "goal", (turn(ends=False, screenshot=screenshot), turn(ends=True)), Outcome("success", 1.0))


def ended(number: int, trajectory: Trajectory) -> list[bytes]:
    """The lines that bring a trajectory."""
    return [Line(kind="ended", number=number).encoded().rstrip(), encode(trajectory).rstrip()]


class Honest(Link):
    """A node that plays every episode in `takes_s`. Others differ from it in one method."""

    def __init__(self, sessions: int = 1, takes_s: float = 0.0, browser: Mapping[str, str] = BROWSER) -> None:
        self.sessions, self.takes_s, self.browser = sessions, takes_s, dict(browser)
        self.asked: Counter[EpisodeKey] = Counter()
        self.requests = self.greetings = 0
        self.closed = False

    async def hello(self, terms: Terms) -> Hello:
        self.greetings += 1
        return Hello(sessions=self.sessions, free=self.sessions, machinery=self.browser)

    async def play(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        self.requests += 1
        self.asked.update(EpisodeKey(*key) for key in asked.keys)
        async for line in self.lines(asked):
            yield line

    async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        """The lines of its answer to a request."""
        for number, key in enumerate(asked.keys):
            if self.takes_s:
                await asyncio.sleep(self.takes_s)
            for line in ended(number, self.trajectory(EpisodeKey(*key))):
                yield line

    def trajectory(self, key: EpisodeKey) -> Trajectory:
        """What it plays."""
        return episode(key)

    async def picture(self, name: str) -> bytes:
        return b""

    async def close(self) -> None:
        self.closed = True


class LinkExecutor(NodesExecutor):
    """Nodes at the ends of these links; `links` may change while it plays."""

    def __init__(self, links: Mapping[str, Link], limits: Limits | None = None) -> None:
        super().__init__("text", limits or Limits(silence_s=3.0, episode_s=60.0, wait_s=20.0), None)
        self.links = dict(links)

    def _wanted(self) -> tuple[str, ...]:
        return tuple(self.links)

    def _link(self, address: str) -> Link:
        return self.links[address]


def played(executor: NodesExecutor, wanted: list[EpisodeKey], handle: PolicyHandle = RANDOM, **settings) -> list[Trajectory]:
    """The trajectories in the order of their keys."""
    found = dict(executor.play(handle, wanted, **settings))
    assert len(found) == len(wanted)
    return [found[key] for key in wanted]
