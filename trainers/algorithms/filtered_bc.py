"""Filtered behaviour cloning: imitate the recent steps of successful episodes, the newest most.

The recipe of microsoft/webgym (Bai et al. 2026, arXiv 2601.02439): of the last `replay` iterations keep the steps of successful
episodes after which the page had changed, draw `steps` of them with chance ∝ (position + 1)^`recency` over their places from old to
new, and maximise their log-likelihood:

    L = −1/N Σ log π(a | s)

There is no negative gradient, no critic and no ratio, so steps of older policies may be used as they are, at two optimiser steps a pass
and two passes like the recipe's. Draws are without replacement and fixed by the episodes themselves: the same buffer gives the same batch.
Success is the environment's, so a KL in the reward (`loss.kl=k1`) would change nothing and is refused.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Practice
from trainers.learning.losses import LossSpec
from webgym.types import Group, Trajectory, seed_from


class Config(AlgorithmConfig):
    """Options of filtered behaviour cloning."""

    replay: int = Field(default=4, ge=1)
    """Iterations whose episodes are kept, the newest included."""
    steps: int = Field(default=1800, ge=1)
    """Turns that are drawn for one update."""
    recency: float = Field(default=2.0, ge=0)
    """Power of the turn's place in the buffer; 0 draws all alike."""
    changed_only: bool = True
    """Leave out turns after which the page was as before (the end of an episode always counts as a change)."""
    loss: LossSpec = LossSpec(policy="reinforce", divisor="tokens")
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """Success is read from the outcome, not from rewards."""
        return {"loss.kl": "episodes that are chosen by their outcome, not by rewards"} if self.loss.kl == "k1" else {}


def needs_values(config: Config) -> Literal[""]:
    """No critic: success is the only judge."""
    return ""


def practice(config: Config) -> Practice:
    """Episodes of the last iterations are read again."""
    return Practice(replay=config.replay, imitates=True)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Advantage 1 for the turns that were drawn, weight 0 for all others. `groups` come from old to new."""
    trajectories = c.flatten(groups)
    weights = [np.zeros(len(x)) for x in trajectories]
    good = [(i, t) for i, x in enumerate(trajectories) if x.outcome.success for t in range(len(x)) if _kept(x, t, config)]
    if good:
        chance = (np.arange(len(good)) + 1.0) ** config.recency
        noise = np.random.default_rng(seed_from(*(x.key for x in trajectories))).gumbel(size=len(good))
        for k in np.argsort(-(np.log(chance) + noise))[: config.steps]:  # Gumbel top-k: draws without replacement
            weights[good[k][0]][good[k][1]] = 1.0
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": 0.0, "rollout/imitated": float(sum(w.sum() for w in weights))}
    return c.Credit([w.copy() for w in weights], weights, None, stats)


def _kept(trajectory: Trajectory, t: int, config: Config) -> bool:
    turns = trajectory.turns
    return not config.changed_only or t + 1 == len(turns) or turns[t].state_hash != turns[t + 1].state_hash
