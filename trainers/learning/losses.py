"""Losses and estimators as pure functions over flat streams: one number per sampled token, [A], nothing padded.

No function here reduces, logs, moves devices or calls backward. A loss comes back per token; the learner multiplies it by
:func:`token_scale`, whose divisor is one number per optimiser step, and sums. All of it runs in fp32 at least, for any
dtype of the model.

Notation: π_θ the policy that learns, π_old the one the update started from, μ (behaviour) the one that sampled, π_ref a frozen one.
Where the learner is not given π_old, the sampler's own μ stands for it; that holds where sampler and learner agree to rounding.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from trainers.batches.packing import Counts, PackedBatch
from trainers.batches.rows import Whole
from trainers.runs.keys import was_kept

RatioLevel = Literal["token", "turn", "sequence"]
Kl = Literal["none", "k1", "k2", "k3"]
Divisor = Literal["constant", "tokens", "turns", "trajectories"]

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to ±20 before `exp`: e^20 is far outside any clip range and still finite in fp32."""


class LossSpec(BaseModel):
    """The loss that an algorithm asks the learner for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    policy: Literal["clip", "reinforce"] = "clip"
    """clip: PPO's clipped surrogate; reinforce: −A log π, with no ratio and no clip."""
    ratio_level: RatioLevel = "token"
    """Unit of the ratio π_θ/π_old; turn and sequence are geometric means over their tokens (GSPO)."""
    clip_low: float = Field(default=0.2, ge=0, le=1)
    """The ratio is clipped below at 1 − clip_low."""
    clip_high: float = Field(default=0.2, ge=0)
    """The ratio is clipped above at 1 + clip_high; larger than clip_low is DAPO's clip-higher."""
    dual_clip: float | None = Field(default=None, gt=1)
    """Bound the surrogate of negative advantages at dual_clip · A (Ye et al. 2020); none by default."""
    importance_cap: float | None = Field(default=None, ge=1)
    """Weigh tokens by min(π/μ, cap), without gradient; none: no weight. With clip π is π_old, against a sampler that differs from the
    learner (2 unless given, where it may). With reinforce π is π_θ, which also corrects the later optimiser steps on one batch."""
    kl: Kl = "none"
    """Estimate of the KL to the reference: k2 and k3 are loss terms; k1 goes into the reward (credit.with_penalties)."""
    kl_coef: float = Field(default=0.0, ge=0)
    """β, the weight of the KL term."""
    entropy_coef: float = 0.0
    """Weight of the entropy bonus."""
    divisor: Divisor = "constant"
    """Divisor of the sum over tokens; see losses.token_scale."""
    tokens_per_trajectory: float = Field(default=100.0, gt=0)
    """The constant of divisor="constant"; near the sampled tokens of an episode, gradients are as large as under "tokens"."""

    @property
    def needs_reference(self) -> bool:
        """True where log-probabilities of a reference model are used (otherwise no reference model is loaded)."""
        return self.kl != "none"

    @property
    def unit(self) -> RatioLevel:
        """Unit of the ratio; a token where the loss has none, and only metrics show it."""
        return self.ratio_level if self.policy == "clip" else "token"

    @property
    def whole(self) -> Whole:
        """Unit that the packer must keep in one micro-batch, because its ratio is one number."""
        return "trajectory" if self.unit == "sequence" else "row"

    @property
    def acts_on_every_turn(self) -> bool:
        """True where turns with advantage 0 still move the policy."""
        return self.kl in ("k2", "k3") or self.entropy_coef != 0

    def idle(self) -> dict[str, str]:
        """Options that have no effect as the others are set: name → the setting that is the reason."""
        found: dict[str, str] = {}
        if self.policy == "reinforce":
            found = {name: "loss.policy=reinforce" for name in ("ratio_level", "clip_low", "clip_high", "dual_clip")}
        if self.divisor != "constant":
            found["tokens_per_trajectory"] = f"loss.divisor={self.divisor}"
        return found

    @model_validator(mode="after")
    def _weight_and_kind_of_the_kl(self, info: Any) -> "LossSpec":
        if was_kept(info.context):
            return self
        if self.kl == "none" and self.kl_coef:
            raise ValueError(
                f"loss.kl_coef={self.kl_coef:g} weighs no KL while loss.kl=none: set loss.kl to k1, k2 or k3, or loss.kl_coef=0"
            )
        if self.kl != "none" and not self.kl_coef:
            raise ValueError(f"loss.kl={self.kl} has no weight while loss.kl_coef=0: set loss.kl_coef above 0, or loss.kl=none")
        return self


# --- ratios --------------------------------------------------------------------------------------------------------------


