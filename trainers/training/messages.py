"""Messages of the first process to the others where several share the update, and what both sides do alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from trainers.batches.packing import PackedBatch, Step
from trainers.learning.learner import Forward
from trainers.learning.losses import LossSpec
from trainers.models.model import action_logprobs
from trainers.models.token_grammar import TokenGrammar


@dataclass(frozen=True)
class Begin:
    """The run's configuration, where a batch that gives no finite loss is kept, and whether the run goes on from a checkpoint."""

    config: dict[str, Any]
    failed_batch: str
    resumed: bool = False


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
class Together:
    """A method of the policy's update or of the valuer, which all processes call with the same arguments (weights are sharded)."""

    part: Literal["update", "valuer"]
    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Drawn:
    """Results of the sampler, which the first process has, for the others."""

    results: Any


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
