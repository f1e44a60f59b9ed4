"""Backends are found, given as objects, and asked what they can play; one that is no browser plays a pack by the protocols alone."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.webgym.backends import reader
from trainers.config import resolve
from webgym import backends
from webgym.env.core import AsyncWebEnv
from webgym.errors import ConfigError
from webgym.packs import registry
from webgym.packs.rehearsal import rehearse
from webgym.policies.scripted import NoopPolicy
from webgym.rollout.arena import Arena
from webgym.types import Click, EpisodeKey, Wait

ROOT = Path(__file__).parents[3]


async def oracle_episode(env, task_id, seed):
    """Every step of an episode by its oracle."""
    oracle, steps = registry.task(task_id).oracle(), []
    observation = await env.reset(task_id, seed)
    while not steps or not steps[-1].kind:
        steps.append(await env.step(oracle(observation)))
        observation = steps[-1].observation
    await env.close()
    return steps


@pytest.mark.parametrize("task_id", ["wizard.h6", "wizard.h4-undo-slack30"])
def test_a_backend_that_is_no_browser_plays_a_pack(task_id):
    twin = asyncio.run(oracle_episode(AsyncWebEnv(backend="text"), task_id, 3))
    steps = asyncio.run(oracle_episode(AsyncWebEnv(backend=reader.BACKEND), task_id, 3))
    assert steps[-1].kind == "success" and steps[-1].reward == 1.0
    assert [step.observation.url for step in steps] == [step.observation.url for step in twin]
    shown, of_twin = ([[n.text for n in s.observation.nodes if n.ref is not None] for s in found] for found in (steps, twin))
    assert shown == of_twin


def test_what_does_not_work_there_is_said_in_words():
    async def play():
        env = AsyncWebEnv(backend=reader.BACKEND)
        await env.reset("wizard.h3", 0)
        lost, waited = await env.step(Click(99)), await env.step(Wait())
        await env.close()
        return lost.observation.error, waited.observation.error

    assert asyncio.run(play()) == ("a reader presses buttons that are there", "")


def test_a_task_that_it_cannot_play_is_refused_before_anything_is_opened():
    words = r"^task miniwob\.click-test cannot be read: its pages have scripts$"
    with pytest.raises(ConfigError, match=words):
        asyncio.run(AsyncWebEnv(backend=reader.BACKEND).reset("miniwob.click-test", 0))
    with pytest.raises(ConfigError, match=words):
        rehearse(["miniwob.click-test"], reader.BACKEND)
    with pytest.raises(ConfigError, match=r"^task miniwob\.click-test has no text twin, because .* \(backend=browser\)$"):
        rehearse(["miniwob.click-test"], "text")


def test_an_arena_takes_a_backend_itself():
    with Arena(1, backend=reader.BACKEND) as arena:
        (found,) = arena.collect(NoopPolicy(), [EpisodeKey("wizard.h3", 1)])
    assert found.outcome.kind == "truncated" and not found.outcome.faulted


def test_the_folder_is_the_registry():
    assert backends.names() == ["browser", "browsergym", "text"]
    task = registry.task("wizard.h3")
    for name in backends.names():
        found = backends.get(name)
        assert backends.get(found) is found
        assert (found.can_play(task, registry.sites_of(task)) == "") == (name != "browsergym")


def test_a_name_that_no_backend_has():
    words = r"^there is no backend 'tex': expected one of browser, browsergym, text; did you mean 'text'\?$"
    with pytest.raises(ConfigError, match=words):
        AsyncWebEnv(backend="tex")
    with pytest.raises(ConfigError, match=words):
        resolve({"machine": {"backend": "tex"}})


def test_an_object_that_is_no_backend():
    with pytest.raises(ConfigError, match=r"^the backend 'SimpleNamespace' has no can_play, versions: expected the methods of webgym"):
        AsyncWebEnv(backend=SimpleNamespace(pool=lambda: None))


PLAYED = """
import sys
from trainers.config import resolve
from webgym import backends
from webgym.evaluation.assessment import Assessment
print(backends.names(), resolve({"machine": {"backend": "reader"}})[0].machine.backend, "stranger" in sys.modules)
report = Assessment(("wizard.h3",), seeds=2, sessions=2, backend="reader").of_model_free("oracle")
print(report.overall.success, backends.get("reader").versions(), "playwright" in sys.modules)
try:
    backends.get("gone")
except Exception as error:
    print(error)
"""


def test_another_distribution_brings_a_backend(tmp_path):
    shutil.copy(reader.__file__, tmp_path / "stranger.py")
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[webgym.backends]\nreader = stranger:BACKEND\ngone = stranger:NOTHING\n", "utf-8")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", PLAYED], capture_output=True, text=True, env=environ, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed, played, broken = done.stdout.splitlines()
    assert listed == "['browser', 'browsergym', 'gone', 'reader', 'text'] reader False"
    assert played == "1.0 {'reader': '1'} False"
    assert broken.startswith("the backend 'gone' (entry point 'stranger:NOTHING') cannot be loaded: AttributeError(")
