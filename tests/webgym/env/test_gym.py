"""The environment's contract, by Gymnasium's own checker and by episodes of the default tasks."""

import asyncio
import gc
import html
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from PIL import Image

import webgym
from tests.webgym.pages import run, visitor
from webgym.actions import DIALECTS, parse
from webgym.backends.browser.window import why_none
from webgym.env.core import AsyncWebEnv
from webgym.env.gym import WebEnv
from webgym.env.spaces import UnicodeText
from webgym.errors import ConfigError, EpisodeStateError, JudgeFault, UnknownTaskError
from webgym.loop_thread import loop_thread
from webgym.packs import applications, registry
from webgym.packs import sets as task_sets
from webgym.task import FAILURE, PENDING, SUCCESS, Start, Verdict
from webgym.types import Click, Fill, Infeasible, InvalidAction, Message, Stop, Wait

ROOT = Path(__file__).parents[3]
DEFAULT = task_sets.choose(["default"])
CLICK = "webgym/miniwob.click-button-v0"
REPLAYED = DEFAULT[::3]
SAMPLE = registry.select(["miniwob.*"])[::11]


@pytest.fixture(scope="module")
def env():
    env = gym.make(CLICK)
    yield env
    env.close()


@pytest.fixture
def at():
    with visitor() as found:
        yield found


def check(task_id):
    if reason := applications.missing(task_id):
        pytest.skip(reason)
    env = gym.make(f"webgym/{task_id}-v0").unwrapped
    check_env(env, skip_render_check=True)  # it makes a second environment from the spec, and it closes this one


@pytest.mark.parametrize("task_id", SAMPLE)
def test_gymnasium_finds_nothing_wrong(task_id):
    check(task_id)


@pytest.mark.slow
@pytest.mark.parametrize("task_id", [task_id for task_id in registry.task_ids() if task_id not in SAMPLE])
def test_gymnasium_finds_nothing_wrong_with_the_others(task_id):
    check(task_id)


def test_gymnasium_finds_nothing_wrong_with_pictures():
    check_env(gym.make(CLICK, screenshot=True, render_mode="rgb_array").unwrapped)


# --- determinism -----------------------------------------------------------------------------------------------------------

PLAY = """
import asyncio, json, sys
from webgym.packs import registry
from webgym.loop_thread import loop_thread
from webgym.env.gym import AsyncWebEnv

async def play(env, task, seed):
    choose, hashes = registry.task(task).oracle(), []
    observation = await env.reset(task, seed)
    while True:
        hashes.append((observation.hash, observation.state_hash))
        step = await env.step(choose(observation))
        observation = step.observation
        if step.kind:
            return [*hashes, (observation.hash, observation.state_hash), step.kind]

async def main(tasks, neighbours):
    env, others = AsyncWebEnv(), [AsyncWebEnv() for _ in range(neighbours)]
    noise = [asyncio.create_task(many(other, tasks)) for other in others]
    result = {task: await play(env, task, 11) for task in tasks}
    for task in noise:
        task.cancel()
    await asyncio.gather(*noise, return_exceptions=True)
    return result

async def many(env, tasks):
    for seed in range(1000):
        for task in tasks:
            await play(env, task, seed)

print(json.dumps(loop_thread().run(main(json.loads(sys.argv[1]), int(sys.argv[2])))))
"""


