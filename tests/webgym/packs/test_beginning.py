"""A task's program that fails, or does not come to an end, costs its own episodes and nothing else."""

import asyncio
import re
import threading
import time
from dataclasses import replace

import pytest

from webgym.env.core import AsyncWebEnv
from webgym.errors import ConfigError, JudgeFault
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs.beginning import begun, drawn
from webgym.packs.rehearsal import rehearse
from webgym.policies.scripted import OraclePolicy
from webgym.rollout.collector import collect
from webgym.rollout.contract import Retries
from webgym.trust import auditing
from webgym.types import EpisodeKey

KNOWN = registry.task("wizard.h3")
ENDLESS = r"^task never\.fits did not begin with seed \d+ within [\d.]+ s: expected its program to come to an end; look in it for a loop"


def task(start):
    return replace(KNOWN, id="never.fits", twin="", start=start)


def forever(seed):
    while True:
        try:
            list(range(100))
        except Exception:
            continue


def starting(error):
    def start(seed):
        raise error

    return start


def at_work():
    """The threads of programs that still run, once they had the time to end."""
    until = time.monotonic() + 20
    while (found := [one for one in threading.enumerate() if one.name.startswith("never.fits")]) and time.monotonic() < until:
        time.sleep(0.01)
    return found


@pytest.fixture
def known():
    """Makes a task known for the length of a test."""

    def add(start):
        return registry.register(task(start)).id

    yield add
    registry._remove("never.fits")


def test_a_program_without_an_end_is_ended():
    with pytest.raises(JudgeFault, match=ENDLESS):
        asyncio.run(begun(task(forever), 3, 0.2))
    with pytest.raises(JudgeFault, match=ENDLESS):
        drawn(task(forever), 3, 0.2)
    assert at_work() == []


def test_a_program_is_ended_with_the_reset_that_waits_for_it():
    async def given_up():
        async with asyncio.timeout(0.2):
            await begun(task(forever), 3)

    with pytest.raises(TimeoutError):
        asyncio.run(given_up())
    assert at_work() == []


@pytest.mark.parametrize("error", [StopIteration(), KeyError("what"), TimeoutError("the shop sleeps"), SystemExit(3)])
def test_the_errors_of_a_program_are_told(error):
    with pytest.raises(JudgeFault, match=f"^task never.fits cannot begin with seed 5: .*{re.escape(repr(error))}"):
        asyncio.run(begun(task(starting(error)), 5))
    with pytest.raises(RuntimeError if isinstance(error, SystemExit) else type(error)):
        drawn(task(starting(error)), 5)


@pytest.mark.parametrize("error", [ConfigError("no key is set"), JudgeFault("the key is wrong")])
def test_a_program_may_say_itself_what_is_wrong(error):
    with pytest.raises(type(error), match=f"^{error}$"):
        asyncio.run(begun(task(starting(error)), 5))


def test_the_other_episodes_are_played(known):
    played = [EpisodeKey(known(lambda seed: forever(seed) if seed == 1 else KNOWN.start(seed)), 1), EpisodeKey("wizard.h3", 2)]
    envs = [AsyncWebEnv(backend="text", reset_s=2.0)]
    endless, other = loop_thread().run(collect(envs, OraclePolicy(registry.task), played, retries=Retries(limit=1, backoff_s=0.0)))
    assert endless.outcome.kind == "fault" and endless.outcome.faults == ("judge", "judge") and re.match(ENDLESS, endless.outcome.message)
    assert other.outcome.success and at_work() == []


def test_a_rehearsal_finds_it(known, monkeypatch):
    monkeypatch.setattr("webgym.packs.rehearsal.drawn", lambda task, seed: drawn(task, seed, 0.2))
    with pytest.raises(JudgeFault, match=ENDLESS):
        rehearse([known(forever)])


def test_an_audit_finds_a_seed_that_no_episode_plays(known, monkeypatch):
    monkeypatch.setattr(auditing, "drawn", lambda task, seed: drawn(task, seed, 0.2))
    known(lambda seed: forever(seed) if seed % 50 == 17 else KNOWN.start(seed))
    (problem,) = auditing.audit("never.fits", None, (0,), (), oracle=False).problems
    assert re.match(ENDLESS, problem) and int(problem.split("seed ")[1].split()[0]) % 50 == 17
