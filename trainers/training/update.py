"""The policy's update: optimiser steps on one batch, with a reference model where the loss wants one."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainers.batches.packing import pack, plan
from trainers.batches.rows import Row, streams_of
from trainers.config import TrainConfig
from trainers.credit.credit import Credit
from trainers.learning.learner import Forward, Learner, score
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Alone, Peers
from trainers.models.policy_model import PolicyModel
from trainers.models.token_grammar import TokenGrammar
from trainers.training.followers import Begin, End, State, Update, forward_of, trainable
from webgym.errors import Fault
from webgym.types import Trajectory, seed_from


class PolicyUpdate:
    """Owns the learner and the reference model of a run. `failed_batch` is where a batch that gives no finite loss is kept.

    With `peers`, several processes share the optimiser steps; this one leads (:mod:`trainers.training.followers`).
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: LossSpec,
        source: PolicyModel,
        failed_batch: Path,
        peers: Peers = Alone(),  # noqa: B008
    ) -> None:
        self._config, self._spec, self._source = config, spec, source
        self._grammar = TokenGrammar.of(source.model, source.tokenizer) if config.rollout.grammar else None  # replayed over the action ids
        self._forward = self._forward_of(source.model)
        self.learner = Learner(
            source.model.parameters(), self._forward, config.optim, failed_batch=failed_batch, device=config.machine.device, peers=peers
        )
        self._peers, self._told, self._failed_batch = peers, False, failed_batch
        self._reference = copy.deepcopy(source.model).requires_grad_(False) if spec.needs_reference else None

    @contextlib.contextmanager
    def leading(self) -> Iterator[None]:
        """Lead the other processes of the update while the run lasts."""
        self._peers.tell(Begin(self._config.model_dump(mode="json"), str(self._failed_batch)))
        try:
            yield
        finally:
            with contextlib.suppress(Fault):  # they may be what was lost
                self._peers.tell(End())

    def restore(self, learner: dict[str, Any]) -> None:
        """Go on from the learner's state in a checkpoint; the reference is the model that the run began with."""
        self.learner.load_state_dict(learner)
        if self._reference is not None:
            config = self._config
            reference = PolicyModel.load(config.model, device=config.machine.device, dtype=config.machine.dtype)
            self._reference = reference.model.requires_grad_(False)

    def __call__(
        self,
        trajectories: Sequence[Trajectory],
        rows: Sequence[Row],
        credit: Credit,
        reference: Sequence[np.ndarray] | None,
        *,
        iteration: int,
        done: float,
    ) -> dict[str, float]:
        """Metrics of the optimiser steps on one batch. `done` is the part of the run that lies behind, from 0 to 1."""
        config, spec = self._config, self._spec
        streams = replace(streams_of(trajectories, credit.advantages, credit.weights), reference_logprob=reference)
        if config.rollout.overlap:  # the sampler is one update behind: the ratio starts from our own log-probabilities
            old = score(self._forward, pack(rows, config.update.token_budget), len(trajectories), config.machine.device)
            streams, spec = replace(streams, old_logprob=old), spec.model_copy(update={"importance_cap": spec.importance_cap or 2.0})
        steps = []
        for epoch in range(config.update.epochs):
            seed = seed_from(config.seed, "minibatches", iteration, epoch)
            steps += plan(
                rows,
                streams,
                config.update.token_budget,
                minibatches=config.update.minibatches,
                seed=seed,
                whole=spec.whole,
                keep_zero_advantage=spec.acts_on_every_turn,
            )
        self._source.model.train()
        if not self._told:  # the first step of this process: all begin with the same weights and the same optimiser
            self._peers.tell(State(trainable(self._source.model), self.learner.state_dict()))
            self._told = True
        self._peers.tell(Update(steps, spec, done))
        return self.learner.update(steps, spec, done)

    def reference_logprobs(self, rows: Sequence[Row], trajectories: int) -> list[np.ndarray] | None:
        """log π_ref of every sampled token, one array per trajectory; None where the loss has no reference."""
        if self._reference is None:
            return None
        batches = pack(rows, self._config.update.token_budget)
        return score(self._forward_of(self._reference), batches, trajectories, self._config.machine.device)

    def _forward_of(self, model: Any) -> Forward:
        return forward_of(model, self._config.rollout.temperature, self._grammar)