def replay(tasks, neighbours):
    command = [sys.executable, "-c", PLAY, json.dumps(tasks), str(neighbours)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(600)  # sixteen sessions on whatever cores there are
@pytest.mark.parametrize(("tasks", "neighbours"), [(REPLAYED[::4], 3), pytest.param(REPLAYED, 15, marks=pytest.mark.slow)])
def test_same_seed_and_actions_give_the_same_in_any_process_and_beside_others(tasks, neighbours):
    first = replay(tasks, 0)
    assert [ended for *_, ended in first.values()] == ["success"] * len(tasks)
    assert len({pair[0] for *pairs, _ in first.values() for pair in pairs}) > 2 * len(tasks)
    assert replay(tasks, 0) == first
    assert replay(tasks, neighbours) == first


def test_timers_that_the_page_script_starts_get_all_of_the_time(at):
    at.open("<p>x")
    script = "(setTimeout(() => document.title = 'later', 400), {goal: 'goal'})"
    start = Start("http://pages.localhost/", page_script=script, site_state={"/": "<p>x"})
    at.task = replace(at.task, start=lambda _: start)
    assert [run(at.env.reset("pages.test", 0)).title for _ in range(20)] == ["later"] * 20


def test_seeds_differ_and_reset_without_one_goes_on(env):
    observation, info = env.reset(seed=3)
    goals = {env.reset(seed=seed)[0]["goal"] for seed in range(6)}
    assert len(goals) > 1
    again, info_again = env.reset(seed=3)
    assert info_again["observation_hash"] == info["observation_hash"]
    assert {k: v for k, v in again.items() if k != "goal"} == {k: v for k, v in observation.items() if k != "goal"}
    unseeded = [env.reset()[1]["observation_hash"] for _ in range(3)]
    env.reset(seed=3)
    assert [env.reset()[1]["observation_hash"] for _ in range(3)] == unseeded and len(set(unseeded)) == 3


# --- an episode ------------------------------------------------------------------------------------------------------------


def test_oracle_episode_through_gymnasium(env):
    observation, info = env.reset(seed=5)
    assert observation in env.observation_space
    assert (info["outcome"], info["raw_reward"], int(observation["turn"])) == ("", 0.0, 0)
    assert observation["goal"].startswith("Click on the ") and "button" in observation["page"]
    name = observation["goal"].split('"')[1]
    line = next(line for line in observation["page"].splitlines() if f'button "{name}"' in line)
    ref = line.strip()[1:].split("]")[0]
    observation, reward, terminated, truncated, info = env.step(f"I press it.\nclick('{ref}')")
    assert (reward, terminated, truncated, info["outcome"], info["raw_reward"]) == (1.0, True, False, "success", 1.0)
    with pytest.raises(EpisodeStateError, match="call reset first"):
        env.unwrapped.step("noop()")


def test_step_before_reset():
    env = WebEnv("miniwob.click-button")
    with pytest.raises(EpisodeStateError, match="call reset first"):
        env.step("noop()")
    with pytest.raises(EpisodeStateError, match="before the first reset"):
        WebEnv("miniwob.click-button", render_mode="rgb_array").render()
    env.close()


def test_text_that_is_no_action_costs_a_turn(env):
    before, _ = env.reset(seed=1)
    observation, reward, terminated, truncated, _ = env.step("clik('3')")
    assert "unknown action 'clik'; did you mean 'click'?" in observation["error"]
    assert (reward, terminated, truncated, int(observation["turn"])) == (0.0, False, False, 1)
    assert int(observation["turns_left"]) == int(before["turns_left"]) - 1
    observation, *_ = env.step("click('999')")
    assert "there is no element #999" in observation["error"] and observation["page"] == before["page"]
    assert env.step("noop(1)")[0]["error"] == ""


def test_session_is_renewed_after_many_episodes_and_nothing_shows(at, monkeypatch):
    monkeypatch.setattr("webgym.backends.browser.profile.EPISODES", 2)
    run(at.env.close())
    seen = []
    for _ in range(7):
        at.open("<p>x<script>document.title = [Math.random(), Date.now(), history.length]</script>")
        seen.append((at.env.session, at.observation.hash))
    sessions = [session for session, _ in seen]
    assert [sessions.index(session) for session in sessions] == [0, 0, 2, 2, 4, 4, 6]
    assert len({observed for _, observed in seen}) == 1


def test_environment_that_is_dropped_gives_its_session_back():
    env = gym.make(CLICK)
    env.reset(seed=0)
    context = env.unwrapped._env.session._context
    closed = asyncio.Event()
    context.on("close", lambda _: closed.set())
    del env
    gc.collect()
    run(closed.wait())


def test_turn_limit_truncates_without_reward():
    with gym.make(CLICK, max_turns=3) as env:
        observation, _ = env.reset(seed=1)
        left = [int(observation["turns_left"])]
        for last in (False, False, True):
            observation, reward, terminated, truncated, info = env.step("noop(1)")
            left.append(int(observation["turns_left"]))
            assert (reward, terminated, truncated) == (0.0, False, last)
        assert left == [3, 2, 1, 0] and info["outcome"] == "truncated"


def test_saying_so_ends_the_episode(at):
    for action, kind in ((Stop("done"), "stopped"), (Infeasible("no"), "infeasible")):
        at.open("<p>x")
        step = at.step(action)
        assert (step.kind, step.reward, step.terminated, step.truncated) == (kind, 0.0, True, False)


def test_success_on_the_last_turn_is_no_truncation(at):
    at.open("<button onclick='document.title = 1'>x</button>", max_turns=1, probe="document.title", check=solved)
    step = at.step(Click(0))
    assert (step.reward, step.terminated, step.truncated, step.kind) == (1.0, True, False, "success")


def solved(evidence):
    return SUCCESS if evidence.page_state == "1" else FAILURE if evidence.page_state == "2" else Verdict("pending", 0.25)


def test_address_and_page_of_a_check_are_of_the_tab_in_front(at):
    """What one tab says and the address of another are never taken together."""

    def check(evidence):
        return SUCCESS if evidence.url.endswith("/settings") and evidence.page_state == "Saved" else PENDING

    at.open("<title>Saved</title><a href=/settings target=_blank>open</a>", {"/settings": "<title>Settings</title>"},
            probe="document.title", check=check)  # fmt: skip
    assert at.step(Click(0)).kind == ""  # the first tab says it, the second has the address
    at.open("<title>x</title><a href=/settings target=_blank>open</a>", {"/settings": "<title>Saved</title>"},
            probe="document.title", check=check)  # fmt: skip
    assert at.step(Click(0)).kind == "success"


def test_failure_for_good_ends_and_raw_reward_is_kept(at):
    at.open("<button onclick='document.title = 2'>x</button>", probe="document.title", check=solved)
    step = at.step(Wait(1))
    assert (step.kind, step.raw_reward, step.reward) == ("", 0.25, 0.0)
    step = at.step(Click(0))
    assert (step.kind, step.reward, step.terminated, step.truncated) == ("failure", 0.0, True, False)


def test_tasks_that_end_by_stop_are_checked_once(at):
    asked = []

    def check(evidence):
        asked.append((evidence.ended, evidence.answer, evidence.messages, evidence.site_state))
        return SUCCESS if evidence.answer == "42" else FAILURE

    form = "<form method=post><input name=q aria-label=q><button>x</button></form>"
    for end, kind in ((Stop("42"), "success"), (Stop("41"), "failure"), (Infeasible("why"), "failure")):
        asked.clear()
        at.open(form, check=check, ends="stop")
        at.do(Message("hello"))
        at.do(Fill(at.ref("q"), "v"))
        assert at.step(Click(at.ref("x"))).kind == "" and asked == []
        assert at.step(end).kind == kind
        said = ("infeasible", "why") if isinstance(end, Infeasible) else ("stop", end.answer)
        assert asked == [(*said, ("hello",), ["q=v"])]


def test_check_that_fails_is_a_fault_of_the_judge(at):
    at.open("<p>x", check=lambda evidence: evidence.page_state["no"])
    with pytest.raises(JudgeFault, match=r"the check of task pages\.test failed: TypeError"):
        at.step(Wait(1))


def test_probe_on_a_page_that_was_left_is_no_fault(at):
    at.open("<script>state = 1</script><a href=/x>x</a>", {"/x": "<p>no state here"}, probe="state")
    assert at.step(Click(0)).kind == ""


def test_state_hash_has_no_history(at):
    at.open("<button onclick='document.title = 1'>x</button><input aria-label=f>")
    start = at.observation
    at.step(InvalidAction("no action"))
    assert at.observation.state_hash == start.state_hash and at.observation.hash != start.hash
    at.do(Fill(at.ref("f"), "v"))
    assert at.observation.state_hash != start.state_hash


# --- arguments -------------------------------------------------------------------------------------------------------------


def test_an_episode_without_a_seed_can_be_named_again(env):
    drawn, info = env.reset()
    assert info["task_id"] == env.unwrapped.task.id
    again, same = env.reset(seed=info["seed"])
    assert same["observation_hash"] == info["observation_hash"] and again["page"] == drawn["page"]
    assert env.step("noop()")[4]["seed"] == info["seed"]


def test_options_of_a_reset_are_refused_in_words(env):
    with pytest.raises(ConfigError, match=r"reset has no option 'sed' \(expected none, because the seed is an argument: reset\(seed=3\)\)"):
        env.reset(options={"sed": 3})


def test_a_notebook_shows_goal_page_and_picture(env):
    assert "before its first episode" in gym.make(CLICK).unwrapped._repr_html_()
    env.reset(seed=0)
    shown = env.unwrapped._repr_html_()
    goal = env.unwrapped._env.goal
    assert html.escape(goal) in shown and "data:image/png;base64," in shown and "[0] " in shown
    assert "<script" not in shown


def test_arguments_are_checked_in_words():
    with pytest.raises(ConfigError, match=r"there is no dialect 'cal': expected one of call, compact, json; did you mean 'call'"):
        gym.make(CLICK, dialect="cal")
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        gym.make(CLICK, max_turns=0)
    with pytest.raises(ConfigError, match="there is no render mode 'rgb': expected None or one of rgb_array, human"):
        WebEnv("miniwob.click-button", render_mode="rgb")
    with pytest.raises(ConfigError, match="there is no page mode 'ful'"):
        gym.make(CLICK, page="ful")
    with pytest.raises(UnknownTaskError, match=r"did you mean 'miniwob\.click-button'"):
        WebEnv("miniwob.clik-button")
    with pytest.raises(ConfigError, match=r"an action is text in the call dialect, such as .*; got int"):
        WebEnv("miniwob.click-button").step(3)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_sampled_actions_parse(dialect):
    space = gym.make(CLICK, dialect=dialect).action_space
    space.seed(0)
    sampled = [space.sample() for _ in range(50)]
    assert len(set(sampled)) > 10
    assert all(text in space and not isinstance(parse(text, dialect), InvalidAction) for text in sampled)
    space.seed(0)
    assert [space.sample() for _ in range(50)] == sampled


def test_page_modes():
    for page, form in (("full", '[0] button "'), ("compact", "button ")):
        with gym.make("webgym/miniwob.click-test-v0", page=page) as env:
            assert env.reset(seed=0)[0]["page"].strip().startswith(form)


def test_pictures():
    with gym.make(CLICK, screenshot=True, render_mode="rgb_array") as env:
        observation, _ = env.reset(seed=0)
        width, height = registry.task("miniwob.click-button").viewport
        picture = observation["screenshot"]
        assert picture.shape == (height, width, 3) and picture.dtype == np.uint8 and observation in env.observation_space
        assert np.array_equal(env.render(), picture) and picture.min() < 128 < picture.max()


# --- what a person sees ----------------------------------------------------------------------------------------------------


def test_human_without_a_display_keeps_the_latest_picture_in_a_file(monkeypatch, caplog):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    env = gym.make(CLICK, render_mode="human")
    picture = env.unwrapped._window.picture
    assert f"there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set): look at {picture}" in caplog.text
    with pytest.raises(FileNotFoundError):
        Image.open(picture)
    shown = []
    for turn in (lambda: env.reset(seed=0), lambda: env.step("fill('0', 'x')"), lambda: env.reset(seed=1)):
        turn()
        shown.append(np.asarray(Image.open(picture)))
        assert np.array_equal(shown[-1], run(env.unwrapped._env.screenshot())) and env.render() is None
    assert not np.array_equal(shown[0], shown[2])
    env.close()
    assert not picture.parent.exists()


def test_human_without_a_browser_that_has_windows_says_which(tmp_path):
    assert why_none({"DISPLAY": ":0", "PATH": str(tmp_path)}, "Linux", ()).startswith("No usable full Chromium was found")
    assert "there is no display" in why_none({"PATH": str(tmp_path)}, "Linux", ())
    assert "there is no display" not in why_none({"PATH": str(tmp_path)}, "Darwin", ())


def test_human_with_a_display_opens_a_window(monkeypatch):
    monkeypatch.setattr("webgym.backends.browser.window.why_none", lambda *_: "")
    env = WebEnv("miniwob.click-button", render_mode="human")
    assert env._window.visible and not env._env._headless
    env.close()


# --- wrappers and vectors --------------------------------------------------------------------------------------------------


def test_gymnasiums_wrappers(monkeypatch, tmp_path):
    """The video writer is not installed with us: what RecordVideo hands to it is looked at instead."""
    films = []

    class Film:
        def __init__(self, frames, fps):
            films.append((frames, fps))

        def write_videofile(self, path, logger=None):
            films[-1] = (*films[-1], path)

    for name in ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["moviepy.video.io.ImageSequenceClip"].ImageSequenceClip = Film
    filmed = gym.wrappers.RecordVideo(gym.make(CLICK, render_mode="rgb_array"), str(tmp_path / "films"), episode_trigger=lambda _: True)
    env = gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TimeLimit(filmed, 2))
    for _ in range(2):
        env.reset(seed=0)
        assert env.step("noop(1)")[3] is False
        *_, terminated, truncated, info = env.step("noop(1)")
        assert (terminated, truncated, info["episode"]["l"], info["episode"]["r"]) == (False, True, 2, 0.0)
    env.close()
    width, height = registry.task("miniwob.click-button").viewport
    assert [(len(frames), fps, Path(path).name) for frames, fps, path in films] == [
        (3, 4, f"rl-video-episode-{episode}.mp4") for episode in range(2)
    ]
    assert all(frame.shape == (height, width, 3) and frame.dtype == np.uint8 for frames, *_ in films for frame in frames)


