"""One optimiser step over packed micro-batches, blind to the algorithm: streams and a LossSpec go in, metrics come out.

learner = Learner(model.parameters(), forward, OptimConfig(lr=1e-4), failed_batch=run / "failed_batch.pt")
metrics = learner.update(plan(rows, streams, token_budget, minibatches=4), spec)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from trainers.batches.packing import Counts, PackedBatch, Step, idle, unpack
from trainers.learning.losses import LossSpec, TokenLosses, kl_estimate, token_losses, token_scale
from trainers.learning.masters import Masters, loss_scale, unscale
from trainers.learning.peers import Alone, Peers, summed
from webgym.errors import DivergenceError

METRICS: Mapping[str, str] = {
    "loss/total": "the loss that was differentiated: policy + KL − entropy terms, over the step's one divisor",
    "loss/policy": "its policy part, over the same divisor",
    "loss/kl_to_behaviour": "KL(behaviour ‖ policy) per learned token, estimated by ρ − 1 − log ρ: the distance to the data",
    "loss/kl_to_reference": "the KL estimate of the loss spec per learned token, where the loss has one",
    "loss/ratio_mean": "mean of the ratio π_θ/π_old at the spec's level over learned tokens; 1 at the first step of a batch",
    "loss/ratio_max": "largest ratio π_θ/π_old",
    "loss/clip_fraction": "fraction of learned tokens whose gradient the clip took away",
    "loss/entropy": "entropy per learned token in nats, exact where the forward pass gives it, else the mean of −log π. It depends on "
    "which tokens an algorithm learns from: compare algorithms by rollout/entropy",
    "optim/grad_norm": "norm of the gradient before clipping",
    "optim/lr": "learning rate of the last step",
    "optim/step_kl": "where steps are bounded (`optim.max_step_kl`): KL(before ‖ after) of a step, per token that it learned from; of a "
    "first step that is measured (`optim.first_step_kl`): what it would be at the full learning rate",
    "optim/halvings": "where steps are bounded: times that a step was halved",
    "optim/steps": "optimiser steps of this update; steps with nothing to learn from are left out",
    "optim/tokens": "sampled tokens with weight > 0: those that divisors count",
    "optim/tokens_learned": "sampled tokens with weight > 0 in rows that were computed; rows that cannot move the loss, such as those of "
    "advantage 0, are left out. The means under loss/ are over these",
    "optim/tokens_read": "tokens that forward passes read, prompts included",
    "optim/tokens_skipped": "tokens of rows that could not move the loss and were not computed",
}
"""Meaning of each metric of an update. Loss metrics are means over its optimiser steps, token counts are sums."""

_SUMS = ("optim/steps", "optim/tokens", "optim/tokens_learned", "optim/tokens_read", "optim/tokens_skipped")
_MOST_HALVINGS = 10


@runtime_checkable
class Forward(Protocol):
    """A policy's forward pass: log π_θ of each sampled token at the sampling temperature, [A] in fp32, with gradient; and with
    `entropy=True` the entropy of the distribution that each was sampled from, [A], else None."""

    def __call__(self, batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]: ...


Share = Annotated[float, Field(ge=0, lt=1)]


class OptimConfig(BaseModel):
    """AdamW (Loshchilov and Hutter 2019) with gradient clipping and linear warm-up."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    lr: float = Field(default=1e-4, gt=0)
    """Learning rate after warm-up; 1e-4 suits models of a few million parameters, 1e-6 to 1e-5 pretrained ones."""
    betas: tuple[Share, Share] = (0.9, 0.99)
    """Decay of the two moment averages."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    grad_clip: float = Field(default=1.0, gt=0)
    """The gradient is scaled down to this norm where it is longer."""
    warmup_steps: int = Field(default=0, ge=0)
    """Optimiser steps over which the learning rate rises linearly from lr / warmup_steps."""
    final: float = Field(default=1.0, ge=0, le=1)
    """Factor on the learning rate in the run's last iteration; it falls linearly from the first one on."""
    max_step_kl: float | None = Field(default=None, gt=0)
    """KL(before ‖ after) per token that one optimiser step may cost, estimated on the tokens that it learned from (ρ − 1 − log ρ, a KL
    where they are the policy's own). A step that costs more is halved until it fits, and not taken if none fits: a trust region by
    backtracking (Schulman et al. 2015, appendix C). It takes one more forward pass a step, and one for each halving. The optimiser's
    moments keep the whole step."""
    first_step_kl: float | None = Field(default=None, gt=0)
    """Stop where the first optimiser step would cost more KL(before ‖ after) per token than this at the full learning rate, whatever part
    of it the warm-up takes. A pretrained model is destroyed in a few steps at a small model's learning rate."""


