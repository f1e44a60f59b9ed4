"""The vocabulary of a collection: sessions, deadlines, retries, records, counts and events. Imports no machinery."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from webgym.types import Action, EpisodeKey, InvalidAction, Observation, Step, Trajectory, Turn


class Env(Protocol):
    """One session, reset to any task in turn (`webgym.env.core.AsyncWebEnv`). After `close`, `reset` begins a new session.

    `screenshot` is asked for only where the record wants pictures and the observations hold none.
    """

    async def reset(self, task_id: str, seed: int) -> Observation: ...
    async def screenshot(self) -> np.ndarray: ...
    async def step(self, action: Action | InvalidAction) -> Step: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each call may take; one that takes longer is a fault."""

    reset_s: float = 60.0
    step_s: float = 60.0
    policy_s: float = 600.0
    close_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an episode may begin again after a fault, and the pause before it: `backoff_s`, then twice as long each time."""

    limit: int = 3
    backoff_s: float = 0.25


@dataclass(frozen=True, slots=True)
class Record:
    """What a trajectory keeps besides actions and rewards.

    `screenshot` writes pixels to a file and returns its name. Pictures that come with observations are all kept; where they do not
    come by themselves, those of the episodes that are `pictured` are taken (33 ms a turn). `final_prompt` tells what a model would
    have read behind the turn limit, for `Trajectory.final_prompt_ids`.
    """

    prompts: bool = True
    pages: bool = True
    screenshot: Callable[[EpisodeKey, int, np.ndarray], str] | None = None
    pictured: Callable[[EpisodeKey], bool] = lambda key: False
    final_prompt: Callable[[Observation, Sequence[Turn], EpisodeKey], tuple[int, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a collection stands. `thinking` episodes wait for the policy, `acting` ones for the browser; faults are episodes."""

    thinking: int = 0
    acting: int = 0
    done: int = 0
    successes: int = 0
    faults: int = 0
    retries: int = 0
    turns: int = 0

    @property
    def running(self) -> int:
        return self.thinking + self.acting


EventKind = Literal["begin", "thinking", "acting", "turn", "retry", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a live display may want to show. `trajectory` comes with "end", `message` with "retry".

    `session` numbers the environments from 0.
    """

    kind: EventKind
    key: EpisodeKey
    counts: Counts
    trajectory: Trajectory | None = None
    message: str = ""
    session: int = 0


Listener = Callable[[Event], None]
