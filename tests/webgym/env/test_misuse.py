"""Arguments of a wrong type or value: each is one sentence of ours, before any browser is opened."""

import gymnasium as gym
import numpy as np
import pytest

import webgym
from webgym.env.gym import WebEnv
from webgym.env.vector import WebVectorEnv
from webgym.errors import UsageError

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
        with pytest.raises(UsageError, match="a task is named by its id, such as 'miniwob.click-test', got "):
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
    with pytest.raises(UsageError, match="expected (one seed, or 2 of them|whole numbers as seeds)"):
        WebVectorEnv("miniwob.click-button", 2).reset(seed=seed)


@pytest.mark.parametrize("actions", [None, 3, "noop(1)", ["noop(1)"], [1, 2]])
def test_actions_of_a_vector(actions):
    envs = WebVectorEnv("miniwob.click-button", 2)
    with pytest.raises(UsageError):
        envs.step(actions)


def test_a_seed_may_be_numpys():
    assert WebVectorEnv("miniwob.click-button", 2)._seeds(np.array([3, 4])) == [3, 4]
