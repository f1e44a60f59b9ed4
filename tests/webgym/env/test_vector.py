"""The native vector environment: the same episodes as Gymnasium's, side by side, each with its own faults."""

import asyncio

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from tests.webgym.pages import run
from webgym.env.vector import RESETS, WebVectorEnv
from webgym.errors import ConfigError, EpisodeStateError, SiteFault

CLICK = "webgym/miniwob.click-button-v0"
MODES = ["NextStep", "SameStep", "Disabled"]


@pytest.fixture
def make():
    made = []

    def one(num_envs=2, **given):
        made.append(gym.make_vec(CLICK, num_envs=num_envs, **given))
        return made[-1]

    yield one
    for envs in made:
        envs.close()


# --- as Gymnasium's own ----------------------------------------------------------------------------------------------------


def play(envs, mode, turns=7):
    """Everything that comes back from episodes of two and three turns."""
    observations, infos = envs.reset(seed=5)
    seen = [(plain(observations), plain(infos))]
    over = np.zeros(envs.num_envs, bool)
    for turn in range(turns):
        if mode == "Disabled" and over.any():
            observations, infos = envs.reset(options={"reset_mask": over})
            seen.append((plain(observations), plain(infos)))
        actions = tuple("stop()" if turn % (2 + index) == 1 else "noop(1)" for index in range(envs.num_envs))
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        over = terminated | truncated
        assert observations in envs.observation_space
        seen.append((plain(observations), rewards.tolist(), terminated.tolist(), truncated.tolist(), plain(infos)))
    return seen


