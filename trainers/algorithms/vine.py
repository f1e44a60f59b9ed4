"""Vine: values by sampling at turns drawn with a known chance; a critic elsewhere, corrected so that its errors cancel in the mean.

After the vine of TRPO (arXiv 1502.05477) and VinePPO (arXiv 2410.01679), in the doubly robust form of off-policy evaluation (Dudík et al.
2011, arXiv 1103.4601). At a chosen turn `k` further continuations are played from s_t and `k` from s_{t+1}:

    vine_t   Q(n) − mean Q of the siblings            as in tree: both terms are means over continuations
    Â_t      Δ_t + (I_t / p_t) · shrink · (vine_t − Δ_t)   I_t: the turn was chosen, p_t: its chance, Δ_t: the critic's TD(0) residual

for every continuation of s_t. At shrink = 1 the mean of Â_t is A(s_t, a_t) whatever Δ is, because p_t depends on the past only and
continuations are fresh. The variance has a part (1 − p)/p · E(vine − Δ)². Turn 0, and turns of continuations where nothing is drawn, have
the advantages of tree. Without a critic (fallback="group") all turns have them, because they need no correction.

Path weights are those of tree. With train_continuations=false and chance=1 this is VinePPO, but for the use of the episode's own outcome.
With a critic p_t = 2 √(V (1 − V)) `chance`, 0.02 at least (Neyman allocation), V from the critic before this batch, so critic.values_from
has to be "earlier". The length of a continuation is not known from the past, so p_t leaves its cost out.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Practice
from trainers.credit.tree import Tree, lot, neyman
from trainers.learning.losses import LossSpec
from webgym.rollout.branch import Branch
from webgym.types import Group, Trajectory


class Config(AlgorithmConfig):
    """Options of vine; γ is 1."""

    k: int = Field(default=2, ge=1)
    """Further continuations of a state."""
    chance: float = Field(default=0.1, gt=0, le=1)
    """Chance of a turn to be chosen; with a critic, in a state of value 1/2."""
    shrink: float = Field(default=1.0, gt=0, le=1)
    """Part of the correction that counts."""
    fallback: Literal["group", "critic"] = "group"
    """Advantages of turns that were not chosen: those of tree, or the critic's TD(0) residual."""
    train_continuations: bool = True
    """Train on the continuations too."""
    loss: LossSpec = LossSpec(policy="reinforce", importance_cap=2.0)
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """Without a critic there is nothing to correct."""
        return {"shrink": "fallback=group"} if self.fallback == "group" else {}


def needs_values(config: Config) -> Literal["", "turn"]:
    """V(s_t) of each turn, where it is the fallback."""
    return "turn" if config.fallback == "critic" else ""


def targets(groups: Sequence[Group], config: Config) -> list[np.ndarray]:
    """The mean outcome below each state."""
    return [v for group in groups for v in Tree.of(group).state_values()]


def practice(config: Config) -> Practice:
    """In groups, because turn 0 is compared with the other members'. Chosen turns get continuations on both sides."""
    return Practice(forks=partial(forks, config=config), members=2)


def chosen(x: Trajectory, v: np.ndarray | None, config: Config) -> dict[int, float]:
    """The chosen turns of an episode, with their chances."""
    ps = [config.chance if v is None else neyman(v[t], config.chance) for t in range(len(x))]
    return {t: p for t, p in enumerate(ps) if t and lot(x.key, t) < p}


def forks(episodes: Sequence[Trajectory], values: Sequence[np.ndarray] | None, config: Config) -> list[Branch]:
    """`k` continuations from both states of each chosen turn."""
    turns = [chosen(x, values[n] if values is not None else None, config) for n, x in enumerate(episodes)]
    states = [sorted({s for t in at for s in (t, t + 1) if s < len(x)}) for x, at in zip(episodes, turns, strict=True)]
    return [Branch(x, s) for x, there in zip(episodes, states, strict=True) for s in there for _ in range(config.k)]


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Â of each fresh turn, with its path weight."""
    v = c.turn_values(values, c.flatten(groups)) if config.fallback == "critic" else None
    advantages: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for group in groups:
        tree = Tree.of(group)
        found = tree.advantages()
        if v is not None:
            here = v[len(advantages) : len(advantages) + len(group)]
            delta = [c.gae(c.rewards(x), np.ones(len(x)), u, 0.0) for x, u in zip(group, here, strict=True)]
            drawn = {i: chosen(group[i], here[i], config) for i, t in tree.node if t == 0}
            for place, (i, t) in tree.node.items():
                if i in drawn and t:
                    vine, p = found[place[0]][place[1]], drawn[i].get(t, np.inf)
                    apart = vine - delta[place[0]][place[1]]
                    found[place[0]][place[1]] = vine - apart + config.shrink / p * apart
        advantages += found
        weights += tree.path_weights() if config.train_continuations else tree.trunk_weights()
    advantages = c.masked(advantages, weights)
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": c.live_std(advantages, weights)}
    return c.Credit(advantages, weights, targets(groups, config) if config.fallback == "critic" else None, stats)
