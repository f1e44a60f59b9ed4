"""A run whose update is shared by two processes, begun and resumed with other numbers of them."""

import multiprocessing
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.text_runs import SMALL, write_model
from trainers.config import resolve
from trainers.learning import learner
from trainers.learning.peers import Group, peers
from trainers.models.policy_model import PolicyModel
from trainers.runs.keys import merged
from trainers.runs.run_folder import open_checkpoint
from trainers.training.followers import follow
from trainers.training.trainer import Trainer
from webgym.errors import WebGymError
from webgym.record.store import load


def worker(rank: int, size: int, port: int, what: dict[str, Any]) -> None:
    """One process of a run: the first one trains, the others follow."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if rank == what.get("fails"):
        learner.token_losses = full_memory  # type: ignore[assignment]
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


def full_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def ending(rank: int, size: int, port: int, what: dict[str, Any]) -> None:
    """A process of a run that writes down how it ends."""
    try:
        worker(rank, size, port, what)
        words = "well"
    except WebGymError as error:
        words = str(error)
    Path(what["parent"], f"end-{rank}").write_text(words, "utf-8")


def started(size: int, work: Any, what: dict[str, Any]) -> list[multiprocessing.context.ForkProcess]:
    """So many processes of a run."""
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    running = [multiprocessing.get_context("fork").Process(target=work, args=(rank, size, port, what)) for rank in range(size)]
    for process in running:
        process.start()
    return running


def run(size: int, **what: Any) -> None:
    """Train in so many processes."""
    running = started(size, worker, what)
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


def test_the_command_that_is_told_works_in_an_installation_too() -> None:
    """There the command line lies in the package, and no module `cli` at the top."""
    root = Path(__file__).parents[3]
    files = [root / "cli.py", *root.glob("docs/*.md"), *root.glob("trainers/**/*.py"), *root.glob("webgym/**/*.py")]
    told = [x for file in files for x in re.findall(r"torchrun[^`]*?-m (\w+)", file.read_text("utf-8"))]
    assert len(told) >= 5 and set(told) == {"webgym"}


@pytest.mark.parametrize("shard", [False, True])
@pytest.mark.parametrize("fails", [0, 1])
def test_a_process_that_fails_in_the_middle_of_a_step_leaves_no_other_waiting(tmp_path: Path, fails: int, shard: bool) -> None:
    changes = {"length": {"iterations": 1}, "update": {"token_budget": 64}, "machine": {"shard": shard}}
    learned = {"algo": "reinforce", "algorithm": {"loss": {"entropy_coef": 0.01}}}
    config = merged(SMALL, {"model": str(write_model(tmp_path / "model")), **learned, **changes})
    running = started(2, ending, {"config": config, "parent": str(tmp_path), "name": "run", "fails": fails})
    try:
        for process in running:
            process.join(60)
        assert [process.exitcode for process in running] == [0, 0], "both ended"
    finally:
        for process in running:
            process.kill()
    words = [(tmp_path / f"end-{rank}").read_text("utf-8") for rank in range(2)]
    assert words[fails].startswith("the memory of cpu is full (CUDA out of memory. Tried to allocate 2.00 GiB): go on with --resume and")
    assert words[1 - fails].startswith("another process of the update was lost (")
    assert words[1 - fails].endswith("): go on from the last checkpoint with --resume")
