"""Legal actions that must not be paid: the page of an easier task, and another instance of the task's own page."""

import re

import gymnasium as gym
import pytest

import webgym  # noqa: F401 - registers the tasks
from benchmarks.hacks.answers import GADGET


@pytest.fixture
def played():
    """A function that begins an episode of a task; each step gives observation, reward and outcome."""
    envs = []

    def begin(task, seed):
        env = gym.make(f"webgym/miniwob.{task}-v0", max_turns=20)
        envs.append(env)
        observation, _ = env.reset(seed=seed)

        def step(action):
            seen, reward, *_, info = env.step(action)
            return seen, reward, info["outcome"]

        return observation, step

    yield begin
    for env in envs:
        env.close()


def ref(page, pattern):
    """The first ref of a line that matches."""
    return re.search(rf"\[(\d+)\] {pattern}", page)[1]


def cover_removed(seen, step):
    """The observation after a click on the START cover, which a page shows that no episode began on."""
    return step(f"click('{ref(seen['page'], '.*START')}')")[0]


@pytest.mark.parametrize("task", ["login-user", "choose-date"])
def test_the_page_of_an_easier_task_pays_nothing(played, task):
    _, step = played(task, 7)
    seen, _, _ = step("goto('http://miniwob.localhost/miniwob/click-test.html')")
    seen = cover_removed(seen, step)
    assert "Click Me" in seen["page"]
    seen, reward, outcome = step(f"click('{ref(seen['page'], 'button .*Click Me')}')")
    assert (reward, outcome) == (0.0, "")
    assert step("stop('done')")[1:] == (0.0, "failure")


def test_another_instance_of_the_page_pays_nothing(played):
    first, step = played("enter-text", 3_000_005)
    seen = cover_removed(step("reload()")[0], step)
    wanted = re.search(r'Enter "([^"]*)"', seen["page"])[1]
    assert f'"{wanted}"' not in first["goal"]
    step(f"fill('{ref(seen['page'], 'textbox')}', '{wanted}')")
    seen, reward, outcome = step(f"click('{ref(seen['page'], 'button .*Submit')}')")
    assert (reward, outcome) == (0.0, "")


def test_the_instance_of_the_episode_is_paid(played):
    seen, step = played("enter-text", 3_000_005)
    wanted = re.search(r'"([^"]*)"', seen["goal"])[1]
    seen, _, _ = step(f"fill('{ref(seen['page'], 'textbox')}', '{wanted}')")
    assert step(f"click('{ref(seen['page'], 'button .*Submit')}')")[1:] == (1.0, "success")


PAID = "WEBGYM_EPISODE=WOB_DONE_GLOBAL=WOB_RAW_REWARD_GLOBAL=1"


@pytest.mark.parametrize("task", ["terminal", "enter-text"])
def test_typed_markup_is_no_script_and_another_page_has_no_word(played, task):
    """The terminal's page writes what is typed as markup, and there a page that no episode began on runs it."""
    seen, step = played(task, 3)
    wins = "core.endEpisode(1)" if task == "terminal" else PAID
    if task != "terminal":
        seen = cover_removed(step("goto('http://miniwob.localhost/miniwob/terminal.html')")[0], step)
    step(f"click('{ref(seen['page'], 'textbox')}')")
    step(f"type('<img src=x onerror={wins}>')")
    assert step("press('Enter')")[1:] == (0.0, "")
    assert step("wait()")[1:] == (0.0, "")
    assert step("stop('done')")[1:] == (0.0, "failure")


@pytest.mark.parametrize("line", [GADGET, '<iframe src="/miniwob/terminal.html" width=150 height=150></iframe>'])
def test_typed_markup_brings_in_no_script_of_the_sites_own(played, line):
    seen, step = played("terminal", 3)
    step(f"click('{ref(seen['page'], 'textbox')}')")
    step(f"type({line!r})")
    seen, reward, outcome = step("press('Enter')")
    assert "START" not in seen["page"], "a page in a frame would run what is typed there"
    assert (reward, outcome) == (0.0, "") and step("wait()")[1:] == (0.0, "") and step("stop('done')")[1:] == (0.0, "failure")
