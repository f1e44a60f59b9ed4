"""All episodes of a run are played on one browser, whatever comes, goes, and comes back."""

from collections.abc import AsyncGenerator

import pytest

from tests.webgym.nodes.links import Honest, LinkExecutor, episode, keys, played
from webgym.errors import Fault, UsageError
from webgym.nodes.client import Lost, Unreached
from webgym.nodes.executor import Limits
from webgym.nodes.wire import Asked, Hello, Terms

OLD = {"chromium": "140"}
HASTY = Limits(silence_s=3.0, wait_s=0.5)


class Dies(Honest):
    """A node that is gone after so many requests."""

    async def hello(self, terms: Terms) -> Hello:
        if self.requests >= 3:
            raise Unreached("first cannot be reached")
        return await super().hello(terms)

    async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        if self.requests >= 3:
            raise Lost("first broke off")
        async for line in super().lines(asked):
            yield line


def test_a_node_with_another_browser_is_not_asked_where_the_first_one_is_lost() -> None:
    first, second = Dies(), Honest(browser=OLD)
    with LinkExecutor({"first": first}, HASTY) as nodes:
        played(nodes, keys(1))
        nodes.links["second"] = second
        with pytest.raises(Fault, match=r"first .*; second plays on .*140.*, and first, which came first, on .*156"):
            played(nodes, keys(6))
    assert second.greetings and not second.requests


def test_the_browser_of_the_first_batch_is_that_of_the_next() -> None:
    first, second = Honest(), Honest(browser=OLD)
    with LinkExecutor({"first": first}) as nodes:
        played(nodes, keys(1))
        nodes.links = {"second": second, "first": first}
        assert played(nodes, keys(4)) == [episode(key) for key in keys(4)]
    assert not second.requests


def test_a_node_that_comes_back_with_another_browser_is_refused() -> None:
    class Restarted(Honest):
        async def lines(self, asked: Asked) -> AsyncGenerator[bytes, None]:
            if self.requests == 2:
                self.browser = OLD
                raise Lost("the node broke off")
            async for line in super().lines(asked):
                yield line

    node = Restarted()
    with LinkExecutor({"node": node}) as nodes, pytest.raises(UsageError, match=r"node plays on .*140.*, and node, .* on .*156"):
        played(nodes, keys(4))
    assert node.requests == 2
