"""A table of choices in place of a language model: workflows whose policy, values and gradient are known in closed form.

The workflows are those of `wizard.hT-kK-lateT-seen-learnN-spareM`, without pages: each of T turns shows one of N things, each thing belongs
in one of K places, and an episode succeeds if at most M places were wrong. The things of an instance are fixed by its seed. The policy is
a softmax over the places of each thing. Episodes are ordinary trajectories, whose prompt is (turn, thing, mistakes so far) and whose
action is the place, so algorithms give credit to them as they do in a run. A turn has one token.

Things are drawn evenly, so with p the mean chance of the right place, and B the binomial distribution of mistakes over T turns,

    V(turn, mistakes) = P(B(T − turn, 1 − p) ≤ M − mistakes),       J = V(0, 0),       ∂J/∂p = T · P(B(T − 1, 1 − p) = M)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field

from webgym.rollout.branch import Branch
from webgym.types import Completion, EpisodeKey, Outcome, Trajectory, Turn

Logits = Float[np.ndarray, "things places"]
Table = Float[np.ndarray, "turns mistakes"]


class Problem(BaseModel):
    """A workflow."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[\w-]+$")
    """Name in rows and tables."""
    turns: int = Field(ge=1)
    """T, the turns of every episode."""
    things: int = Field(ge=1)
    """N, the things that may be shown."""
    places: int = Field(default=4, ge=2)
    """K, the places of a thing."""
    spared: int = Field(default=0, ge=0)
    """M, the wrong places that are forgiven."""
    hidden: bool = False
    """A critic does not see the mistakes so far."""
    accuracy: float = Field(default=0.0, ge=0, lt=1)
    """Chance of the right place at the start; 0 for a policy that knows nothing."""

    def start(self) -> Logits:
        """The policy at the start. The right place of a thing is its number modulo K."""
        logits = np.zeros((self.things, self.places))
        if self.accuracy:
            logits[np.arange(self.things), np.arange(self.things) % self.places] = math.log(
                self.accuracy * (self.places - 1) / (1 - self.accuracy)
            )
        return logits


def softmax(logits: Logits) -> Logits:
    """Chances of the places of each thing."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def right(problem: Problem, chances: Logits) -> float:
    """p, the mean chance of the right place."""
    return float(chances[np.arange(problem.things), np.arange(problem.things) % problem.places].mean())


def exact_values(problem: Problem, chances: Logits) -> Table:
    """V(turn, mistakes), with a row for the end; the last column stands for more mistakes than are forgiven."""
    p = right(problem, chances)
    v = np.zeros((problem.turns + 1, problem.spared + 2))
    v[-1, :-1] = 1.0
    for t in reversed(range(problem.turns)):
        v[t, :-1] = p * v[t + 1, :-1] + (1 - p) * v[t + 1, 1:]
    return v


def exact_gradient(problem: Problem, chances: Logits) -> Logits:
    """∇J with respect to the logits."""
    p, n, m = right(problem, chances), problem.turns, problem.spared
    slope = n * math.comb(n - 1, m) * (1 - p) ** m * p ** (n - 1 - m)
    places = np.arange(problem.things) % problem.places
    own = chances[np.arange(problem.things), places][:, None]
    return slope / problem.things * own * (np.eye(problem.places)[places] - chances)


class Player:
    """Plays episodes of one policy; turns that are alike are one object."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem, self._rng = problem, rng
        self._turns: dict[tuple[int, ...], Turn] = {}
        self._steps: list[list[float]] = []

    def set_policy(self, chances: Logits) -> None:
        """Sample from these chances from now on."""
        self._steps = np.cumsum(chances, axis=1).tolist()

    def play(self, key: EpisodeKey, things: Sequence[int], branch: Branch | None = None) -> Trajectory:
        """An episode of the instance with these things; with a branch, its continuation."""
        turns: list[Turn] = []
        mistakes, problem = 0, self.problem
        if branch is not None:
            turns = [_copy(turn, branch.trajectory.key) for turn in branch.trajectory.turns[: branch.at]]
            mistakes = branch.trajectory.turns[branch.at].completion.prompt_ids[2]
        for t, draw in enumerate(self._rng.random(problem.turns - len(turns)).tolist(), start=len(turns)):
            thing = things[t]
            steps = self._steps[thing]
            place = next((k for k, reached in enumerate(steps) if draw < reached), len(steps) - 1)
            wrong = place != thing % problem.places
            reward = float(mistakes + wrong <= problem.spared) if t == problem.turns - 1 else 0.0
            turns.append(self._turn(t, thing, min(mistakes, problem.spared + 1), place, reward))
            mistakes += wrong
        reward = turns[-1].reward
        return Trajectory(key, "", tuple(turns), Outcome("success" if reward else "failure", reward))

    def _turn(self, t: int, thing: int, mistakes: int, place: int, reward: float) -> Turn:
        name = (t, thing, mistakes, place, int(reward))
        if name not in self._turns:
            completion = Completion(str(place), "", (t, thing, mistakes), (place,), (0.0,))
            last = t == self.problem.turns - 1
            self._turns[name] = Turn(completion, str(place), "", reward, last, False, "", f"{t} {thing} {mistakes}")
        return self._turns[name]


