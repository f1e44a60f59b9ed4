"""ArCHer-PPO: a turn-level critic gives each turn its own advantage, all tokens of the turn share it, PPO clips per token.

After Zhou et al. (2024), ArCHer, arXiv 2402.19446, in the flat PPO form of the text "Generalizable Value Functions".
Notation: turns t = 0..T−1, r_t = 0 but r_{T−1} = R, V(s_T) = 0.

    critic     V_φ(s_t) → G_t = γ^{T−1−t} R                                  (Monte Carlo: the outcome, not its own predictions)
    actor      δ_t = r_t + γ V(s_{t+1}) − V(s_t),   A_t = δ_t + γλ A_{t+1}   (turn-level GAE)
    order      critic first, values again, then the actor

Differences from the text, which `published_td=true gate=false whiten=false critic.values_from=same critic.head.loss=mse
loss.divisor=tokens` undoes. On 12 visible pages the first three of them undone reached 80% in 1 run of 3 within 3,500 steps, the default in
3 of 3 (trainers/studies/archer.toml, docs/credit-assignment.md):

    λ, γ       the text's advantage is V(s_{t+1}) − V(s_t), and R − V(s_{T−1}) at the end: λ = 0 and no γ. With a critic of discounted
               targets its mean is (1−γ) E[V'] > 0 on every ordinary turn, so it rewards going on as such
    values     the text reads them from the critic fitted on this very batch, which can memorise its outcomes; then A_t goes to 0. Here
               they are held out (critic.values_from)
    gate       values are used only if they help: while Var(G − V) is no less than Var(G), or than Var(G − b) with b the leave-one-out
               group mean, A_t = G_t − b_t takes their place (critic/gate is 0); then the turn limit is a failure to the actor even
               with bootstrap_at_limit, since V(s_T) is trusted no more than the others
    critic     cross-entropy with the soft target in place of squared error: it explained 0.54 of V after 640 episodes, mse 0.48
    whiten     advantages over their standard deviation, which frees the step from the critic's scale; all figures have it, its own effect
               was not measured
    divisor    a constant, not the number of tokens: a change of scale where episodes have as many tokens
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Bootstrapped, Discounted, Practice
from webgym.types import Group


class Config(Discounted, Bootstrapped):
    """Options of ArCHer-PPO."""

    lam: float = Field(default=0.95, ge=0, le=1)
    """λ of turn-level GAE: 0 is TD(0), 1 the return minus V."""
    published_td: bool = False
    """The published advantage: TD(0) without γ, for which lam has no meaning."""
    whiten: bool = True
    """Divide advantages by their standard deviation over turns, without centring."""
    gate: bool = True
    """Fall back to the leave-one-out group mean while the critic explains less than it."""

    def idle(self) -> dict[str, str]:
        """The published advantage has no λ."""
        return {"lam": "published_td=true"} if self.published_td else {}


def needs_values(config: Config) -> Literal["turn"]:
    """V(s_t), read at the last prompt token of each turn."""
    return "turn"


def practice(config: Config) -> Practice:
    """The group mean, or the gate, compares episodes."""
    return Practice(episodes=2 if config.gate else 1)


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """Monte Carlo returns G_t = γ^{T−1−t} R."""
    return c.monte_carlo_targets(c.flatten(groups), config.gamma)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Turn-level GAE on held-out values, or the group mean while the gate is shut."""
    trajectories = c.flatten(groups)
    weights, outcomes, v = c.turn_weights(trajectories), targets(groups, config), c.turn_values(values, trajectories)
    final = c.final_values(values, trajectories) if config.bootstrap_at_limit else None
    judged = c.outcome_known(trajectories, weights) if config.bootstrap_at_limit else weights
    b = c.group_baselines(groups, outcomes)
    critic = c.critic_stats(trajectories, outcomes, v, b, judged)
    if config.gate and not critic["critic/gate"]:
        advantages = [g - baseline for g, baseline in zip(outcomes, b, strict=True)]
    else:
        gamma, lam = (1.0, 0.0) if config.published_td else (config.gamma, config.lam)
        advantages = c.turn_advantages(trajectories, v, gamma, lam, final)
    advantages = c.masked(advantages, weights)
    returns = c.monte_carlo_targets(trajectories, config.gamma, final)
    stats = c.rollout_stats(groups) | critic | {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, returns, stats)