class Learner:
    """Owns the optimiser of a model, not the model. `failed_batch` is where a batch that gives no finite loss is kept.

    Weights of 16 bits are moved through fp32 masters (:mod:`trainers.learning.masters`).
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        forward: Forward,
        config: OptimConfig,
        *,
        failed_batch: Path,
        device: torch.device | str = "cpu",
        peers: Peers = Alone(),  # noqa: B008
    ) -> None:
        self.config = config
        self.steps = 0
        self._left = 1.0  # of the learning rate
        self._forward = forward
        self._failed_batch = failed_batch
        self._device = device
        self._peers = peers
        parameters = list(parameters)
        self._masters = Masters(p for p in parameters if p.requires_grad)
        self._loss_scale = loss_scale(parameters)
        self._parameters = self._masters.parameters
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=config.lr, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay
        )

    def update(self, steps: Sequence[Step], spec: LossSpec, done: float = 0.0) -> dict[str, float]:
        """Metrics of one optimiser step after the other, by the names of METRICS; for several epochs pass the steps of each.

        `done` is the part of the run that lies behind, from 0 to 1, on which the learning rate depends.
        Raises DivergenceError before a step whose loss or gradient is not finite; the batch is then in `failed_batch`.
        """
        self._left = 1 - (1 - self.config.final) * done
        taken = [metrics for step in steps if (metrics := self._step(step, spec))]
        skipped = sum(step.skipped_tokens for step in steps)
        result = {name: float(np.sum([m[name] for m in taken])) for name in _SUMS[:-1]} | {_SUMS[-1]: float(skipped)}
        means = [name for name in dict.fromkeys(name for m in taken for name in m) if name not in _SUMS]  # the first step may have more
        result |= {name: float(np.mean([m[name] for m in taken if name in m])) for name in means}
        return result | {"optim/lr": self._rate(max(self.steps - 1, 0))}

    def _step(self, step: Step, spec: LossSpec) -> dict[str, float]:
        """Metrics of one optimiser step; none, and no step, where no batch can move the loss."""
        if not step.batches:
            return {}
        self._optimiser.zero_grad(set_to_none=True)
        sums, before, refused = _Sums(), [], None
        shared = self._peers.share(step.batches)
        for batch in shared:
            moved = (batch or idle()).to(self._device)
            logprobs, entropies = self._forward(moved, entropy=spec.entropy_coef != 0)
            terms = token_losses(spec, moved, logprobs, entropies) if batch else None
            scale = _scale(spec, moved, step.counts, terms.total.dtype if terms else logprobs.dtype)
            loss = (terms.total * scale).sum() if terms else 0 * logprobs.sum()
            if not torch.isfinite(loss):
                refused = batch, logprobs
            if self._peers.stopped(refused is not None):
                break
            (loss * self._loss_scale).backward()
            self._masters.gather()
            if terms:
                sums.add(moved, terms, scale, logprobs, entropies)
            before.append(logprobs.detach())
        if any(self._peers.gather(refused is not None)):
            batch, logprobs = refused or (None, None)
            self._refuse("the loss is no finite number", [batch] if batch is not None else [], spec, logprobs)
        self._peers.sum_gradients(self._parameters)
        unscale(self._parameters, self._loss_scale)
        norm = self._peers.clip(self._parameters, self.config.grad_clip)
        if not torch.isfinite(norm):
            self._refuse("the gradient has no finite norm", step.batches, spec, None)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate(self.steps)
        bounded, again = self._take(shared, before)
        self._optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        counts = {"optim/steps": 1.0, "optim/tokens": float(step.counts.tokens)}
        counts["optim/tokens_read"] = float((1 + again) * sum(b.tokens for b in step.batches))
        return counts | {"optim/grad_norm": float(norm)} | bounded | sums.means(self._peers)

    @torch.no_grad()
    def _take(self, batches: Sequence[PackedBatch | None], before: Sequence[Tensor]) -> tuple[dict[str, float], int]:
        """The optimiser's step; where steps are bounded, halved until the policy is near the one before, whose log π is `before`.

        Returns its metrics, and the number of passes over the batches that it took.
        """
        most, first = self.config.max_step_kl, self.config.first_step_kl if self.steps == 0 and self._rate(0) > 0 else None
        start = [] if most is None and first is None else [p.clone() for p in self._parameters]
        self._optimiser.step()
        metrics, passes = ({}, 0) if first is None else (self._measured(batches, before, start, first), 1)
        self._masters.publish()
        if most is None:
            return metrics, passes
        for halvings in range(_MOST_HALVINGS):
            passes += 1
            if (kl := self._kl(batches, before)) <= most:
                return {"optim/step_kl": kl, "optim/halvings": float(halvings)}, passes
            for parameter, was in zip(self._parameters, start, strict=True):
                parameter.lerp_(was, 0.5)
            self._masters.publish()
        for parameter, was in zip(self._parameters, start, strict=True):
            parameter.copy_(was)
        self._masters.publish()
        return {"optim/step_kl": 0.0, "optim/halvings": float(_MOST_HALVINGS)}, passes

    @torch.no_grad()
    def _measured(
        self, batches: Sequence[PackedBatch | None], before: Sequence[Tensor], start: Sequence[Tensor], most: float
    ) -> dict[str, float]:
        """The first step's metrics, measured at `optim.lr` itself: in the warm-up its step is as much longer.

        A short step would have to be extrapolated, and rounding with it. Raises DivergenceError, the weights as they were, where it costs
        too much.
        """
        taken = [p.cpu() if p.device.type != "cpu" else p.clone() for p in self._parameters]
        share = self._rate(0) / self.config.lr
        for parameter, was in zip(self._parameters, start, strict=True):
            parameter.sub_(was).div_(share).add_(was)
        self._masters.publish()
        kl = self._kl(batches, before)
        for parameter, kept in zip(self._parameters, taken if kl <= most else start, strict=True):
            parameter.copy_(kept)
        self._masters.publish()
        if kl <= most:
            return {"optim/step_kl": kl}
        lower = float(f"{0.2 * self.config.lr * math.sqrt(most / kl):.0e}") if math.isfinite(kl) else self.config.lr / 100
        raise DivergenceError(
            f"optim.lr={self.config.lr:g} is too high for this model: a step at it would move the policy by {kl:.2g} nats a token, and "
            f"optim.first_step_kl allows {most:g}; the weights are untouched: start again with optim.lr={lower:g}"
        )

    def _kl(self, batches: Sequence[PackedBatch | None], before: Sequence[Tensor]) -> float:
        """KL(before ‖ now) per token with weight > 0, estimated by ρ − 1 − log ρ; infinite where it is no number."""
        total, tokens = 0.0, 0
        for batch, was in zip(batches, before, strict=True):
            moved = (batch or idle()).to(self._device)
            live = moved.weight > 0
            total += float(torch.where(live, kl_estimate(was, self._forward(moved)[0], "k3"), 0).double().sum())
            tokens += int(live.sum())
        total, tokens = (sum(found) for found in zip(*self._peers.gather((total, tokens)), strict=True))
        return total / max(1, tokens) if math.isfinite(total) else math.inf

    def _rate(self, step: int) -> float:
        warmup = self.config.warmup_steps
        return self.config.lr * self._left * (min(1.0, (step + 1) / warmup) if warmup else 1.0)

    def _refuse(self, what: str, batches: Sequence[PackedBatch], spec: LossSpec, logprobs: Tensor | None) -> None:
        """Keep the evidence, drop the gradients, raise."""
        self._optimiser.zero_grad(set_to_none=True)
        kept = {
            "batches": [{f.name: getattr(b, f.name) for f in fields(b)} | {"held": [astuple(x) for x in b.held]} for b in batches],
            "policy_logprobs": None if logprobs is None else logprobs.detach().cpu(),
            "loss_spec": spec.model_dump(),
            "step": self.steps,
        }
        try:
            self._failed_batch.parent.mkdir(parents=True, exist_ok=True)
            torch.save(kept, self._failed_batch)
            where = f"is in {self._failed_batch}"
        except (OSError, RuntimeError) as error:  # a full disk; torch has its own error for it
            where = f"could not be kept ({str(error).strip().partition(chr(10))[0][:120]})"
        raise DivergenceError(
            f"{what} at optimiser step {self.steps}; the weights are untouched and the batch {where}: "
            "resume from the last checkpoint with a smaller optim.lr or optim.grad_clip"
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that a bitwise resume needs beside the model's weights."""
        return {"steps": self.steps, "optimiser": self._optimiser.state_dict(), "masters": self._masters.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.steps = state["steps"]
        load_moments(self._optimiser, state["optimiser"])
        self._masters.load_state_dict(state.get("masters", []))


def load_moments(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on from a saved state of an optimiser, with the settings (lr, weight decay, betas, eps) that this one was made with."""
    settings = [{name: x for name, x in group.items() if name != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for weight, moments in optimiser.state.items():
        if any(isinstance(x, Tensor) and x.ndim and x.shape != weight.shape for x in moments.values()):
            raise ValueError(f"moments of another shape than their weights, which is {tuple(weight.shape)}")
    for group, wanted in zip(optimiser.param_groups, settings, strict=True):
        group.update(wanted)


@torch.no_grad()
def score(forward: Forward, batches: Sequence[PackedBatch], trajectories: int, device: torch.device | str = "cpu") -> list[np.ndarray]:
    """log π of every sampled token under a model, one array per trajectory: the `old_logprob` or `reference_logprob` of Streams.

    `batches` come from `pack(rows, token_budget)` over the rows of all trajectories.
    """
    return unpack(batches, [forward(batch.to(device))[0] for batch in batches], trajectories)


def _scale(spec: LossSpec, batch: PackedBatch, counts: Counts, dtype: torch.dtype) -> Tensor:
    """Weight of each token over the step's one divisor, [A], in the loss's precision; 0 for tokens of weight 0."""
    scale = token_scale(spec.divisor, counts, spec.tokens_per_trajectory, batch.turn_size, batch.sequence_size)
    return batch.weight * scale.to(dtype)


class _Sums:
    """Sums over the micro-batches of one step, kept on the device until the end."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._ratio_max: list[Tensor] = []

    @torch.no_grad()
    def add(self, batch: PackedBatch, terms: TokenLosses, scale: Tensor, logprobs: Tensor, entropies: Tensor | None) -> None:
        live = batch.weight > 0
        per_token = {
            "loss/kl_to_behaviour": kl_estimate(batch.behaviour_logprob, logprobs, "k3"),
            "loss/ratio_mean": terms.ratio,
            "loss/clip_fraction": terms.clipped.float(),
            "loss/entropy": -logprobs if entropies is None else entropies,
        } | ({} if terms.kl is None else {"loss/kl_to_reference": terms.kl})
        found = {name: torch.where(live, x, 0).sum() for name, x in per_token.items()}
        found |= {"loss/total": (terms.total * scale).sum(), "loss/policy": (terms.policy * scale).sum(), "live": live.sum()}
        self._sums = {name: x.double() + self._sums.get(name, 0.0) for name, x in found.items()}
        self._ratio_max.append(torch.where(live, terms.ratio, 0).max())

    def means(self, peers: Peers) -> dict[str, float]:
        """The means over the step, with the micro-batches of all processes."""
        sums = {name: float(x) for name, x in summed(peers.gather(self._sums)).items()}
        tokens = sums.pop("live")
        means = {"optim/tokens_learned": tokens} | {
            name: x if name in ("loss/total", "loss/policy") else x / tokens for name, x in sums.items()
        }
        return means | {"loss/ratio_max": max(float(x) for found in peers.gather(self._ratio_max) for x in found)}
