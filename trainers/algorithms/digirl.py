"""DigiRL: imitate the turns that a doubly robust advantage calls good, in the trajectories that did best against expectation.

Bai et al. (2024), arXiv 2406.11896, section 4.2, with turns t = 0..T−1 and H = T:

    trajectories   the `keep` share with the largest R − V(s_0) (instruction-level filter)
    turns          A_t = λ^{T−t} R + (1 − λ^{T−t}) (V(s_{t+1}) + r_t − V(s_t)),   V(s_T) = 0     (doubly robust, eq. 6)
    actor          maximise log π(a_t | s_t) where A_t > 1/`horizon`: a hard filter, no ratio, no push away from anything

The Monte Carlo part counts more the nearer the end is, the critic's part the further away. `form="code"` is the form of the released
code: A_t = V(s_{t+1}) − V(s_t) − 0.05 + r_t + G_t with γ = 0.5 in G_t, threshold 0. V(s_0) of the one critic stands for the separate
instruction-level value. The critic's targets are outcomes, not 1[G > 0] (cross-entropy on that would throw γ away).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Discounted, Practice
from trainers.learning.losses import LossSpec
from webgym.types import Group, Trajectory


class Config(Discounted):
    """Options of DigiRL."""

    form: Literal["paper", "code"] = "paper"
    """The paper's advantage and threshold 1/horizon, or the released code's and threshold 0."""
    horizon: int = Field(default=10, ge=1)
    """The turn limit that the paper's threshold goes by."""
    lam: float = Field(default=0.5, ge=0, le=1)
    """λ of the doubly robust mixture: 0 is the critic's residual, 1 the outcome."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per turn of the critic's targets."""
    keep: float = Field(default=0.1, gt=0, le=1)
    """Share of trajectories that are learned from."""
    replay: int = Field(default=4, ge=1)
    """Iterations whose episodes are kept, the newest included."""
    loss: LossSpec = LossSpec(policy="reinforce", divisor="tokens")
    """Loss of the policy."""


def needs_values(config: Config) -> Literal["turn"]:
    """V(s_t) of each turn."""
    return "turn"


def practice(config: Config) -> Practice:
    """Episodes of the last iterations are read again."""
    return Practice(replay=config.replay)


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns."""
    return c.monte_carlo_targets(c.flatten(groups), config.gamma)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Advantage 1 for the turns that pass both filters, weight 0 for all others."""
    trajectories = c.flatten(groups)
    v = c.turn_values(values, trajectories)
    live = c.turn_weights(trajectories)
    surprise = [c.rewards(x).sum() - v_t[0] if c.learnable(x) else -np.inf for x, v_t in zip(trajectories, v, strict=True)]
    learnable = sum(map(c.learnable, trajectories))
    best = set(np.argsort(-np.array(surprise), kind="stable")[: max(1, round(config.keep * learnable))]) if learnable else set()
    advantages = [_advantage(x, v_t, config) for x, v_t in zip(trajectories, v, strict=True)]
    limit = 1 / config.horizon if config.form == "paper" else 0.0
    weights = [w * (a > limit) * (i in best) for i, (w, a) in enumerate(zip(live, advantages, strict=True))]
    returns = targets(groups, config)
    stats = c.rollout_stats(groups) | c.critic_stats(trajectories, returns, v, c.group_baselines(groups, returns), live)
    stats |= {"rollout/advantage_std": c.live_std(advantages, live), "rollout/imitated": float(sum(w.sum() for w in weights))}
    return c.Credit([w.copy() for w in weights], weights, returns, stats)


def _advantage(trajectory: Trajectory, v_t: np.ndarray, config: Config) -> np.ndarray:
    turns, r_t = len(trajectory), c.rewards(trajectory)
    residual = c.gae(r_t, c.discounts(turns, 1.0), v_t, lam=0.0)  # V(s_{t+1}) + r_t − V(s_t)
    if config.form == "code":
        return residual - 0.05 + c.discounted_returns(r_t, c.discounts(turns, 0.5))
    share = config.lam ** (turns - np.arange(turns))
    return share * r_t.sum() + (1 - share) * residual
