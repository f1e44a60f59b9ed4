"""The seam between callers that want episodes and executors that play them: in this process, in others, on other machines."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from webgym.policies.policy import Policy
from webgym.rollout.contract import Listener, PictureTaker, PolicyHandle, Record
from webgym.types import EpisodeKey, Trajectory

Played = tuple[EpisodeKey, Trajectory]


class Executor(Protocol):
    """Plays episodes. Bodies: :class:`webgym.rollout.arena.Arena` and :class:`webgym.rollout.processes.ProcessExecutor`."""

    def play(
        self,
        policy: Policy | PolicyHandle,
        keys: Iterable[EpisodeKey],
        *,
        record: Record = Record(),
        on_event: Listener | None = None,
        on_picture: PictureTaker | None = None,
    ) -> Iterator[Played]:
        """Each episode's key and trajectory as it ends, in any order; every key is played once, however often machinery fails.

        An episode is a function of its key and the policy, so every executor gives the same batch (times excepted). Keys are drawn
        lazily. An executor elsewhere plays handles only, and raises UsageError for a policy of this process. An iterator that is closed
        before its end stops the episodes under way. A Fault of an episode is its outcome; a UsageError and any error that is no
        WebGymError are raised here.
        """
        ...


def play_in_order(
    executor: Executor,
    policy: Policy | PolicyHandle,
    keys: Iterable[EpisodeKey],
    *,
    record: Record = Record(),
    on_event: Listener | None = None,
    on_picture: PictureTaker | None = None,
) -> list[Trajectory]:
    """The trajectories of all episodes, in the order of `keys`."""
    keys = list(keys)
    played: dict[EpisodeKey, deque[Trajectory]] = {}
    for key, trajectory in executor.play(policy, keys, record=record, on_event=on_event, on_picture=on_picture):
        played.setdefault(key, deque()).append(trajectory)
    return [played[key].popleft() for key in keys]
