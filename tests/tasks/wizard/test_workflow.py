import sys
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webgym.actions import goal_strings
from webgym.errors import ConfigError, UnknownTaskError
from webgym.packs import registry
from webgym.task import SEEDS, Evidence

PACK = registry._pack("wizard")
workflow = sys.modules["webgym_tasks.wizard.workflow"]
Wizard, Progress, draw, chosen, gone_back = workflow.Wizard, workflow.Progress, workflow.draw, workflow.chosen, workflow.gone_back


@st.composite
def wizards(draw_):
    horizon = draw_(st.integers(1, 50))
    reversible, distractors = draw_(st.booleans()), draw_(st.integers(0, horizon - 1))
    lessons = draw_(st.sampled_from([0, 0, 1, 240, 900]))
    return Wizard(
        horizon,
        choices=draw_(st.integers(2, 8)),
        distractors=distractors,
        delay=draw_(st.integers(0, horizon)),
        reversible=reversible,
        visible=draw_(st.booleans()),
        noise=0 if lessons else draw_(st.integers(0, 100)),
        lessons=lessons,
        spared=0 if reversible else draw_(st.integers(0, horizon - distractors - 1)),
        slack=draw_(st.none() | st.integers(0, 200)),
    )


@given(wizards())
def test_a_name_says_all_parameters(wizard):
    assert Wizard.named(wizard.name) == wizard
    assert wizard.max_turns >= wizard.horizon


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h51", "expected horizon from 1 to 50, got 51"),
        ("h3-x3", "expected distractors from 0 to 2, got 3"),
        ("h3-lat2", "'lat2' is no parameter, or stands twice; did you mean 'late'"),
        ("h3-undo1", "'undo1' is no parameter"),
        ("h3-seen2", "'seen2' is no parameter"),
        ("h3-k4-k5", "'k5' is no parameter, or stands twice"),
        ("h3-learn901", "expected lessons from 0 to 900, got 901"),
        ("h3-x1-spare2", "expected spared from 0 to 1, got 2"),
        ("h3-learn9-noise5", "expected lessons or misspelt options, got both"),
        ("h3-undo-spare1", "expected mistakes that are spared or that can be undone, got both"),
        ("h3-k", "'k' is no parameter"),
    ],
)
def test_wrong_names_are_explained(name, words):
    with pytest.raises(ConfigError) as wrong:
        registry.task(f"wizard.{name}")
    assert words in str(wrong.value)


def test_names_beyond_the_manifest_are_tasks_too():
    assert registry.task("wizard.h7-k3").max_turns == 10
    assert registry.select(["wizard.h7-k3"]) == ["wizard.h7-k3"]
    assert PACK.task(7, choices=3) is registry.task("wizard.h7-k3")
    assert "wizard.h7-k3" not in registry.task_ids()
    with pytest.raises(UnknownTaskError):
        registry.task("wizard.seven")


@given(wizards(), st.integers(0, 2_100_000))
def test_what_a_seed_draws(wizard, seed):
    flow = draw(wizard, seed)
    assert len(flow.pages) == wizard.horizon
    assert sum(page.right is None for page in flow.pages) == wizard.distractors
    assert all(len(page.options) == wizard.choices for page in flow.pages)
    if wizard.lessons:
        assert flow.wanted == ()
        rule = {page.field: workflow.place_of(page.field, wizard.choices) for page in flow.pages if page.right is not None}
        assert all(page.right == workflow.PLACES.index(rule[page.field]) for page in flow.pages if page.right is not None)
        assert rule.keys() <= set(workflow.THINGS[: wizard.lessons])
        assert not rule.keys() & {page.field for page in flow.pages if page.right is None}
    elif not wizard.noise:
        for page in flow.pages:
            agreed = [number for number, option in enumerate(page.options) if option in flow.wanted]
            assert agreed == ([] if page.right is None else [page.right])
            assert len(set(page.options)) == wizard.choices
        assert {page.options[page.right] for page in flow.pages if page.right is not None} == set(flow.wanted)


