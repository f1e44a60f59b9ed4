"""Runs on the text twin: no browser is started, budgets in environment steps hold, and resuming is bitwise."""

import json
from pathlib import Path

import pytest
import torch

from trainers.config import resolve
from trainers.models.policy_model import PolicyModel
from trainers.runs.keys import merged
from trainers.runs.moved_keys import moved
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.evaluation.assessment import Assessment
from webgym.evaluation.statistics import report
from webgym.record.store import load
from webgym.types import Trajectory

SMALL = {
    "tasks": ("wizard.h3",), "prompts": {"history": 0, "errors": False}, "machine": {"backend": "text", "threads": 1},
    "rollout": {"groups": 4, "group_size": 2}, "length": {"iterations": 3, "minutes": 100}, "checkpoints": {"every": 1},
    "evaluation": {"seeds": 2}, "trackers": (),
    "optim": {"lr": 1e-3, "warmup_steps": 0, "final": 1.0},
}  # fmt: skip
GRPO = {"algorithm": {"negative": 1.0}}


def run(parent: Path, name: str, **changes: object) -> Trainer:
    trainer = Trainer.start(resolve(merged(SMALL, moved(changes)))[0], parent=parent, name=name)
    with trainer.run:
        trainer.train()
    return trainer


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.source.model.parameters()])


def test_a_run_without_a_browser(tmp_path, monkeypatch):
    monkeypatch.setattr("webgym.backends.browser.chromium.Chromium._launch", None)  # a browser that is asked for cannot start
    whole = run(tmp_path, "whole", **GRPO)
    rows = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text("utf-8").splitlines()]
    assert [row["iteration"] for row in rows if "rollout/success" in row] == [1, 2, 3]
    first = load(tmp_path / "whole/trajectories/iter-000001.jsonl")
    assert all(turn.completion.prompt.startswith("goal: ") for x in first for turn in x.turns)
    assert not any("done:" in turn.completion.prompt or "error:" in turn.completion.prompt for x in first for turn in x.turns)
    assert PolicyModel.load(tmp_path / "whole/checkpoints/iter-000003/policy").prompts.memoryless

    run(tmp_path, "cut", iterations=2, **GRPO)
    resumed = Trainer.resume(tmp_path / "cut", changes={"length": {"iterations": 3}})
    with resumed.run:
        resumed.train()
    assert torch.equal(weights(resumed), weights(whole))


def test_a_browser_changes_nothing_but_the_time_it_takes(tmp_path):
    settings = {"algo": "archer", "iterations": 2, "eval_seeds": 0, "sessions": 2}
    twin, real = (run(tmp_path, backend, backend=backend, **settings) for backend in ("text", "browser"))
    assert torch.equal(weights(twin), weights(real))
    for iteration in (1, 2):
        played, same = (load(tmp_path / folder / f"trajectories/iter-{iteration:06}.jsonl") for folder in ("text", "browser"))
        assert sum(len(x.turns) for x in played) > 8 and _told(played) == _told(same)


def _told(played: list[Trajectory]) -> list[list[tuple]]:
    return [[(t.completion, t.action, t.error, t.reward, t.observation_hash, t.state_hash) for t in x.turns] for x in played]


def test_a_budget_of_environment_steps_ends_the_run(tmp_path):
    trainer = run(tmp_path, "steps", iterations=50, steps=30, eval_seeds=0, **GRPO)
    rows = [json.loads(line) for line in (tmp_path / "steps/metrics.jsonl").read_text("utf-8").splitlines()]
    assert rows[-1]["rollout/turns_total"] >= 30 > (rows[-2]["rollout/turns_total"] if len(rows) > 1 else 0)
    assert trainer.done and trainer.iteration < 50


def test_a_pack_without_a_twin_is_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ConfigError, match="has no text twin"):
        Trainer.start(resolve({**SMALL, "tasks": ("miniwob.click-test",)})[0], parent=tmp_path)
    with pytest.raises(ConfigError, match="unknown prompt setting 'historic'; did you mean 'history'"):
        Trainer.start(resolve({**SMALL, "prompts": {"historic": 1}})[0], parent=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="has no text twin"):
        Assessment(("miniwob.click-test",), seeds=1, backend="text").of_model_free("random")


def test_evaluations_play_there_too():
    found = Assessment(("wizard.h6",), seeds=5, backend="text").of_model_free("oracle")
    assert (found.overall.success, found.overall.episodes) == (1.0, 5)
    assert report([]).overall.episodes == 0