def segment_mean(x: Float[Tensor, " a"], segment: Int[Tensor, " a"], mask: Bool[Tensor, " a"]) -> Float[Tensor, " a"]:
    """Mean of `x` over the masked tokens of each segment, broadcast back to all its tokens; 0 where a segment has none."""
    _, place = torch.unique(segment, return_inverse=True)
    slots = int(place.max()) + 1 if len(place) else 0
    total = torch.zeros(slots, dtype=x.dtype, device=x.device).index_add_(0, place, torch.where(mask, x, 0))
    count = torch.zeros(slots, dtype=x.dtype, device=x.device).index_add_(0, place, mask.to(x.dtype))
    return (total / count.clamp(min=1))[place]


def log_ratio(policy_logprobs: Float[Tensor, " a"], old_logprobs: Float[Tensor, " a"]) -> Float[Tensor, " a"]:
    """log π_θ − log π_old in fp32 or better, clamped to ±LOG_RATIO_LIMIT."""
    return (_precise(policy_logprobs) - _precise(old_logprobs)).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def policy_ratio(
    policy_logprobs: Float[Tensor, " a"],
    old_logprobs: Float[Tensor, " a"],
    segment: Int[Tensor, " a"] | None = None,
    mask: Bool[Tensor, " a"] | None = None,
) -> Float[Tensor, " a"]:
    """π_θ/π_old per token or, given segments (turns or sequences), the geometric mean over each segment's tokens:

        s = exp(1/|o| Σ_l log ρ^l),        s^l = sg[s] · π_θ^l / sg[π_θ^l]

    The second form (GSPO-token, Zheng et al. 2025, arXiv 2507.18071, section 4.3) has the value s for every token and lets each
    token's gradient carry its own advantage; where advantages agree inside a segment it is GSPO itself.
    """
    token = log_ratio(policy_logprobs, old_logprobs)
    if segment is None:
        return token.exp()
    mask = torch.ones_like(token, dtype=torch.bool) if mask is None else mask
    return (segment_mean(token.detach(), segment, mask) + token - token.detach()).exp()


def truncated_importance_weights(
    target_logprobs: Float[Tensor, " a"], behaviour_logprobs: Float[Tensor, " a"], cap: float
) -> Float[Tensor, " a"]:
    """min(π/μ, cap) without gradient: V-trace's ρ̄ (Espeholt et al. 2018, eq. 1), per token as in "TIS"."""
    return log_ratio(target_logprobs, behaviour_logprobs).detach().exp().clamp(max=cap)


# --- losses per token ----------------------------------------------------------------------------------------------------


def clipped_policy_loss(
    ratio: Float[Tensor, " a"], advantage: Float[Tensor, " a"], clip_low: float, clip_high: float, dual_clip: float | None = None
) -> Float[Tensor, " a"]:
    """−min(ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A) (PPO, Schulman et al. 2017, eq. 7; DAPO, arXiv 2503.14476, section 3.1).

    With `dual_clip` c > 1 the surrogate of a negative advantage is at least c·A (Ye et al. 2020, arXiv 1912.09729).
    """
    advantage = _precise(advantage)
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)
    if dual_clip is not None:
        surrogate = torch.where(advantage < 0, torch.maximum(surrogate, dual_clip * advantage), surrogate)
    return -surrogate


def clipped(ratio: Float[Tensor, " a"], advantage: Float[Tensor, " a"], clip_low: float, clip_high: float) -> Bool[Tensor, " a"]:
    """True where the ratio is clipped. It left the range on the side that the advantage pushes to, so its gradient is 0."""
    return ((advantage > 0) & (ratio > 1 + clip_high)) | ((advantage < 0) & (ratio < 1 - clip_low))


def reinforce_loss(policy_logprobs: Float[Tensor, " a"], advantage: Float[Tensor, " a"]) -> Float[Tensor, " a"]:
    """−A log π_θ (Williams 1992); summed over tokens its gradient is −A ∇log π_θ(action)."""
    return -_precise(advantage) * _precise(policy_logprobs)


def kl_estimate(
    policy_logprobs: Float[Tensor, " a"], reference_logprobs: Float[Tensor, " a"], kind: Literal["k1", "k2", "k3"]
) -> Float[Tensor, " a"]:
    """Estimates of KL(π_θ ‖ π_ref) from tokens of π_θ (Schulman 2020, "Approximating KL divergence"), with d = log π_θ − log π_ref:

        k1 = d        k2 = d²/2        k3 = e^{−d} − 1 + d

    k1 and k3 are unbiased *values*. As losses, on tokens of π_θ: E[∇k1] = 0, ∇k2 is an unbiased gradient of KL(π_θ ‖ π_ref), and
    ∇k3 is one of KL(π_ref ‖ π_θ), near the same where the two policies are close.
    """
    d = log_ratio(policy_logprobs, reference_logprobs)
    if kind == "k1":
        return d
    return d.square() / 2 if kind == "k2" else torch.expm1(-d) + d


