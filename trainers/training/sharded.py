"""Updates with sharded weights (`machine.shard=true`): all processes hold the same parts of a run and call the same methods together.

A forward pass gathers weights from all processes (:mod:`trainers.learning.shards`), so no process can make one alone. The first process is
the run. Before it calls a method of the policy's update or of the critic that computes with weights, it tells the others, which call the
same method with the same arguments. All that such a method decides is a function of its arguments, so that they stay in step.

Everything begins whole in each process, on the CPU, and is sharded before the first iteration: weights are those of the first process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainers import algorithms
from trainers.batches.packing import PackedBatch, Step, pack, unpack
from trainers.batches.rows import Row
from trainers.config import TrainConfig, resolve
from trainers.critics.valuer import Best, Draw, Through, Valued, Valuer
from trainers.learning.learner import Forward
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Group as Processes
from trainers.learning.peers import Peers, Shards, computed
from trainers.learning.shards import (
    dealt_state,
    dealt_tensors,
    gathered,
    gathered_adapter,
    is_sharded,
    passes_of,
    shard,
    through,
    weights_of,
    whole_state,
    whole_tensors,
)
from trainers.models.lora import has_lora, plain_state, stays_beside
from trainers.models.policy_model import PolicyModel
from trainers.samplers import registry as samplers
from trainers.samplers.sampler import Generated
from trainers.training.begin import valuer_of
from trainers.training.messages import Begin, Drawn, End, Together
from trainers.training.update import PolicyUpdate
from webgym.errors import ConfigError
from webgym.prompts.settings import PromptSettings
from webgym.types import Group, Trajectory, Turn


def check_shards(config: TrainConfig, peers: Peers) -> None:
    """Raises ConfigError where weights are to be sharded, and there is one process or something that needs them whole."""
    if not config.machine.shard:
        return
    if peers.size == 1:
        raise ConfigError(
            "machine.shard=true shares the weights out among processes, and there is one: start several with `torchrun --nproc-per-node 2 "
            "-m webgym train ...`, or set machine.shard=false"
        )
    algorithm, algorithm_config = algorithms.get(config.algo), resolve(config.model_dump())[1]
    if algorithm.practice(algorithm_config).best_of > 1:
        raise ConfigError(
            f"machine.shard=true cannot go with {algorithm.name}, whose sessions ask the critic for values at any time, and one process "
            "alone cannot answer: leave it out"
        )
    if config.machine.device != "cpu" and samplers.get(config.sampler.kind).as_learner:
        raise ConfigError(
            f"machine.shard=true with sampler.kind={config.sampler.kind} would put the whole policy on the first GPU: take "
            "sampler.kind=openai"
        )
    if config.machine.device != "cpu" and config.sampler.options.get("transport") == "nccl":
        raise ConfigError(
            "machine.shard=true publishes weights from the CPU's memory, and sampler.transport=nccl sends them from a GPU: take "
            "sampler.transport=file or adapter"
        )
    if algorithm.needs_values(algorithm_config) not in ("turn", "token"):
        return
    if config.critic.values_from == "cross_fit":
        raise ConfigError(
            "machine.shard=true cannot go with critic.values_from=cross_fit, which copies the whole critic for each fold: take earlier"
        )
    if config.critic.head.backbone == "adapter":
        raise ConfigError(
            "machine.shard=true cannot go with critic.head.backbone=adapter, whose matrices work inside the policy's layers: take copy or "
            "trunk"
        )


def update_kind(config: TrainConfig, peers: Peers) -> tuple[type[PolicyUpdate], Peers]:
    """The class of a run's update, with whole weights or sharded ones, and its peers. Raises ConfigError where they cannot be sharded."""
    check_shards(config, peers)
    return (ShardedUpdate, cast(Processes, peers).sharded()) if config.machine.shard else (PolicyUpdate, peers)


