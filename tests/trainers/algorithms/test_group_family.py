"""RLOO, GRPO's relatives and GiGPO by hand and against brute force."""

import numpy as np
import pytest

from tests.trainers.episodes import trajectory, turn
from trainers import algorithms
from trainers.algorithms import dapo, dr_grpo, gigpo, grpo, grpo_positive, grpo_published, gspo, rloo
from trainers.algorithms._group_relative import GroupConfig, differences
from webgym.types import Trajectory


def steps(states: str, reward: float, seed: int = 0) -> Trajectory:
    """An episode through states named by letters."""
    last = len(states) - 1
    return trajectory([turn([1], [2], reward if t == last else 0.0, state=s) for t, s in enumerate(states)], seed=seed)


def test_rloo_by_hand() -> None:
    broken = trajectory([turn([1], [2], float("nan"))], "fault")
    groups = [[steps("ab", 1.0), steps("c", 0.0), broken, steps("d", 0.0)], [steps("e", 1.0)]]
    found = rloo.credit(groups, None, rloo.Config()).advantages
    assert [a.tolist() for a in found] == [[1.0, 1.0], [-0.5], [0.0], [-0.5], [0.0]]


def test_rloo_is_the_mean_of_all_pairs() -> None:
    """A_i = 1/(k−1) Σ_j (R_i − R_j), a double loop."""
    outcomes = [0.2, 0.9, 0.4, 0.4]
    (found,) = [[a[0] for a in rloo.credit([[steps("a", x) for x in outcomes]], None, rloo.Config()).advantages]]
    np.testing.assert_allclose(found, [sum(x - y for y in outcomes) / 3 for x in outcomes])


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        (dr_grpo.Config(), {"std", "loss.divisor", "loss.kl", "loss.kl_coef"}),
        (dapo.Config(), {"drop_dead_groups", "loss.clip_high", "loss.divisor", "loss.kl", "loss.kl_coef"}),
        (gspo.Config(), {"loss.ratio_level", "loss.clip_low", "loss.clip_high", "loss.kl", "loss.kl_coef"}),
        (grpo_published.Config(), set()),
        (grpo.Config(), {"std", "drop_dead_groups", "loss.clip_high", "loss.divisor", "loss.kl", "loss.kl_coef"}),
        (grpo_positive.Config(), {"std", "drop_dead_groups", "negative", "loss.clip_high", "loss.divisor", "loss.kl", "loss.kl_coef"}),
    ],
    ids=lambda x: type(x).__module__.rpartition(".")[2] if isinstance(x, GroupConfig) else "",
)
def test_a_relative_changes_what_its_paper_says_and_nothing_else(config: GroupConfig, changed: set[str]) -> None:
    assert set(differences(config)) == changed
    module = algorithms.get(type(config).__module__.rpartition(".")[2])
    assert module.credit is grpo.credit  # the rest is one and the same code


def test_gigpo_by_hand() -> None:
    """Both members pass state b, one at turn 1 with G = γ, one at turn 0 with G = 0; a, c and d are met once."""
    groups = [[steps("abc", 1.0), steps("bd", 0.0)]]
    credit = gigpo.credit(groups, None, gigpo.Config(gamma=0.5, omega=2.0))
    np.testing.assert_allclose(credit.advantages[0], [0.5, 0.5 + 2 * 0.25, 0.5])
    np.testing.assert_allclose(credit.advantages[1], [-0.5 - 2 * 0.25, -0.5])
    assert credit.stats["rollout/anchored"] == pytest.approx(2 / 5)
    divided = gigpo.credit(groups, None, gigpo.Config(gamma=0.5, std=True)).advantages
    np.testing.assert_allclose(np.concatenate(divided), [1, 2, 1, -2, -1])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("std", [False, True])
def test_gigpo_equals_brute_force(seed: int, std: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = [
        [steps("".join(rng.choice(list("abc"), rng.integers(1, 6))), float(rng.integers(2)), seed=g) for _ in range(4)] for g in range(3)
    ]
    config = gigpo.Config(gamma=0.9, omega=0.7, std=std)
    found = iter(gigpo.credit(groups, None, config).advantages)
    for group in groups:
        ends = [x.outcome.reward for x in group]
        visits = [(t.state_hash, 0.9 ** (len(x) - 1 - k) * x.outcome.reward) for x in group for k, t in enumerate(x.turns)]
        for x in group:
            a = next(found)
            for k, t in enumerate(x.turns):
                same = [g for state, g in visits if state == t.state_hash]
                mine = 0.9 ** (len(x) - 1 - k) * x.outcome.reward
                assert a[k] == pytest.approx(score(x.outcome.reward, ends, std) + 0.7 * score(mine, same, std))


def score(x: float, among: list[float], std: bool) -> float:
    mean = sum(among) / len(among)
    deviation = (sum((y - mean) ** 2 for y in among) / len(among)) ** 0.5
    if deviation < 1e-9:
        return 0.0
    return (x - mean) / (deviation if std else 1.0)


def test_gigpo_without_the_step_is_grpo_and_turns_without_a_state_meet_nobody() -> None:
    groups = [[steps("ab", 1.0), steps("ab", 0.0), steps("ac", 0.0)]]
    plain = grpo.credit(groups, None, grpo.Config()).advantages
    for a, b in zip(gigpo.credit(groups, None, gigpo.Config(omega=0.0)).advantages, plain, strict=True):
        np.testing.assert_allclose(a, b)
    nameless = [[trajectory([turn([1], [2], r)]) for r in (1.0, 0.0)]]
    np.testing.assert_allclose(np.concatenate(gigpo.credit(nameless, None, gigpo.Config()).advantages), [0.5, -0.5])
