"""Nodes that answer for ever and play nothing, and sessions that do not end: every wait has a limit."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.webgym.nodes.links import Honest, LinkExecutor, episode, keys, played
from webgym.errors import Fault
from webgym.nodes import collector, executor, node
from webgym.nodes.client import Lost
from webgym.nodes.collector import Collector
from webgym.nodes.executor import Limits
from webgym.nodes.wire import Asked, Hello, Line, Terms

HASTY = Limits(silence_s=3.0, episode_s=60.0, wait_s=0.5)

pytestmark = pytest.mark.timeout(60)


class Busy(Honest):
    """A node whose sessions others have, for so many requests."""

    def __init__(self, requests: int) -> None:
        super().__init__()
        self.until = requests

    async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        if self.requests <= self.until:
            yield Line(kind="busy").encoded().rstrip()
            return
        async for line in super().lines(asked):
            yield line


def test_a_node_that_is_always_busy_is_none() -> None:
    with LinkExecutor({"busy": Busy(10**6)}, HASTY) as nodes, pytest.raises(Fault, match=r"for 0\.5 s: busy is busy: others play"):
        played(nodes, keys(2))
    with LinkExecutor({"busy": Busy(1)}, HASTY) as nodes:
        assert played(nodes, keys(2)) == [episode(key) for key in keys(2)]
        assert [(x.state, x.reason) for x in nodes.health] == [("well", "")]


def test_an_episode_longer_than_the_wait_for_a_node_is_played_behind_a_busy_answer() -> None:
    class Slow(Busy):
        async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
            if self.requests > self.until:
                yield Line(kind="told").encoded().rstrip()
                await asyncio.sleep(1.0)
            async for line in super().lines(asked):
                yield line

    with LinkExecutor({"slow": Slow(1)}, HASTY) as nodes:
        assert played(nodes, keys(1)) == [episode(key) for key in keys(1)]


class Drips(Honest):
    """A node that breaks off, and then never ends its answer to a greeting."""

    async def hello(self, terms: Terms) -> Hello:
        if self.greetings:
            self.greetings += 1
            await asyncio.Event().wait()
        return await super().hello(terms)

    async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        if asked.keys:
            raise Lost("drips broke off")
        yield b""


def test_what_a_node_had_is_given_back_before_it_is_asked_how_it_does() -> None:
    with LinkExecutor({"drips": Drips(), "good": Honest(takes_s=0.05)}, Limits(wait_s=20.0)) as nodes:
        assert played(nodes, keys(2)) == [episode(key) for key in keys(2)]


def test_a_greeting_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "GREET_S", 0.1)
    for module in (node, executor):
        monkeypatch.setattr(module, "AGAIN_S", (0.01,))
    drips = Drips()
    with LinkExecutor({"drips": drips}, HASTY) as nodes, pytest.raises(Fault, match=r"drips did not answer a greeting within 0\.1 s"):
        played(nodes, keys(1))
    assert drips.greetings > 2, "it is asked again"


@pytest.mark.parametrize("trouble", ["hangs", "raises", "ignores its cancellation"])
def test_a_session_that_does_not_end_is_replaced(monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(collector, "END_S", 0.1)

    async def close() -> None:
        if trouble == "raises":
            raise RuntimeError("the pipe is closed")
        if trouble == "hangs":
            await asyncio.Event().wait()

    async def plays(over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                if trouble != "ignores its cancellation":
                    raise

    async def tried() -> None:
        made, over = Collector(1, backend="text"), asyncio.Event()
        env = made.take()
        assert env is not None and made.take() is None
        monkeypatch.setattr(env, "close", close)
        playing = asyncio.ensure_future(plays(over))
        await asyncio.sleep(0)
        made.give_back(env, playing, 0.1)
        async with asyncio.timeout(5):
            while (again := made.take()) is None:
                await asyncio.sleep(0.01)
        assert again is not env, "the old one may still be played on"
        over.set()
        await asyncio.wait({playing})
        await made.close()

    asyncio.run(tried())


def test_a_session_that_ends_is_kept() -> None:
    async def tried() -> None:
        made = Collector(1, backend="text")
        env = made.take()
        assert env is not None
        playing = asyncio.ensure_future(asyncio.Event().wait())
        made.give_back(env, playing, 1.0)
        async with asyncio.timeout(5):
            while (again := made.take()) is None:
                await asyncio.sleep(0.01)
        assert again is env
        await made.close()

    asyncio.run(tried())
