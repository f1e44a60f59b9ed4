"""Branching: a recorded episode is replayed up to any turn and goes on from there in other ways.

The state is restored by performing the recorded actions again in a fresh session; before each of them, and at the branching point, the
state hash must be the recorded one. The returns of n continuations of a policy give, by Monte Carlo,

    V(s_t)       the mean of γ^{T−1−t} R over continuations from s_t
    Q(s_t, a_t)  γ V(s_{t+1}), for the recorded action a_t; the reward itself where a_t ended the episode
    A(s_t, a_t)  Q(s_t, a_t) − V(s_t), whose two parts come from different continuations

each with its standard error. Works on every backend, with faults retried as in any collection; a continuation that faulted for good, or
whose state could not be restored, is left out and counted.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webgym.errors import JudgeFault, UsageError
from webgym.policies.policy import Policy
from webgym.types import Completion, EpisodeKey, Observation, Trajectory, Turn

Collect = Callable[[Policy, Sequence[EpisodeKey]], list[Trajectory]]
"""Plays episodes: :meth:`webgym.rollout.arena.Arena.collect`."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A recorded episode, and the turn before which it goes on in other ways: 0 is its beginning, T−1 its last turn."""

    trajectory: Trajectory
    at: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of returns in [0, 1], its standard error, and how many returns it is of. Nothing is known (NaN) of none."""

    mean: float
    error: float
    count: int

    @classmethod
    def of(cls, returns: Sequence[float]) -> "Estimate":
        """The mean as it is; for the error half a return of 0 and half a return of 1 are added, so that equal returns do not look certain.

        >>> found = Estimate.of([1.0, 1.0, 1.0, 0.0])
        >>> found.mean, round(found.error, 3)
        (0.75, 0.229)
        >>> Estimate.of([1.0] * 100).error > 0
        True
        """
        if not returns:
            return cls(math.nan, math.nan, 0)
        n, total = len(returns), math.fsum(returns)
        centre = (total + 0.5) / (n + 1)
        squares = math.fsum((x - centre) ** 2 for x in returns) + 0.5 * centre**2 + 0.5 * (1 - centre) ** 2
        return cls(total / n, math.sqrt(squares / (n + 1) / n), n)

    @classmethod
    def known(cls, value: float) -> "Estimate":
        """A value that is known exactly, as an estimate without error."""
        return cls(value, 0.0, 0)

    def times(self, factor: float) -> "Estimate":
        """The estimate of `factor` times the quantity."""
        return Estimate(factor * self.mean, factor * self.error, self.count)

    def minus(self, other: "Estimate") -> "Estimate":
        """The estimate of the difference of two independent ones."""
        return Estimate(self.mean - other.mean, math.hypot(self.error, other.error), min(self.count, other.count))


@dataclass(frozen=True, slots=True)
class TurnTruth:
    """Estimates at one turn of an episode. `faults` counts the continuations that were lost, of those for V and of those for Q."""

    v: Estimate
    q: Estimate
    faults: int

    @property
    def advantage(self) -> Estimate:
        """A(s_t, a_t)."""
        return self.q.minus(self.v)


class Continuations:
    """A policy that replays recorded episodes up to their branching points and then acts as `policy` does.

    An episode's `group` is the number of its branch, its `member` that of the continuation, so that each is sampled anew.
    """

    def __init__(self, policy: Policy, branches: Sequence[Branch]) -> None:
        self.dialect = policy.dialect
        self._policy = policy
        self._branches = branches

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The recorded completion before the branching point, the policy's behind it. Raises JudgeFault where the state is another."""
        branch, turn = self._branches[key.group], len(history)
        if turn <= branch.at and observation.state_hash != branch.trajectory.turns[turn].state_hash:
            raise JudgeFault(f"the recorded actions led to another state of {key.task_id} (seed {key.seed}) at turn {turn}")
        if turn < branch.at:
            return branch.trajectory.turns[turn].completion
        return await self._policy.act(observation, history, key)


def branch_keys(branches: Sequence[Branch], continuations: int) -> Iterator[EpisodeKey]:
    """The keys of all continuations."""
    for number, branch in enumerate(branches):
        key = branch.trajectory.key
        for member in range(continuations):
            yield EpisodeKey(key.task_id, key.seed, key.iteration, number, member)


def truths(
    collect: Collect, policy: Policy, trajectories: Sequence[Trajectory], continuations: int, gamma: float = 1.0, turns: Sequence[int] = ()
) -> list[dict[int, TurnTruth]]:
    """Estimates for each trajectory, at its turns or at those of `turns` that it has. Raises UsageError where there is nothing to do.

    Each state costs `continuations` episodes once, as V of its own turn and as Q of the turn before.
    """
    if continuations < 1 or not 0 < gamma <= 1:
        raise UsageError(f"expected at least one continuation and 0 < gamma <= 1, got {continuations} and {gamma:g}")
    if any(x.outcome.faulted for x in trajectories):
        raise UsageError("an episode that faulted has no truth: leave it out")
    wanted = [sorted({t for t in turns or range(len(x)) if 0 <= t < len(x)}) for x in trajectories]
    branches = []
    for x, at_turns in zip(trajectories, wanted, strict=True):
        both_ends = {*at_turns, *(t + 1 for t in at_turns)} - {len(x)}
        branches += [Branch(x, at) for at in sorted(both_ends)]
    if not branches:
        raise UsageError("there is no turn to branch from: the episodes have none of the turns that were asked for")
    keys = list(branch_keys(branches, continuations))
    found = _estimates(branches, collect(Continuations(policy, branches), keys), gamma)
    return [{t: _turn(x, t, found, gamma) for t in at_turns} for x, at_turns in zip(trajectories, wanted, strict=True)]


Place = tuple[int, int]
"""A trajectory (by its identity in this process) and a turn."""


def _estimates(branches: Sequence[Branch], played: Sequence[Trajectory], gamma: float) -> Mapping[Place, tuple[Estimate, int]]:
    """V at each branching point, and how many of its continuations were lost."""
    returns: list[list[float]] = [[] for _ in branches]
    lost = [0] * len(branches)
    for x in played:
        branch = branches[x.key.group]
        if x.outcome.faulted:
            lost[x.key.group] += 1
        else:
            returns[x.key.group].append(gamma ** (len(x) - 1 - branch.at) * x.outcome.reward)
    return {(id(b.trajectory), b.at): (Estimate.of(r), n) for b, r, n in zip(branches, returns, lost, strict=True)}


def _turn(x: Trajectory, t: int, found: Mapping[Place, tuple[Estimate, int]], gamma: float) -> TurnTruth:
    v, lost = found[id(x), t]
    if t + 1 == len(x):
        return TurnTruth(v, Estimate.known(x.outcome.reward), lost)
    following, lost_there = found[id(x), t + 1]
    return TurnTruth(v, following.times(gamma), lost + lost_there)


def truth_row(x: Trajectory, turns: Mapping[int, TurnTruth]) -> dict[str, Any]:
    """The estimates of a trajectory as plain data: lists over its turns, NaN where a turn was not asked for."""

    def over(read: Callable[[TurnTruth], float]) -> list[float]:
        return [read(turns[t]) if t in turns else math.nan for t in range(len(x))]

    return {
        "values": over(lambda it: it.v.mean),
        "standard_errors": over(lambda it: it.v.error),
        "q": over(lambda it: it.q.mean),
        "q_standard_errors": over(lambda it: it.q.error),
        "advantages": over(lambda it: it.advantage.mean),
        "advantage_standard_errors": over(lambda it: it.advantage.error),
        "faults": sum(it.faults for it in turns.values()),
    }