class ShardedUpdate(PolicyUpdate):
    """The policy's update where each process holds a part of the policy, the reference and the optimiser.

    Methods named `all_...` are called by all processes together; the others belong to the first one.
    """

    _peers: Shards

    # --- the first process ---------------------------------------------------------------------------------------------------

    def shard(self, valuer: Valuer | None) -> Valuer | None:
        """Shard policy, reference, optimiser and critic; returns a valuer that all processes call together."""
        self._peers.tell(Together("update", "all_shard", ()))
        with self._peers.in_step():
            self.all_shard(valuer)
        return None if valuer is None else SharedValuer(valuer, self._peers)

    def served(self) -> nn.Module | Mapping[str, Tensor]:
        """The weights that a sampler's copy of the policy takes over, gathered a layer at a time on the CPU."""
        return self.served_state()

    def served_state(self) -> dict[str, Tensor]:
        """The same weights, as they are now."""
        return self._together("all_served")

    def save(self, folder: Path) -> None:
        """Write the policy's folder of a checkpoint, a layer at a time."""
        self._together("all_save", str(folder))

    def learner_state(self) -> dict[str, Any]:
        """The learner's whole state, gathered a parameter at a time."""
        return self._together("all_learner_state")

    def _taken(self, steps: Sequence[Step], done: float) -> dict[str, float]:
        return self._together("all_take", steps, self._spec, done)

    def _scored(self, batches: Sequence[PackedBatch]) -> list[Tensor]:
        return self._together("all_score", batches, False)

    def _reference_logprobs(self, rows: Sequence[Row], trajectories: int) -> list[np.ndarray]:
        batches = pack(rows, self._config.update.token_budget)
        return unpack(batches, self._together("all_score", batches, True), trajectories)

    def _together(self, method: str, *arguments: Any) -> Any:
        self._peers.tell(Together("update", method, arguments))
        with self._peers.in_step():
            return getattr(self, method)(*arguments)

    # --- all processes -------------------------------------------------------------------------------------------------------

    def all_shard(self, valuer: Valuer | None) -> None:
        """Leave each process its part of what the first one holds."""
        model, peers, state = self._source.model, self._peers, self.learner.state_dict()
        for whole in (model, self._reference):
            if whole is not None:
                shard(whole, peers, self._config.machine.device)
        self._forward = self._forward_of(model)
        self.learner = self._new_learner()
        optimiser, masters = dealt_state(state["optimiser"], peers), dealt_tensors(state["masters"], peers)
        self.learner.load_state_dict({"steps": peers.alike(state["steps"]), "optimiser": optimiser, "masters": masters})
        if valuer is not None:
            valuer.shard(peers, through(model))

    def all_take(self, steps: Sequence[Step], spec: LossSpec, done: float) -> dict[str, float]:
        """Take optimiser steps (:meth:`trainers.learning.learner.Learner.update`)."""
        self._source.model.train()
        return self.learner.update(steps, spec, done)

    @torch.no_grad()
    def all_score(self, batches: Sequence[PackedBatch], of_reference: bool) -> list[Tensor]:
        """log π of the sampled tokens of each batch, [A], under the policy or the reference."""
        model: Any = self._reference if of_reference else self._source.model
        if not of_reference:
            model.train()
        forward, device = self._forward_of(model), self._config.machine.device
        return computed(lambda batch: forward(batch.to(device))[0].cpu(), batches, self._peers)

    def all_served(self) -> dict[str, Tensor]:
        """The weights that a sampler takes over, in the first process: the adapter alone where a sampler wants that, else all."""
        model, transport = self._source.model, self._config.sampler.options.get("transport")
        if has_lora(model) and (stays_beside(model) or transport == "adapter"):
            return gathered_adapter(model, self._peers)

        def read(layer: nn.Module) -> Mapping[str, Tensor]:
            return plain_state(layer, {name: x for name, x in weights_of(layer).items() if not isinstance(x, DTensor)})

        return {name: x for layer in gathered(model, self._peers, read) for name, x in layer.items()}

    def all_save(self, folder: str) -> None:
        """Write the policy's folder in the first process."""
        model, peers = self._source.model, self._peers
        layers = iter([gathered_adapter(model, peers)]) if has_lora(model) else gathered(model, peers, partial(weights_of, tied=False))
        self._source.save_layers(layers, Path(folder)) if peers.rank == 0 else list(layers)

    def all_learner_state(self) -> dict[str, Any]:
        """The learner's whole state in the first process."""
        state, peers = self.learner.state_dict(), self._peers
        return {**state, "optimiser": whole_state(state["optimiser"], peers), "masters": whole_tensors(state["masters"], peers)}

    def _forward_of(self, model: Any) -> Forward:
        forward = super()._forward_of(model)
        return passes_of(model, forward) if is_sharded(model) else forward


