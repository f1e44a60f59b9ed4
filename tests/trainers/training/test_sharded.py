"""Runs with sharded weights on two processes: begun, resumed bit for bit, and gone on with by other numbers of processes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.text_runs import SMALL, timeless, write_model
from tests.trainers.training.test_followers import run
from trainers.config import merged, resolve
from trainers.models.policy_model import PolicyModel
from trainers.runs.run_folder import open_checkpoint
from trainers.training.sharded import check_shards, update_of

SHARD = {"machine": {"shard": True}}
PPO = {"algo": "ppo", "algorithm": {"loss": {"kl": "k3", "kl_coef": 0.05}}, "update": {"token_budget": 64}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def config(model: Path, *changes: dict[str, Any], iterations: int = 2) -> dict[str, Any]:
    found = merged(SMALL, {"model": str(model), "length": {"iterations": iterations}})
    for change in changes:
        found = merged(found, change)
    return found


def weights(run: Path, part: str = "policy") -> dict[str, torch.Tensor]:
    """All that a checkpoint's folder holds, and the moments of its optimiser."""
    from safetensors.torch import load_file

    folder = open_checkpoint(run).folder(part)
    return {f"{file.parent.name}.{name}": x for file in folder.rglob("*.safetensors") for name, x in load_file(file).items()}


def test_a_resumed_run_is_the_run_that_was_not_interrupted(model: Path, tmp_path: Path) -> None:
    settings = config(model, SHARD, PPO, iterations=3)
    run(2, config=settings, parent=str(tmp_path), name="whole")
    run(2, config=merged(settings, {"length": {"iterations": 2}}), parent=str(tmp_path), name="parts")
    run(2, resume=str(tmp_path / "parts"), iterations=3)
    assert timeless(tmp_path / "parts" / "metrics.jsonl") == timeless(tmp_path / "whole" / "metrics.jsonl")
    for part in ("policy", "critic"):
        found, expected = weights(tmp_path / "parts", part), weights(tmp_path / "whole", part)
        assert found.keys() == expected.keys() and all(torch.equal(x, expected[name]) for name, x in found.items())