def entropy(logits: Float[Tensor, "a vocabulary"]) -> Float[Tensor, " a"]:
    """−Σ p log p of each row of logits, in nats."""
    logprobs = torch.log_softmax(_precise(logits), dim=-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def token_scale(
    divisor: Divisor, counts: Counts, tokens_per_trajectory: float, turn_size: Int[Tensor, " a"], sequence_size: Int[Tensor, " a"]
) -> Float[Tensor, " a"]:
    """Factor on each token's loss before the sum over all micro-batches of an optimiser step:

        constant       1 / (trajectories · K), K = tokens_per_trajectory (Dr. GRPO, arXiv 2503.20783): no bias by length
        tokens         1 / tokens (DAPO, section 3.3)
        turns          1 / (turns · |a_t|): the mean over turns of the mean over their tokens
        trajectories   1 / (trajectories · |o_i|) (GRPO as published, arXiv 2402.03300, eq. 3)

    Only tokens with weight > 0 are counted, in the whole step, so that accumulation cannot change the result. Exact in float64.
    """
    ones = torch.ones_like(turn_size, dtype=torch.float64)
    match divisor:
        case "constant":
            scale = ones / (counts.trajectories * tokens_per_trajectory)
        case "tokens":
            scale = ones / counts.tokens
        case "turns":
            scale = ones / (counts.turns * turn_size.clamp(min=1))
        case "trajectories":
            scale = ones / (counts.trajectories * sequence_size.clamp(min=1))
    return scale


# --- a spec applied to a batch -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """The terms of a spec per sampled token, unweighted. `total` is scaled and summed; `ratio` and `clipped` are for metrics."""

    total: Float[Tensor, " a"]
    policy: Float[Tensor, " a"]
    kl: Float[Tensor, " a"] | None
    ratio: Float[Tensor, " a"]
    clipped: Bool[Tensor, " a"]


def token_losses(
    spec: LossSpec, batch: PackedBatch, policy_logprobs: Float[Tensor, " a"], entropies: Float[Tensor, " a"] | None = None
) -> TokenLosses:
    """policy loss + β KL − c entropy, per sampled token.

    Raises ValueError where the batch lacks a stream, or part of a sequence, that the spec needs.
    """
    if spec.whole == "trajectory" and not _has_whole_sequences(batch):
        raise ValueError('expected whole trajectories in each batch for ratio_level="sequence": pack with whole=spec.whole')
    old = batch.behaviour_logprob if batch.old_logprob is None else batch.old_logprob
    segment = {"token": None, "turn": batch.turn_of_action, "sequence": batch.sequence_of_action}[spec.unit]
    ratio = policy_ratio(policy_logprobs, old, segment, batch.weight > 0)
    if spec.policy == "clip":
        policy = clipped_policy_loss(ratio, batch.advantage, spec.clip_low, spec.clip_high, spec.dual_clip)
        held = clipped(ratio, batch.advantage, spec.clip_low, spec.clip_high)
        corrected = batch.old_logprob  # the ratio itself leads from π_old to π_θ
    else:
        policy = reinforce_loss(policy_logprobs, batch.advantage)
        held = torch.zeros_like(ratio, dtype=torch.bool)
        corrected = policy_logprobs
    if spec.importance_cap is not None:
        if corrected is None:
            raise ValueError("expected old log-probabilities for importance_cap with a clipped loss, but the batch has none")
        policy = policy * truncated_importance_weights(corrected, batch.behaviour_logprob, spec.importance_cap)
    total, kl = policy, None
    if spec.needs_reference and spec.kl in ("k2", "k3"):
        if batch.reference_logprob is None:
            raise ValueError(f"expected reference log-probabilities for kl={spec.kl!r}, but the batch has none")
        kl = kl_estimate(policy_logprobs, batch.reference_logprob, spec.kl)
        total = total + spec.kl_coef * kl
    if spec.entropy_coef:
        if entropies is None:
            raise ValueError("expected entropies for entropy_coef != 0, but the forward pass gave none")
        total = total - spec.entropy_coef * _precise(entropies)
    return TokenLosses(total, policy, kl, ratio, held)


def _has_whole_sequences(batch: PackedBatch) -> bool:
    here = torch.zeros_like(batch.sequence_size)
    live, (_, place) = batch.weight > 0, torch.unique(batch.sequence_of_action, return_inverse=True)
    here = here.index_add(0, place, live.to(here.dtype))[place]  # live tokens of the trajectory in this batch
    return bool((here == batch.sequence_size).all())


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
