"""Vocabulary of a collection, and all that a worker elsewhere must know: policies by name, what is recorded, limits, requests, events.

Imports no machinery. :class:`Request`, :class:`PolicyHandle` and :class:`Record` are plain data: they pickle, and go through JSON and back.
"""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, cast, runtime_checkable

from webgym.errors import UsageError, did_you_mean
from webgym.policies.policy import Policy
from webgym.types import Action, EpisodeKey, InvalidAction, Observation, Step, Trajectory, Turn

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


class Env(Protocol):
    """One session, reset to any task in turn (`webgym.env.core.AsyncWebEnv`). After `close`, `reset` begins a new session.

    `screenshot` is asked for only where the record wants pictures and the observations hold none. `deterministic` is true where the same
    actions lead to the same pages, which a retry then checks.
    """

    @property
    def deterministic(self) -> bool: ...

    async def reset(self, task_id: str, seed: int) -> Observation: ...
    async def screenshot(self) -> "np.ndarray": ...
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
    """Limit on how often an episode may begin again after a fault, and the pause before it: `backoff_s`, then twice as long each time."""

    limit: int = 3
    backoff_s: float = 0.25


@runtime_checkable
class PromptReader(Policy, Protocol):
    """A policy that tells what its model would read next, as `Record.final_prompts` asks for."""

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class PolicyHandle:
    """A policy by the name of its factory (`module:function`) and the factory's settings: prompt settings, a sampler's address, a version.

    Settings are plain data. Equal handles stand for the same policy, so a worker may keep what it made. A worker that takes handles from
    a network must make only those whose factory it knows.

    >>> handle = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 3})
    >>> PolicyHandle.from_json(handle.to_json()) == handle, handle.make().seed
    (True, 3)
    """

    factory: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UsageError for a name that is none, and for settings that JSON would change or cannot hold."""
        module, _, function = self.factory.partition(":")
        if not module or not function:
            raise UsageError(f"expected a policy's factory as 'module:function', got {self.factory!r}")
        try:
            plain = json.loads(json.dumps(self.settings)) == self.settings
        except (TypeError, ValueError):
            plain = False
        if not plain:
            raise UsageError(
                f"the settings of {self.factory} must be plain data (text, numbers, true and false, none, lists, and tables of these by "
                f"name), got {self.settings!r:.200}: give a file's name or an address instead of an object, and lists instead of tuples"
            )

    def make(self) -> Policy:
        """The policy. Raises UsageError where there is no such factory, or it does not take these settings."""
        module, _, function = self.factory.partition(":")
        try:
            place = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UsageError(f"the policy's factory {self.factory!r} cannot be imported here: {error}") from error
        factory = getattr(place, function, None)
        if not callable(factory):
            raise UsageError(f"the module {module} has no function {function!r}{did_you_mean(function, vars(place))}")
        return _called(cast(Callable[..., Policy], factory), self.factory, self.settings)

    def to_json(self) -> dict[str, Any]:
        """The handle as plain data."""
        return {"factory": self.factory, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The handle that `to_json` gave. Raises UsageError."""
        return _of_json(cls, data)


def _called(factory: Callable[..., Policy], name: str, settings: Mapping[str, Any]) -> Policy:
    """The policy that the factory makes. Raises UsageError where its parameters are others."""
    import inspect

    try:
        inspect.signature(factory).bind(**settings)
    except TypeError as error:
        raise UsageError(f"{name}{inspect.signature(factory)} does not take the settings {dict(settings)!r:.200}: {error}") from error
    return factory(**settings)


