"""The mail site in the browser: what its script does, and that episodes stay apart."""

import gymnasium as gym
import pytest

import webgym  # noqa: F401 - registers the tasks
from webgym.packs import registry
from webgym.policies.scripted import OraclePolicy
from webgym.rollout.arena import Arena
from webgym.types import EpisodeKey


def ref(page, line):
    """The ref of the first line of the page that says this."""
    return next(found.split("]")[0].strip("[ ") for found in page.splitlines() if line in found)


@pytest.fixture
def env():
    made = gym.make("webgym/mail.wrong-filter-v0", max_turns=40).unwrapped
    made.reset(seed=1)
    yield made
    made.close()


def test_keys_dialogs_and_boxes(env):
    def step(action):
        seen = env.step(action)[0]
        assert seen["error"] == ""
        return seen

    def click(seen, line):
        return step(f"click('{ref(seen['page'], line)}')")

    assert step("keyboard_press('c')")["url"].endswith("/compose")
    step("keyboard_press('g')")
    seen = step("keyboard_press('i')")
    assert seen["url"].endswith("/mail/inbox") and 'button "Archive"' not in seen["page"]
    seen = click(seen, 'checkbox "Select all"')
    assert seen["page"].count('checkbox "Select" (checked') == 8 and 'button "Archive"' in seen["page"]
    seen = click(seen, 'button "Move"')
    seen = click(seen, 'button "House"')
    assert "8 mails were moved to House." in seen["page"]
    seen = click(seen, 'button "Undo"')
    assert "Undone." in seen["page"]
    seen = click(step("goto('http://mail.localhost/settings/filters')"), 'button "Delete"')
    assert "Delete this filter?" in seen["page"]
    seen = click(seen, 'button "Keep"')
    assert "Delete this filter?" not in seen["page"]


def played(keys, sessions):
    """What each oracle's episode looked like, turn by turn."""
    with Arena(sessions) as arena:
        found = arena.collect(OraclePolicy(registry.task), keys)
    assert [trajectory.outcome.message for trajectory in found if not trajectory.outcome.success] == []
    return [[(turn.observation_hash, turn.state_hash, turn.action) for turn in trajectory.turns] for trajectory in found]


def test_the_same_actions_show_the_same_pages_whatever_goes_on_beside():
    names = ("send-file", "respond", "filter")
    keys = [EpisodeKey(f"mail.{name}", 5, group=group) for group, name in enumerate(names)]
    assert played(keys, 1) == played(keys, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_64_episodes_at_once_do_not_meet():
    tasks = [task_id for task_id in registry.task_ids() if task_id.startswith("mail.")]
    keys = [EpisodeKey(tasks[number % len(tasks)], number, group=number) for number in range(64)]
    assert played(keys, 64) == played(keys, 2)


def test_a_number_of_thousands_of_digits_is_an_address_of_no_page(env):
    *_, info = env.step(f"goto('http://mail.localhost/thread/{'9' * 5000}')")
    assert info["outcome"] == ""
