"""A run whose update is shared by two processes, begun and resumed with other numbers of them."""

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.text_runs import SMALL, write_model
from trainers.config import merged, resolve
from trainers.learning.peers import Group, peers
from trainers.models.policy_model import PolicyModel
from trainers.runs.run_folder import open_checkpoint
from trainers.training.followers import follow
from trainers.training.trainer import Trainer
from webgym.record.store import load


def worker(rank: int, size: int, port: int, what: dict[str, Any]) -> None:
    """One process of a run: the first one trains, the others follow."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with peers() as group:
        if isinstance(group, Group) and group.rank:
            follow(group)
            return
        if "resume" in what:
            trainer = Trainer.resume(
                what["resume"], changes={"length": {"iterations": what["iterations"]}, **what.get("changes", {})}, peers=group
            )
        else:
            trainer = Trainer.start(resolve(what["config"])[0], parent=what["parent"], name=what["name"], peers=group)
        with trainer.run:
            trainer.train()


def run(size: int, **what: Any) -> None:
    """Train in so many processes."""
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    running = [multiprocessing.get_context("fork").Process(target=worker, args=(rank, size, port, what)) for rank in range(size)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * size


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in PolicyModel.load(folder).model.parameters()])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    changes = {"length": {"iterations": 2, "minutes": 100}, "update": {"token_budget": 64, "epochs": 1}}
    config = merged(SMALL, {"model": str(model), "algo": "reinforce", "algorithm": {"loss": {"entropy_coef": 0.01}}, **changes})
    for size, name in ((1, "alone"), (2, "both")):
        run(size, config=config, parent=str(tmp_path), name=name)
    first = [[x.key for x in load(tmp_path / name / "trajectories" / "iter-000001.jsonl")] for name in ("alone", "both")]
    assert first[0] == first[1]
    alone, both = (weights(open_checkpoint(tmp_path / name).folder("policy")) for name in ("alone", "both"))
    moved = float((alone - weights(model)).abs().max())
    assert moved > 1e-4 and float((both - alone).abs().max()) < 0.1 * moved
    run(1, resume=str(tmp_path / "both"), iterations=3)
    run(2, resume=str(tmp_path / "both"), iterations=4)
    assert open_checkpoint(tmp_path / "both").iteration == 4
