import numpy as np
import pytest

from tests.trainers.episodes import episode
from trainers.algorithms import reinforce
from trainers.credit.credit import Values

GROUPS = [[episode(1.0, 2), episode(0.0, 1)], [episode(1.0, 1)]]


def advantages(config: reinforce.Config, values: Values | None = None) -> list[list[float]]:
    return [a.tolist() for a in reinforce.credit(GROUPS, values, config).advantages]


def test_baselines_by_hand() -> None:
    assert advantages(reinforce.Config(baseline="none", gamma=0.5)) == [[0.5, 1.0], [0.0], [1.0]]
    # over the whole batch: at turn 0 the others had 0 and 1; at turn 1 nobody else was left: the mean of all their turns
    assert advantages(reinforce.Config(baseline="mean")) == [[0.5, 0.5], [-1.0], [0.5]]
    values = Values([np.array([0.25, 0.5]), np.array([0.75]), np.array([1.0])])
    assert advantages(reinforce.Config(baseline="value", gamma=0.5), values) == [[0.25, 0.5], [-0.75], [0.0]]


def test_only_the_value_baseline_needs_values() -> None:
    assert [bool(reinforce.needs_values(reinforce.Config(baseline=b))) for b in ("none", "mean", "value")] == [False, False, True]
    with pytest.raises(ValueError, match="needs_values"):
        advantages(reinforce.Config(baseline="value"))


def test_whitening_keeps_signs() -> None:
    plain, white = advantages(reinforce.Config()), advantages(reinforce.Config(whiten=True))
    sigma = np.std([0.5, 0.5, -1.0, 0.5])
    np.testing.assert_allclose(np.concatenate(white), np.concatenate(plain) / sigma)
