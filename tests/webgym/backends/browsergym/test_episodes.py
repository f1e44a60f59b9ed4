"""BrowserGym's environments as tasks: over a package of its form, in a Python of its own; `make browsergym-tasks` plays the real one."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from webgym.authoring import suites
from webgym.backends.browsergym import session
from webgym.backends.browsergym.place import WORKER, Place
from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault, ConfigError, HangFault, SiteFault, TaskFileError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs.rehearsal import rehearse
from webgym.policies.scripted import RandomPolicy
from webgym.rollout.arena import Arena
from webgym.types import Click, Dialog, EpisodeKey, Fill, Goto, Infeasible, Message, Reload, Stop

FAKE = Path(__file__).with_name("fake")
NAMES = ["fakes-broken", "fakes-dies", "fakes-form", "fakes-hangs", "fakes-odd"]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before = set(registry._registered)
    yield
    for task_id in set(registry._registered) - before:
        registry.forget(task_id)


def write(folder, **settings):
    lines = ["suite: browsergym", *(f"{key}: {json.dumps(value)}" for key, value in settings.items())]
    (folder / "tasks.yaml").write_text("\n".join(lines) + "\n")


@pytest.fixture
def suite(tmp_path):
    folder = tmp_path / "bg"
    folder.mkdir()
    write(folder, serve=[sys.executable], sites={"PYTHONPATH": str(FAKE)})
    return folder


@pytest.fixture
def task_ids(suite):
    return registry.load(suite, trust=True)


@pytest.fixture
def play(task_ids):
    """Plays actions in a task on a seed: the steps, and the observations before and after each."""

    def played(task_id, *actions, seed=5):
        async def episode():
            env = AsyncWebEnv(screenshots=True)
            try:
                pages, steps = [await env.reset(task_id, seed)], []
                for action in actions:
                    steps.append(await env.step(action))
                    pages.append(steps[-1].observation)
                return steps, pages
            finally:
                await env.close()

        return loop_thread().run(episode())

    return played


def test_the_tasks_of_the_installed_benchmarks_are_found_once(suite, task_ids):
    assert task_ids == [f"bg.{name}" for name in NAMES]
    assert (suite / "tasks.txt").read_text().split() == [name.replace("-", ".") for name in NAMES]
    (suite / "tasks.txt").write_text("fakes.form\nother.thing\n")
    assert [task.id for task in suites.read(suite / "tasks.yaml").tasks] == ["bg.fakes-form", "bg.other-thing"], "still trusted"
    task = registry.task("bg.fakes-form")
    assert (task.backend, task.trust, task.deterministic) == ("browsergym", "page", False)
    rehearse(["bg.fakes-form"])
    rehearse(["bg.fakes-form"], "text")


def test_only_some_of_a_suite(suite):
    write(suite, only=["*-f*m", "*-odd"], serve=[sys.executable], sites={"PYTHONPATH": str(FAKE)})
    found = suites.read(suite / "tasks.yaml", trust=True)
    assert [task.id for task in found.tasks] == ["bg.fakes-form", "bg.fakes-odd"]
    assert dict(found.left_out) == {"not among those of `only`": 3}


def test_it_is_refused_until_it_is_trusted_and_told_where_there_is_no_browsergym(suite):
    file = suite / "tasks.yaml"
    with pytest.raises(TaskFileError, match=r"runs programs \(the Python of BrowserGym\) and its folder is not trusted"):
        suites.read(file)
    write(suite, serve=[sys.executable, "-S"])
    with pytest.raises(TaskFileError, match=r"has no BrowserGym \(ModuleNotFoundError.*say the Python that has it with `serve: \[PATH\]`"):
        suites.read(file, trust=True)
    write(suite, serve=["/nowhere/python"])
    with pytest.raises(TaskFileError, match=r"could not be asked for its tasks: .*nowhere.*`serve: \[PATH\]`"):
        suites.read(file, trust=True)
    write(suite, serve=[sys.executable, "-c", "print('hello')"])
    with pytest.raises(TaskFileError, match="gave no list of tasks"):
        suites.read(file, trust=True)


def test_a_page_is_read_with_refs_in_the_place_of_bids(play):
    _, (page,) = play("bg.fakes-form")
    assert page.goal == "Send word5." and page.url == "http://form.example/" and page.title == "Form"
    assert [(n.role, n.text, n.ref, n.value, n.states, n.depth) for n in page.nodes] == [
        ("heading", "Send a word", None, None, (), 0),
        ("textbox", "Word", 0, "", ("required",), 0),
        ("button", "Send", 1, None, (), 0),
        ("clickable", "pressed 0 times", 2, None, (), 0),
    ]
    assert page.tabs == ("Form (current)", "Help") and page.focus == 0 and page.notices == ()
    assert page.screenshot is not None and page.screenshot.shape == (4, 6, 3)


def test_an_episode_is_judged_by_browsergym(play):
    steps, pages = play("bg.fakes-form", Fill(0, "word5"), Click(1), Click(1))
    assert [step.kind for step in steps] == ["", "", "success"] and steps[-1].reward == 1.0 and steps[-1].terminated
    assert pages[1].nodes[1].value == "word5" and pages[2].notices == ("user says: Thanks; anything else?",)
    assert int(pages[-1].screenshot[0, 0, 0]) == 2
    steps, _ = play("bg.fakes-form", Fill(0, "other"), Click(1), Click(1))
    assert (steps[-1].kind, steps[-1].reward) == ("failure", 0.0)


@pytest.mark.parametrize("say", [Message, Stop])
def test_what_an_agent_says_reaches_the_judge(play, say):
    steps, _ = play("bg.fakes-form", Fill(0, "word5"), Click(1), say("sent"))
    assert (steps[-1].kind, steps[-1].reward) == ("success", 1.0)
    steps, _ = play("bg.fakes-form", say("half"))
    assert (steps[-1].kind, steps[-1].reward, steps[-1].raw_reward) == ("failure", 0.0, 0.5)
    steps, _ = play("bg.fakes-form", Infeasible('it isn\'t "there"\n'))
    assert (steps[-1].kind, steps[-1].reward) == ("failure", 0.0)


def test_what_does_not_work_is_told(play):
    steps, _ = play("bg.fakes-form", Click(0), Click(9), Reload(), Dialog(True), Goto("http://x.example/"))
    assert [step.observation.error for step in steps] == [
        "ValueError: Could not find element with bid 'a3'",
        "there is no #9 on the page",
        "BrowserGym has no action reload()",
        "BrowserGym has no action dialog(True)",
        "ValueError: Could not find element with bid 'http://x.example/'",
    ]
    steps, _ = play("bg.fakes-odd", Goto("http://x.example/"), Fill(0, "word5"), Click(1), Click(1))
    assert "the page cannot be read" in steps[0].observation.error and steps[-1].kind == "success", "an agent voids no episode"


def test_a_failure_of_browsergym_is_a_fault_and_the_next_episode_plays(task_ids, monkeypatch):
    async def test():
        env = AsyncWebEnv()
        try:
            with pytest.raises(SiteFault, match="BrowserGym failed: RuntimeError: the application is not there"):
                await env.reset("bg.fakes-broken", 0)
            await env.reset("bg.fakes-dies", 0)
            with pytest.raises(BrowserFault, match=r"BrowserGym's process is gone \(exit status 3\)"):
                await env.step(Click(1))
            await env.reset("bg.fakes-hangs", 0)
            process = env.session._process._process
            monkeypatch.setattr(session, "STEP_S", 0.5)
            with pytest.raises(HangFault, match=r"did not answer within 0\.5 s \(step\)"):
                await env.step(Click(1))
            assert process.returncode is not None
            monkeypatch.undo()
            await env.reset("bg.fakes-form", 0)
            await env.step(Fill(0, "word0"))
            await env.step(Click(1))
            assert (await env.step(Click(1))).kind == "success"
        finally:
            await env.close()

    loop_thread().run(test())


def test_sessions_play_them_beside_tasks_of_ours(task_ids):
    keys = [EpisodeKey(task_id, seed) for seed in (1, 2) for task_id in ("bg.fakes-form", "wizard.h3", "bg.fakes-dies")]
    with Arena(2, backend="text") as arena:
        found = arena.collect(RandomPolicy(3), keys)
    assert [x.outcome.kind == "agent_caused" for x in found] == [False, False, True] * 2, "a process that an action ends is no reward"
    assert all(len(x) for x in found if x.key.task_id == "bg.fakes-form")


def test_another_backend_of_ours_cannot_play_them_and_it_cannot_play_ours(task_ids):
    async def test():
        env = AsyncWebEnv(backend="browsergym")
        with pytest.raises(ConfigError, match=r"wizard\.h3 is none of BrowserGym's: play it in the browser"):
            await env.reset("wizard.h3", 0)
        await env.close()

    asyncio.run(test())


def test_a_worker_goes_when_nobody_asks_any_more():
    place = Place("fakes.form", (sys.executable,), {"PYTHONPATH": str(FAKE)})
    assert Place.of(place.url) == place
    environment = {**os.environ, **place.environment}
    worker = subprocess.Popen([sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(b'{"ask": "reset", "name": "fakes.form", "seed": 1, "headless": true}\n')
    worker.stdin.flush()
    assert json.loads(worker.stdout.readline())["goal"] == "Send word1."
    worker.stdin.close()
    assert worker.wait(20) == 0
    worker.stdout.close()


def test_a_worker_gets_of_secrets_what_its_suite_names(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "hush-hush")
    monkeypatch.setenv("HF_TOKEN", "hush-hush")
    monkeypatch.setenv("PLAIN_WORD", "spoken")
    show = (sys.executable, "-c", "import json, os; print(json.dumps({'seen': dict(os.environ)}), flush=True); input()")

    async def seen(**environment):
        process = await session.Process.start(Place("fakes.form", show, environment))
        try:
            return (await process.ask(20.0, ask="list"))["seen"]
        finally:
            await process.stop()

    found = asyncio.run(seen())
    assert "hush-hush" not in found.values() and found["PLAIN_WORD"] == "spoken"
    assert asyncio.run(seen(OPENAI_API_KEY="${OPENAI_API_KEY}"))["OPENAI_API_KEY"] == "hush-hush"