def make():
    return gym.make(CLICK)


@pytest.mark.parametrize("kind", ["sync", "async", pytest.param("async without shared memory", marks=pytest.mark.slow)])
def test_vectors_with_default_arguments(kind):
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        if kind == "sync":
            envs = SyncVectorEnv([make, make])
        else:
            envs = AsyncVectorEnv([make, make], context="spawn", **({} if kind == "async" else {"shared_memory": False}))
        try:
            check_vector(envs)
        finally:
            envs.close()


def check_vector(envs):
    observation, info = envs.reset(seed=[5, 6])
    with gym.make(CLICK) as single:
        alone = [single.reset(seed=seed) for seed in (5, 6)]
    assert observation["page"] == tuple(o["page"] for o, _ in alone) and observation["goal"] == tuple(o["goal"] for o, _ in alone)
    assert list(info["observation_hash"]) == [i["observation_hash"] for _, i in alone]
    assert observation["turns_left"].tolist() == [int(o["turns_left"]) for o, _ in alone]
    observation, reward, terminated, truncated, info = envs.step(("stop()", "no such action"))
    assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([0.0, 0.0], [True, False], [False, False])
    assert observation["error"][0] == "" and "no action found in" in observation["error"][1]
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observation, *_ = envs.step(("noop(1)", "noop(1)"))
    assert observation["turn"].tolist() == [0, 2]


