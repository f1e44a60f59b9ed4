"""Arguments of a wrong type or value: each is one sentence of ours, before any browser is opened."""

import copy
import json
import os
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest

import webgym
from webgym.env.gym import WebEnv
from webgym.env.vector import WebVectorEnv
from webgym.errors import ConfigError, EpisodeStateError, UsageError

CLICK = "webgym/miniwob.click-button-v0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dialect": None}, "there is no dialect None: expected one of call, compact, json"),
        ({"dialect": ["call"]}, "there is no dialect ['call']: expected one of call, compact, json"),
        ({"page": None}, "there is no page mode None: expected one of"),
        ({"page": ["full"]}, "there is no page mode ['full']: expected one of"),
        ({"max_turns": "3"}, "max_turns must be a whole number of at least 1, got '3'"),
        ({"max_turns": 2.5}, "max_turns must be a whole number of at least 1, got 2.5"),
        ({"max_turns": True}, "max_turns must be a whole number of at least 1, got True"),
        ({"screenshot": "no"}, "screenshot: expected True or False, got 'no'"),
    ],
)
def test_arguments_of_an_environment(arguments, words):
    for make in (gym.make, gym.make_vec):
        with pytest.raises(UsageError) as error:
            make(CLICK, **arguments)
        assert str(error.value).startswith(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_envs": "2"}, "num_envs must be a whole number of at least 1, got '2'"),
        ({"num_envs": -1}, "num_envs must be a whole number of at least 1, got -1"),
        ({"autoreset_mode": "same"}, "there is no autoreset mode 'same': expected one of NextStep, SameStep, Disabled"),
        ({"tasks": "miniwob.clik-test"}, "there is no task 'miniwob.clik-test'; did you mean 'miniwob.click-test'"),
    ],
)
def test_arguments_of_a_vector(arguments, words):
    with pytest.raises(UsageError) as error:
        WebVectorEnv("miniwob.click-button", **arguments)
    assert str(error.value).startswith(words)


@pytest.mark.parametrize("name", [3, None, webgym.task("miniwob.click-test")])
def test_names_of_tasks_are_texts(name):
    for ask in (webgym.task, WebEnv):
        with pytest.raises(UsageError, match=r"a task is named by its id, such as 'miniwob.click-test', got "):
            ask(name)


def test_one_pattern_is_as_good_as_a_list_of_one():
    assert webgym.select("miniwob.click-test") == webgym.select(["miniwob.click-test"]) == ["miniwob.click-test"]
    assert WebVectorEnv("miniwob.click-button", 2, tasks="miniwob.click-test")._slots[1].face.task.id == "miniwob.click-test"


@pytest.mark.parametrize("options", [3, [1], "seed"])
def test_options_of_a_reset_are_a_dict(options):
    for env in (gym.make(CLICK), WebVectorEnv("miniwob.click-button", 2)):
        with pytest.raises(UsageError, match=r"the options of a reset: expected a dict, got .*; the seed is an argument: reset\(seed=3\)"):
            env.reset(options=options)


@pytest.mark.parametrize("seed", ["3", 2.5, [1], ["a", "b"], [1.5, 2]])
def test_seeds_of_a_vector(seed):
    with pytest.raises(UsageError, match=r"expected (one seed, or 2 of them|whole numbers as seeds)"):
        WebVectorEnv("miniwob.click-button", 2).reset(seed=seed)


@pytest.mark.parametrize("actions", [None, 3, "noop(1)", ["noop(1)"], [1, 2]])
def test_actions_of_a_vector(actions):
    envs = WebVectorEnv("miniwob.click-button", 2)
    with pytest.raises(UsageError):
        envs.step(actions)


def test_a_seed_may_be_numpys():
    assert WebVectorEnv("miniwob.click-button", 2)._seeds(np.array([3, 4])) == [3, 4]


def test_gymnasium_gives_the_environment_itself_which_a_notebook_shows():
    env = gym.make(CLICK)
    assert type(env) is WebEnv and repr(env) == "<WebEnv miniwob.click-button, before its first episode>"
    with pytest.raises(EpisodeStateError, match="call reset first"):
        env.step("click('0')")


def test_a_copy_is_a_new_environment_of_the_same_arguments():
    env = gym.make(CLICK, dialect="json", max_turns=2)
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert (other.task, other.action_space, other._env._max_turns) == (env.task, env.action_space, 2) and other._env is not env._env


def test_a_forked_process_plays_its_own_episodes_and_leaves_the_parents_alone():
    env, envs = gym.make(CLICK), WebVectorEnv("miniwob.click-button", 2)
    first = env.reset(seed=3)[0]["page"]
    envs.reset(seed=3)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads, which is what is tried here
        child = os.fork()
    if not child:
        said = []
        for forbidden in (lambda: env.step("click('0')"), lambda: envs.step(["noop(1)"] * 2)):
            try:
                forbidden()
            except EpisodeStateError as error:
                said.append(str(error).partition(":")[0])
        try:
            envs.close()
            said.append(env.reset(seed=3)[0]["page"])
        except BaseException as error:
            said.append(repr(error))
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert json.loads(os.read(read, 1 << 20)) == [
        "this episode belongs to the process that began it",
        "the vector environment belongs to the process that made it",
        first,
    ]
    assert env.step("noop(1)")[1] == 0.0 and envs.step(["noop(1)"] * 2)[1].tolist() == [0.0, 0.0]
    env.close()
    envs.close()


def test_flattening_says_why_not_and_stacking_works():
    with pytest.raises(ConfigError, match=r"texts are no numbers, .* gymnasium.wrappers.TransformObservation"):
        gym.wrappers.FlattenObservation(gym.make(CLICK))
    with gym.wrappers.FrameStackObservation(gym.make(CLICK), 2, padding_type="zero") as env:
        page = env.reset(seed=0)[0]["page"]
        assert page[0] == "" != page[1]
