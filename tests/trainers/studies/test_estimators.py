"""The measures of estimators against hand-made cases, and the smallest report, killed and gone on with."""

import json

import numpy as np
import pytest

from trainers.studies.advantage_figures import Visits, errors, gradient_quality, signs
from trainers.studies.estimators import ESTIMATORS, EstimatorStudy, horizon_of, read_grid, tables
from trainers.studies.intervals import interval
from webgym.errors import ConfigError

SMALL = """
prompts = { history = 0, errors = false }
temperature = 0.7
tasks = ["wizard.h2-k2-late2-slack1"]
seeds = 2
instances = 2
members = 4
group_size = 2
episodes = [4]
draws = 6
sketch = 512
critic = { fit = { epochs = 1 } }
[[estimators]]
label = "rloo"
algo = "rloo"
[[estimators]]
label = "td0-exact"
algo = "actor_critic"
algorithm = { gamma = 1.0, whiten = false }
critic = "exact"
[[estimators]]
label = "archer"
algo = "archer"
algorithm = { whiten = false }
critic = "learned"
"""


def visits_of(truth, repeats):
    """Two states with two actions each, visited `repeats` times."""
    pair = np.tile(np.arange(4), repeats)
    return Visits(np.asarray(truth)[pair], pair // 2, pair, pair // 2)


def test_a_baseline_is_a_bias_but_not_one_of_actions():
    visits = visits_of([-0.5, 0.5, 0.2, -0.2], 400)
    noise = np.random.default_rng(0).normal(0, 0.3, len(visits.truth))
    rms = np.sqrt(np.mean(visits.truth**2))
    found = errors(visits.truth + 0.7 + noise, visits)
    assert found["slope"] == pytest.approx(1.0, abs=0.15)
    assert found["bias"] == pytest.approx(0.7 / rms, rel=0.15)
    assert found["action_bias"] < 0.15
    assert found["std"] == pytest.approx(0.3 / rms, rel=0.15)


def test_blame_for_the_wrong_action_is_a_bias_and_scale_is_none():
    visits = visits_of([-0.5, 0.5, 0.2, -0.2], 10)
    found = errors(3 * visits.truth, visits)
    assert found["slope"] == pytest.approx(3) and found["bias"] == pytest.approx(0, abs=1e-7)
    assert found["std"] == pytest.approx(0, abs=1e-7)
    credits_one_state = np.where(visits.state == 0, visits.truth, -visits.truth)
    assert errors(credits_one_state, visits)["action_bias"] > 0.3
    assert np.isnan(errors(-visits.truth, visits)["bias"])
    assert signs(credits_one_state, visits) == [(20.0, 20), (0.0, 20)]
    assert signs(0 * visits.truth, visits) == [(10.0, 20), (10.0, 20)]


def test_idle_turns_should_get_nothing():
    visits = visits_of([-0.5, 0.5, 0.0, 0.0], 10)
    rms = np.sqrt(np.mean(visits.truth**2))
    assert errors(visits.truth + np.where(visits.state == 1, 0.4, 0.0), visits)["idle"] == pytest.approx(0.4 / rms)


def test_gradient_quality_of_known_draws():
    """Independent groups of two scores: E g = (1, 0) = g*, variance 4 in the other direction."""
    rng = np.random.default_rng(0)
    pool = np.stack([np.ones(200), 2 * rng.choice([-1.0, 1.0], 200)], 1)
    draws = np.array([pool[rng.choice(200, 100, replace=False)].mean(0) for _ in range(4000)])
    found = gradient_quality(draws, np.eye(2), np.array([1.0, 0.0]), 1.0, groups=100, of=200)
    assert found["signal"] == pytest.approx(1.0)
    assert found["noise"] == pytest.approx(4 / 100, rel=0.1)  # of independent groups, although half of the pool is in every batch
    assert found["expected"] == pytest.approx(1.0, abs=0.05)
    assert 0.9 < found["cosine"] < 1


def test_the_noise_of_small_pools_is_that_of_independent_groups():
    """Pools of six groups, batches of three: the noise of the mean of three independent groups, 4/3, on average over pools."""
    rng, found = np.random.default_rng(1), []
    for _ in range(400):
        pool = np.stack([np.ones(6), 2 * rng.normal(size=6)], 1)
        draws = np.array([pool[rng.choice(6, 3, replace=False)].mean(0) for _ in range(60)])
        found.append(gradient_quality(draws, np.eye(2), np.array([1.0, 0.0]), 1.0, groups=3, of=6)["noise"])
    assert np.mean(found) == pytest.approx(4 / 3, rel=0.1)


@pytest.mark.timeout(300)
def test_the_smallest_report_goes_on_where_it_was_stopped(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SMALL, "utf-8")
    study, said = EstimatorStudy(file, tmp_path / "out"), []
    assert "left: 2 cells" in study.plan()[-1]
    assert study.run(most=1, say=said.append) == 1
    first = next((tmp_path / "out").glob("measure/*.json"))
    kept = first.read_bytes()
    again = EstimatorStudy(file, tmp_path / "out")
    assert again.run(say=said.append) == 1 and first.read_bytes() == kept and again.todo == []

    row = json.loads(kept)
    exact = row["estimators"]["td0-exact"]  # r + V(s') − V(s) with the exact V is the true advantage
    assert exact["slope"] == pytest.approx(1) and exact["bias"] == pytest.approx(0, abs=1e-5) and exact["std"] == pytest.approx(0, abs=1e-5)
    assert all(right == of for right, of in exact["signs"])
    assert row["best_ev"] < 1 and 0 < row["success"] < 1
    report = again.report()
    assert [x["estimator"] for x in report["estimators"]] == ["rloo", "td0-exact", "archer"]
    assert tables(report)[0].row_count == 3
    with pytest.raises(ConfigError, match="holds rows of another grid"):
        EstimatorStudy(ESTIMATORS, tmp_path / "out")


def test_grids_that_cannot_work_are_refused_before_anything_is_played(tmp_path):
    file = tmp_path / "grid.toml"
    for wrong, says in (
        (SMALL.replace("wizard.h2-k2-late2-slack1", "miniwob.click-test"), "nobody knows the exact values"),
        (SMALL.replace("members = 4", "members = 5"), "multiple of group_size"),
        (SMALL.replace("[4]", "[16]"), "at most 6"),
        (SMALL.replace('critic = "learned"', ""), "expected a critic"),
    ):
        file.write_text(wrong, "utf-8")
        with pytest.raises(ConfigError, match=says):
            read_grid(file)
    published = read_grid(ESTIMATORS)
    assert [horizon_of(task) for task in published.tasks] == [3, 3, 6, 6, 12, 12, 12, 20, 20]


def test_intervals_are_over_cells():
    found = interval(lambda x: float(x.mean()), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found["mean"] == 2.5 and 1 < found["low"] < 2.5 < found["high"] < 4