def test_text_space_takes_any_text_through_shared_memory():
    from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

    space = UnicodeText(64)
    texts = ("", "é✓𝄞\ud800", "x" * 64)
    memory = create_shared_memory(space, 3)
    for index, text in enumerate(texts):
        assert text in space
        write_to_shared_memory(space, index, text, memory)
    assert read_from_shared_memory(space, memory, 3) == texts
    assert "x" * 65 not in space and b"x" not in space and None not in space
    assert space == UnicodeText(64) != UnicodeText(65)


def test_registered_ids_are_the_tasks():
    ids = {name for name in gym.registry if name.startswith("webgym/miniwob.")}
    assert ids == {f"webgym/{task}-v0" for task in webgym.task_ids() if task.startswith("miniwob.")}
    assert all(gym.spec(name).max_episode_steps is None for name in ids)


def test_the_clock_of_a_page_does_not_wait_for_its_pictures():
    """The shop's front page has two dozen; how often time is granted until they are there is a matter of the machine."""

    async def clocks() -> set[float]:
        env, found = AsyncWebEnv(), set()
        for _ in range(6):
            await env.reset("shop.gift", 3)
            found.add(await env.session.tab.page_value("Date.now()"))
        await env.close()
        return found

    assert len(loop_thread().run(clocks())) == 1
