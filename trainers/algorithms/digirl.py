"""DigiRL: imitate the turns that a doubly robust advantage calls good, in the trajectories that did best against expectation.

Bai et al. (2024), arXiv 2406.11896, section 4.2, with turns t = 0..T−1 and H = T:

    trajectories   the `keep` share with the largest R − V(s_0) (instruction-level filter)
    turns          A_t = m_t + (1 − m_t) (r_t + V(s_{t+1}) − V(s_t)),   m_t = λ^{T−1−t} R,   V(s_T) = 0     (doubly robust, eq. 4.3)
    actor          maximise log π(a_t | s_t) where A_t > 1/`horizon`: a hard filter, no ratio, no push away from anything

The Monte Carlo part m_t counts more the nearer the end is: in a success the last turn has A = 1. In a failure it is 0, and the critic's
part counts in full.
`form="code"` is the form of the released code: A_t = V(s_{t+1}) − V(s_t) − 0.05 + r_t + G_t with γ = 0.5 in G_t, threshold 0.

Differences from the paper: V(s_0) of the one critic stands for the separate instruction-level value. The critic's targets are outcomes,
not 1[G > 0] (cross-entropy on that would throw γ away). With `gamma` below 1, V(s_{t+1}) and R are discounted as V's targets are.
Values of replayed episodes are not held out, in the paper as here: the critic was fitted to them when they were new.
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
    """Discount per turn, of the critic's targets and of the advantage."""
    keep: float = Field(default=0.1, gt=0, le=1)
    """Share of trajectories that are learned from."""
    replay: int = Field(default=4, ge=1)
    """Iterations whose episodes are kept, the newest included."""
    loss: LossSpec = LossSpec(policy="reinforce", divisor="tokens")
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """The released code's form has no mixture and no horizon."""
        return dict.fromkeys(("horizon", "lam"), "form=code") if self.form == "code" else {}


def needs_values(config: Config) -> Literal["turn"]:
    """V(s_t) of each turn."""
    return "turn"


def practice(config: Config) -> Practice:
    """Episodes of the last iterations are read again."""
    return Practice(replay=config.replay, imitates=True)


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns."""
    return c.monte_carlo_targets(c.flatten(groups), config.gamma)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Advantage 1 for the turns that pass both filters, weight 0 for all others."""
    trajectories = c.flatten(groups)
    v = c.turn_values(values, trajectories)
    live = c.turn_weights(trajectories)
    returns = targets(groups, config)
    surprise = [g[0] - v_t[0] if c.learnable(x) else -np.inf for x, g, v_t in zip(trajectories, returns, v, strict=True)]
    learnable = sum(map(c.learnable, trajectories))
    best = set(np.argsort(-np.array(surprise), kind="stable")[: max(1, round(config.keep * learnable))]) if learnable else set()
    advantages = [_advantage(x, v_t, config) for x, v_t in zip(trajectories, v, strict=True)]
    limit = 1 / config.horizon if config.form == "paper" else 0.0
    weights = [w * (a > limit) * (i in best) for i, (w, a) in enumerate(zip(live, advantages, strict=True))]
    stats = c.rollout_stats(groups) | c.critic_stats(trajectories, returns, v, c.group_baselines(groups, returns), live)
    stats |= {"rollout/advantage_std": c.live_std(advantages, live), "rollout/imitated": float(sum(w.sum() for w in weights))}
    return c.Credit([w.copy() for w in weights], weights, returns, stats)


def _advantage(trajectory: Trajectory, v_t: np.ndarray, config: Config) -> np.ndarray:
    turns, r_t, discount_t = len(trajectory), c.rewards(trajectory), c.discounts(len(trajectory), config.gamma)
    residual = c.gae(r_t, discount_t, v_t, lam=0.0)  # r_t + γ V(s_{t+1}) − V(s_t)
    if config.form == "code":
        return residual - 0.05 + c.discounted_returns(r_t, c.discounts(turns, 0.5))
    mixed = config.lam ** (turns - 1 - np.arange(turns)) * c.discounted_returns(r_t, discount_t)
    return mixed + (1 - mixed) * residual
