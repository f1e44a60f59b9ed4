"""The critic's report and study on a small run of the text twin, and their measures by hand."""

import json

import numpy as np
import pytest

from tests.trainers.episodes import trajectory, turn
from trainers.batches.distinct_turns import Distinct
from trainers.config import resolve
from trainers.credit.calibration import explained_variance, explained_variance_of_noisy, explained_variance_within
from trainers.studies.critic import CriticStudy
from trainers.studies.critic import tables as study_tables
from trainers.studies.critic_figures import FIGURES, Judged, figures, quality
from trainers.studies.critic_report import Wanted, critic_report, tables
from trainers.training.trainer import Trainer
from webgym.errors import CheckpointError, ConfigError

CONFIG = {
    "tasks": ("wizard.h2-k2-late2-slack1",), "prompts": {"history": 0, "errors": False}, "machine": {"backend": "text"},
    "rollout": {"groups": 2, "group_size": 2, "max_tokens": 8}, "length": {"iterations": 1, "minutes": 100},
    "evaluation": {"seeds": 0}, "trackers": (),
}  # fmt: skip

GRID = """
seeds = 1
train = { instances = 3, members = 2 }
held_out = { instances = 2, members = 2 }
fit = { epochs = 2 }
folds = 2
[[variants]]
label = "base"
[[variants]]
label = "td-shared-trunk"
target_lam = 0.0
head = { backbone = "trunk", trunk_lr = 1.0, readout = "action" }
[[variants]]
label = "cross-fit"
cross_fit = true
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    trainer = Trainer.start(resolve({**CONFIG, "algo": "archer"})[0], parent=tmp_path_factory.mktemp("runs"), name="run")
    with trainer.run:
        trainer.train()
    return trainer.run.path


def test_noise_of_the_truth_is_taken_off():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, 20_000)
    truth = 0.1 * cells + rng.normal(0, 0.2, len(cells))
    value = truth + rng.normal(0, 0.1, len(truth))
    noisy = truth + rng.normal(0, 0.3, len(truth))
    error, one = np.full(len(truth), 0.3), np.zeros(len(truth), dtype=int)
    assert explained_variance(noisy, value) < 0.55
    assert explained_variance_of_noisy(noisy, value, error, one) == pytest.approx(explained_variance(truth, value), abs=0.03)
    within = explained_variance_within(truth, value, cells)
    assert explained_variance_of_noisy(noisy, value, error, cells) == pytest.approx(within, abs=0.03)
    assert explained_variance_of_noisy(truth, value, 0 * error, cells) == pytest.approx(within)


def test_quality_by_hand():
    """Two instances, one won and one lost, two turns each; V says 0.8 and 0.2 throughout."""
    episodes = [trajectory([turn([1], [2]), turn([3], [4], reward)], task="pack.task", seed=n) for n, reward in ((1, 1.0), (2, 0.0))]
    values = [np.array([0.8, 0.8]), np.array([0.2, 0.2])]
    truth = [np.array([0.9, 0.9]), np.array([0.3, 0.3])]
    judged = Judged.of(episodes, values, 1.0, truth, [np.zeros(2)] * 2)
    found = figures(judged)
    assert found["explained"] == pytest.approx(1 - 0.04 / 0.25) and found["explained_within"] == pytest.approx(1 - 0.04 / 0.25)
    assert found["truth"] == pytest.approx(1.0)  # off by a constant
    assert found["auc"] == 1.0 and found["calibration_error"] == pytest.approx(0.2)
    shown = quality(judged, draws=20)
    assert shown["auc_by_turn"] == [1.0, 1.0] and shown["success"] == 0.5
    assert shown["by_distance"][0] == {
        "distance": 0,
        "turns": 2,
        "bias": pytest.approx(0),
        "error": pytest.approx(0.2),
        "truth_error": pytest.approx(0.1),
    }
    unknown = figures(Judged.of(episodes, values, 1.0))
    assert np.isnan(unknown["truth"]) and unknown["explained"] == found["explained"]


def test_turns_that_look_alike_are_read_once():
    episodes = [trajectory([turn([1], [5]), turn([2], [6])]), trajectory([turn([1], [7]), turn([1], [5])]), trajectory([turn([1], [5])])]
    distinct = Distinct.of(episodes, [0, 0, 1])
    assert [row.ids for row in distinct.rows] == [(1, 5), (2, 6), (1, 5)]
    assert list(distinct.place) == [0, 1, 0, 0, 2] and list(distinct.count) == [3, 1, 1] and list(distinct.owner) == [0, 0, 1]
    mean = distinct.mean([np.array([1.0, 2.0]), np.array([4.0, 1.0]), np.array([7.0])])
    assert list(mean) == [2, 2, 7]
    assert [list(x) for x in distinct.per_trajectory(mean)] == [[2, 2], [2, 2], [7]]
    assert len(Distinct.of(episodes, [0, 0, 1], with_action=True).rows) == 4


def test_the_report_on_what_the_critic_never_saw(run):
    report = critic_report(run, Wanted(seeds=2, episodes=2, sites=("wizard.h1-k2",)))
    assert list(report["sets"]) == ["seeds", "wordings", "wizard.h1-k2"] and report["gamma"] == 0.99
    for row in report["sets"].values():
        assert all(set(row[name]) == {"mean", "low", "high"} for name in FIGURES)
        assert sum(x["turns"] for x in row["by_distance"]) == row["turns"] and np.isfinite(row["by_distance"][0]["truth_error"])
    assert tables(report)[0].row_count == 3


def test_a_run_without_a_critic_is_named(tmp_path):
    trainer = Trainer.start(resolve({**CONFIG, "algo": "grpo"})[0], parent=tmp_path, name="run")
    with trainer.run:
        trainer.save()
    with pytest.raises(CheckpointError, match="grpo has no critic"):
        critic_report(trainer.run.path, Wanted())


def test_the_smallest_study_goes_on_where_it_was_stopped(run, tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text(GRID, "utf-8")
    study = CriticStudy(file, run, tmp_path / "out")
    assert study.run(most=1, say=lambda words: None) == 1 and "2 left" in study.plan()[-1]
    kept = {x: x.read_bytes() for x in (tmp_path / "out").rglob("*.json*")}
    again = CriticStudy(file, run, tmp_path / "out")
    assert again.run(say=lambda words: None) == 2 and again.run(say=lambda words: None) == 0
    assert all(x.read_bytes() == data for x, data in kept.items())  # the episodes too are played once
    rows = {row["label"]: row for row in again.rows()}
    assert set(rows) == {"base", "td-shared-trunk", "cross-fit"}
    assert rows["base"]["truth"] == rows["cross-fit"]["truth"] and rows["base"]["slope"] != rows["cross-fit"]["slope"]
    assert study_tables(again.report())[0].row_count == 3
    assert json.loads((tmp_path / "out/data/0.json").read_text())["train"].keys() == {"values", "advantages"}
    with pytest.raises(ConfigError, match="holds rows of another grid"):
        file.write_text(GRID.replace("epochs = 2", "epochs = 3"), "utf-8")
        CriticStudy(file, run, tmp_path / "out")
