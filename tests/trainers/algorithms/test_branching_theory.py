"""tree, vine and taught against theory: effects of actions, noise, episodes that end early, faults, and groups that say nothing."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.trainers.algorithms.test_branching import CHANCES, SMALL, TWO, Group, asked, credited, draw, known, mistaken, outcomes
from trainers import algorithms
from trainers.config import resolve
from trainers.credit.credit import Credit, Values
from trainers.credit.tree import Tree, judged
from trainers.studies.choices import Problem, exact_gradient, exact_values, gradient, softmax
from trainers.studies.forks import Contender, Signal, measure_signal
from webgym.errors import ConfigError
from webgym.rollout.branch import Branch
from webgym.types import Outcome, Trajectory

Critic = Callable[[Group], list[np.ndarray]] | None
Credits = Iterator[tuple[float, Group, Credit]]


def credits(groups: Iterator[tuple[float, Group]], name: str, values: Critic = None, **options) -> Credits:
    """Each group with its chance and its credit."""
    found = algorithms.get(name)
    config = found.Config(**options)
    for p, group in groups:
        yield p, group, found.credit([group], Values(values(group)) if values else None, config)


def effects(given: Credits, first: int = 0) -> dict[tuple[int, int], float]:
    """E[Â given the right place] − E[Â given a wrong one] in each state from this turn on, by weight; baselines of the state fall out."""
    sums: dict[tuple[int, int, int], np.ndarray] = {}
    for p, group, credit in given:
        for x, a, w in zip(group, credit.advantages, credit.weights, strict=True):
            for t, turn in list(enumerate(x.turns))[first:]:
                place = (t, turn.completion.prompt_ids[2], turn.completion.action_ids[0])
                sums[place] = sums.get(place, np.zeros(2)) + p * w[t] * np.array([a[t], 1.0])
    mean = {place: a / w for place, (a, w) in sums.items() if w}
    return {(t, m): mean[t, m, 0] - mean[t, m, 1] for t, m, _ in mean}


def true_effects(problem: Problem, first: int = 0) -> dict[tuple[int, int], float]:
    """Q(s, right) − Q(s, wrong) of each state from this turn on; more mistakes than are forgiven are one state."""
    v, n = exact_values(problem, CHANCES), problem.spared + 1
    return {(t, m): v[t + 1, m] - v[t + 1, min(m + 1, n)] for t in range(first, problem.turns) for m in range(min(t, n) + 1)}


def mean_of(problem: Problem, given: Credits, roots: int) -> np.ndarray:
    """E[Σ Â w ∇log π] per root."""
    found = np.zeros((1, 2))
    for p, group, credit in given:
        factors = [a * w for a, w in zip(credit.advantages, credit.weights, strict=True)]
        found += p / roots * gradient(problem, CHANCES, group, factors)
    return found


# --- slope, action bias and noise ------------------------------------------------------------------------------------------


def test_slope_is_one_and_no_action_is_favoured() -> None:
    """By theory an estimate by sampling has the true effect of each action in each state, and so has `taught` at λ = 1 with any critic."""
    true = true_effects(SMALL)
    tree = credits(outcomes(SMALL, 1, asked("tree", every=1, most=2)), "tree")
    assert effects(tree, first=1) == pytest.approx(true_effects(SMALL, 1), abs=1e-12), "turn 0 needs another member"
    assert effects(credits(outcomes(TWO, 2, asked("tree", every=1)), "tree")) == pytest.approx(true_effects(TWO), abs=1e-12)
    plain = {"chance": 1.0, "whiten": False}
    groups = list(outcomes(SMALL, 1, asked("taught", mistaken, chance=1.0)))
    assert effects(credits(iter(groups), "taught", mistaken, lam=1.0, **plain)) == pytest.approx(true, abs=1e-12)
    seen = {place: -0.2 if place[0] < 2 else x for place, x in true.items()}  # at λ = 0, what the critic sees before the last turn
    assert effects(credits(iter(groups), "taught", mistaken, lam=0.0, **plain)) == pytest.approx(seen, abs=1e-12)


def test_a_vine_has_the_true_effects_over_its_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three turns, a critic that is wrong everywhere; turn 0 needs another member, so it is left out."""
    monkeypatch.setattr("trainers.algorithms.vine.neyman", lambda v, chance: chance)
    options = {"k": 1, "chance": 0.3, "fallback": "critic"}

    def over_choices() -> Credits:
        for chosen in itertools.product((0, 1), repeat=2):
            draw(monkeypatch, {(0, 1): chosen[0], (0, 2): chosen[1]})
            chance = np.prod([0.3 if c else 0.7 for c in chosen])
            for p, group, credit in credits(outcomes(SMALL, 1, asked("vine", mistaken, **options)), "vine", mistaken, **options):
                yield float(chance * p), group, credit

    assert effects(over_choices(), first=1) == pytest.approx(true_effects(SMALL, 1), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "options"), [("rloo", {}), ("tree", {"every": 1, "most": 1}), ("vine", {"k": 1, "chance": 1.0, "train_continuations": False})]
)
def test_the_noise_that_the_study_measures_is_that_of_all_outcomes(name: str, options: dict) -> None:
    """Signal 1, and the variance of a group's gradient over all that can come, over |∇J|²."""
    practice = algorithms.get(name).practice(algorithms.get(name).Config(**options)).forks
    groups, power = (
        outcomes(TWO, 2, asked(name, **options) if practice else lambda group: []),
        float((exact_gradient(TWO, CHANCES) ** 2).sum()),
    )
    factors = credited(name, **options)
    drawn = [(p, gradient(TWO, CHANCES, group, factors(group)) / 2) for p, group in groups]
    square = sum(p * float((g**2).sum()) for p, g in drawn)
    problem = TWO.model_copy(update={"accuracy": float(CHANCES[0, 0])})
    assert softmax(problem.start()) == pytest.approx(CHANCES)
    grid = Signal(
        problems=(problem,),
        seeds=2,
        groups=600,
        group_size=2,
        critic_episodes=1,
        estimators=(Contender(label="x", algo=name, algorithm=options),),
    )
    found = measure_signal(grid, problem, 0)["estimators"]["x"]
    assert found["noise"] == pytest.approx(square / power - 1, rel=0.25)
    assert found["signal"] == pytest.approx(1.0, abs=4 * np.sqrt(found["noise"] / 600))


