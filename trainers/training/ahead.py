"""Batches that are collected beside updates (`rollout.overlap`), each with the weights and the choice of tasks that its number says.

With k = `rollout.staleness`, batch n is collected with the policy as update max(0, n − 1 − k) left it, so it is never more than k updates
behind the policy that learns from it. Up to k batches wait or are under way, one after the other. Which weights collect a batch does not
depend on the time that anything takes, so the run stays a function of its seed. A checkpoint keeps the weights of all that are begun.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from threading import Lock
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from trainers.rollouts.collection import Collection, Work
from trainers.training.players import Players
from webgym.types import Trajectory


class Ahead:
    """The batches that were begun. A context manager that waits for the one under way at its end, and drops all."""

    def __init__(self, staleness: int) -> None:
        self._staleness = staleness
        self._collection = Collection()
        self._planned: dict[int, dict[str, Any]] = {}  # by the number of a batch: version, weights, curriculum
        self._published: int | None = None
        self._publishing = Lock()

    def take(self, players: Players, iteration: int) -> list[Trajectory]:
        """The episodes of an iteration; collected now where they were not begun."""
        found = self._collection.take(players.collecting(iteration))
        self._planned = {number: what for number, what in self._planned.items() if number > iteration}
        return found

    def begin(self, players: Players, iteration: int, weights: Mapping[str, Tensor], last: int) -> None:
        """Plan the batches up to iteration + k with the weights as the update before left them, and begin those up to `last`."""
        first = max(self._planned, default=iteration) + 1
        for number in range(first, iteration + self._staleness + 1):
            planned = {"version": iteration - 1, "weights": dict(weights), "curriculum": deepcopy(players.curriculum.state_dict())}
            self._planned[number] = planned
            if number <= last:
                self._collection.begin(self._work(players, number))
        if self._staleness == 1:  # nothing is under way yet: whoever asks the sampler beside the update asks these weights
            self.publish(players, weights, iteration - 1)

    def _work(self, players: Players, number: int) -> Work:
        """The collection of a planned batch: its weights are published first, in the thread that collects."""
        planned = self._planned[number]
        tasks = deepcopy(players.curriculum)
        tasks.load_state_dict(planned["curriculum"])

        def work() -> list[Trajectory]:
            self.publish(players, planned["weights"], planned["version"])
            return replace(players, curriculum=tasks).collecting(number)()

        return work

    def publish(self, players: Players, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Publish weights, unless the sampler has this version."""
        with self._publishing:
            if self._published != version:
                players.publish(weights, version)
                self._published = version

    def wait(self) -> None:
        """Return when nothing is under way any more; batches stay to be taken."""
        self._collection.wait()

    def state_dict(self) -> dict[int, dict[str, Any]]:
        """The plans of the batches that were not taken."""
        return dict(self._planned)

    def load_state_dict(self, state: Mapping[Any, Any], iteration: int, curriculum: Mapping[str, Any]) -> None:
        """Take the plans of a checkpoint of this iteration; one of an older form has the weights of the next batch alone."""
        if "version" in state:
            state = {iteration + 1: {**state, "curriculum": dict(curriculum)}}
        self._planned = {number: dict(what) for number, what in state.items() if iteration < number <= iteration + self._staleness}

    def resume(self, players: Players, last: int) -> None:
        """Begin the planned batches up to `last` again."""
        for number in sorted(self._planned):
            if number <= last:
                self._collection.begin(self._work(players, number))

    def __enter__(self) -> "Ahead":
        self._collection.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._collection.__exit__(kind, error, trace)
