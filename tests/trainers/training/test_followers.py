"""A run whose update is shared by two processes, begun and resumed with other numbers of them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainers.text_runs import SMALL, finish, start, write_model
from trainers.config import merged
from trainers.models.policy_model import PolicyModel
from trainers.runs.run_folder import open_checkpoint
from webgym.record.store import load

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


PROGRAM = """
import json, sys
from trainers.config import resolve
from trainers.learning.peers import Group, peers
from trainers.training.followers import follow
from trainers.training.trainer import Trainer

what = json.loads(sys.argv[1])
with peers() as group:
    if isinstance(group, Group) and group.rank:
        follow(group)
    else:
        if "resume" in what:
            trainer = Trainer.resume(what["resume"], changes={"length": {"iterations": what["iterations"]}}, peers=group)
        else:
            trainer = Trainer.start(resolve(what["config"])[0], parent=what["parent"], name=what["name"], peers=group)
        with trainer.run:
            trainer.train()
"""


def run(size: int, **what: object) -> None:
    """Train in so many processes."""
    import json

    port = str(free_port())
    common = {**os.environ, "PYTHONPATH": str(ROOT), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-c", PROGRAM, json.dumps(what)]
    running = [subprocess.Popen(command, cwd=ROOT, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(size)]
    assert [process.wait(170) for process in running] == [0] * size


def weights(path: Path) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in PolicyModel.load(open_checkpoint(path).folder("policy")).model.parameters()])


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    changes = {"length": {"iterations": 2, "minutes": 100}, "update": {"token_budget": 64, "epochs": 1}}
    config = merged(SMALL, {"model": str(model), "algo": "grpo", **changes})
    alone = finish(start(model, tmp_path, "alone", "grpo", **changes))
    run(2, config=config, parent=str(tmp_path), name="both")
    first = [load(folder / "trajectories" / "iter-000001.jsonl") for folder in (tmp_path / "both", alone.run.path)]
    assert [x.key for x in first[0]] == [x.key for x in first[1]]
    start_of = torch.cat([p.detach().reshape(-1) for p in PolicyModel.load(model).model.parameters()])
    moved = float((weights(alone.run.path) - start_of).abs().max())
    assert moved > 1e-4 and float((weights(tmp_path / "both") - weights(alone.run.path)).abs().max()) < 0.1 * moved
    run(1, resume=str(tmp_path / "both"), iterations=3)
    run(2, resume=str(tmp_path / "both"), iterations=4)
    assert open_checkpoint(tmp_path / "both").iteration == 4
