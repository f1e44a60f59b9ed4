"""Two processes share an update: gradient, weights and metrics are those of one, and of a loop over tokens in float64."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.episodes import Table
from tests.trainers.learning.test_learner import VOCABULARY, batch_of_8
from trainers.learning.peers import Alone, peers

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def updated(out: Path, case: str, size: int) -> list[dict[str, Any]]:
    """What each of `size` processes came to."""
    common = {**os.environ, "PYTHONPATH": str(ROOT), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, "-m", "tests.trainers.learning.peers_worker", str(out), case]
    running = [subprocess.Popen(command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, cwd=ROOT) for rank in range(size)]
    assert [process.wait(120) for process in running] == [0] * size
    return [torch.load(out.with_suffix(f".{rank}"), weights_only=True) for rank in range(size)]


@pytest.mark.parametrize("case", ["many", "one", "bounded"])
def test_two_processes_take_the_step_of_one(tmp_path: Path, case: str) -> None:
    (alone,) = updated(tmp_path / "alone", case, 1)
    both = updated(tmp_path / "both", case, 2)
    for found in both:
        for gradient, expected in zip(found["gradients"], alone["gradients"], strict=True):
            assert float((gradient - expected).abs().max()) <= 1e-9
        assert float((found["weights"] - alone["weights"]).abs().max()) <= 1e-9
        for metrics, expected in zip(found["metrics"], alone["metrics"], strict=True):
            assert metrics == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert torch.equal(both[0]["weights"], both[1]["weights"]), "all processes hold the same weights, bit for bit"


def test_the_gradient_is_the_policy_gradient_of_the_text(tmp_path: Path) -> None:
    """∇ of −Σ A log π over all tokens and their number, from a loop over tokens: at the first step the ratio is 1."""
    table = Table(VOCABULARY, seed=1)
    many, advantages = batch_of_8(table)
    oracle = table.table.detach().double().requires_grad_()
    logprobs, loss, tokens = torch.log_softmax(oracle, -1), torch.zeros((), dtype=torch.float64), 0
    for x, a in zip(many, advantages, strict=True):
        for t, recorded in enumerate(x.turns):
            context = recorded.completion.prompt_ids[-1]
            for token in recorded.completion.action_ids:
                loss, tokens = loss - a[t] * logprobs[context, token], tokens + 1
                context = token
    (expected,) = torch.autograd.grad(loss / tokens, oracle)
    both = updated(tmp_path / "both", "many", 2)
    torch.testing.assert_close(both[1]["gradients"][0], expected, rtol=1e-5, atol=1e-8)


def test_a_loss_that_is_no_number_in_one_process_stops_all(tmp_path: Path) -> None:
    both = updated(tmp_path / "both", "diverges", 2)
    assert all("the loss is no finite number at optimiser step 0" in found["error"] for found in both)
    assert all(torch.equal(found["weights"], Table(VOCABULARY, seed=1).table.detach().double()) for found in both)


def test_a_process_that_nobody_started_with_others_is_alone() -> None:
    with peers({}) as group:
        assert isinstance(group, Alone) and group.gather(3) == [3] and group.share([1, 2]) == [1, 2]
