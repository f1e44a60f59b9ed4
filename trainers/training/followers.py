"""The processes beside the first one where several share the update (`torchrun --nproc-per-node 2 -m cli train ...`).

The first process is the run: it collects, values and writes. The others hold the same policy and optimiser and take the same steps, each
on its part of the micro-batches. A checkpoint does not depend on their number.
"""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainers.batches.packing import PackedBatch, Step
from trainers.config import TrainConfig, resolve
from trainers.learning.learner import Forward, Learner
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Group
from trainers.models.model import action_logprobs
from trainers.models.token_grammar import TokenGrammar
from trainers.training.begin import load_policy


@dataclass(frozen=True)
class Begin:
    """The run's configuration, and where a batch that gives no finite loss is kept."""

    config: dict[str, Any]
    failed_batch: str


@dataclass(frozen=True)
class State:
    """The weights that are trained and the optimiser's state."""

    weights: dict[str, Tensor]
    learner: dict[str, Any]


@dataclass(frozen=True)
class Update:
    """Optimiser steps to take (:meth:`trainers.learning.learner.Learner.update`)."""

    steps: Sequence[Step]
    spec: LossSpec
    done: float


@dataclass(frozen=True)
class End:
    """The run is over."""


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """The weights that are trained, by name, on the CPU."""
    return {name: parameter.detach().cpu() for name, parameter in model.named_parameters() if parameter.requires_grad}


def forward_of(model: Any, temperature: float, grammar: TokenGrammar | None) -> Forward:
    """The forward pass of a model over a packed batch, at the sampling temperature."""

    def forward(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        return action_logprobs(model, batch, temperature, entropy=entropy, grammar=grammar)

    return forward


def follow(group: Group) -> None:
    """Take part in the updates of the first process until its run is over.

    Raises Fault where that process is lost, and DivergenceError where it does. Ctrl-C is the first process's to hear.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin = group.hear()
    if not isinstance(begin, Begin):
        return
    config: TrainConfig = resolve(begin.config)[0]
    torch.set_num_threads(config.machine.threads)
    source = load_policy(config.model, config)
    grammar = TokenGrammar.of(source.model, source.tokenizer) if config.rollout.grammar else None
    forward = forward_of(source.model, config.rollout.temperature, grammar)
    failed = Path(begin.failed_batch).with_suffix(f".{group.rank}.pt")
    learner = Learner(source.model.parameters(), forward, config.optim, failed_batch=failed, device=config.machine.device, peers=group)
    source.model.train()
    while not isinstance(message := group.hear(), End):
        match message:
            case State(weights, state):
                with torch.no_grad():
                    for name, parameter in source.model.named_parameters():
                        if name in weights:
                            parameter.copy_(weights[name])
                learner.load_state_dict(state)
            case Update(steps, spec, done):
                learner.update(steps, spec, done)
