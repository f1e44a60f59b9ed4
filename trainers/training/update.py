"""The policy's update: optimiser steps on one batch, with a reference model where the loss wants one.

PPO's ratio is π_θ/π_old, with π_old the learner's own policy at the start of the update. It is read from the sampler's record, at no cost,
only where that is the same up to rounding: a sampler of our own (`AS_LEARNER` of its file) with float32 weights. A server, 16-bit weights
and a batch that was collected beside the update before give other numbers. Then clips would act on the difference (GSPO's on nearly
everything), so the learner scores the tokens itself, and the difference is weighed by min(π_old/μ, loss.importance_cap), 2 unless given.
A difference that rounding cannot make, on tokens that the present weights sampled, ends the run.
"""

import contextlib
import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainers.batches.packing import PackedBatch, Step, laid_out, pack, plan
from trainers.batches.rows import Row, Streams, streams_of
from trainers.config import TrainConfig, scored_by_sampler
from trainers.credit.credit import Credit, kl_penalties, with_penalties
from trainers.critics.valuer import Valuer
from trainers.learning.learner import Forward, Learner, score
from trainers.learning.losses import LossSpec
from trainers.learning.peers import Alone, Peers
from trainers.models.lora import served_state
from trainers.models.policy_model import PolicyModel
from trainers.models.token_grammar import TokenGrammar
from trainers.samplers.server_answers import check_drift
from trainers.training.messages import Begin, End, State, Update, forward_of, trainable
from webgym.errors import CheckpointError, Fault, UsageError
from webgym.types import Trajectory, seed_from

IMPORTANCE_CAP = 2.0
"""Cap on π_old/μ where the sampler may differ from the learner and the loss gives none."""


MARKED = 1000
"""Numbers of each tensor that :func:`mark_of` looks at."""


