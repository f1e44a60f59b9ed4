import numpy as np
import pytest

from webgym.evaluation.aggregate import aggregate_iqm, iqm, probability_of_improvement, stratified_bootstrap


def test_interquartile_means_by_hand():
    assert iqm([1.0]) == 1.0 and iqm([1.0, 3.0]) == 2.0
    assert iqm([0, 0, 1, 9]) == 0.5  # the 0 and the 9 at the ends are left out
    assert iqm(range(10)) == np.mean([2, 3, 4, 5, 6, 7])
    assert aggregate_iqm({"a": [0.0, 0.0], "b": [1.0, 9.0]}) == 0.5
    assert np.isnan(iqm([]))


def test_probability_of_improvement_by_hand():
    assert probability_of_improvement({"a": [2.0, 3.0]}, {"a": [1.0, 0.0, 1.0]}) == 1.0
    assert probability_of_improvement({"a": [1.0]}, {"a": [1.0]}) == 0.5
    assert probability_of_improvement({"a": [1, 3], "b": [0, 0]}, {"a": [2, 2], "b": [1, 1]}) == pytest.approx((0.5 + 0.0) / 2)
    with pytest.raises(ValueError, match="the same tasks"):
        probability_of_improvement({"a": [1.0]}, {"b": [1.0]})


def test_the_bootstrap_stays_within_tasks():
    """Tasks of very different difficulty and runs that agree: no seed would show anything else."""
    found = stratified_bootstrap(aggregate_iqm, {"easy": [1.0] * 5, "hard": [0.0] * 5})
    assert (found.low, found.high) == (0.5, 0.5)


def test_intervals_cover_what_they_say():
    rng, covered = np.random.default_rng(0), 0
    for trial in range(100):
        scores = {task: rng.normal(size=20) for task in "ab"}
        found = stratified_bootstrap(aggregate_iqm, scores, draws=300, seed=trial)
        covered += found.low <= 0.0 <= found.high
    assert 85 <= covered <= 100