# --- relatives: early ends, faults, nothing to tell apart, groups of one -----------------------------------------------------


def cut(group: Group) -> Group:
    """The episodes, ended at the turn that makes success impossible."""
    found = []
    for x in group:
        end = next((t + 1 for t, turn in enumerate(x.turns) if turn.completion.prompt_ids[2] + turn.completion.action_ids[0] > 1), len(x))
        found.append(replace(x, turns=x.turns[:end]))
    return found


def test_episodes_that_end_at_the_mistake_are_unbiased_too() -> None:
    """Fork at turn 2, the last one; an episode that has ended before it has no such state."""

    def forks(group: Group) -> list[Branch]:
        return asked("tree", every=2, most=1)(cut(group))

    groups = [(p, cut(group)) for p, group in outcomes(SMALL, 2, forks)]
    assert {len(x) for _, group in groups for x in group} == {2, 3}
    exact = exact_gradient(SMALL, CHANCES)
    assert mean_of(SMALL, credits(iter(groups), "tree"), 2) == pytest.approx(exact, abs=1e-12)
    taught = credits(iter(groups), "taught", known(SMALL), lam=0.5, whiten=False)
    assert mean_of(SMALL, taught, 2) == pytest.approx(exact, abs=1e-12)


def faulted(x: Trajectory) -> Trajectory:
    return replace(x, outcome=Outcome("fault", float("nan")))


@pytest.mark.parametrize(
    ("name", "values", "options"),
    [
        ("tree", None, {}),
        ("vine", None, {"train_continuations": False}),
        ("taught", known(TWO), {"lam": 0.0, "whiten": False}),
    ],
)
def test_forks_that_fault_are_no_failures(name: str, values: Critic, options: dict) -> None:
    """Each fork faults or not, whatever its outcome would have been: the mean gradient stays exact, and a fault has no weight."""
    groups = []
    for p, group in outcomes(TWO, 2, asked("tree", every=1, most=1)):
        for lost in itertools.product((False, True), repeat=2):
            groups.append((p / 4, [*group[:2], *(faulted(x) if bad else x for x, bad in zip(group[2:], lost, strict=True))]))
    given = list(credits(iter(groups), name, values, **options))
    assert mean_of(TWO, iter(given), 2) == pytest.approx(exact_gradient(TWO, CHANCES), abs=1e-12)
    for _, group, credit in given:
        assert all(
            not w.any() and not a.any() for x, a, w in zip(group, credit.advantages, credit.weights, strict=True) if x.outcome.faulted
        )


