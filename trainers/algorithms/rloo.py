"""RLOO: REINFORCE with the mean return of the group's other members as baseline.

Kool et al. (2019), "Buy 4 REINFORCE samples, get a baseline for free", and Ahmadian et al. (2024), arXiv 2402.14740, eq. 8:

    A_i = R_i − 1/(k−1) Σ_{j≠i} R_j,        ∇J = 1/k Σ_i A_i Σ_t ∇log π(a_t | s_t)

The whole episode is one action. Leaving oneself out keeps the baseline independent of one's own outcome, so the gradient is unbiased;
A_i is k/(k−1) times the distance to the group's mean (GRPO without std). Groups without spread have A = 0 and stay in the divisor.
A batch gives one optimiser step; `loss.importance_cap` corrects later ones where `update` asks for more.

Differences from the papers: Ahmadian et al. put a KL into the reward (`--set loss.kl=k1 --set loss.kl_coef=0.05`), Kool et al. have none,
as here. The sum over a trajectory's tokens is divided by a constant, a change of scale.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Practice
from trainers.learning.losses import LossSpec
from webgym.types import Group


class Config(AlgorithmConfig):
    """Options of RLOO."""

    whiten: bool = False
    """Divide advantages by their standard deviation over turns, without centring."""
    loss: LossSpec = LossSpec(policy="reinforce", importance_cap=2.0)
    """Loss of the policy."""


def needs_values(config: Config) -> Literal[""]:
    """No critic: the other members take its place."""
    return ""


def practice(config: Config) -> Practice:
    """On-policy, in groups."""
    return Practice(members=2)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """A_i for each turn of member i; one that is alone in its group gets 0."""
    advantages: list[np.ndarray] = []
    for group in groups:
        returns = np.array([c.rewards(x).sum() for x in group if c.learnable(x)])
        score = iter(returns - c.leave_one_out_mean(returns))
        advantages += [np.full(len(x), next(score) if c.learnable(x) else 0.0) for x in group]
    weights = c.turn_weights(c.flatten(groups))
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, None, stats)
