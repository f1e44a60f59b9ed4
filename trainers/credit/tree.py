"""A group as a tree: episodes, and forks that continue one of them from a turn on. Pure functions.

The turns of a fork before `forked_at` are copies (:attr:`webgym.types.Turn.copied`), and the origin of the last one says which episode it
continues. The state before a fresh turn is a *node*. Its *children* are the turns that were sampled in it: one by the episode that came
to it first, one by each fork. Roots are not children of one node here, because groups compare them as ever.

Notation: turn (i, t) is turn t of member i; n is the number of children of the node in which it was sampled.

    path weight   w(i, t) = w(the turn before) / n,                     1 at turn 0
    value         Q(i, t) = r_t + mean of Q over the children after it, r_t where the episode ends

Where the choice of forks at a node depends only on what came before it, children are independent draws of one policy. Then Q is an
unbiased estimate of the action value without discount, and Σ w f(turn) has the mean of the sum of f over the turns of one episode.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainers.credit.credit import Ragged, Turns, learnable, rewards
from webgym.types import EpisodeKey, Group, seed_from

Place = tuple[int, int]
"""A member's number in its group, and a turn."""

SUMS = ("product", "power", "pairs", "spread", "leverage")
"""Sums of :func:`judged`."""


@dataclass(frozen=True)
class Tree:
    """The fresh turns of a group's learnable members: children of each node (first the turn of the episode that came to it first), and
    the node of each turn, which is named by that episode's turn. A fork without its episode, which failed, is left out."""

    group: Group
    children: Mapping[Place, Sequence[Place]]
    node: Mapping[Place, Place]

    @classmethod
    def of(cls, group: Group) -> "Tree":
        """The tree of a group."""
        live = [i for i, x in enumerate(group) if learnable(x)]
        number = {group[i].key: i for i in live}
        children: dict[Place, list[Place]] = {}
        node: dict[Place, Place] = {}
        for i in sorted(live, key=lambda i: group[i].forked_at):
            x, first = group[i], group[i].forked_at
            origin = x.turns[first - 1].completion.origin if first else None
            if first == len(x) or (origin and (number.get(origin, -1), first) not in node):
                continue
            for t in range(first, len(x)):
                node[i, t] = (number[origin], t) if origin and t == first else (i, t)
                children.setdefault(node[i, t], []).append((i, t))
        return cls(group, children, node)

    @property
    def places(self) -> list[Place]:
        """All turns of the tree, each after the one that led to it."""
        return sorted(self.node, key=lambda place: (place[1], place[0]))

    def before(self, place: Place) -> Place | None:
        """The turn that led to the state of this one; None at turn 0."""
        i, t = self.node[place]
        return (i, t - 1) if t else None

    def after(self, place: Place) -> Sequence[Place]:
        """The turns that were sampled in the state after this one; none where its episode ended."""
        return self.children.get((place[0], place[1] + 1), ())

    def siblings(self, place: Place) -> list[Place]:
        """The other turns that were sampled in the state of this one."""
        return [other for other in self.children[self.node[place]] if other != place]

    @property
    def forked(self) -> list[Place]:
        """The nodes with several children."""
        return [node for node, children in self.children.items() if len(children) > 1]

    # --- computed on it ----------------------------------------------------------------------------------------------------

    def path_weights(self) -> list[Turns]:
        """w(i, t) of each member, [T_i]; 0 for turns that are not in the tree."""
        w = self._zeros()
        for i, t in self.places:
            before = self.before((i, t))
            w[i][t] = (w[before[0]][before[1]] if before else 1.0) / len(self.children[self.node[i, t]])
        return w

    def trunk_weights(self) -> list[Turns]:
        """1 for each turn of the episodes that are no forks, [T_i] of each member; 0 for turns that are not in the tree."""
        w = self._zeros()
        for i, t in self.node:
            w[i][t] = float(not self.group[i].forked_at)
        return w

    def backed_up(self, here: Sequence[Ragged], factor: float = 1.0) -> list[Turns]:
        """x(i, t) = here(i, t) + factor · mean of x over the children after it, [T_i] of each member; 0 for turns not in the tree."""
        x = self._zeros()
        for i, t in reversed(self.places):
            following = [float(x[j][u]) for j, u in self.after((i, t))]
            x[i][t] = here[i][t] + (factor * sum(following) / len(following) if following else 0.0)
        return x

    def values(self) -> list[Turns]:
        """Q(i, t) of each member, [T_i]."""
        return self.backed_up([rewards(x) for x in self.group])

    def state_values(self) -> list[Turns]:
        """The mean of Q over the children of each state that a member came to, those of its copied turns too, [T_i] of each member.

        NaN where nothing is known, as of the copied turns of a fork whose episode failed: no critic learns from those.
        """
        q, number = self.values(), {x.key: i for i, x in enumerate(self.group)}
        found = [np.full(len(x), np.nan) for x in self.group]
        for i, x in enumerate(self.group):
            for t, turn in enumerate(x.turns):
                origin = turn.completion.origin
                place = (number.get(origin, -1) if origin else i, t)
                children = self.children[self.node[place]] if place in self.node else ()
                if children:
                    found[i][t] = sum(float(q[j][u]) for j, u in children) / len(children)
        return found

    def advantages(self) -> list[Turns]:
        """Â(i, t) = Q(i, t) − b, [T_i] of each member; 0 for turns that are not in the tree.

        b is the mean Q of the turn's siblings, or of the other roots at turn 0. A turn without siblings takes the b of the turn before it,
        less the reward that came in between.
        """
        q, r, a = self.values(), [rewards(x) for x in self.group], self._zeros()
        b = self._zeros()
        roots = [(i, t) for i, t in self.node if t == 0]
        for i, t in self.places:
            before, others = self.before((i, t)), self.siblings((i, t))
            if before is None:
                others = [root for root in roots if root != (i, t)] or [(i, t)]  # one that is alone is neither good nor bad
            if others:
                b[i][t] = sum(float(q[j][u]) for j, u in others) / len(others)
            elif before:
                b[i][t] = b[before[0]][before[1]] - r[before[0]][before[1]]
            a[i][t] = q[i][t] - b[i][t]
        return a

    def _zeros(self) -> list[Turns]:
        return [np.zeros(len(x)) for x in self.group]


