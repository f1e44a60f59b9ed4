"""Every algorithm in the whole loop on the text twin: it trains, it resumes bitwise, its critic's values are written for the viewer."""

from pathlib import Path

import pytest
import torch

from tests.trainers.episodes import turn
from tests.trainers.text_runs import finish, rows, start, state, write_model
from trainers import algorithms
from trainers.training.metrics import explanations
from trainers.training.trainer import Trainer
from webgym.record.store import load
from webgym.types import Sampling

SETTINGS = {"reinforce": {"baseline": "value"}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("algo", algorithms.names())
def test_every_algorithm_runs(algo: str, model: Path, tmp_path: Path) -> None:
    trainer = finish(start(model, tmp_path, "run", algo, iterations=2, algorithm=SETTINGS.get(algo, {})))
    metrics = [row for row in rows(trainer.run.path / "metrics.jsonl") if "rollout/success" in row]
    assert [row["iteration"] for row in metrics] == [1, 2]
    assert {name for row in metrics for name in row if "/" in name} <= explanations(algorithms.get(algo)).keys()
    for row in metrics:
        done = sum(row[f"time/{work}_share"] for work in ("browser", "sampling", "training", "saving"))
        assert 0 <= row["time/unaccounted"] < 1 <= done + row["time/unaccounted"] + 1e-9
    if trainer.valuer is not None:
        values = rows(trainer.run.path / "values.jsonl")
        played = load(trainer.run.trajectory_path(1))
        assert [row["iteration"] for row in values] == [i for i in (1, 2) for _ in played]
        lengths = {(x.key.group, x.key.member): len(x) for x in played}
        assert all(len(row["values"]) == lengths[row["group"], row["member"]] for row in values)
        assert values[0]["policy_version"] == 1 and values[0]["trajectory_iteration"] == 1


@pytest.mark.parametrize(
    ("algo", "settings"),
    [
        ("q_learning", {"algorithm": {"form": "digiq", "q": {"backup": "expectation", "candidates": 2, "epochs": 1}}}),
        (
            "archer",
            {"critic": {"head": {"backbone": "adapter", "rank": 2, "readout": "mean", "loss": "hl-gauss"}, "values_from": "cross_fit"}},
        ),
        ("archer", {"critic": {"head": {"backbone": "trunk", "trunk_lr": 0.1, "readout": "observation"}, "target_lam": 0.5}}),
    ],
    ids=["digiq", "adapter", "trunk"],
)
def test_what_is_kept_between_iterations_resumes_bitwise(algo: str, settings: dict, model: Path, tmp_path: Path) -> None:
    whole = finish(start(model, tmp_path, "whole", algo, **settings))
    finish(start(model, tmp_path, "part", algo, **{**settings, "iterations": 2}))
    resumed = finish(Trainer.resume(tmp_path / "part", changes={"length": {"iterations": 3}}))
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))
    assert rows(whole.run.path / "values.jsonl") == rows(resumed.run.path / "values.jsonl")


def test_a_turn_that_got_no_answer_gets_none_anew(model: Path, tmp_path: Path) -> None:
    """Its prompt fills the model's context, or its episode's tokens are used up; others keep to the limit of their turn."""
    trainer = start(model, tmp_path, "run", "archer_q")
    asked = [turn([1, 2, 3], [7, 8], sampling=Sampling(max_tokens=2)), turn([1] * 1024, [], sampling=Sampling(max_tokens=4))]
    with trainer.run, trainer._sampler() as sampler:
        answered, silent = trainer.players(None, sampler).draw(asked, [0, 1])  # type: ignore[arg-type]
    assert 1 <= len(answered.ids) <= 2 and (silent.ids, silent.logprobs) == ((), ())
