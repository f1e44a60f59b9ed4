"""Collectors as actors of Ray. What needs Ray runs where it is installed (`make ray`); the actor itself is a class like any other."""

import asyncio
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.webgym.nodes.collectors import plain
from webgym.errors import ConfigError, UsageError
from webgym.nodes import wire
from webgym.nodes.executor import Limits
from webgym.nodes.ray_actor import CollectorActor
from webgym.nodes.ray_executor import RayExecutor
from webgym.policies.scripted import RandomPolicy
from webgym.record.store import decode
from webgym.rollout.arena import Arena
from webgym.rollout.contract import Event, PolicyHandle, Request
from webgym.rollout.executor import play_in_order
from webgym.types import Completion, EpisodeKey, Observation, Trajectory, Turn, group_keys

TASK = "wizard.h4-x1-late1-undo-slack4"
KEYS = list(group_keys([(TASK, seed) for seed in range(8)], 3, iteration=5))
RANDOM = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 1})
QUICK = Limits(silence_s=5.0, wait_s=120.0)

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: `make ray` runs this")


@pytest.fixture(scope="module")
def alone() -> list[Trajectory]:
    """The batch as a session of this process plays it."""
    with Arena(1, backend="text") as arena:
        return plain(arena.collect(RandomPolicy(1), KEYS))


class Once(RandomPolicy):
    """Plays one episode, and thinks for ever about the second."""

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        if key != KEYS[0]:
            await asyncio.Event().wait()
        return await super().act(observation, history, key)


# --- the actor, without Ray ------------------------------------------------------------------------------------------------


def asked(count: int, **changes: Any) -> str:
    """A request for the first episodes."""
    found = wire.Asked.of(wire.Terms.here("text", (TASK,)), Request(tuple(KEYS[:count]), RANDOM), events=False).model_copy(update=changes)
    terms = wire.Terms.here("text", (TASK,), found.policy.factory)
    return found.model_copy(update={"terms": terms}).model_dump_json()


async def lines(actor: CollectorActor, message: str, *, leave_after: int | None = None) -> list[bytes]:
    """The lines that an actor streams; the request is left after so many episodes."""
    found: list[bytes] = []
    number = 0
    async for piece in actor.play("run", message):
        assert piece.endswith(b"\n")
        found += piece.removesuffix(b"\n").split(b"\n")
        number += piece.count(b'"kind":"ended"')
        if number == leave_after:
            await actor.leave("run")
    return found


def test_an_actor_streams_what_a_collector_says(alone: list[Trajectory]) -> None:
    async def played() -> list[bytes]:
        actor = CollectorActor(1, "text")
        status, hello = await actor.hello(wire.Terms.here("text", (TASK,)).model_dump_json())
        assert status == 200 and wire.Hello.model_validate_json(hello).sessions == 1
        found = await lines(actor, asked(2))
        await actor.close()
        return found

    found = [line for line in asyncio.run(played()) if json.loads(line) != {"kind": "beat"}]
    assert json.loads(found.pop(0)) == {"kind": "told"}, "the episodes begin"
    assert [json.loads(line) for line in found[::2]] == [{"kind": "ended"}, {"kind": "ended", "number": 1}]
    assert plain([decode(line) for line in found[1::2]]) == alone[:2]


def test_an_actor_refuses_in_one_sentence_and_gives_up_what_is_left() -> None:
    async def tried() -> None:
        actor = CollectorActor(1, "text", allow=["tests.webgym.nodes.test_ray:Once"])
        status, said = await actor.hello(wire.Terms.here("browser", ()).model_dump_json())
        assert status == 409 and "wants 'browser'" in wire.Refusal.model_validate_json(said).error
        assert (await actor.hello("{}"))[0] == 422
        other = PolicyHandle("os:system", {})
        (said,) = await lines(actor, asked(1, policy=wire.Handle(factory=other.factory, settings={})))
        line = wire.Line.model_validate_json(said)
        assert (line.kind, line.reason) == ("failed", "refused") and "makes no policy by the factory 'os:system'" in line.message
        once = wire.Handle(factory="tests.webgym.nodes.test_ray:Once", settings={})
        left = await lines(actor, asked(20, policy=once), leave_after=1)
        ended = [line for line in left if json.loads(line).get("kind") == "ended"]
        assert len(ended) == 1, "the other side has left"
        assert not actor._playing and await actor.picture("none") == b""
        await actor.close()
        missing = CollectorActor(1, "text", tasks=["no-such-pack"])
        status, said = await missing.hello(wire.Terms.here("text", ()).model_dump_json())
        assert status == 409 and "no-such-pack" in said

    asyncio.run(tried())


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'webgym-rl\[ray\]'"):
        RayExecutor(1, 1, backend="text")
    with pytest.raises(ConfigError, match="at least one collector"):
        RayExecutor(0, 1, backend="text")


# --- with Ray ------------------------------------------------------------------------------------------------------------


def process_of(executor: RayExecutor, name: str) -> int:
    """The process id of an actor; while Ray starts it anew, every call of it is an error."""
    until = time.monotonic() + 120
    while True:
        try:
            return executor._ray.get(executor._actors[name].process_id.remote(), timeout=60)
        except executor._ray.exceptions.RayError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


@pytest.fixture
def two() -> Iterator[RayExecutor]:
    with RayExecutor(2, 2, backend="text", limits=QUICK) as executor:
        yield executor


@needs_ray
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGSTOP])
def test_actors_play_what_one_session_plays_also_where_one_is_killed_or_stopped(
    alone: list[Trajectory], two: RayExecutor, number: int | None
) -> None:
    victim = process_of(two, "ray:0")
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        if number is not None and sum(e.kind == "turn" for e in heard) == 5:
            os.kill(victim, number)

    assert plain(play_in_order(two, RANDOM, KEYS, on_event=hear)) == alone
    last = heard[-1].counts
    assert (last.done, last.running, last.faults) == (len(KEYS), 0, 0)
    assert {x.address for x in two.health} == {"ray:0", "ray:1"}
    if number == signal.SIGKILL:
        assert process_of(two, "ray:0") != victim, "Ray has started it anew"
    elif number == signal.SIGSTOP:
        os.kill(victim, signal.SIGCONT)  # the other one may have played all before its silence was noticed
    assert plain(play_in_order(two, RANDOM, KEYS)) == alone


@needs_ray
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_what_all_actors_refuse_is_raised_in_one_sentence() -> None:
    with (
        RayExecutor(1, 1, backend="text", tasks=["no-such-pack"], limits=QUICK) as executor,
        pytest.raises(UsageError, match="no-such-pack"),
    ):
        play_in_order(executor, RANDOM, KEYS)
    with pytest.raises(ConfigError, match=r"no Ray cluster was found there .*`ray start` begins one"):
        RayExecutor(1, 1, address="127.0.0.1:1", backend="text")
