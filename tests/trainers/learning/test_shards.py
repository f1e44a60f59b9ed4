"""Two processes that hold a part of each weight take the steps of one that holds all: in float64 to 1e-9, by gloo on the CPU."""

import multiprocessing
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tests.trainers.chat_model import chat_model
from tests.trainers.episodes import trajectory, turn
from trainers.batches.packing import idle, laid_out, pack, plan
from trainers.batches.rows import rows_of_all, streams_of
from trainers.critics.critic import Critic, HeadConfig
from trainers.critics.fit import CriticOptimizer, FitConfig, fit, predict
from trainers.learning import shards
from trainers.learning.learner import Learner, OptimConfig
from trainers.learning.losses import LossSpec
from trainers.learning.masters import held, pieces
from trainers.learning.peers import Alone, Group, Peers, Shards, computed, peers
from trainers.models.lora import LoraSettings, add_lora
from trainers.training.messages import forward_of
from webgym.errors import ConfigError, DivergenceError, Fault

STEPS = 3
CASES: dict[str, dict[str, Any]] = {
    "full": {},
    "one pack": {"budget": 10_000},
    "adapter": {"lora": True},
    "reference": {"spec": LossSpec(divisor="tokens", kl="k3", kl_coef=0.1)},
    "entropy": {"spec": LossSpec(divisor="turns", entropy_coef=0.01)},
    "bounded": {"optim": {"max_step_kl": 1e-5}},
    "first step": {"optim": {"first_step_kl": 10.0, "warmup_steps": 2}},
    "clipped": {"optim": {"grad_clip": 1e-3}},
    "tied": {"model": {"tie_word_embeddings": True}},
    "recomputed": {"recompute": True},
    "uneven": {"model": {"vocab_size": 259, "intermediate_size": 49}},
}


def episodes(count: int = 9, seed: int = 0) -> tuple[list[Any], list[np.ndarray]]:
    """Episodes of one or two turns of any tokens, with advantages."""
    rng = np.random.default_rng(seed)
    many = []
    for _ in range(count):
        sizes = rng.integers(2, 7, (rng.integers(1, 3), 2))
        many.append(trajectory([turn(rng.integers(0, 250, n).tolist(), rng.integers(0, 250, m).tolist()) for n, m in sizes]))
    return many, [rng.normal(size=len(x)) for x in many]


def policy(case: dict[str, Any]) -> nn.Module:
    model = chat_model(num_hidden_layers=3, **case.get("model", {}))
    if case.get("lora"):
        add_lora(model, LoraSettings(rank=3))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    if case.get("recompute"):
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model.double().train()


def whole_weights(model: nn.Module, group: Peers) -> dict[str, Tensor]:
    if not isinstance(group, Shards):
        return {name: x.detach().clone() for name, x in shards.weights_of(model).items()}
    return {name: x for layer in shards.gathered(model, group, shards.weights_of) for name, x in layer.items()}


def whole(tensors: Sequence[Tensor], group: Peers) -> list[Tensor]:
    return shards.whole_tensors(tensors, group) if isinstance(group, Shards) else [x.clone() for x in tensors]