@dataclass(frozen=True, slots=True)
class Record:
    """The plan of what a trajectory keeps besides actions and rewards: plain data.

    Pictures are kept where someone takes them (`on_picture`): all that come with observations. Where they do not come by themselves, those
    of the first `pictured_groups` groups are taken (33 ms a turn). With `final_prompts` the policy, a :class:`PromptReader`, is asked for
    what its model would have read behind the turn limit, for `Trajectory.final_prompt_ids`.
    """

    prompts: bool = True
    pages: bool = True
    pictured_groups: int = 0
    final_prompts: bool = False

    def pictured(self, key: EpisodeKey) -> bool:
        """Tells whether pictures of this episode are taken where they do not come by themselves."""
        return key.group < self.pictured_groups

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The plan that `to_json` gave. Raises UsageError."""
        return _of_json(cls, data)


@dataclass(frozen=True, slots=True)
class Request:
    """Episodes that a worker elsewhere is asked to play. With it, the worker needs to remember nothing.

    `pictures` asks for the pixels to be sent back; `task_files` are files of tasks that the keys name, to be loaded first by a worker that
    can read them.
    """

    keys: tuple[EpisodeKey, ...]
    policy: PolicyHandle
    record: Record = Record()
    deadlines: Deadlines = Deadlines()
    retries: Retries = Retries()
    pictures: bool = False
    task_files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The request as plain data."""
        return {
            "keys": [[key.task_id, key.seed, key.iteration, key.group, key.member] for key in self.keys],
            "policy": self.policy.to_json(),
            "record": self.record.to_json(),
            "deadlines": asdict(self.deadlines),
            "retries": asdict(self.retries),
            "pictures": self.pictures,
            "task_files": list(self.task_files),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The request that `to_json` gave. Raises UsageError."""
        parts = _known(cls, data)
        try:
            parts["keys"] = tuple(EpisodeKey(*key) for key in parts["keys"])
            parts["policy"] = PolicyHandle.from_json(parts["policy"])
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"expected a request with keys [task id, seed, iteration, group, member] and a policy {{factory, settings}}: {error!r}"
            ) from error
        for name, part in (("record", Record), ("deadlines", Deadlines), ("retries", Retries)):
            if name in parts:
                parts[name] = _of_json(part, parts[name])
        parts["task_files"] = tuple(parts.get("task_files", ()))
        return cls(**parts)


def _known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the data. Raises UsageError unless it is a table of the fields of `cls`."""
    known = [f.name for f in fields(cls)]
    if not isinstance(data, Mapping):
        raise UsageError(f"expected a table with {', '.join(known)}, got {type(data).__name__}")
    for name in data:
        if name not in known:
            raise UsageError(f"a {cls.__name__} has no {name!r}{did_you_mean(str(name), known)} (expected {', '.join(known)})")
    return dict(data)


def _of_json(cls: type[T], data: Mapping[str, Any]) -> T:
    try:
        return cls(**_known(cls, data))
    except TypeError as error:
        raise UsageError(f"this is no {cls.__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Counts:
    """Progress of a collection. `thinking` episodes wait for the policy, `acting` ones for the browser; faults are episodes."""

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
    """Event of a collection, for live displays. `trajectory` comes with "end", `message` with "retry".

    `session` numbers the environments from 0.
    """

    kind: EventKind
    key: EpisodeKey
    counts: Counts
    trajectory: Trajectory | None = None
    message: str = ""
    session: int = 0


Listener = Callable[[Event], None]

NodeState = Literal["new", "well", "lost", "refused", "expelled"]
"""State of a collector on another machine. `refused`: it cannot keep the terms now; `expelled`: it lied, and is not asked any more."""


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """State of a collector on another machine, since a moment in Unix seconds, and the `reason` where it is not well.

    `episodes` ended there, and it was lost `losses` times.
    """

    address: str
    state: NodeState
    since: float
    sessions: int = 0
    playing: int = 0
    episodes: int = 0
    losses: int = 0
    episode_s: float = 0.0  # what one takes there, by the last ones
    reason: str = ""


NodeListener = Callable[[Sequence[NodeHealth]], None]

PictureTaker = Callable[[EpisodeKey, int, "np.ndarray"], str]
"""Keeps the pixels that a turn (from 0) of an episode was decided on; returns the file's name, for `Turn.screenshot`."""
