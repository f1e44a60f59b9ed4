"""What nodes say of themselves costs a trainer no more than the batch does, and those that are listed no longer are forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from tests.webgym.nodes.links import Honest, LinkExecutor, episode, keys, played
from webgym.errors import UsageError
from webgym.nodes import client, wire
from webgym.nodes.client import Client, Refused
from webgym.nodes.collector import Collector
from webgym.nodes.executor import Limits, NodesExecutor
from webgym.nodes.listening import Listening
from webgym.nodes.wire import Hello, Terms


def test_no_more_lanes_are_begun_than_episodes_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = []
    begun = NodesExecutor._lane
    monkeypatch.setattr(NodesExecutor, "_lane", lambda self, node, lane, play: lanes.append(lane) or begun(self, node, lane, play))
    with LinkExecutor({"node": Honest(sessions=4096)}) as nodes:
        assert played(nodes, keys(3)) == [episode(key) for key in keys(3)]
    assert lanes == [0, 1, 2]


def test_a_greeting_and_a_collector_have_a_bound_of_sessions() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 4096"):
        Hello(sessions=200_000, free=1, machinery={})
    with pytest.raises(UsageError, match=r"expected 1 to 4,096 sessions, got 200,000"):
        Collector(200_000, backend="text")


class Refuses(Honest):
    """A node that refuses from the second batch on."""

    async def hello(self, terms: Terms) -> Hello:
        if self.requests:
            raise Refused("second has another pack")
        return await super().hello(terms)


def test_a_node_that_is_listed_no_longer_hides_no_refusal() -> None:
    first, second = Honest(), Refuses(takes_s=0.01)
    with LinkExecutor({"first": first}, Limits(wait_s=5.0)) as nodes:
        played(nodes, keys(1))
        second.requests = 1
        nodes.links = {"second": second}
        with pytest.raises(UsageError, match=r"^second has another pack$"):
            played(nodes, keys(1))
        assert [x.address for x in nodes.health] == ["second"] and first.closed


def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1 << 16)
    monkeypatch.setattr(wire, "MOST_BYTES", 1 << 16)

    async def flood(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": b" " * (1 << 14), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def asked(url: str) -> None:
        node, terms = Client(url), Terms.here("text", ())
        with pytest.raises(Refused, match="more than 65,536 bytes at once"):
            await node.post("/hello", terms, Hello)
        with pytest.raises(Refused, match="more than 65,536 bytes at once"):
            await node.get("/pictures/x")
        async with node.stream("POST", "/play", terms) as response:
            with pytest.raises(Refused, match="more than 65,536 bytes at once"):
                await anext(node.lines(response))
        await node.close()

    with Listening(flood, "127.0.0.1", 0) as listening:
        asyncio.run(asked(listening.url))


def test_lines_are_put_together_from_pieces() -> None:
    class Response:
        async def aiter_bytes(self) -> AsyncIterator[bytes]:
            for piece in (b"on", b"e\ntwo\nth", b"", b"ree\n", b"\n"):
                yield piece

    async def read() -> list[bytes]:
        node = Client("http://127.0.0.1:1")
        return [line async for line in node.lines(Response())]  # type: ignore[arg-type]

    assert asyncio.run(read()) == [b"one", b"two", b"three", b""]


def test_a_node_that_answers_when_the_batch_is_over_plays_nothing() -> None:
    class Late(Honest):
        async def hello(self, terms: Terms) -> Hello:
            while good.requests < 2:
                await asyncio.sleep(0.001)
            return await super().hello(terms)

    good, late = Honest(), Late()
    with LinkExecutor({"good": good, "late": late}) as nodes:
        for _ in range(20):
            good.requests = 0
            assert played(nodes, keys(2)) == [episode(key) for key in keys(2)]
