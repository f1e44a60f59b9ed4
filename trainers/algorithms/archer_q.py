"""ArCHer as published: an off-policy critic of whole turns (double Q and V with target copies), and an actor of tokens under it.

Zhou et al. (2024), arXiv 2402.19446, section 3.3 and 4.2, over the episodes of the last iterations:

    critic   Q_i(s_t, a_t) → r_t + γ V̄_i(s_{t+1}),   V_i(s_t) → Q̄_i(s_t, a'),  a' ~ π now,   i = 1, 2
    actor    a ~ π(· | s_t) drawn anew in every state of the replay,   A = min(Q_1, Q_2)(s_t, a) − min(V_1, V_2)(s_t)
             L = −E A Σ_l log π(a^l | s_t, a^{<l})

The actor learns from actions of the current policy, so there is no ratio and no clip, and old episodes serve as states only. Its actions
are not those that V was fitted to: V would know a little of which were drawn, and their advantages would come out too small.

Differences from the paper: its critic reads observation and action by a RoBERTa of its own; ours is a copy of the policy's backbone.
Actions for the critic are drawn once an iteration, not for every minibatch: one draw fits `q.epochs` passes. Advantages are whitened. One
batch gives one optimiser step of the actor, where the paper's code takes three; `loss.importance_cap` corrects later ones.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from trainers.credit import credit as c
from trainers.credit.algorithm import Practice
from trainers.critics.q_critic import ActionValueConfig
from trainers.learning.losses import LossSpec
from webgym.types import Group


class Config(ActionValueConfig):
    """Options of ArCHer."""

    replay: int = Field(default=4, ge=1)
    """Iterations whose episodes are kept, the newest included."""
    centre: bool = False
    """Subtract the mean over turns from the advantages (not published). The actions are the policy's own, so that the mean of the true
    advantage is 0, and the average difference of the two networks Q and V would push every action the same way."""
    whiten: bool = True
    """Divide advantages by their standard deviation over turns, without centring (not published; it frees the step from Q's scale)."""
    loss: LossSpec = LossSpec(policy="reinforce", importance_cap=2.0)
    """Loss of the policy."""

    @model_validator(mode="after")
    def _the_value_is_that_of_the_policy(self) -> "Config":
        if self.q.backup == "optimality":
            raise ValueError(
                "q.backup=optimality makes V the best action's, not the policy's own, and the actor's advantages are those of Q − V: "
                "leave it out, or take q_learning"
            )
        return self


def needs_values(config: Config) -> Literal["action"]:
    """Q(s_t, a_t) and V(s_t)."""
    return "action"


def practice(config: Config) -> Practice:
    """States of the last iterations, with actions of the current policy."""
    return Practice(replay=config.replay, fresh=True)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """A = Q − V of each turn; the smaller of each pair was taken when the values were read."""
    trajectories = c.flatten(groups)
    weights = c.turn_weights(trajectories)
    pairs = zip(c.action_values(values, trajectories), c.turn_values(values, trajectories), strict=True)
    advantages: list[np.ndarray] = c.masked([q - v for q, v in pairs], weights)
    if config.centre:
        mean = c.live_mean(advantages, weights)
        advantages = c.masked([a - mean for a in advantages], weights)
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, None, stats)