def lot(key: EpisodeKey, turn: int) -> float:
    """A number in [0, 1) that is fixed by the episode and the turn. A turn forks where it is below the turn's chance."""
    return seed_from("fork", key, turn) / 2**63


def neyman(value: float, chance: float, floor: float = 0.02) -> float:
    """The chance to fork in a state of this value: 2 √(V (1 − V)) · chance, which is `chance` at V = 1/2; at least `floor`, at most 1.

    The standard deviation of a return of 0 or 1 is √(V (1 − V)), so forks go where continuations differ (Neyman allocation).
    """
    v = min(max(value, 0.0), 1.0)
    return min(max(2.0 * float(np.sqrt(v * (1.0 - v))) * chance, floor), 1.0)


def pooled(tree: Tree) -> list[Turns]:
    """State values, [T_i] of each member: the mean over all nodes of the group with the same state hash at the same turn."""
    v = tree.state_values()
    pools: dict[tuple[str, int], list[float]] = {}
    for i, t in tree.children:  # each node once
        if hashed := tree.group[i].turns[t].state_hash:
            pools.setdefault((hashed, t), []).append(v[i][t])
    means = {place: sum(found) / len(found) for place, found in pools.items()}
    return [
        np.array([means.get((turn.state_hash, t), own[t]) for t, turn in enumerate(x.turns)]) for x, own in zip(tree.group, v, strict=True)
    ]


def judged(tree: Tree, delta: Sequence[Ragged], chance: Callable[[Place], float]) -> dict[str, float]:
    """Sums by which forks judge a critic's advantages δ; `chance` is that of a node to have been forked. Turn 0 is left out.

    product    Σ over forked nodes of cov(Q, δ) / p, over the node's children: its mean is Σ A δ over the episodes' turns
    power      Σ δ² over the turns of the episodes that are no forks
    pairs      number of forked nodes
    spread     Σ over them of var(Q)
    leverage   Σ over them of var(δ) / ((n − 1) p²): times the mean var(Q) it is the variance of the product
    """
    q = tree.values()
    sums: dict[str, float] = dict.fromkeys(SUMS, 0.0)
    for node in tree.forked:
        places, p = tree.children[node], chance(node)
        mine, theirs = (np.array([x[i][t] for i, t in places]) for x in (q, delta))
        mine, theirs, rest = mine - mine.mean(), theirs - theirs.mean(), len(places) - 1
        sums["product"] += float(mine @ theirs) / rest / p
        sums["spread"] += float(mine @ mine) / rest
        sums["leverage"] += float(theirs @ theirs) / (rest * p) ** 2
        sums["pairs"] += 1
    sums["power"] = sum(float(np.square(delta[i][1:]).sum()) for i, t in tree.node if t == 0)
    return sums


def remembered(past: Mapping[str, float], new: Mapping[str, float], memory: float) -> dict[str, float]:
    """Sums of :func:`judged` with older ones at `memory` of their weight; the leverage belongs to a variance and fades by its square."""
    return {name: (memory**2 if name == "leverage" else memory) * past.get(name, 0.0) + new[name] for name in SUMS}


def believed_slope(sums: Mapping[str, float], prior: float, doubt: float) -> float:
    """Slope of the true advantage on δ: 1 where δ may be believed, 0 where it is noise.

    The mean of product / power and of a prior with standard deviation `doubt`, each over its variance. Returns of 0 or 1 say
    little of one turn: at |δ| of 0.1 it takes thousands of pairs. One more node of variance 1/4 is counted, so that equal returns do not
    look certain.
    """
    if not sums.get("pairs") or not sums["power"]:
        return prior
    slope = sums["product"] / sums["power"]
    variance = sums["leverage"] * (sums["spread"] + 0.25) / (sums["pairs"] + 1) / sums["power"] ** 2
    return (slope * doubt**2 + prior * variance) / (doubt**2 + variance)
