"""GRPO by its three names, by hand."""

import numpy as np
import pytest

from tests.trainers.episodes import episode
from trainers.algorithms import grpo, grpo_positive, grpo_published
from trainers.credit.credit import Credit


def flat(credit: Credit) -> list[list[float]]:
    return [a.tolist() for a in credit.advantages]


def test_default_by_hand() -> None:
    groups = [[episode(1.0, 2), episode(0.0, 1), episode(0.0, 3)], [episode(1.0, 1), episode(1.0, 2)], [episode(0.0, 1)] * 2]
    credit = grpo.credit(groups, None, grpo.Config())
    assert [len(a) for a in credit.advantages] == [2, 1, 3, 1, 2, 1, 1]
    np.testing.assert_allclose(np.concatenate(credit.advantages), [*[2 / 3] * 2, *[-1 / 3] * 4, *[0] * 5])
    weaker = grpo.credit(groups, None, grpo.Config(negative=0.25))
    np.testing.assert_allclose(np.concatenate(weaker.advantages), [*[2 / 3] * 2, *[-0.25 / 3] * 4, *[0] * 5])
    positive = grpo_positive.credit(groups, None, grpo_positive.Config())
    np.testing.assert_allclose(np.concatenate(positive.advantages), [*[2 / 3] * 2, *[0] * 9])
    assert [w.tolist() for w in positive.weights] == [w.tolist() for w in credit.weights], "worse members stay in the divisor"
    assert [w.tolist() for w in credit.weights] == [[1, 1], [1], [1, 1, 1], [0], [0, 0], [0], [0]]
    assert credit.stats["rollout/groups_dropped"] == 2 and credit.stats["rollout/groups"] == 3
    assert credit.stats["rollout/return"] == pytest.approx(3 / 7)
    assert credit.targets is None


def test_published_form_divides_by_std_and_keeps_groups_without_spread() -> None:
    config = grpo_published.Config()
    loss = config.loss
    assert (loss.divisor, loss.kl, loss.kl_coef, loss.clip_low, loss.clip_high) == ("trajectories", "k3", 0.04, 0.2, 0.2)
    groups = [[episode(1.0, 1), episode(0.0, 1), episode(0.0, 1), episode(0.0, 1)], [episode(1.0, 1)] * 2]
    credit = grpo.credit(groups, None, config)
    np.testing.assert_allclose(np.concatenate(credit.advantages), [3**0.5, *[-(3**-0.5)] * 3, 0, 0])
    np.testing.assert_array_equal(np.concatenate(credit.weights), np.ones(6))  # their KL counts
    assert credit.stats["rollout/groups_dropped"] == 1


def test_faulted_members_are_no_failures() -> None:
    """A success beside a fault is no better than its group: there is nobody to compare with, and the group is dropped."""
    broken = episode(float("nan"), 2, "fault")
    credit = grpo.credit([[episode(1.0, 1), broken], [episode(1.0, 1), episode(0.0, 1), broken]], None, grpo.Config())
    assert flat(credit) == [[0], [0, 0], [0.5], [-0.5], [0, 0]]
    assert [w.tolist() for w in credit.weights] == [[0], [0, 0], [1], [1], [0, 0]]
