"""GRPO: the group's mean return is the baseline, one advantage for the whole trajectory.

Shao et al. (2024), arXiv 2402.03300, eq. 3 and section 4.1.2: Â_i = (r_i − mean(r)) / std(r) over the group; clipped surrogate per
token, 1/|o_i| per trajectory, KL to a reference as k3. |o_i| counts the *sampled* tokens of all turns; pages are no part of it.

The default differs from the paper where later work found it biased; :meth:`Config.published` gives the paper's form:

    published                       default
    divided by the group's std      not divided (Dr. GRPO, arXiv 2503.20783: std favours tasks that are nearly solved or hopeless)
    1/|o_i|                         a constant divisor (same paper: 1/|o_i| lets long failures off lightly)
    clip 1 ± 0.2                    1 − 0.2 to 1 + 0.28 (clip-higher of DAPO, arXiv 2503.14476)
    β = 0.04                        no KL, no reference model in memory
    groups without spread stay      dropped from numerator and denominator, and counted (dynamic sampling of DAPO)
    negative advantages count       left out: with few episodes, pushing failures down unlearns more than it teaches (docs/lab-notes.md)

Members that faulted are masked, so a group may have fewer of them; its mean is over the others.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trainers import credit as c
from trainers.losses import LossSpec
from webgym.types import Group


class Config(BaseModel):
    """Options of GRPO."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    std: bool = False
    """Divide by the standard deviation of the group."""
    drop_dead_groups: bool = True
    """Leave groups whose members all have the same return out of the loss, its divisor and its KL."""
    negative: float = Field(default=0.0, ge=0, le=1)
    """Factor on negative advantages: at 0, only what did better than its group is learned from, at 1, what did worse is pushed down too."""
    loss: LossSpec = LossSpec(clip_low=0.2, clip_high=0.28)
    """Loss of the policy."""

    @classmethod
    def published(cls, kl_coef: float = 0.04) -> "Config":
        """The form of the paper."""
        loss = LossSpec(clip_low=0.2, clip_high=0.2, divisor="trajectories", kl="k3", kl_coef=kl_coef)
        return cls(std=True, drop_dead_groups=False, negative=1.0, loss=loss)


def needs_values(config: Config) -> Literal[""]:
    """No critic: the group's mean takes its place."""
    return ""


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Â_i for each turn of member i."""
    advantages: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    dropped = 0
    for group in groups:
        returns = np.array([c.rewards(x).sum() for x in group if c.learnable(x)])
        scores = c.group_standardise(returns, config.std)
        score = iter(np.where(scores < 0, config.negative * scores, scores))
        dead = len(returns) > 0 and not c.spread(returns)
        dropped += dead
        for x in group:
            advantages.append(np.full(len(x), next(score) if c.learnable(x) else 0.0))
            weights.append(np.full(len(x), float(c.learnable(x) and not (dead and config.drop_dead_groups))))
    stats = c.rollout_stats(groups) | {"rollout/groups_dropped": float(dropped)}
    return c.Credit(advantages, weights, None, stats | {"rollout/advantage_std": c.live_std(advantages, weights)})