def mark_of(model: nn.Module) -> str:
    """A short text that is another one for other weights, as training or another start makes them."""
    marks = hashlib.blake2b(digest_size=16)
    for name, x in model.state_dict().items():
        some = x.detach().flatten()[:: max(1, x.numel() // MARKED)].cpu().contiguous()
        marks.update(f"{name} {tuple(x.shape)} {x.dtype}".encode() + some.view(torch.uint8).numpy().tobytes())
    return marks.hexdigest()


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
        *,
        imitates: bool = False,
        peers: Peers = Alone(),  # noqa: B008
    ) -> None:
        """`imitates`: the actions are examples, not a sample of the policy, so that no weight leads from one to the other."""
        self._config, self._source = config, source
        apart = not scored_by_sampler(config) and not imitates
        self._spec = spec.model_copy(update={"importance_cap": spec.importance_cap or IMPORTANCE_CAP}) if apart else spec
        self._apart = apart
        self._rescored = spec.policy == "clip" and (apart or spec.importance_cap is not None)
        self._grammar = TokenGrammar.of(source.model, source.tokenizer) if config.rollout.grammar else None  # replayed over the action ids
        self._forward = self._forward_of(source.model)
        self._peers, self._told, self._resumed, self._failed_batch = peers, False, False, failed_batch
        self.learner = self._new_learner()
        self._reference = copy.deepcopy(source.model).requires_grad_(False) if spec.needs_reference else None
        self.reference_mark = "" if self._reference is None else mark_of(self._reference)
        """Tells one reference from another; "" where there is none."""

    def _new_learner(self) -> Learner:
        config = self._config
        return Learner(
            self._source.model.parameters(),
            self._forward,
            config.optim,
            failed_batch=self._failed_batch,
            device=config.machine.device,
            peers=self._peers,
        )

    @contextlib.contextmanager
    def leading(self) -> Iterator[None]:
        """Lead the other processes of the update while the run lasts."""
        self._peers.tell(Begin(self._config.model_dump(mode="json"), str(self._failed_batch), self._resumed))
        try:
            yield
        finally:
            with contextlib.suppress(Fault):  # they may be what was lost
                self._peers.tell(End())

    def restore(self, learner: dict[str, Any], reference: str = "") -> None:
        """Go on from the learner's state in a checkpoint; the reference is the model that the run began with.

        Raises CheckpointError where that is not the one with the mark `reference` ("" for a checkpoint without one).
        """
        self.learner.load_state_dict(learner)
        self.restore_reference()
        if reference and self.reference_mark != reference:
            raise CheckpointError(
                f"{self._config.model} holds other weights than those that this run began with, and its KL compares with: put them back, "
                "or begin a new run"
            )

    def restore_reference(self) -> None:
        """Have the model that the run began with as the reference, where there is one."""
        self._resumed = True
        if self._reference is not None:
            config = self._config
            machine = config.machine  # with an adapter of zeros where the first process had one: else it rounds in another way
            try:
                reference = PolicyModel.load(config.model, device=machine.home, dtype=machine.dtype, lora=config.lora, seed=config.seed)
            except UsageError as error:
                raise CheckpointError(
                    f"{config.model}, which this run began with, and its KL compares with, cannot be loaded: {error}"
                ) from error
            self._reference = reference.model.requires_grad_(False)
            self.reference_mark = mark_of(self._reference)

    def shard(self, valuer: Valuer | None) -> Valuer | None:
        """Called once before the first iteration; returns the valuer. Here each process holds the whole policy, and nothing is done."""
        return valuer

    def served(self) -> nn.Module | Mapping[str, Tensor]:
        """The weights for the sampler: the policy itself, or what a sampler's copy of it takes over."""
        return self._source.model

    def served_state(self) -> dict[str, Tensor]:
        """The weights for the sampler as they are now, on the CPU."""
        return {name: x.detach().cpu().clone() for name, x in served_state(self._source.model).items()}

    def save(self, folder: Path) -> None:
        """Write the policy's folder of a checkpoint."""
        self._source.save(folder)

    def learner_state(self) -> dict[str, Any]:
        """The learner's state, which :meth:`restore` goes on from with any number of processes."""
        return self.learner.state_dict()

    def rewarded(self, trajectories: Sequence[Trajectory], rows: Sequence[Row]) -> Sequence[Trajectory]:
        """The trajectories with the KL to the reference taken off their rewards, where the loss puts it there (`loss.kl=k1`)."""
        if self._spec.kl != "k1":
            return trajectories
        return with_penalties(
            trajectories, kl_penalties(trajectories, self._reference_logprobs(rows, len(trajectories)), self._spec.kl_coef)
        )

    def __call__(
        self, trajectories: Sequence[Trajectory], rows: Sequence[Row], credit: Credit, *, iteration: int, done: float
    ) -> dict[str, float]:
        """Metrics of the optimiser steps on one batch. `done` is the part of the run that lies behind, from 0 to 1."""
        streams = streams_of(trajectories, credit.advantages, credit.weights, per_token=credit.per_token)
        if self._spec.kl in ("k2", "k3"):  # of the actions that are learned from, which need not be the recorded ones
            streams = replace(streams, reference_logprob=self._reference_logprobs(rows, len(trajectories)))
        self._source.model.train()
        if self._rescored or self._apart:
            old = self._old_logprobs(rows, streams, iteration)
            if self._apart:
                self._check_drift(trajectories, streams, old, iteration)
            streams = replace(streams, old_logprob=old) if self._rescored else streams
        steps = [step for epoch in range(self._epochs) for step in self._planned(rows, streams, iteration, epoch)]
        return self._taken(steps, done)

    def _taken(self, steps: Sequence[Step], done: float) -> dict[str, float]:
        """Metrics of optimiser steps that all processes take."""
        if not self._told:  # the first step of this process: all begin with the same weights and the same optimiser
            self._peers.tell(State(trainable(self._source.model), self.learner.state_dict()))
            self._told = True
        self._peers.tell(Update(steps, self._spec, done))
        with self._peers.in_step():
            return self.learner.update(steps, self._spec, done)

    @property
    def _epochs(self) -> int:
        assert self._config.update.epochs is not None  # the configuration is resolved
        return self._config.update.epochs

    def _planned(self, rows: Sequence[Row], streams: Streams, iteration: int, epoch: int) -> list[Step]:
        """The optimiser steps of one pass over the batch."""
        config, spec = self._config, self._spec
        return plan(
            rows,
            streams,
            config.update.token_budget,
            minibatches=config.update.minibatches or 1,
            seed=seed_from(config.seed, "minibatches", iteration, epoch),
            whole=spec.whole,
            keep_zero_advantage=spec.acts_on_every_turn,
        )

    @torch.no_grad()
    def _old_logprobs(self, rows: Sequence[Row], streams: Streams, iteration: int) -> list[np.ndarray]:
        """log π_old of the tokens that can move the loss, NaN of the others, read in the very batches of the first pass.

        So rounding is that of the loss, and the ratio of the first step is 1. Where the loss has no π_old, the first batch is enough.
        """
        batches = [batch for step in self._planned(rows, streams, iteration, 0) for batch in step.batches]
        batches = batches if self._rescored else batches[:1]
        return laid_out(rows, batches, self._scored(batches), [len(x) for x in streams.weight])

    def _check_drift(self, trajectories: Sequence[Trajectory], streams: Streams, old: Sequence[np.ndarray], iteration: int) -> None:
        """Raises UsageError where log-probabilities of the sampler are far from `old`, on tokens of no older weights than the learner's."""
        apart: list[float] = []
        for x, mine, given in zip(trajectories, old, streams.behaviour_logprob, strict=True):
            sizes = [len(turn.completion.action_ids) for turn in x.turns]
            fresh = np.repeat([turn.completion.policy_version == iteration - 1 for turn in x.turns], sizes).astype(bool)
            apart += np.abs(mine - given)[fresh & ~np.isnan(mine)].tolist()
        check_drift(apart, f"the sampler (sampler.kind={self._config.sampler.kind})")

    def _reference_logprobs(self, rows: Sequence[Row], trajectories: int) -> list[np.ndarray]:
        """log π_ref of every sampled token, one array per trajectory."""
        assert self._reference is not None
        batches = pack(rows, self._config.update.token_budget)
        return score(self._forward_of(self._reference), batches, trajectories, self._config.machine.device)

    @torch.no_grad()
    def _scored(self, batches: Sequence[PackedBatch]) -> list[Tensor]:
        """log π of the sampled tokens of each batch, [A]."""
        return [self._forward(batch.to(self._config.machine.device))[0] for batch in batches]

    def _forward_of(self, model: Any) -> Forward:
        return forward_of(model, self._config.rollout.temperature, self._grammar)
