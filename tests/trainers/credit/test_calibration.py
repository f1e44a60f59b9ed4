import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.credit import calibration as cal


def test_explained_variance_within_cells_ignores_what_the_cells_explain() -> None:
    cells = np.array([0, 0, 1, 1])
    target = np.array([0.0, 0.2, 0.8, 1.0])
    knows_cells_only = np.array([0.1, 0.1, 0.9, 0.9])
    assert cal.explained_variance(target, knows_cells_only) == pytest.approx(1 - 0.01 / 0.17)
    assert cal.explained_variance_within(target, knows_cells_only, cells) == pytest.approx(0.0)
    assert cal.explained_variance_within(target, target + cells, cells) == pytest.approx(1.0)  # a constant per cell is no error
    assert np.isnan(cal.explained_variance_within(np.array([1.0, 0.0]), np.zeros(2), np.array([0, 1])))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.integers(0, 99))
def test_one_cell_gives_the_pooled_figure(target: list[float], seed: int) -> None:
    g = np.array(target)
    v = np.random.default_rng(seed).random(len(g))
    within, pooled = cal.explained_variance_within(g, v, np.zeros(len(g), dtype=np.int64)), cal.explained_variance(g, v)
    if g.std() > 1e-3:
        assert within == pytest.approx(pooled, rel=1e-6)


def test_calibration_by_hand() -> None:
    prediction = np.array([0.05, 0.05, 0.95, 0.95, 1.2])
    target = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    low, high = cal.calibration_curve(target, prediction)
    assert low == (2, pytest.approx(0.05), 0.5)
    assert high == (3, pytest.approx(3.1 / 3), pytest.approx(2 / 3))
    assert cal.calibration_error(target, prediction) == pytest.approx((2 * 0.45 + 3 * (3.1 - 2) / 3) / 5)
    assert np.isnan(cal.calibration_error(np.zeros(0), np.zeros(0)))


def test_the_truth_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(20_000)
    outcome = (rng.random(20_000) < chance).astype(float)
    assert cal.calibration_error(outcome, chance) < 0.02
    assert cal.calibration_error(outcome, chance**3) > 0.1


def test_auc_is_the_share_of_ordered_pairs() -> None:
    success, value = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.5, 0.5])
    pairs = [(a > b) + 0.5 * (a == b) for a in (0.9, 0.5) for b in (0.1, 0.5)]
    assert cal.auc(success, value) == np.mean(pairs)
    assert np.isnan(cal.auc(np.ones(3), np.zeros(3)))
