"""Policies without a model."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from webgym.actions import parse
from webgym.errors import JudgeFault, UnknownTaskError, UsageError
from webgym.policies.policy import Policy
from webgym.policies.scripted import NoopPolicy, OraclePolicy, RandomPolicy, random_action
from webgym.task import PENDING, Oracle, Start, Task
from webgym.types import Action, Click, EpisodeKey, Fill, InvalidAction, Node, Observation, Press, Scroll, Select, Wait

KEY = EpisodeKey("demo.form", 3)
FORM = (
    Node("heading", "Sign up"),
    Node("textbox", "Name", ref=0, value=""),
    Node("combobox", "Country", ref=1, value="Chad"),
    Node("option", "Chad", ref=2, depth=1),
    Node("option", "Fiji", ref=3, depth=1),
    Node("spinbutton", "Age", ref=4, value=""),
    Node("slider", "Volume", ref=5, value="3"),
    Node("checkbox", "Agree", ref=6),
    Node("button", "Later", ref=7, states=("disabled",)),
    Node("button", "Save", ref=8),
)


def page(nodes: tuple[Node, ...] = FORM, goal: str = 'Enter "Ann" and "Bob", age 42.', turn: int = 0) -> Observation:
    return Observation(goal, "http://demo.test/", "Demo", nodes, turn=turn, turns_left=9)


def asked(policy: Policy, observation: Observation, key: EpisodeKey = KEY) -> str:
    return asyncio.run(policy.act(observation, (), key)).text


def drawn(observation: Observation, count: int = 3000) -> Counter[Action]:
    rng = random.Random(0)
    return Counter(random_action(observation, rng) for _ in range(count))


def test_noop_waits() -> None:
    assert parse(asked(NoopPolicy(), page()), "call") == Wait()


def test_random_actions_are_the_sensible_ones_and_all_of_them() -> None:
    actions = set(drawn(page()))
    assert actions == {
        Fill(0, "Ann"), Fill(0, "Bob"), Press("Enter", 0), Click(0),
        Select(1, ("Chad",)), Select(1, ("Fiji",)),
        Fill(4, "42"), Press("Enter", 4), Click(4),
        *(Press(key, 5) for key in ("ArrowLeft", "ArrowRight", "PageUp", "PageDown")),
        Click(6), Click(8), Scroll(0.0, 300.0), Scroll(0.0, -300.0),
    }  # fmt: skip


def test_each_thing_is_equally_likely() -> None:
    counts = Counter(getattr(action, "ref", None) for action in drawn(page(), 7000).elements())
    expected = 7000 * 0.95 / 6
    assert all(0.85 * expected < counts[ref] < 1.15 * expected for ref in (0, 1, 4, 5, 6, 8))


def test_random_without_quotes_types_words_of_the_goal() -> None:
    field = (Node("searchbox", "Search", ref=0, value=""),)
    texts = {action.text for action in drawn(page(field, "Find ann@x.org's mail")) if isinstance(action, Fill)}
    assert texts == {"Find", "ann@x.org's", "mail"}
    assert {a.text for a in drawn(page(field, "")) if isinstance(a, Fill)} == {"a"}


def test_random_on_a_page_without_things_scrolls() -> None:
    assert set(drawn(page((Node("text", "Nothing here"),)))) == {Scroll(0.0, 300.0), Scroll(0.0, -300.0)}


def test_random_can_be_made_again_and_differs_by_episode_and_turn() -> None:
    keys = [EpisodeKey("demo.form", seed, 0, 0, member) for seed in range(10) for member in range(4)]
    texts = [[asked(RandomPolicy(1), page(turn=turn), key) for turn in range(3)] for key in keys]
    assert texts == [[asked(RandomPolicy(1), page(turn=turn), key) for turn in range(3)] for key in keys]
    assert len({tuple(t) for t in texts}) > 35
    assert texts != [[asked(RandomPolicy(2), page(turn=turn), key) for turn in range(3)] for key in keys]
    assert not any(isinstance(parse(text, "call"), InvalidAction) for line in texts for text in line)


# --- oracle --------------------------------------------------------------------------------------------------------------


def task(oracle: Callable[[], Oracle] | None) -> Callable[[str], Task]:
    def find(task_id: str) -> Task:
        if task_id != "demo.form":
            raise UnknownTaskError(task_id)
        return Task("demo.form", start=lambda seed: Start("http://demo.test/"), check=lambda evidence: PENDING, oracle=oracle)

    return find


def counting() -> Oracle:
    """An oracle with state: clicks 0, then 1, then 2 ..."""
    state = iter(range(100))
    return lambda observation: Click(next(state))


def test_each_episode_has_its_own_oracle() -> None:
    policy = OraclePolicy(task(counting))
    other = EpisodeKey("demo.form", 3, member=1)
    script = [(KEY, 0), (other, 0), (KEY, 1), (KEY, 2), (other, 1)]
    said = [asked(policy, page(turn=turn), key) for key, turn in script]
    assert said == ["click('0')", "click('0')", "click('1')", "click('2')", "click('1')"]


def test_turn_zero_makes_a_fresh_oracle() -> None:
    policy = OraclePolicy(task(counting), dialect="compact")
    assert [asked(policy, page(turn=turn)) for turn in (0, 1, 0, 1)] == ["click #0", "click #1"] * 2


def test_an_oracle_that_fails_is_the_tasks_fault() -> None:
    def broken() -> Oracle:
        return lambda observation: Click([][0])

    with pytest.raises(JudgeFault, match=r"the oracle of demo\.form failed on seed 3, turn 0: IndexError: list index out of range"):
        asked(OraclePolicy(task(broken)), page())


def test_an_episode_that_the_oracle_has_not_seen_from_the_start() -> None:
    policy = OraclePolicy(task(counting), remembered=2)
    for member in range(3):
        asked(policy, page(), EpisodeKey("demo.form", 3, member=member))
    with pytest.raises(JudgeFault, match="not asked from the first turn on"):
        asked(policy, page(turn=1), EpisodeKey("demo.form", 3, member=0))
    assert asked(policy, page(turn=1), EpisodeKey("demo.form", 3, member=2)) == "click('1')"


def test_a_task_without_oracle_and_an_unknown_task() -> None:
    with pytest.raises(UsageError, match=r"demo\.form has no oracle"):
        asked(OraclePolicy(task(None)), page())
    with pytest.raises(UnknownTaskError):
        asked(OraclePolicy(task(counting)), page(), EpisodeKey("demo.other", 0))
