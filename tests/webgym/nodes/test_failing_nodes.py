"""Nodes that answer greetings and fail at episodes, beside good ones: the batch is the one that the good ones play."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.webgym.nodes.links import RANDOM, Honest, LinkExecutor, episode, keys, played
from webgym.errors import Fault
from webgym.nodes import batch, executor, node
from webgym.nodes.client import Lost
from webgym.nodes.executor import Limits
from webgym.nodes.wire import Asked, Line
from webgym.types import EpisodeKey, Trajectory

KEYS = keys(12)
ALONE = [episode(key) for key in KEYS]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short."""
    for module in (node, executor):
        monkeypatch.setattr(module, "AGAIN_S", (0.01, 0.02))


class Unable(Honest):
    """A node that cannot reach the gateway."""

    async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        yield Line(kind="beat").encoded().rstrip()
        yield Line(kind="failed", reason="fault", message="http://10.0.0.1:8500 cannot be reached").encoded().rstrip()


class Broken(Honest):
    """A node behind a proxy that forwards greetings only."""

    async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        if asked.keys:
            raise Lost("broken answered with status 502")
        yield b""


class Faulty(Honest):
    """A node whose browser is broken, for these episodes or for all."""

    def __init__(self, sessions: int = 1, only: tuple[EpisodeKey, ...] = ()) -> None:
        super().__init__(sessions)
        self.only = only

    def trajectory(self, key: EpisodeKey) -> Trajectory:
        return episode(key, "success" if self.only and key not in self.only else "fault")


@pytest.mark.parametrize("bad", [Unable(2), Broken(2), Faulty(2)], ids=["unable", "broken", "faulty"])
def test_a_node_that_fails_fast_takes_no_episode_from_a_good_one(monkeypatch: pytest.MonkeyPatch, bad: Honest) -> None:
    monkeypatch.setattr(batch, "ELSEWHERE_S", 0.2)
    good = Honest(2, takes_s=0.3)
    with LinkExecutor({"bad": bad, "good": good}) as nodes:
        assert played(nodes, KEYS) == ALONE
        assert nodes.health[0].reason or isinstance(bad, Faulty)
    assert max(bad.asked.values()) == 1 or isinstance(bad, Unable), "what it failed at is for the other one"
    assert bad.requests <= (len(KEYS) if isinstance(bad, Faulty) else 6), "it rests longer and longer"


def test_two_bad_nodes_beside_a_good_one_take_no_episode_from_it(hasty: None) -> None:
    links = {"one": Broken(2), "two": Faulty(2), "good": Honest(1, takes_s=0.05)}
    with LinkExecutor(links) as nodes:
        assert played(nodes, KEYS) == ALONE


def test_where_every_node_fails_at_everything_the_run_stops_with_the_reason(hasty: None) -> None:
    with LinkExecutor({"bad": Unable(2)}, Limits(silence_s=3.0, wait_s=0.5)) as nodes:
        with pytest.raises(Fault, match=r"for 0\.5 s: bad cannot play: http://10\.0\.0\.1:8500 cannot be reached"):
            played(nodes, KEYS)
        assert nodes.health[0].episodes == 0


def test_an_episode_that_nobody_survives_says_how_the_last_node_was_lost(hasty: None) -> None:
    with LinkExecutor({"one": Broken(), "two": Broken()}) as nodes:
        (found,) = played(nodes, KEYS[:1])
    assert found.outcome.kind == "fault" and found.outcome.message.endswith("the last one: broken answered with status 502")
    with LinkExecutor({"one": Faulty(), "two": Faulty()}) as nodes:
        (found,) = played(nodes, KEYS[:1])
    assert found.outcome.message == "its browser is broken", "a fault on two nodes is the outcome"


def test_a_fault_on_an_idle_node_does_not_end_what_a_slow_one_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SLOW_S", 0.2)
    slow = KEYS[-1]

    class Slow(Honest):
        async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
            for _ in range(10 if slow.seed in [key[1] for key in asked.keys] else 0):
                await asyncio.sleep(0.2)
                yield Line(kind="beat").encoded().rstrip()
            async for line in super().lines(asked):
                yield line

    first, second, good = Faulty(only=(slow,)), Faulty(only=(slow,)), Slow(takes_s=0.01)
    with LinkExecutor({"good": good}) as nodes:
        stream = nodes.play(RANDOM, [slow, *KEYS[:-1]])
        nodes.links |= {"first": first, "second": second}
        found = dict(stream)
    assert [found[key] for key in KEYS] == ALONE
    assert first.asked[slow] == 1 or second.asked[slow] == 1
    assert good.asked[slow] == 1


def test_a_node_that_recovers_is_trusted_again(hasty: None) -> None:
    class Recovers(Honest):
        async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
            if self.requests <= 5:
                raise Lost("recovers broke off")
            async for line in super().lines(asked):
                yield line

    with LinkExecutor({"one": Recovers(4)}) as nodes:
        assert played(nodes, KEYS) == ALONE
        assert [(x.state, x.reason) for x in nodes.health] == [("well", "")]
