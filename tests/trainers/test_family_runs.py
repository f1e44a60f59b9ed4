"""Every algorithm in the whole loop on the text twin: it trains, it resumes bitwise, its critic's values are written for the viewer."""

import json
from pathlib import Path

import pytest
import torch

from trainers import algorithms
from trainers.config import resolve
from trainers.loop import METRICS, Trainer
from trainers.model import prepare
from trainers.policy import PolicyModel
from trainers.tiny import Shape, build_model, build_tokenizer
from webgym.prompt import COMPACT
from webgym.store import load

SMALL = {
    "tasks": ("wizard.h3",), "backend": "text", "prompts": {"history": 0, "errors": False}, "groups": 3, "group_size": 3, "iterations": 3,
    "checkpoint_every": 1, "eval_seeds": 0, "trackers": (), "minutes": 100, "threads": 1, "optim": {"lr": 1e-3}, "max_tokens": 4,
    "epochs": 1, "critic": {"warmup_iterations": 1}, "sessions": 2,
}  # fmt: skip
SETTINGS = {"reinforce": {"baseline": "value"}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes short actions at random."""
    tokenizer = build_tokenizer(["goal: click on the ok button.\npage:\nbutton ok #0\ndo:", "click #1"] * 8, vocab_size=1000)
    built = build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64))
    folder = tmp_path_factory.mktemp("model")
    PolicyModel(prepare(built), tokenizer, COMPACT).save(folder)  # type: ignore[arg-type]
    return folder


def start(model: Path, parent: Path, name: str, algo: str, **changes: object) -> Trainer:
    settings = {**SMALL, "model": str(model), "algo": algo, "algorithm": SETTINGS.get(algo, {}), **changes}
    return Trainer.start(resolve(settings)[0], parent=parent, name=name)


def finish(trainer: Trainer) -> Trainer:
    with trainer.run:
        trainer.train()
    return trainer


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def state(trainer: Trainer) -> list[torch.Tensor]:
    critic = [] if trainer.valuation is None else list(trainer.valuation.critic.parameters())
    return [p.detach() for p in [*trainer.source.model.parameters(), *critic]]


@pytest.mark.parametrize("algo", algorithms.names())
def test_every_algorithm_runs(algo: str, model: Path, tmp_path: Path) -> None:
    trainer = finish(start(model, tmp_path, "run", algo, iterations=2))
    metrics = [row for row in rows(trainer.run.path / "metrics.jsonl") if "rollout/success" in row]
    assert [row["iteration"] for row in metrics] == [1, 2]
    assert {name for row in metrics for name in row if "/" in name} <= METRICS.keys()
    if trainer.valuation is not None:
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
    resumed = finish(Trainer.resume(tmp_path / "part", changes={"iterations": 3}))
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))
    assert rows(whole.run.path / "values.jsonl") == rows(resumed.run.path / "values.jsonl")
