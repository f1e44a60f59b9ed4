"""Every task with an oracle: the oracle earns 1, doing nothing earns 0. Found by discovery."""

import pytest

from webgym import registry
from webgym.browser.thread import loop_thread
from webgym.env import AsyncWebEnv
from webgym.types import Infeasible, Stop, Wait

SOLVED = [task_id for task_id in registry.task_ids() if registry.task(task_id).oracle]
SEEDS = (3, 1_000_003)


@pytest.fixture(scope="module")
def play():
    """Plays an episode and returns how it ended: (kind, reward, turns)."""
    loop = loop_thread()
    env = AsyncWebEnv()

    async def episode(task_id, seed, policy):
        observation = await env.reset(task_id, seed)
        turns = 0
        while True:
            step = await env.step(policy(observation))
            observation, turns = step.observation, turns + 1
            if step.kind:
                return step.kind, step.reward, turns

    yield lambda *episode_of: loop.run(episode(*episode_of))
    loop.run(env.close())


@pytest.mark.parametrize("task_id", SOLVED)
def test_oracle_earns_one(play, task_id):
    for seed in SEEDS:
        kind, reward, turns = play(task_id, seed, registry.task(task_id).oracle())
        assert (kind, reward) == ("success", 1.0), f"seed {seed}, {turns} turns"


@pytest.mark.parametrize("task_id", SOLVED)
def test_doing_nothing_earns_nothing(play, task_id):
    assert play(task_id, SEEDS[0], lambda _: Wait()) == ("truncated", 0.0, registry.task(task_id).max_turns)


@pytest.mark.parametrize("end", [Stop(), Stop("done"), Infeasible("no")])
def test_saying_so_earns_nothing(play, end):
    for task_id in SOLVED[::20]:
        assert play(task_id, SEEDS[0], lambda _: end)[1:] == (0.0, 1)