def taken(case: dict[str, Any], group: Peers, out: Path) -> dict[str, Any]:
    """Some optimiser steps: gradients and weights, whole, metrics, and the numbers that this process holds."""
    model, spec = policy(case), case.get("spec", LossSpec(divisor="tokens"))
    forward = forward_of(model, 1.0, None)
    if isinstance(group, Shards):
        shards.shard(model, group, "cpu")
        forward = shards.passes_of(model, forward)
    many, advantages = episodes()
    rows, streams = rows_of_all(many), streams_of(many, advantages, [np.ones(len(x)) for x in many])
    if spec.kl:
        batches = pack(rows, 20)
        found = computed(lambda batch: forward(batch)[0], batches, group)
        streams = replace(streams, reference_logprob=laid_out(rows, batches, found, [len(x) for x in streams.weight]))
    steps = plan(rows, streams, case.get("budget", 25))
    gradients: list[list[Tensor]] = []
    clip = group.clip

    def seen(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        gradients.append(whole([p.grad for p in parameters if p.grad is not None], group))
        return clip(parameters, most)

    group.clip = seen  # type: ignore[method-assign]
    config = OptimConfig(**{"lr": 1e-3, **case.get("optim", {})})
    learner = Learner(model.parameters(), forward, config, failed_batch=out / "failed", peers=group)
    metrics = [learner.update(steps, spec) for _ in range(STEPS)]
    moments = learner.state_dict()["optimiser"]["state"].values()
    return {
        "packs": len(steps[0].batches),
        "gradients": gradients,
        "weights": whole_weights(model, group),
        "metrics": metrics,
        "held": sum(held(p).numel() for p in model.parameters()),
        "moments": sum(x.numel() for entry in moments for name, x in entry.items() if name != "step"),
    }


CRITICS = {
    "copy": HeadConfig(loss="bce"),
    "copy, mean": HeadConfig(loss="mse", readout="mean"),
    "trunk": HeadConfig(backbone="trunk", loss="hl-gauss"),
    "shared trunk": HeadConfig(backbone="trunk", trunk_lr=0.5, loss="mse"),
    "bigrams": HeadConfig(backbone="bigrams", buckets=64),
}


def fitted(name: str, group: Peers, out: Path) -> dict[str, Any]:
    """Two fits of a critic: values before and after, losses, and all trained weights."""
    model = policy({})
    critic = Critic(model.get_decoder(), CRITICS[name]).double()  # type: ignore[operator]
    if isinstance(group, Shards):
        if CRITICS[name].backbone in ("trunk",):
            shards.shard(model, group, "cpu")
            critic.through = shards.through(model)
        shards.shard(critic, group, "cpu")
    critic.set_bias(0.4)
    many, _ = episodes()
    rows = rows_of_all(many)
    targets = np.random.default_rng(1).uniform(size=sum(len(x) for x in many))
    targets[1] = np.nan
    optimizer = CriticOptimizer(critic, FitConfig(epochs=2, lr=1e-3, turns_per_step=6))
    packed = partial(pack, token_budget=20)
    before = predict(critic, packed(rows), len(targets), group)
    report = fit(critic, rows, targets, optimizer, packed, measured=False, peers=group)
    with optimizer.averaged():
        after = predict(critic, packed(rows), len(targets), group)
    state = optimizer.state_dict()
    return {
        "values": [before, after],
        "loss": report.loss,
        "weights": [x.detach() for x in whole(optimizer.masters.parameters, group)],
        "newest": whole(state["newest"], group),
        "steps": report.steps,
        "held": sum(p.numel() for p in optimizer.masters.parameters),
    }


def published(group: Shards) -> dict[str, Any]:
    """The sizes of all messages, and of what is whole at a time, where weights and moments are gathered."""
    model = policy({})
    layers = [sum(p.numel() for p in x.parameters()) for x in shards.blocks_of(model)]
    layers.append(sum(p.numel() for p in model.parameters()) - sum(layers))
    parameters = [p.numel() for p in model.parameters()]
    shards.shard(model, group, "cpu")
    learner = Learner(
        model.parameters(), shards.passes_of(model, forward_of(model, 1.0, None)), OptimConfig(), failed_batch=Path("no"), peers=group
    )
    many, advantages = episodes()
    streams = streams_of(many, advantages, [np.ones(len(x)) for x in many])
    learner.update(plan(rows_of_all(many), streams, 25), LossSpec(divisor="tokens"))
    sent: list[int] = []
    at_once: list[int] = []
    gather, collect = dist.all_gather_single, group.collect

    def counted(output: Tensor, *arguments: Any, **settings: Any) -> Any:
        sent.append(output.numel())
        return gather(output, *arguments, **settings)

    def collected(value: Any) -> Any:
        found = collect(value)
        sent.extend(sum(x[name].numel() for x in found) for name in found[0]) if found else None
        return found

    def read(layer: nn.Module) -> dict[str, Tensor]:
        at_once.append(sum(p.numel() for p in model.parameters() if not isinstance(p, DTensor)))
        return shards.weights_of(layer)

    dist.all_gather_single, group.collect = counted, collected  # type: ignore[method-assign]
    found = [sum(x.numel() for x in layer.values()) for layer in shards.gathered(model, group, read)]
    weights, sent[:] = list(sent), []
    shards.whole_state(learner.state_dict()["optimiser"], group)
    dist.all_gather_single = gather
    left = sum(not isinstance(p, DTensor) for p in model.parameters())
    return {
        "layers": layers,
        "parameters": parameters,
        "found": found,
        "weights": weights,
        "moments": sent,
        "at_once": at_once,
        "left": left,
    }


def diverging(group: Shards, out: Path) -> str:
    """The error of a step in which one pack has no finite loss."""
    model = policy({})
    shards.shard(model, group, "cpu")
    before = whole_weights(model, group)
    forward = shards.passes_of(model, forward_of(model, 1.0, None))
    learner = Learner(model.parameters(), forward, OptimConfig(), failed_batch=out / f"failed-{group.rank}", peers=group)
    many, advantages = episodes()
    advantages[3][:] = float("nan")
    streams = streams_of(many, advantages, [np.ones(len(x)) for x in many])
    with pytest.raises(DivergenceError) as error:
        learner.update(plan(rows_of_all(many), streams, 25), LossSpec(divisor="tokens"))
    assert all(torch.equal(x, before[name]) for name, x in whole_weights(model, group).items())
    return str(error.value)


def left_alone(group: Shards, out: Path) -> str:
    """What the first process says when the other one is gone in the middle of a step."""
    model = policy({})
    shards.shard(model, group, "cpu")
    forward = shards.passes_of(model, forward_of(model, 1.0, None))
    if group.rank:
        forward(idle())
        (out / "of-1").write_bytes((out / "nothing").read_bytes())
        os._exit(0)
    learner = Learner(model.parameters(), forward, OptimConfig(), failed_batch=out / "failed", peers=group)
    many, advantages = episodes()
    streams = streams_of(many, advantages, [np.ones(len(x)) for x in many])
    with pytest.raises(Fault) as error:
        learner.update(plan(rows_of_all(many), streams, 25), LossSpec(divisor="tokens"))
    return str(error.value)


def failing(group: Shards, out: Path) -> str:
    """What the others say when the first process fails in the middle of a call: it cannot tell them any more."""
    model = policy({})
    shards.shard(model, group, "cpu")
    layers = shards.gathered(model, group, shards.weights_of)
    next(layers)
    if group.rank == 0:
        with pytest.raises(OSError, match="the disk is full"), group.in_step():
            raise OSError("the disk is full")
        group.tell("the end")
        return "failed"
    with pytest.raises(Fault) as error:
        list(layers)
        group.hear()
    return str(error.value)


def in_processes(size: int, work: Any, out: Path) -> list[Any]:
    """The results of `work(peers, out)` in so many processes with shards."""
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]

    def run(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        with peers() as group:
            assert isinstance(group, Group)
            torch.save(work(group.sharded(), out), out / f"of-{rank}")

    running = [multiprocessing.get_context("fork").Process(target=run, args=(rank,)) for rank in range(size)]
    for process in running:
        process.start()
    for process in running:
        process.join(500)
    assert [process.exitcode for process in running] == [0] * size
    return [torch.load(out / f"of-{rank}", weights_only=False) for rank in range(size)]


def everything(group: Peers, out: Path) -> dict[str, Any]:
    return {case: taken(CASES[case], group, out) for case in CASES} | {name: fitted(name, group, out) for name in CRITICS}


def everything_of_two(group: Shards, out: Path) -> dict[str, Any]:
    return everything(group, out) | {"published": published(group.sharded()), "diverging": diverging(group, out)}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What one process finds, and what each of two finds."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("shards")
    both = in_processes(2, everything_of_two, out)
    return everything(Alone(), out), both


def apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest number."""
    return float((found - expected).abs().max()) / max(1e-30, float(expected.abs().max()))


@pytest.mark.parametrize("case", CASES)
def test_two_processes_take_the_steps_of_one(results: Any, case: str) -> None:
    alone, (first, second) = results[0][case], (x[case] for x in results[1])
    assert alone["packs"] % 2 == 1, "one process has a pass less, or none"
    for gradients, expected in zip(first["gradients"], alone["gradients"], strict=True):
        assert len(gradients) == len(expected) and max(map(apart, gradients, expected)) <= 1e-9
    assert first["weights"].keys() == alone["weights"].keys()
    assert max(apart(x, alone["weights"][name]) for name, x in first["weights"].items()) <= 1e-9
    start = shards.weights_of(policy(CASES[case]))
    assert max(apart(x, start[name].detach()) for name, x in alone["weights"].items()) > 1e-6, "something was learned"
    for metrics, other, expected in zip(first["metrics"], second["metrics"], alone["metrics"], strict=True):
        assert metrics == other == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_each_process_holds_half(results: Any, case: str) -> None:
    alone, both = results[0][case], [x[case] for x in results[1]]
    for what in ("held", "moments"):
        assert sum(x[what] for x in both) == alone[what]
        assert all(0.4 < x[what] / alone[what] < 0.6 for x in both), [x[what] for x in both]


@pytest.mark.parametrize("name", CRITICS)
def test_two_processes_fit_the_critic_of_one(results: Any, name: str) -> None:
    alone, (first, second) = results[0][name], (x[name] for x in results[1])
    for found in (first, second):
        for values, expected in zip(found["values"], alone["values"], strict=True):
            np.testing.assert_allclose(values, expected, rtol=1e-9)
        assert found["loss"] == pytest.approx(alone["loss"], rel=1e-9) and found["steps"] == alone["steps"] > 3
    for what in ("weights", "newest"):
        assert len(first[what]) == len(alone[what]) and max(map(apart, first[what], alone[what])) <= 1e-9
    assert first["held"] + second["held"] == alone["held"] and first["held"] < 0.75 * alone["held"]


def test_no_more_than_a_layer_is_gathered_at_a_time(results: Any) -> None:
    first, second = (x["published"] for x in results[1])
    largest, padding = max(first["layers"]), 2 * len(first["parameters"])
    assert sorted(first["layers"]) == sorted(first["found"]) and sum(second["found"]) == 0, (
        "the first process gets each layer, the other nothing"
    )
    assert 2 * largest < sum(first["layers"]), "a layer is less than half of the model"
    for found in (first, second):
        assert len(found["weights"]) == len(found["layers"]) and max(found["weights"]) <= largest + padding
        assert found["left"] == 0, "every layer is freed again"
    assert max(first["at_once"]) == largest
    assert max(first["moments"]) == max(first["parameters"]) and sum(first["moments"]) > 2 * sum(first["parameters"])


def test_a_loss_that_is_no_number_in_one_process_stops_all(results: Any) -> None:
    assert all("the loss is no finite number at optimiser step 0" in x["diverging"] for x in results[1])


def test_a_process_that_is_lost_ends_the_other_in_a_sentence(tmp_path: Path) -> None:
    torch.save("", tmp_path / "nothing")
    first, _ = in_processes(2, left_alone, tmp_path)
    assert first.startswith("another process of the update was lost") and "--resume" in first


def test_a_first_process_that_fails_in_the_middle_of_a_call_ends_the_others(tmp_path: Path) -> None:
    first, second = in_processes(2, failing, tmp_path)
    assert first == "failed" and second.startswith("another process of the update was lost")


def test_a_model_that_does_not_name_its_blocks_is_refused() -> None:
    model = chat_model()
    model._no_split_modules = []
    model.model._no_split_modules = []
    with pytest.raises(ConfigError, match="does not say which its blocks are"):
        shards.blocks_of(model)
    model = chat_model()
    model.model.gate = nn.Parameter(torch.zeros(()))
    with pytest.raises(ConfigError, match="shards parameters by rows"):
        shards.blocks_of(model)


def test_pieces_are_the_rows_that_torch_gives_each_process() -> None:
    assert [x.tolist() for x in pieces(torch.arange(5), 4)] == [[0, 1], [2, 3], [4], []]
    assert torch.equal(torch.cat(pieces(torch.arange(14).reshape(7, 2), 3)), torch.arange(14).reshape(7, 2))
