"""Tree: forks inside episodes; siblings that left one state by different actions are compared with each other.

Credit by sampling, a turn at a time, with every sampled turn trained once. Related: TreeRPO (arXiv 2506.05183), TreeRL (2506.11902),
Tree-GRPO (2509.21240), CARL (2512.04949, whose rule is train="forked"). At chosen turns further continuations of an episode are played:

    Q(n)    the mean of the outcomes below a turn, child by child
    Â(n)    Q(n) − mean Q of the siblings; without siblings, Q(n) − b with b that of the nearest turn above that has some,
            at the root the mean of the other roots
    loss    Σ w Â log π,  w = 1 at the root, divided by the number of children at every fork

With b children at one turn and no fork, Â is RLOO's. The gradient is unbiased, because forks are chosen from the past of their state only
(a fixed schedule, or a chance that is drawn for episode and turn), children are independent, baselines leave their own turn out, and path
weights undo the copies. The papers differ in these points: forks chosen from finished episodes, means over leaves, division by a standard
deviation, and shared turns that are trained once per leaf.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig, Practice
from trainers.credit.tree import Tree, lot
from trainers.learning.losses import LossSpec
from webgym.rollout.branch import Branch
from webgym.types import Group, Trajectory

METRICS = {"rollout/forks_parted": "share of the forked states whose continuations came to different returns"}


class Config(AlgorithmConfig):
    """Options of tree."""

    where: Literal["fixed", "uniform"] = "fixed"
    """Turns that fork: every `every`-th, or each with the same `chance`."""
    every: int = Field(default=4, ge=1)
    """Turns from one fork of an episode to the next, with where=fixed."""
    chance: float = Field(default=0.15, gt=0, le=1)
    """Chance of a turn to fork, with where=uniform."""
    most: int = Field(default=2, ge=1)
    """Forked turns of an episode at most, the first ones."""
    children: int = Field(default=2, ge=2)
    """Continuations of a forked state, the episode itself included."""
    train: Literal["all", "forked"] = "all"
    """Turns that are trained: all, or only those that have siblings."""
    loss: LossSpec = LossSpec(policy="reinforce", importance_cap=2.0)
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """Each choice of turns has its own option."""
        return {"chance": "where=fixed"} if self.where == "fixed" else {"every": "where=uniform"}


def needs_values(config: Config) -> Literal[""]:
    """No critic: continuations take its place."""
    return ""


def practice(config: Config) -> Practice:
    """In groups, because turns before the first fork are compared with the other members. Episodes fork at turns chosen beforehand."""
    return Practice(forks=partial(forks, config=config), members=2)


def forks(episodes: Sequence[Trajectory], values: Sequence[np.ndarray] | None, config: Config) -> list[Branch]:
    """The continuations that are played besides; turn 0 never forks, because the group's members are its continuations."""
    found = []
    for x in episodes:
        chosen = [t for t in range(1, len(x)) if (t % config.every == 0 if config.where == "fixed" else lot(x.key, t) < config.chance)]
        found += [Branch(x, t) for t in chosen[: config.most] for _ in range(config.children - 1)]
    return found


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Â of each fresh turn, with its path weight."""
    trees = [Tree.of(group) for group in groups]
    advantages = [a for tree in trees for a in tree.advantages()]
    weights = [w for tree in trees for w in tree.path_weights()]
    if config.train == "forked":
        siblings = {(n, *place) for n, tree in enumerate(trees) for node in tree.forked for place in tree.children[node]}
        members = [(n, i) for n, tree in enumerate(trees) for i in range(len(tree.group))]
        weights = [w * [(*member, t) in siblings for t in range(len(w))] for member, w in zip(members, weights, strict=True)]
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": c.live_std(advantages, weights), "rollout/forks_parted": parted(trees)}
    return c.Credit(c.masked(advantages, weights), weights, None, stats)


def parted(trees: Sequence[Tree]) -> float:
    """The share of the forked states whose continuations came to different returns."""
    q = [tree.values() for tree in trees]
    spread = [c.spread(np.array([q[n][i][t] for i, t in tree.children[node]])) for n, tree in enumerate(trees) for node in tree.forked]
    return float(np.mean(spread)) if spread else float("nan")
