"""Actor-critic: the TD residual of each turn, or its generalised form, as advantage of the turn.

Sutton et al. (2000), "Policy gradient methods"; Schulman et al. (2016), arXiv 1506.02438, eq. 16, over turns:

    δ_t = r_t + γ V(s_{t+1}) − V(s_t),   A_t = δ_t + γλ A_{t+1},   ∇J = E Σ_t A_t ∇log π(a_t | s_t)

λ = 0 (the default) is TD(0): one real step and then the critic's value, so the least variance and all of the critic's bias. λ = 1 is
REINFORCE with V. There is no clip and no gate against a bad critic; ArCHer-PPO is this with both, and a λ near 1.
One batch gives one optimiser step, as the equation says. Where `update` asks for more, `loss.importance_cap` corrects the later ones.

Difference from the papers: the critic's own targets are Monte Carlo returns (where the turn limit ended the episode and
`bootstrap_at_limit` is set: to V(s_T)) unless `critic.target_lam` is below 1 (0: r_t + γ V(s_{t+1})).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Bootstrapped, Discounted
from trainers.learning.losses import LossSpec
from webgym.types import Group


class Config(Discounted, Bootstrapped):
    """Options of actor-critic."""

    lam: float = Field(default=0.0, ge=0, le=1)
    """λ of turn-level GAE: 0 is TD(0), 1 the return minus V."""
    whiten: bool = False
    """Divide advantages by their standard deviation over turns, without centring."""
    loss: LossSpec = LossSpec(policy="reinforce", importance_cap=2.0)
    """Loss of the policy."""


def needs_values(config: Config) -> Literal["turn"]:
    """V(s_t) of each turn."""
    return "turn"


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns G_t = γ^{T−1−t} R."""
    return c.monte_carlo_targets(c.flatten(groups), config.gamma)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Turn-level GAE."""
    trajectories = c.flatten(groups)
    weights, outcomes, v = c.turn_weights(trajectories), targets(groups, config), c.turn_values(values, trajectories)
    final = c.final_values(values, trajectories) if config.bootstrap_at_limit else None
    judged = c.outcome_known(trajectories, weights) if config.bootstrap_at_limit else weights
    advantages = c.masked(c.turn_advantages(trajectories, v, config.gamma, config.lam, final), weights)
    returns = c.monte_carlo_targets(trajectories, config.gamma, final)
    stats = c.rollout_stats(groups) | c.critic_stats(trajectories, outcomes, v, c.group_baselines(groups, outcomes), judged)
    stats |= {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, returns, stats)
