"""The synchronous face wherever Python code runs: inside a running loop, as in a notebook; in threads; in spawned and forked processes."""

import asyncio
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import gymnasium as gym
import pytest

import webgym

CLICK = "webgym/miniwob.click-button-v0"


def play(seed):
    """The hashes of a short episode through Gymnasium."""
    with gym.make(CLICK) as env:
        _, info = env.reset(seed=seed)
        *_, after = env.step("click('0')")
    return info["observation_hash"], after["observation_hash"]


@pytest.fixture(scope="module")
def alone():
    assert webgym.task("miniwob.click-button").gym_id == CLICK
    return [play(seed) for seed in range(3)]


def test_in_a_notebook_whose_loop_runs(alone):
    async def cell():
        assert asyncio.get_running_loop().is_running()
        return play(0)

    assert asyncio.run(cell()) == alone[0]
    assert asyncio.run(cell()) == alone[0]  # and in a later loop


def test_in_threads(alone):
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(play, range(3))) == alone


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_other_processes(alone, method):
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as processes:
        assert list(processes.map(play, range(3))) == alone
    assert play(1) == alone[1]  # this process's own browser is as it was


def test_gymnasium_hears_of_the_tasks_also_where_somebody_looked_for_it_before():
    looks = "import importlib.util, webgym; importlib.util.find_spec('gymnasium'); import gymnasium"
    code = f"{looks}; print('webgym/miniwob.click-test-v0' in gymnasium.registry)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", done.stderr
