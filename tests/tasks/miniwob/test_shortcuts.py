"""Legal actions that must not be paid: the page of an easier task, and another instance of the task's own page."""

import math
import re

import gymnasium as gym
import pytest

import webgym  # noqa: F401 - registers the tasks
from benchmarks.hacks.answers import GADGET
from webgym.backends.browser.session import in_browser
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.types import Click, MouseDown, MouseMove, MouseUp


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
            assert "unknown action" not in seen["error"] and "expected" not in seen["error"]
            return seen, reward, info["outcome"]

        return observation, step

    yield begin
    for env in envs:
        env.close()


def ref(page, pattern):
    """The first ref of a line that matches."""
    return re.search(rf"\[(\d+)\] {pattern}", page)[1]


def refs(page, role):
    """The refs of all lines of a role."""
    return re.findall(rf"\[(\d+)\] {role}", page)


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
    step(f"keyboard_type('<img src=x onerror={wins}>')")
    assert step("keyboard_press('Enter')")[1:] == (0.0, "")
    assert step("wait()")[1:] == (0.0, "")
    assert step("stop('done')")[1:] == (0.0, "failure")


@pytest.mark.parametrize("line", [GADGET, '<iframe src="/miniwob/terminal.html" width=150 height=150></iframe>'])
def test_typed_markup_brings_in_no_script_of_the_sites_own(played, line):
    seen, step = played("terminal", 3)
    step(f"click('{ref(seen['page'], 'textbox')}')")
    step(f"keyboard_type({line!r})")
    seen, reward, outcome = step("keyboard_press('Enter')")
    assert "START" not in seen["page"], "a page in a frame would run what is typed there"
    assert (reward, outcome) == (0.0, "") and step("wait()")[1:] == (0.0, "") and step("stop('done')")[1:] == (0.0, "failure")


# --- pages that take less than their goal asks for ---------------------------------------------------------------------------


def test_no_number_is_no_even_number(played):
    seen, step = played("generate-number", 3)
    assert "even" in seen["goal"]
    assert step(f"click('{ref(seen['page'], 'button .*Submit')}')")[1:] == (0.0, "failure")


@pytest.mark.parametrize("right", [False, True])
def test_the_radio_button_that_was_asked_for(played, right):
    seen, step = played("form-sequence-2", 1)
    button, number, box = re.match(r'Check the (\d)\w+ radio button and enter the number "(-?\d+)" into the (\d)', seen["goal"]).groups()
    chosen = int(button) - 1 if right else int(button) % 3
    seen, _, _ = step(f"click('{refs(seen['page'], 'radio')[chosen]}')")
    seen, _, _ = step(f"fill('{refs(seen['page'], 'textbox')[int(box) - 1]}', '{number}')")
    assert step(f"click('{ref(seen['page'], 'button .*Submit')}')")[1:] == ((1.0, "success") if right else (0.0, "failure"))


@pytest.mark.parametrize("task", ["use-autocomplete", "use-autocomplete-nodelay"])
def test_a_text_of_no_item_is_none(played, task):
    seen, step = played(task, 1)
    begins, *ends = re.findall(r'"([^"]*)"', seen["goal"])
    seen, _, _ = step(f"fill('{ref(seen['page'], 'textbox')}', '{begins}zzz{''.join(ends)}')")
    assert step(f"click('{ref(seen['page'], 'button .*Submit')}')")[1:] == (0.0, "failure")


@pytest.mark.parametrize(("name", "ends"), [("alloy", (0.0, "failure")), ("page.tar.gz", (1.0, "success"))])
def test_a_name_one_shorter_than_the_ending_has_none(played, name, ends):
    seen, step = played("terminal", 11)
    assert ".tar.gz" in seen["goal"]
    step(f"click('{ref(seen['page'], 'textbox')}')")
    step(f"keyboard_type('rm {name}')")
    assert step("keyboard_press('Enter')")[1:] == ends


@pytest.mark.parametrize(("corners", "ends"), [(4, "success"), (3, "failure"), (2, "failure")])
def test_a_part_of_a_circle_is_none(played, corners, ends):
    """Four corners of a square around the point are as round as six turns allow; an arc of as many points is not round it."""
    env, run = AsyncWebEnv(max_turns=20), loop_thread().run
    try:
        seen = run(env.reset("miniwob.draw-circle", 1))
        box = "(box => [box.x + box.width / 2, box.y + box.height / 2])(document.querySelector('#circ').getBoundingClientRect())"
        x, y = run(in_browser(env.session).tab.page_value(box))
        path = [(x + 25 * math.cos(at), y + 25 * math.sin(at)) for at in (math.pi / 2 * corner for corner in range(corners))]
        for action in (MouseDown(*path[0]), *(MouseMove(*corner) for corner in path[1:]), MouseUp(*path[-1])):
            seen = run(env.step(action)).observation
        assert run(env.step(Click(next(node.ref for node in seen.nodes if node.text == "Submit")))).kind == ends
    finally:
        run(env.close())