class SharedValuer(Valuer):
    """The valuer of the first process, whose methods all processes call together."""

    def __init__(self, own: Valuer, peers: Shards) -> None:
        self._own, self._peers = own, peers

    @property
    def critic(self) -> nn.Module:
        return self._own.critic

    @property
    def best(self) -> Best | None:
        """None: no process can compare actions alone."""
        return None

    def values_and_fit(
        self, groups: Sequence[Group], trajectories: Sequence[Trajectory], rows: Sequence[Row], iteration: int, draw: Draw
    ) -> Valued:
        """Values of a batch and the fit to it; the others are told what the sampler draws on the way."""

        def drawn(turns: Sequence[Turn], seeds: Sequence[int]) -> list[Generated]:
            results = draw(turns, seeds)
            self._peers.tell(Drawn(results))
            return results

        arguments = (groups, trajectories, rows, iteration)
        self._peers.tell(Together("valuer", "values_and_fit", arguments))
        with self._peers.in_step():
            return self._own.values_and_fit(*arguments, drawn)

    def turn_values(self, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
        return self._together("turn_values", trajectories)

    def save(self, folder: Path) -> None:
        self._together("save", folder)

    def state_dict(self) -> dict[str, Any]:
        return self._together("state_dict")

    def start_from(self, critic: nn.Module) -> None:
        raise RuntimeError("a critic is given before it is sharded")

    def restore(self, folder: Path, state: dict[str, Any]) -> None:
        raise RuntimeError("a critic is restored before it is sharded")

    def shard(self, peers: Shards, through: Through) -> None:
        raise RuntimeError("the critic is sharded already")

    def _together(self, method: str, *arguments: Any) -> Any:
        self._peers.tell(Together("valuer", method, arguments))
        with self._peers.in_step():
            return getattr(self._own, method)(*arguments)


def follow_shards(peers: Shards, begin: Begin, config: TrainConfig, source: PolicyModel) -> None:
    """Call with the first process what it calls, until its run is over. Raises Fault where that process is lost."""
    algorithm = algorithms.get(config.algo)
    algorithm_config = resolve(config.model_dump())[1]
    source = replace(source, prompts=PromptSettings.from_json({**source.prompts.to_json(), **config.prompts}))
    failed, imitates = Path(begin.failed_batch).with_suffix(f".{peers.rank}.pt"), algorithm.practice(algorithm_config).imitates
    update = ShardedUpdate(config, algorithm_config.loss, source, failed, imitates=imitates, peers=peers)
    valuer = valuer_of(algorithm, algorithm_config, config, source)
    if begin.resumed:
        update.restore_reference()

    def heard(turns: Sequence[Turn], seeds: Sequence[int]) -> list[Generated]:
        message = peers.hear()
        assert isinstance(message, Drawn)
        return message.results

    while not isinstance(message := peers.hear(), End):
        match message:
            case Together("update", "all_shard", _):
                update.all_shard(valuer)
            case Together("update", method, arguments):
                getattr(update, method)(*arguments)
            case Together("valuer", "values_and_fit", arguments):
                groups, trajectories, rows, iteration = arguments
                cast(Valuer, valuer).values_and_fit(groups, trajectories, rows, iteration, heard)
            case Together("valuer", method, arguments):
                getattr(valuer, method)(*arguments)
