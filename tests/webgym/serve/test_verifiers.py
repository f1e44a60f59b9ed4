"""The taskset of verifiers, where verifiers is installed: its tasks, and an episode with a scripted agent."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from tests.webgym.serve.test_conformance import TASK, oracle
from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault

serve = pytest.importorskip("webgym.serve.verifiers", exc_type=ImportError)


def play(actions):
    """Rewards and metrics that an episode records with an agent that writes these actions; its model fails after the last one."""
    rewards, metrics, answers = {}, {}, iter(actions)
    trace = SimpleNamespace(record_reward=rewards.__setitem__, record_metrics=metrics.update, has_error=False)

    async def turn(message):
        assert "Turns left" in message
        reply = next(answers, None)
        trace.has_error = reply is None
        return SimpleNamespace(terminated=reply is None, last_reply=reply or "")

    @contextlib.asynccontextmanager
    async def interaction(task):
        yield SimpleNamespace(turn=turn, trace=trace)

    env = SimpleNamespace(taskset=SimpleNamespace(config=SimpleNamespace(backend="text", most=400)))
    task = SimpleNamespace(data=SimpleNamespace(task=TASK, seed=5))
    asyncio.run(serve.WebGymEnv.run(env, task, SimpleNamespace(player=SimpleNamespace(interaction=interaction))))
    return rewards, metrics


def test_the_taskset_has_each_seed_of_each_task():
    taskset = serve.WebGymTaskset(serve.WebGymConfig(id="webgym", tasks=("wizard.h1", TASK), seeds=2))
    assert [task.data.task for task in taskset] == ["wizard.h1", TASK] * 2
    assert len({task.key for task in taskset}) == 4


def test_an_episode_records_its_end():
    assert play(oracle()) == ({"success": 1.0}, {"terminated": 1.0, "truncated": 0.0})
    assert play(["stop('')"]) == ({"success": 0.0}, {"terminated": 1.0, "truncated": 0.0})


def test_a_model_that_fails_records_no_reward():
    assert play(oracle()[:1]) == ({}, {})


def test_a_fault_records_no_reward(monkeypatch):
    async def fails(self, *_):
        raise BrowserFault("the browser died")

    monkeypatch.setattr(AsyncWebEnv, "step", fails)
    with pytest.raises(BrowserFault):
        play(["stop('')"])