def test_a_misspelt_answer_can_be_told_from_the_others():
    answers = [answer for options in workflow.FIELDS.values() for answer in options]
    for a, b in combinations(answers, 2):
        assert len(a) != len(b) or sum(x != y for x, y in zip(a, b, strict=True)) >= 3


@pytest.mark.parametrize("choices", range(2, 9))
def test_no_place_is_right_more_often_than_the_others(choices):
    for count in (24, 60, 240):
        places = Counter(workflow.place_of(thing, choices) for thing in workflow.THINGS[:count])
        assert max(places.values()) - min(places[place] for place in workflow.PLACES[:choices]) <= 1
    orders = {tuple(workflow.place_of(t, choices) for t in workflow.THINGS[n : n + choices]) for n in range(0, 10 * choices, choices)}
    assert len(orders) > 1, "a rule, and no pattern"


def test_goals_quote_the_answers_and_splits_have_their_own_wordings():
    task = registry.task("wizard.h12")
    for seed in (0, 1_000_000, 2_000_000):
        assert goal_strings(task.start(seed).goal) == draw(Wizard(12), seed).wanted
    openings = {split: {task.start(seed).goal.split()[0] for seed in seeds[:40]} for split, seeds in SEEDS.items()}
    assert not openings["train"] & openings["test"]


def follow(name, moves, seed=0):
    """The progress after each move: True takes the right option, False a wrong one, None goes back."""
    flow, at, found = draw(Wizard.named(name), seed), Progress(), []
    for right in moves:
        number = flow.pages[at.page].right
        at = gone_back(at) if right is None else chosen(flow, at, number if right else (number + 1) % flow.wizard.choices)
        found.append(at)
    return found


def test_consequences():
    assert follow("h3", [True, False])[-1].status == "refused"
    assert [p.status for p in follow("h3", [True] * 3)] == ["open", "open", "done"]
    late = follow("h4-late2", [True, False, True, True])
    assert [(p.page, p.wrong, p.status) for p in late] == [(1, None, "open"), (2, 1, "open"), (3, 1, "open"), (3, 1, "refused")]
    assert follow("h4-late4", [False, True, True, True])[-1].status == "refused"
    undo = follow("h4-late1-undo", [False, True, True])
    assert [(p.page, p.wrong, p.told) for p in undo] == [(1, 0, False), (0, None, True), (1, None, False)]
    seen = follow("h4-late3-undo-seen", [True, False, True, None, None, True])
    assert [p.flagged for p in seen] == [False, True, True, True, False, False]
    spared = follow("h4-late4-seen-spare1", [False, True, False, True])
    assert [(p.mistakes, p.wrong, p.flagged, p.status) for p in spared] == [
        (1, None, False, "open"),
        (1, None, False, "open"),
        (1, 2, True, "open"),
        (1, 2, False, "refused"),
    ]
    assert follow("h4-late4-seen-spare1", [False, True, True, True])[-1].status == "done"
    early = follow("h5-late1-spare1", [False, False, True])
    assert [(p.page, p.mistakes, p.wrong, p.status) for p in early] == [(1, 1, None, "open"), (2, 1, 1, "open"), (2, 1, 1, "refused")]
    back = follow("h4-late4-undo", [False, True, None, None, True])
    assert [(p.page, p.wrong) for p in back] == [(1, 0), (2, 0), (1, 0), (0, None), (1, None)]


def test_the_check_knows_three_ends():
    check = registry.task("wizard.h3").check
    verdicts = {
        (status, ended): check(Evidence(0, "", {"status": status}, ended=ended)).kind
        for status in ("open", "done", "refused")
        for ended in ("", "stop")
    }
    assert verdicts == {
        ("open", ""): "pending", ("open", "stop"): "failure", ("done", ""): "success", ("done", "stop"): "success",
        ("refused", ""): "failure", ("refused", "stop"): "failure",
    }  # fmt: skip
