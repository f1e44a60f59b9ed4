"""Sites whose answers go by the real clock are named, unless their tasks say so."""

import itertools
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from webgym.packs import registry
from webgym.task import PENDING, Start, Task
from webgym.trust import wall_time as wall_time_module
from webgym.trust.wall_time import wall_time


class Clockwork:
    """A site whose page shows what `words` gives."""

    def __init__(self, words: Any) -> None:
        self.host, self._words = "clockwork.localhost", words

    async def lease(self, seed: int, site_state: Any) -> None:
        return None

    def snapshot(self, state: None) -> None:
        return None

    async def release(self, state: None) -> None:
        return None

    @property
    def app(self) -> Any:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": f"<p>it is {self._words()}</p>".encode()})


@pytest.fixture
def told():
    """The problem of a task whose site shows these words."""
    numbers = itertools.count()

    def ask(words: Any, **options: Any) -> str:
        site = Clockwork(words)
        site.host = f"clockwork{next(numbers)}-{time.monotonic_ns()}.localhost"
        task = Task(
            f"clockwork.t{time.monotonic_ns()}",
            lambda seed: Start(f"http://{site.host}/", "wait"),
            lambda evidence: PENDING,
            hosts=(site.host,),
        )
        registry.register(replace(task, **options), sites=[site])
        return wall_time(task.id, 0, wait_s=1.1)

    return ask


def test_a_site_that_shows_seconds_is_named(told, monkeypatch):
    clock = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    monkeypatch.setattr(wall_time_module, "asyncio", SimpleNamespace(sleep=sleep))  # the site's clock stands still but for these waits
    words = told(lambda: int(clock))
    assert "depend on the wall clock at clockwork" in words and "turn 0 shows" in words and "deterministic: false" in words


def test_a_site_that_differs_by_chance_is_named_otherwise(told):
    numbers = itertools.count()
    assert "differ from one reset to the next" in told(lambda: next(numbers))


def test_a_site_that_is_a_function_of_the_seed_and_a_task_that_says_so_are_no_problem(told):
    assert told(lambda: "always") == ""
    assert told(lambda: time.time(), deterministic=False) == ""
