"""Two processes share an update: gradient, weights and metrics are those of one, and of a loop over tokens in float64."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.episodes import Table
from tests.trainers.learning.test_learner import VOCABULARY, batch_of_8, steps_of
from trainers.learning import peers as processes
from trainers.learning.learner import Learner, OptimConfig
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Alone, Group, lost, peers
from webgym.errors import ConfigError, DivergenceError, Fault

BUDGETS = {"many": 1, "one": 10_000, "bounded": 1, "diverges": 1}


def worker(rank: int, size: int, port: int, out: Path, case: str) -> None:
    """One process of an update in float64: three optimiser steps; gradients, weights and metrics go to a file."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with peers() as group:
        table = Table(VOCABULARY, seed=1)
        many, advantages = batch_of_8(table)
        if case == "diverges":
            advantages[0][:] = float("nan")  # in a micro-batch of one process only
        table = table.double()
        (step,) = steps_of(many, advantages, BUDGETS[case])
        gradients: list[torch.Tensor] = []
        clip = torch.nn.utils.clip_grad_norm_

        def seen(parameters, most):
            gradients.append(table.table.grad.clone())
            return clip(parameters, most)

        torch.nn.utils.clip_grad_norm_ = seen
        config = OptimConfig(lr=0.1, max_step_kl=0.01 if case == "bounded" else None)
        learner = Learner(table.parameters(), table, config, failed_batch=out.with_suffix(f".failed{rank}"), peers=group)
        spec, error, metrics = LossSpec(divisor="tokens"), "", []
        try:
            metrics = [learner.update([step], spec) for _ in range(3)]
        except DivergenceError as diverged:
            error = str(diverged)
        kept = {"gradients": gradients, "weights": table.table.detach(), "metrics": metrics, "error": error}
        torch.save(kept, out.with_suffix(f".{rank}"))


def updated(out: Path, case: str, size: int) -> list[dict[str, Any]]:
    """The results of each of `size` processes."""
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    running = [multiprocessing.get_context("fork").Process(target=worker, args=(rank, size, port, out, case)) for rank in range(size)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * size
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


# --- processes that end, or stand still ----------------------------------------------------------------------------------


def in_two(work: Callable[[Group, Path], str], out: Path, limit_s: float = 30.0) -> list[str]:
    """What `work` returns or says as a Fault in each of two processes; "" for one that did not end by itself."""
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]

    def run(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        try:
            with peers() as group:
                assert isinstance(group, Group)
                words = work(group, out)
        except Fault as fault:
            words = str(fault)
        (out / f"words-{rank}").write_text(words, "utf-8")

    running = [multiprocessing.get_context("fork").Process(target=run, args=(rank,)) for rank in range(2)]
    ends = time.monotonic() + limit_s
    for process in running:
        process.start()
    for process in running:
        process.join(max(0.0, ends - time.monotonic()))
        process.kill()
    files = [out / f"words-{rank}" for rank in range(2)]
    return [file.read_text("utf-8") if file.is_file() else "" for file in files]


def interrupted(group: Group, out: Path) -> str:
    """Rank 0 is stopped by Ctrl-C between the calls of a message."""
    if group.rank:
        return str(group.hear())
    processes.dist.broadcast_object_list = interrupt  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        group.tell("begin")
    group.tell("end")
    return "told"


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_message_that_is_cut_off_leaves_nobody_waiting(tmp_path: Path) -> None:
    first, second = in_two(interrupted, tmp_path)
    assert first == "told" and second.startswith("another process of the update was lost (")


def stands_still(group: Group, out: Path) -> str:
    """Rank 1 is stopped when both have heard of each other."""
    group.gather(0)
    if group.rank:
        os.kill(os.getpid(), signal.SIGSTOP)
    group.gather(1)
    return "well"


def test_a_process_that_stands_still_in_a_step_is_lost_after_some_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STEP", timedelta(seconds=3))
    first, second = in_two(stands_still, tmp_path, 15.0)
    assert first.startswith("another process of the update was lost (") and second == ""


def collects(group: Group, out: Path) -> str:
    """Rank 0 takes longer than a step may before it speaks."""
    if group.rank:
        return str(group.hear())
    time.sleep(6.0)
    group.tell("a batch")
    return "told"


def test_the_others_wait_for_a_batch_longer_than_in_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STEP", timedelta(seconds=3))
    assert in_two(collects, tmp_path) == ["told", "a batch"]


PLACE = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORLD_SIZE", "two"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", ""), ("RANK", None), ("RANK", "2"), ("RANK", "-1"), ("RANK", "x"),
     ("MASTER_ADDR", None), ("MASTER_PORT", None), ("MASTER_PORT", "70000")],
)  # fmt: skip
def test_a_place_among_processes_that_cannot_be_is_refused_in_one_sentence(name: str, value: str | None) -> None:
    environ = {**PLACE, name: value} if value is not None else {key: x for key, x in PLACE.items() if key != name}
    with pytest.raises(ConfigError, match=f"^expected {name} to be .*, got '{value or ''}': start all processes together"), peers(environ):
        pass


def test_processes_that_do_not_meet_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**PLACE, "RANK": "1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(processes, "STEP", timedelta(seconds=1))
    with pytest.raises(Fault, match=r"^the 2 processes of the update did not meet at 127\.0\.0\.1:1 \("), peers():
        pass


def test_a_full_memory_of_this_process_is_no_lost_one() -> None:
    with pytest.raises(torch.OutOfMemoryError), lost():
        raise torch.OutOfMemoryError("CUDA out of memory")
