"""Taught: forks teach a critic and judge it; the critic gives each turn its credit as far as it deserves.

A hybrid of tree and archer, with γ = 1. Episodes fork at turns drawn with the known chance p_t = 2 √(V (1 − V)) `chance` (Neyman
allocation; 0.02 at least; V from the critic before this batch, so critic.values_from has to be "earlier").

    critic     V(s) → mean outcome below s, over the states of a group with the same hash and turn, fitted once for each leaf below
    δ_t        r_t + V(s_{t+1}) − V(s_t)
    actor      A_t = δ_t + λ · mean of A over the turns sampled after it      (Schulman et al. 2016, eq. 16, on the tree)
    judge      β̂ = Σ A δ / Σ δ², A by the difference in outcome of siblings   (trainers.credit.tree.judged)

β̂ is the slope of the true advantage on the critic's, by the iterations before. Two continuations say little of a turn, so β is the mean of
β̂ and `prior`, each over its variance. λ is 1 up to a slope of `low`, 0 from `high` on, and a line between; up to `low` the gate is shut and
the advantages are those of tree. All fresh turns are trained once, with the path weights of tree; λ < 1 brings in the critic's bias.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Practice
from trainers.credit.tree import SUMS, Tree, believed_slope, judged, lot, neyman, pooled, remembered
from webgym.rollout.branch import Branch
from webgym.types import Group, Trajectory

METRICS = {
    "critic/slope": "slope of the true advantage on the critic's TD(0) residual, by forks of earlier iterations; 1 is right",
    "critic/lambda": "λ of this batch's advantages",
    "critic/judged": "pairs of siblings that the slope is of, older ones at less weight",
}


class Config(AlgorithmConfig):
    """Options of taught."""

    chance: float = Field(default=0.15, ge=0, le=1)
    """Chance of a turn to fork in a state of value 1/2; at 0 nothing forks, and `lam` must be set."""
    lam: float | None = Field(default=None, ge=0, le=1)
    """λ, fixed and without a gate; none: by the judge."""
    low: float = Field(default=0.3, lt=0.7)
    """Slope up to which λ is 1 and the gate is shut."""
    high: float = Field(default=0.7, ge=0.7)
    """Slope from which λ is 0."""
    prior: float = 0.5
    """Slope before anything is known."""
    doubt: float = Field(default=0.25, gt=0)
    """Standard deviation of the prior."""
    memory: float = Field(default=0.9, ge=0, lt=1)
    """Weight of an iteration's pairs against those of the next."""
    whiten: bool = True
    """Divide advantages by their standard deviation over turns, without centring."""

    def idle(self) -> dict[str, str]:
        """A λ that is set has no thresholds; the judge's slope is still measured."""
        return {} if self.lam is None else dict.fromkeys(("low", "high"), "lam, which is then not chosen by the judge's slope")

    @model_validator(mode="after")
    def _the_judge_needs_forks(self) -> "Config":
        if not self.chance and self.lam is None:
            raise ValueError("chance=0 gives the judge of λ nothing to judge by: set lam, or chance above 0")
        return self


def needs_values(config: Config) -> Literal["turn"]:
    """V(s_t) of each turn."""
    return "turn"


def practice(config: Config) -> Practice:
    """Episodes fork where outcomes differ."""
    return Practice(forks=partial(forks, config=config) if config.chance else None)


def forks(episodes: Sequence[Trajectory], values: Sequence[np.ndarray] | None, config: Config) -> list[Branch]:
    """One continuation of each chosen state. Raises ValueError without the critic's values."""
    pairs = zip(episodes, c.turn_values(None if values is None else c.Values(values), episodes), strict=True)
    return [Branch(x, t) for x, v in pairs for t in range(1, len(x)) if lot(x.key, t) < neyman(v[t], config.chance)]


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """The mean outcome below each state, over the states of its group with the same hash at the same turn."""
    return [v for group in groups for v in pooled(Tree.of(group))]


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """The critic's advantages on each tree, at the λ of the judge; those of tree while the gate is shut."""
    trajectories, trees = c.flatten(groups), [Tree.of(group) for group in groups]
    v, past = c.turn_values(values, trajectories), dict(values.memory) if values else {}
    slope = believed_slope(past, config.prior, config.doubt)
    lam = float(np.clip((config.high - slope) / (config.high - config.low), 0, 1)) if config.lam is None else config.lam
    shut = config.lam is None and slope <= config.low
    advantages: list[np.ndarray] = []
    memory: dict[str, float] = dict.fromkeys(SUMS, 0.0)
    for tree in trees:
        here = v[len(advantages) :][: len(tree.group)]
        delta = [c.gae(c.rewards(x), np.ones(len(x)), u, 0.0) for x, u in zip(tree.group, here, strict=True)]
        new = judged(tree, delta, lambda node, here=here: neyman(here[node[0]][node[1]], config.chance))
        memory = {name: memory[name] + new[name] for name in SUMS}
        advantages += tree.advantages() if shut else tree.backed_up(delta, lam)
    weights = [w for tree in trees for w in tree.path_weights()]
    advantages, returns = c.masked(advantages, weights), [u for tree in trees for u in pooled(tree)]
    stats = c.rollout_stats(groups) | c.critic_stats(trajectories, returns, v, c.group_baselines(groups, returns), weights)
    stats |= {"critic/gate": float(not shut), "critic/slope": slope, "critic/lambda": lam, "critic/judged": past.get("pairs", 0.0)}
    stats["rollout/advantage_std"] = c.live_std(advantages, weights)
    memory = remembered(past, memory, config.memory)
    return c.Credit(c.whiten(advantages, weights) if config.whiten else advantages, weights, returns, stats, memory)