def _copy(turn: Turn, key: EpisodeKey) -> Turn:
    it = turn.completion
    completion = Completion(it.text, "", it.prompt_ids, it.action_ids, it.behaviour_logprobs, origin=it.origin or key)
    return Turn(completion, turn.action, "", turn.reward, False, False, "", turn.state_hash)


class TableCritic:
    """V by turn and mistakes (by turn only where they are hidden): the mean of the targets seen, the newest at 1/60 at least."""

    def __init__(self, problem: Problem, start: float = 0.1, memory: int = 60) -> None:
        self._hidden, self._memory = problem.hidden, memory
        self.v = np.full((problem.turns + 1, problem.spared + 2), start)
        self._seen = np.zeros_like(self.v)

    def values(self, episodes: Sequence[Trajectory]) -> list[np.ndarray]:
        """V of each turn of each episode."""
        return [np.array([self.v[self._place(turn)] for turn in x.turns]) for x in episodes]

    def learn(self, episodes: Sequence[Trajectory], targets: Sequence[np.ndarray]) -> None:
        """Take these targets in, those of copied turns too, so that a state counts once for each leaf below it."""
        for x, target in zip(episodes, targets, strict=True):
            for turn, wanted in zip(x.turns, target.tolist(), strict=True):
                place = self._place(turn)
                self._seen[place] = min(self._seen[place] + 1, self._memory)
                self.v[place] += (wanted - self.v[place]) / self._seen[place]

    def _place(self, turn: Turn) -> tuple[int, int]:
        t, _, mistakes = turn.completion.prompt_ids
        return t, 0 if self._hidden else mistakes


class KnownCritic(TableCritic):
    """V of the policy as it is, learned from nothing."""

    def __init__(self, problem: Problem, chances: Logits) -> None:
        super().__init__(problem)
        self.v = exact_values(problem, chances)

    def learn(self, episodes: Sequence[Trajectory], targets: Sequence[np.ndarray]) -> None:
        """Nothing."""

    def _place(self, turn: Turn) -> tuple[int, int]:
        t, _, mistakes = turn.completion.prompt_ids
        return t, mistakes


def gradient(problem: Problem, chances: Logits, episodes: Sequence[Trajectory], factors: Sequence[np.ndarray]) -> Logits:
    """Σ factor · ∇log π over all turns, copied ones left out."""
    found = np.zeros((problem.things, problem.places))
    fresh = [(turn, x) for episode, f in zip(episodes, factors, strict=True) for turn, x in zip(episode.turns, f, strict=True) if x]
    fresh = [(turn, x) for turn, x in fresh if not turn.copied]
    if fresh:
        things = np.array([turn.completion.prompt_ids[1] for turn, _ in fresh])
        taken = np.array([turn.completion.action_ids[0] for turn, _ in fresh])
        x = np.array([x for _, x in fresh])[:, None]
        np.add.at(found, things, x * (np.eye(problem.places)[taken] - chances[things]))
    return found


@dataclass(frozen=True, slots=True)
class Costs:
    """Environment steps: sampled, and performed again by forks. Sampled tokens are as many as fresh steps."""

    fresh: int = 0
    replayed: int = 0

    def plus(self, episodes: Sequence[Trajectory]) -> "Costs":
        """These and the steps of episodes."""
        replayed = sum(x.forked_at for x in episodes)
        return Costs(self.fresh + sum(map(len, episodes)) - replayed, self.replayed + replayed)
