"""`webgym truth` on a run of the text twin: Monte Carlo against the exact values of the language model itself."""

import json
from dataclasses import replace

import numpy as np
import pytest

from trainers.config import resolve
from trainers.models.policy_model import PolicyModel
from trainers.studies.truth import Wanted, chances_of, exact_row, find_truth, spellings, table
from trainers.training.trainer import Trainer
from webgym.errors import UsageError
from webgym.record.store import load
from webgym.types import Click, Stop
from webgym.view.runs import Run

CONFIG = {
    "tasks": ("wizard.h3",), "prompts": {"history": 0, "errors": False}, "machine": {"backend": "text", "threads": 1},
    "rollout": {"groups": 2, "group_size": 2}, "length": {"iterations": 1, "minutes": 100}, "evaluation": {"seeds": 0}, "trackers": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    trainer = Trainer.start(resolve(CONFIG)[0], parent=tmp_path_factory.mktemp("runs"), name="run")
    with trainer.run:
        trainer.train()
    return trainer.run.path


def test_what_the_continuations_come_to_is_what_is_exactly_true(run):
    rows = find_truth(run, Wanted(episodes=2, continuations=40, gamma=1.0))
    assert [row["member"] for row in rows] == [0, 0] and rows[0]["policy_version"] == 1
    for row in rows:
        exact = row["exact"]
        for mean, error, name in (("values", "standard_errors", "values"), ("q", "q_standard_errors", "q")):
            for t in range(len(row["values"])):
                assert abs(row[mean][t] - exact[name][t]) <= 5 * row[error][t] + 1e-6, (name, t)
        assert row["advantages"] == pytest.approx(np.array(row["q"]) - np.array(row["values"]))
        assert row["faults"] == 0 and 0 < exact["values"][0] < 1
    lines = [json.loads(line) for line in (run / "truth.jsonl").read_text("utf-8").splitlines()]
    assert [line["values"] for line in lines] == [row["values"] for row in rows]
    assert table(rows[0]).row_count == len(rows[0]["values"])


def test_the_viewer_shows_it_beside_the_episode(run):
    find_truth(run, Wanted(episodes=1, turns=(0,), continuations=2))
    rows = [json.loads(line) for line in (run / "truth.jsonl").read_text("utf-8").splitlines()]
    shown = Run(run, "run")
    assert len(shown.probed()) == len({(row["group"], row["member"]) for row in rows}) > 0


def test_chances_are_those_of_the_sampler(run):
    source = PolicyModel.load(run / "checkpoints/iter-000001/policy")
    x = load(run / "trajectories/iter-000001.jsonl")[0]
    chances = chances_of(source, 1.0)
    task_values = {}
    exact_row(x, source, lambda asked: task_values.setdefault("asked", asked) and chances(asked), 1.0)
    observation, actions = task_values["asked"][0]
    found = chances([(observation, actions)])[0]
    assert 0.5 < sum(found) <= 1 + 1e-6  # webgym-tiny mostly writes actions
    assert any(text.startswith("click *") for action in actions for text in spellings(action, observation, source))
    assert spellings(Stop(), observation, source) == ["stop"]
    assert found[[Click(0) == action for action in actions].index(True)] > 0
    assert exact_row(x, replace(source, prompts=replace(source.prompts, history=2)), chances, 1.0) is None


def test_what_cannot_be_found_is_explained(run, tmp_path):
    with pytest.raises(UsageError, match="no trajectories of iteration 7: it has those of 1 to 1"):
        find_truth(run, Wanted(iteration=7))
    with pytest.raises(UsageError, match="no turn to branch from"):
        find_truth(run, Wanted(turns=(99,)))
