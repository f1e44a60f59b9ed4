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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from webgym.errors import JudgeFault, UsageError
from webgym.policies.policy import Policy
from webgym.rollout.contract import PromptReader
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

    `branches` gives the branch of each episode key that is one; any other episode is played by `policy` alone. A continuation is sampled
    anew where its key is another than that of the recorded episode. Its copied turns name the episode in which they were sampled
    (:attr:`webgym.types.Completion.origin`).
    """

    def __init__(self, policy: Policy, branches: Mapping[EpisodeKey, Branch]) -> None:
        self.dialect = policy.dialect
        self._policy = policy
        self._branches = branches

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The recorded completion before the branching point, the policy's behind it. Raises JudgeFault where the state is another."""
        branch, turn = self._branches.get(key), len(history)
        if branch is None or turn > branch.at:
            return await self._policy.act(observation, history, key)
        if observation.state_hash != branch.trajectory.turns[turn].state_hash:
            raise JudgeFault(f"the recorded actions led to another state of {key.task_id} (seed {key.seed}) at turn {turn}")
        if turn < branch.at:
            recorded = branch.trajectory.turns[turn].completion
            return replace(recorded, origin=recorded.origin or branch.trajectory.key)
        return await self._policy.act(observation, history, key)

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        """The prompt that the policy's model would read at this observation; see :class:`webgym.rollout.contract.PromptReader`."""
        return cast(PromptReader, self._policy).prompt_ids(observation, history, key)


def branch_keys(branches: Sequence[Branch], continuations: int) -> dict[EpisodeKey, Branch]:
    """The keys of all continuations with their branches: `group` is the number of the branch, `member` that of the continuation."""
    return {
        EpisodeKey(branch.trajectory.key.task_id, branch.trajectory.key.seed, branch.trajectory.key.iteration, number, member): branch
        for number, branch in enumerate(branches)
        for member in range(continuations)
    }


def fork_keys(played: Sequence[Trajectory], branches: Sequence[Branch]) -> dict[EpisodeKey, Branch]:
    """The keys of one continuation of each branch, as further members of the recorded episode's group, which so becomes a tree.

    They are numbered on from the highest member of that group among the episodes `played`.
    """
    members: dict[tuple[str, int, int, int], int] = {}
    for key in (x.key for x in played):
        members[_group(key)] = max(members.get(_group(key), 0), key.member)
    found: dict[EpisodeKey, Branch] = {}
    for branch in branches:
        key = branch.trajectory.key
        members[_group(key)] += 1
        found[replace(key, member=members[_group(key)])] = branch
    return found


def _group(key: EpisodeKey) -> tuple[str, int, int, int]:
    return key.task_id, key.seed, key.iteration, key.group


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
    keys = branch_keys(branches, continuations)
    found = _estimates(branches, collect(Continuations(policy, keys), list(keys)), gamma)
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
