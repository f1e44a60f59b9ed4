"""REINFORCE with no baseline, the mean return, or a critic's V as baseline.

Williams (1992): ∇J = E Σ_t ∇log π(a_t | s_t) · (G_t − b_t), with G_t = Σ_{k≥t} γ^{k−t} r_k. Any b_t that does not depend on a_t
leaves the expectation unchanged and can reduce the variance:

    none     b_t = 0
    mean     b_t = the mean of the other trajectories' G_t at the same turn, over the whole batch
    value    b_t = V(s_t); actor-critic with λ=1, no bootstrapping

The loss is −A log π, summed over a turn's tokens. The equation holds for the policy that sampled, so a batch gives one optimiser step
(`update` of this algorithm is one pass, one minibatch). Where more are asked for, min(π_θ/μ, `loss.importance_cap`) corrects the later
ones; in the first it is 1.

Differences from the paper: the sum over turns is divided by a constant (a change of scale), and the default baseline is the mean.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Discounted, Practice
from trainers.learning.losses import LossSpec
from webgym.types import Group


class Config(Discounted):
    """Options of REINFORCE."""

    baseline: Literal["none", "mean", "value"] = "mean"
    """Baseline that is subtracted from the return."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per turn."""
    whiten: bool = False
    """Divide advantages by their standard deviation over turns, without centring."""
    loss: LossSpec = LossSpec(policy="reinforce", importance_cap=2.0)
    """Loss of the policy."""


def needs_values(config: Config) -> Literal["", "turn"]:
    """A critic only where V is the baseline."""
    return "turn" if config.baseline == "value" else ""


def practice(config: Config) -> Practice:
    """On-policy; the mean of the others needs another episode."""
    return Practice(episodes=2 if config.baseline == "mean" else 1)


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns G_t for the critic."""
    return c.monte_carlo_targets(c.flatten(groups), config.gamma)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """A_t = G_t − b_t."""
    trajectories = c.flatten(groups)
    returns = targets(groups, config)
    match config.baseline:
        case "none":
            baselines = [np.zeros_like(g) for g in returns]
        case "mean":
            baselines = c.group_baselines([trajectories], returns)
        case "value":
            baselines = c.turn_values(values, trajectories)
    weights = c.turn_weights(trajectories)
    advantages = c.masked([g - b for g, b in zip(returns, baselines, strict=True)], weights)
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": c.live_std(advantages, weights)}
    if config.baseline == "value":
        stats |= c.critic_stats(trajectories, returns, baselines, c.group_baselines(groups, returns), weights)
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, returns, stats)
