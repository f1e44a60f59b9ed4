"""The common part of GRPO and its relatives: the group's own statistics as the baseline, one advantage for a whole trajectory.

The relatives differ in the few settings below and in the loss, so each of their files is a `Config` with its own defaults and the
paper's reasons; :func:`differences` says what a configuration changes against GRPO as published (grpo_published.py).

One difference from the paper holds for all of them. Its objective, 1/G Σ_g 1/|g| Σ_i, gives every group the same weight. Here every
trajectory has the same weight, so a group that lost members to faults counts less.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Practice
from trainers.learning.losses import LossSpec
from webgym.types import Group


class GroupConfig(AlgorithmConfig):
    """GRPO as published (arXiv 2402.03300, eq. 3 and section 4.1.2); the files of its relatives override what they change."""

    std: bool = True
    """Divide by the standard deviation of the group."""
    drop_dead_groups: bool = False
    """Leave groups whose members all have the same return out of the loss, its divisor and its KL."""
    resample: int = Field(default=0, ge=0)
    """Rounds in which groups are played in place of those without spread, as many as came out of the round before (DAPO's dynamic
    sampling, bounded). All of their environment steps count."""
    negative: float = Field(default=1.0, ge=0, le=1)
    """Factor on negative advantages: at 0 only members better than their group are learned from, at 1 worse ones are pushed down too."""
    loss: LossSpec = LossSpec(clip_low=0.2, clip_high=0.2, divisor="trajectories", kl="k3", kl_coef=0.04)
    """Loss of the policy."""

    @model_validator(mode="after")
    def _replaced_groups_are_out(self) -> Self:
        if self.resample and (not self.drop_dead_groups or self.loss.kl == "k1"):
            raise ValueError(
                "resample plays other groups in place of those without spread, so they must be out of the loss: "
                "set drop_dead_groups=true and no loss.kl=k1, which gives every group spread"
            )
        return self

    def idle(self) -> dict[str, str]:
        """The lower clip and dual clip act on negative advantages only."""
        return dict.fromkeys(("loss.clip_low", "loss.dual_clip"), "negative=0") if self.negative == 0 else {}


def needs_values(config: GroupConfig) -> Literal[""]:
    """No critic: the group's mean takes its place."""
    return ""


def practice(config: GroupConfig) -> Practice:
    """On-policy, in groups; those without spread are replaced where `resample` is above 0."""
    return Practice(resample=config.resample, members=2)


def credit(groups: Sequence[Group], values: c.Values | None, config: GroupConfig) -> c.Credit:
    """Â_i = (r_i − mean(r)) / std(r) for each turn of member i; faulted members are masked and in no mean."""
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


def differences(config: GroupConfig) -> dict[str, tuple[Any, Any]]:
    """Changes of `config` against GRPO as published: name → (published, here); fields of the loss have dots.

    >>> differences(GroupConfig(std=False))
    {'std': (True, False)}
    """
    return _changed(GroupConfig().model_dump(), config.model_dump())


def _changed(published: dict[str, Any], here: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name, value in here.items():
        was = published.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            found |= _changed(was, value, f"{prefix}{name}.")
        elif value != was:
            found[prefix + name] = (was, value)
    return found