@pytest.mark.parametrize("train_continuations", [True, False])
def test_an_episode_that_faulted_has_no_weight(train_continuations: bool) -> None:
    """Nor has its fork, and no critic is taught anything about the turns that they share."""
    group = next(g for _, g in outcomes(SMALL, 2, asked("tree", every=1, most=1)))
    lost = [faulted(group[0]), *group[1:]]
    assert (group[2].turns[0].completion.origin, group[2].outcome.faulted) == (group[0].key, False)
    for name, options in (("tree", {}), ("vine", {"train_continuations": train_continuations})):
        ((_, _, credit),) = credits(iter([(1.0, lost)]), name, None, **options)
        assert [bool(w.any()) for w in credit.weights] == [False, True, False, bool(train_continuations or name == "tree")]
        assert all(np.isfinite(a).all() for a in credit.advantages)
    taught = algorithms.get("taught")
    targets = taught.targets([[lost[0], lost[2]], [lost[1]]], taught.Config())  # type: ignore[misc]
    assert np.isnan(targets[1]).all() and np.isfinite(targets[2]).all(), "turns of a fork whose episode failed are not taught to fail"


def test_leaves_that_are_all_equal_teach_nothing() -> None:
    """No advantage, no NaN, and nothing about the critic; the same with one member, where nothing forks."""
    alike = [g for _, g in outcomes(SMALL, 2, asked("tree", every=1, most=1)) if len({x.outcome.reward for x in g}) == 1]
    assert {g[0].outcome.reward for g in alike} == {0.0, 1.0}
    for group in (*alike, [alike[0][0]], [alike[-1][0]]):
        for name, values, options in (("tree", None, {}), ("vine", None, {}), ("taught", mistaken, {"low": 0.6})):
            ((_, _, credit),) = credits(iter([(1.0, group)]), name, values, **options)
            assert all(a == pytest.approx(np.zeros(len(a))) for a in credit.advantages), name
            assert credit.stats.get("critic/gate", 0.0) == 0.0
        sums = judged(Tree.of(group), [np.arange(len(x)) * 0.1 for x in group], lambda node: 0.5)
        assert sums["product"] == sums["spread"] == 0.0


@pytest.mark.parametrize(("algo", "options"), [("taught", {}), ("vine", {"fallback": "critic"})])
@pytest.mark.parametrize("source", ["same", "cross_fit"])
def test_the_values_that_choose_forks_are_those_that_correct_for_them(algo: str, options: dict, source: str) -> None:
    with pytest.raises(ConfigError, match=f"critic.values_from={source} cannot go with {algo}, which corrects for its forks by the very"):
        resolve({"algo": algo, "algorithm": options, "critic": {"values_from": source}})


@pytest.mark.parametrize(
    ("algo", "options", "words"),
    [
        ("tree", {"chance": 0.5}, "chance=0.5 has no effect with where=fixed"),
        ("tree", {"where": "uniform", "every": 2}, "every=2 has no effect with where=uniform"),
        ("vine", {"shrink": 0.5}, "shrink=0.5 has no effect with fallback=group"),
        ("taught", {"chance": 0.0}, "chance=0 gives the judge of λ nothing to judge by: set lam"),
    ],
)
def test_options_without_effect_are_refused(algo: str, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve({"algo": algo, "algorithm": options})


@pytest.mark.parametrize("algo", ["tree", "vine"])
def test_turns_before_the_first_fork_need_another_member(algo: str) -> None:
    with pytest.raises(ConfigError, match=f"{algo} compares the episodes of a group, so it learns nothing with rollout.group_size=1"):
        resolve({"algo": algo, "rollout": {"group_size": 1}})
    assert resolve({"algo": "taught", "rollout": {"group_size": 1}})[0].rollout.group_size == 1
