"""PPO with an advantage per token, or one per trajectory.

Schulman et al. (2017), arXiv 1707.06347, eq. 7, with advantages of Schulman et al. (2016), arXiv 1506.02438, eq. 16:

    token        δ_l = r_l + d_l V(s_{l+1}) − V(s_l),   A_l = δ_l + d_l λ A_{l+1}     over the sampled tokens l of all turns
    trajectory   A = R − V(s_0), the same for every token: the critic says only how hard the task is. Nothing is discounted, because V must
                 have the target that it is compared with

The recursion of tokens runs over sampled tokens only: the last token of a turn is followed by the first of the next, whose state
holds the new page. So d_l is `token_gamma` inside a turn, `gamma` at its last token, 0 at the last of all. A recursion that also
steps over page tokens (as some trainers have it) lets λ < 1 decay credit by the length of the page, and one that takes values at page
tokens bootstraps from where nothing was decided. λ = 1 gives A_l = G_l − V(s_l). A turn without sampled tokens discounts once more.

λ = 0.95, γ = 0.99, a clip of 0.2 and the mean over tokens are the paper's (table 3, eq. 7). Differences from it:

    whiten     advantages over their standard deviation, uncentred. The paper's text has none of it, its released code divides and centres
    value      the critic is a model of its own with its own optimiser; no clipping of its loss, no c_1, no entropy bonus (c_2)
    steps      two passes of two minibatches (`update`), where the paper has 3 to 15 passes
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Discounted
from trainers.learning.losses import LossSpec
from webgym.types import Group, Trajectory


class Config(Discounted):
    """Options of PPO."""

    level: Literal["token", "trajectory"] = "token"
    """An advantage per sampled token, or one for the whole trajectory."""
    token_gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount from one token to the next of the same turn."""
    lam: float = Field(default=0.95, ge=0, le=1)
    """λ of GAE per token: 1 is the return minus V."""
    whiten: bool = True
    """Divide advantages by their standard deviation, without centring."""
    loss: LossSpec = LossSpec(divisor="tokens")
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """One advantage for the trajectory has no λ and no discount."""
        return dict.fromkeys(("lam", "gamma", "token_gamma"), "level=trajectory") if self.level == "trajectory" else {}


def needs_values(config: Config) -> Literal["turn", "token"]:
    """V before each sampled token, or V(s_t), of which only V(s_0) is used."""
    return "token" if config.level == "token" else "turn"


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns: discounted per token, or undiscounted per turn."""
    trajectories = c.flatten(groups)
    if config.level == "trajectory":
        return c.monte_carlo_targets(trajectories, gamma=1.0)
    return [c.discounted_returns(*_rewards_and_discounts(x, config)) for x in trajectories]


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Token-level GAE on held-out values, or R − V(s_0)."""
    trajectories, tokens = c.flatten(groups), config.level == "token"
    returns, weights = targets(groups, config), c.turn_weights(trajectories)
    v = c.token_values(values, trajectories) if tokens else c.turn_values(values, trajectories)
    # the critic's quality is measured per turn, because the first of a turn's tokens has the state in which the turn began
    g_turn, v_turn = ([c.at_turns(x, a) if tokens else a for a, x in zip(q, trajectories, strict=True)] for q in (returns, v))
    sampled = [w * (np.array(c.turn_sizes(x)) > 0) for w, x in zip(weights, trajectories, strict=True)]
    stats = c.rollout_stats(groups) | c.critic_stats(trajectories, g_turn, v_turn, c.group_baselines(groups, g_turn), sampled)
    if tokens:
        weights = [np.full(len(g), float(c.learnable(x))) for g, x in zip(returns, trajectories, strict=True)]
        advantages = [c.gae(*_rewards_and_discounts(x, config), v_l, config.lam) for x, v_l in zip(trajectories, v, strict=True)]
    else:
        advantages = [np.full(len(x), c.rewards(x).sum() - v_t[0] if len(x) else 0.0) for x, v_t in zip(trajectories, v, strict=True)]
    advantages = c.masked(advantages, weights)
    stats |= {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, returns, stats, per_token=tokens)


def _rewards_and_discounts(trajectory: Trajectory, config: Config) -> tuple[np.ndarray, np.ndarray]:
    return c.token_rewards(trajectory, config.gamma), c.token_discounts(trajectory, config.gamma, config.token_gamma)