def plain(value):
    """Arrays as lists, all the way down."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


@pytest.mark.parametrize("mode", MODES)
def test_same_seeds_and_actions_as_in_gymnasiums_sync_vector(make, mode):
    ours = make(autoreset_mode=mode, max_turns=3)
    assert isinstance(ours, WebVectorEnv) and ours.metadata["autoreset_mode"] is AutoresetMode(mode)
    theirs = SyncVectorEnv([lambda: gym.make(CLICK, max_turns=3)] * 2, autoreset_mode=mode)
    try:
        assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
        expected = play(theirs, mode)
        assert play(ours, mode) == expected
        ended = [step[2] for step in expected if len(step) == 5]
        assert [True, False] in ended and [False, False] in ended
    finally:
        theirs.close()


def test_seeds_one_by_one_and_streams_of_their_own(make):
    envs = make()
    hashes = envs.reset(seed=[8, 9])[1]["observation_hash"].tolist()
    assert envs.reset(seed=8)[1]["observation_hash"].tolist() == hashes
    following = envs.reset()[1]["observation_hash"].tolist()
    assert envs.reset(seed=[9, None])[1]["observation_hash"][0] == hashes[1] != following[0]
    envs.reset(seed=8)
    assert envs.reset()[1]["observation_hash"].tolist() == following


def test_sessions_are_driven_side_by_side(make, monkeypatch):
    envs = make(3)
    envs.reset(seed=0)
    met = asyncio.Barrier(3)  # one after the other, they would wait for each other for ever
    for slot in envs._slots:
        monkeypatch.setattr(slot.env, "step", meeting(slot.env.step, met))
    observations, *_ = envs.step(("noop(1)",) * 3)
    assert observations["turn"].tolist() == [1, 1, 1]


def meeting(step, met):
    async def wait_and_step(action):
        await met.wait()
        return await step(action)

    return wait_and_step


def test_gymnasiums_vector_wrapper_counts_returns(make):
    envs = gym.wrappers.vector.RecordEpisodeStatistics(make(max_turns=2))
    envs.reset(seed=0)
    envs.step(("noop(1)", "stop()"))
    *_, infos = envs.step(("noop(1)", "noop(1)"))
    assert infos["_episode"].tolist() == [True, False] and infos["episode"]["l"].tolist()[0] == 2


def test_pictures(make):
    envs = make(screenshot=True, render_mode="rgb_array")
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    frames = envs.render()
    assert len(frames) == 2 and np.array_equal(np.stack(frames), observations["screenshot"])
    assert not np.array_equal(*frames)


# --- faults ----------------------------------------------------------------------------------------------------------------


def crash(slot):
    async def crashed():
        ended = asyncio.ensure_future(slot.env.session.tab.send("Page.crash"))
        await asyncio.wait({ended}, timeout=30)
        ended.exception()

    run(crashed())


@pytest.mark.parametrize("mode", MODES)
def test_fault_ends_the_episode_of_its_slot_only(make, mode):
    envs = make(3, autoreset_mode=mode, screenshot=True)
    envs.reset(seed=0)
    crash(envs._slots[1])
    observations, rewards, terminated, truncated, infos = envs.step(("noop(1)",) * 3)
    assert observations in envs.observation_space
    assert (terminated.tolist(), truncated.tolist()) == ([False] * 3, [False, True, False])
    assert np.isnan(rewards).tolist() == [False, True, False]
    assert infos["_fault"].tolist() == [False, True, False] and infos["fault"][1].startswith("RendererFault: ")
    last = (
        infos["final_obs"][1]
        if mode == "SameStep"
        else {key: values[1] if isinstance(values[1], str) else np.asarray(values[1]) for key, values in observations.items()}
    )
    assert last in envs.single_observation_space and last["error"] == infos["fault"][1]
    if mode == "Disabled":
        observations, _ = envs.reset(options={"reset_mask": truncated})
    elif mode == "NextStep":
        observations, rewards, *_, infos = envs.step(("noop(1)",) * 3)
        assert rewards.tolist() == [0.0] * 3 and "fault" not in infos
    assert observations["goal"][1] and observations["turn"].tolist() == ([2, 0, 2] if mode == "NextStep" else [1, 0, 1])


@pytest.mark.parametrize("mode", MODES)
def test_reset_that_fails_is_tried_again_and_then_an_episode_of_no_turns(make, mode, monkeypatch):
    envs = make(autoreset_mode=mode)
    works, failures = envs._slots[0].env.reset, []

    async def reset(task_id, seed):
        if len(failures) < limit:
            failures.append(seed)
            raise SiteFault("the site is away")
        return await works(task_id, seed)

    monkeypatch.setattr(envs._slots[0].env, "reset", reset)
    limit = RESETS - 1
    observations, infos = envs.reset(seed=3)
    assert failures == [3] * limit and all(observations["goal"]) and "fault" not in infos
    limit = len(failures) + RESETS
    observations, infos = envs.reset(seed=3)
    assert infos["_fault"].tolist() == [True, False] and infos["fault"][0] == "SiteFault: the site is away"
    assert observations["goal"][0] == "" != observations["goal"][1]
    observations, rewards, _, truncated, infos = envs.step(("noop(1)",) * 2)
    if mode == "NextStep":
        assert (rewards.tolist(), truncated.tolist()) == ([0.0, 0.0], [False, False])
    else:
        assert np.isnan(rewards[0]) and truncated.tolist() == [True, False] and infos["_fault"][0]
    if mode == "Disabled":
        observations, _ = envs.reset(options={"reset_mask": truncated})
    assert observations["turn"].tolist() == [0, 1] and observations["goal"][0]


def test_errors_of_use_are_raised_when_all_sessions_are_done(make):
    envs = make(autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(("stop()", "noop(1)"))
    with pytest.raises(EpisodeStateError, match=r"the episode of session 0 is over: begin the next with reset\(options="):
        envs.step(("noop(1)", "noop(1)"))
    observations, _ = envs.reset(options={"reset_mask": np.array([True, False])})
    assert observations["turn"].tolist() == [0, 1]  # the refused step changed nothing


# --- arguments, closing ----------------------------------------------------------------------------------------------------


def test_arguments_are_checked_in_words(make):
    with pytest.raises(ConfigError, match=r"there is no autoreset mode 'NextStp': expected one of NextStep, .*; did you mean 'NextStep'"):
        make(autoreset_mode="NextStp")
    with pytest.raises(ConfigError, match="num_envs must be a whole number of at least 1, got 0"):
        make(0)
    with pytest.raises(ConfigError, match=r"renders as None or rgb_array, got 'human'; gymnasium\.make shows one session"):
        make(render_mode="human")
    with pytest.raises(ConfigError, match="there is no dialect 'cal'"):
        make(dialect="cal")
    envs = make()
    with pytest.raises(EpisodeStateError, match="no episode was begun: call reset first"):
        envs.step(("noop(1)",) * 2)
    with pytest.raises(EpisodeStateError, match="the first reset must begin all episodes"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ConfigError, match=r"expected one seed, or 2 of them, one for each session, got \[1, 2, 3\]"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ConfigError, match="reset_mask must be a numpy array of 2 bools, one of them true"):
        envs.reset(options={"reset_mask": [True, False]})
    envs.reset(seed=0)
    for actions in ("noop(1)", ("noop(1)",), ("noop(1)",) * 3):
        with pytest.raises(ConfigError, match="expected 2 actions, one text for each session, got"):
            envs.step(actions)
    with pytest.raises(ConfigError, match=r"an action is text in the call dialect, such as .*; got int"):
        envs.step(("noop(1)", 3))
    assert envs.step(("noop(1)",) * 2)[0]["turn"].tolist() == [1, 1]  # what was refused changed nothing


def test_close_gives_every_session_back_once(make):
    envs = make(3)
    envs.reset(seed=0)
    closed = [asyncio.Event() for _ in envs._slots]
    for slot, event in zip(envs._slots, closed, strict=True):
        slot.env.session._context.on("close", lambda _, event=event: event.set())
    crash(envs._slots[0])
    envs.close()
    envs.close()
    for event in closed:
        run(event.wait())
    assert not any(slot.env.opened for slot in envs._slots)
    for call in (envs.reset, lambda: envs.step(("noop(1)",) * 3)):
        with pytest.raises(EpisodeStateError, match="the vector environment is closed: make a new one"):
            call()


def test_async_vector_under_spawn_with_default_arguments():
    envs = gym.make_vec(CLICK, num_envs=2, vectorization_mode="async", vector_kwargs={"context": "spawn"})
    assert isinstance(envs, AsyncVectorEnv)
    try:
        native = gym.make_vec(CLICK, num_envs=2)
        assert play(envs, "NextStep", 3) == play(native, "NextStep", 3)
        native.close()
    finally:
        envs.close()


# --- several tasks -----------------------------------------------------------------------------------------------------------

TASKS = ["miniwob.click-button", "miniwob.enter-text"]


def test_one_vector_over_two_tasks(make):
    ours = make(num_envs=3, tasks=TASKS)
    theirs = SyncVectorEnv([lambda task=task: gym.make(f"webgym/{task}-v0") for task in (*TASKS, TASKS[0])])
    try:
        assert ours.single_observation_space == theirs.single_observation_space
        for envs in (ours, theirs):
            observations, infos = envs.reset(seed=3)
            assert infos["task_id"].tolist() == [*TASKS, TASKS[0]] and infos["seed"].tolist() == [3, 4, 5]
            assert "Enter" in observations["goal"][1] and "lick" in observations["goal"][2]
        stepped = [[plain(part) for part in envs.step(("noop(1)",) * 3)] for envs in (ours, theirs)]
        assert stepped[0] == stepped[1]
    finally:
        theirs.close()


def test_options_that_no_reset_knows_are_refused(make):
    with pytest.raises(ConfigError, match="reset has no option 'reset_maks'; did you mean 'reset_mask'"):
        make().reset(options={"reset_maks": np.array([True, False])})
