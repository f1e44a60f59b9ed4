"""ArCHer-PPO: a turn-level critic gives each turn its own advantage, all tokens of the turn share it, PPO clips per token.

After Zhou et al. (2024), ArCHer, arXiv 2402.19446, in the flat PPO form of the text "Generalizable Value Functions".
Notation: turns t = 0..T−1, r_t = 0 but r_{T−1} = R, V(s_T) = 0.

    critic     V_φ(s_t) → G_t = γ^{T−1−t} R                                  (Monte Carlo: the outcome, not its own predictions)
    actor      δ_t = r_t + γ V(s_{t+1}) − V(s_t),   A_t = δ_t + γλ A_{t+1}   (turn-level GAE)
    order      critic first, values again, then the actor

The text's own advantage is V(s_{t+1}) − V(s_t), and R − V(s_{T−1}) at the end: λ = 0 and no γ. With a critic of discounted
targets its mean is (1−γ) E[V'] > 0 on every ordinary turn, so it rewards going on as such; `published_td` gives it.

A critic fitted on a batch can memorise the batch's outcomes, and then A_t goes to 0. So values are held out (critic.values_from).
They are used only if they help: while Var(G − V) is no less than Var(G), or than Var(G − b) with b the leave-one-out group mean,
A_t = G_t − b_t takes their place (critic/gate is 0).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Bootstrapped, Discounted
from webgym.types import Group, Trajectory


class Config(Discounted, Bootstrapped):
    """Options of ArCHer-PPO."""

    lam: float = Field(default=0.95, ge=0, le=1)
    """λ of turn-level GAE: 0 is TD(0), 1 the return minus V."""
    published_td: bool = False
    """The published advantage: TD(0) without γ; lam is then not used."""
    whiten: bool = True
    """Divide advantages by their standard deviation over turns, without centring."""
    gate: bool = True
    """Fall back to the leave-one-out group mean while the critic explains less than it."""


def needs_values(config: Config) -> Literal["turn"]:
    """V(s_t), read at the last prompt token of each turn."""
    return "turn"


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns G_t = γ^{T−1−t} R."""
    return c.monte_carlo_targets(c.flatten(groups), config.gamma)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Turn-level GAE on held-out values, or the group mean while the gate is shut."""
    trajectories = c.flatten(groups)
    weights = c.turn_weights(trajectories)
    returns = targets(groups, config)
    v = c.turn_values(values, trajectories)
    b = c.group_baselines(groups, returns)
    critic = c.critic_stats(trajectories, returns, v, b, weights)
    if config.gate and not critic["critic/gate"]:
        advantages = [g - baseline for g, baseline in zip(returns, b, strict=True)]
    else:
        final = c.final_values(values, trajectories) if config.bootstrap_at_limit else [0.0] * len(trajectories)
        advantages = [_advantage(x, v_t, v_end, config) for x, v_t, v_end in zip(trajectories, v, final, strict=True)]
    advantages = c.masked(advantages, weights)
    stats = c.rollout_stats(groups) | critic | {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, returns, stats)


def _advantage(trajectory: Trajectory, v_t: np.ndarray, final_value: float, config: Config) -> np.ndarray:
    gamma, lam = (1.0, 0.0) if config.published_td else (config.gamma, config.lam)
    discount_t = c.discounts(len(trajectory), gamma, last=gamma if final_value else 0.0)
    return c.gae(c.rewards(trajectory), discount_t, v_t, lam, final_value)
