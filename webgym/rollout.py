"""The collector: K browser sessions, one policy, no barrier between turns or episodes.

Each session pulls the next episode as soon as it is free. When the machinery fails (:class:`~webgym.errors.Fault`, or a call that
runs past its deadline), the episode begins again in a fresh session with the same task and seed, and the recorded actions are
performed again without asking the policy; each observation must then be the one that was recorded. A second failure at the same
action is `agent_caused`; too many failures at all are a `fault`. Both have the reward NaN: nothing may learn from them.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar, cast

import numpy as np

from webgym.actions import parse, render
from webgym.errors import BrowserFault, Fault
from webgym.page import page_text
from webgym.policy import Policy
from webgym.types import (
    Action,
    Completion,
    Drag,
    EpisodeKey,
    InvalidAction,
    MouseClick,
    MouseDown,
    MouseDrag,
    MouseMove,
    MouseUp,
    Observation,
    Outcome,
    OutcomeKind,
    Times,
    Trajectory,
    Turn,
)

T = TypeVar("T")


class StepLike(Protocol):
    """What a turn led to; `kind` is "" while the episode goes on."""

    @property
    def observation(self) -> Observation: ...
    @property
    def reward(self) -> float: ...
    @property
    def terminated(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def kind(self) -> str: ...
    @property
    def raw_reward(self) -> float: ...
    @property
    def message(self) -> str: ...


class Env(Protocol):
    """One session, reset to any task in turn (`webgym.env.AsyncWebEnv`). After `close`, `reset` begins a new session.

    `screenshot` is asked for only where the record wants pictures and the observations hold none.
    """

    async def reset(self, task_id: str, seed: int) -> Observation: ...
    async def screenshot(self) -> np.ndarray: ...
    async def step(self, action: Action | InvalidAction) -> StepLike: ...
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


async def collect(
    envs: Sequence[Env],
    policy: Policy,
    keys: Iterable[EpisodeKey],
    *,
    deadlines: Deadlines = Deadlines(),
    retries: Retries = Retries(),
    record: Record = Record(),
    on_event: Listener | None = None,
) -> list[Trajectory]:
    """The trajectories of all episodes, in the order of `keys`; `envs` are used at once and stay open.

    `keys` is drawn from lazily, one key whenever a session is free. A Fault never leaves; a UsageError (an unknown task) and any
    error that is no WebGymError do: then all sessions stop at once.
    """
    if not envs:
        raise ValueError("collect needs at least one environment")
    board = _Board(on_event)
    found: dict[int, Trajectory] = {}
    queue = enumerate(keys)

    async def work(env: Env, session: int) -> None:
        for index, key in queue:
            found[index] = await _Episode(key, env, policy, board.of(session), deadlines, retries, record).play()

    await _all([work(env, session) for session, env in enumerate(envs)])
    return [found[index] for index in sorted(found)]


async def _all(works: Sequence[Awaitable[None]]) -> None:
    """Wait for all; the first error stops the others and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def within(call: Awaitable[T], seconds: float, what: str) -> T:
    """The call's result, or a BrowserFault when it takes longer.

    Unlike `asyncio.wait_for` this does not wait for a cancelled call to end: one that ignores its cancellation must not hold us.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done():
        return task.result()
    task.add_done_callback(lambda late: late.cancelled() or late.exception())  # its error, if any, is nobody's business now
    task.cancel()
    raise BrowserFault(f"{what} did not end within {seconds:g} s")


class _Board:
    """The counts of one collection, and who wants to hear of them."""

    def __init__(self, listener: Listener | None) -> None:
        self.counts = Counts()
        self._listener = listener

    def of(self, session: int) -> "_Place":
        """This board as one session writes on it."""
        return _Place(self, session)

    def tell(self, session: int, kind: EventKind, key: EpisodeKey, trajectory: Trajectory | None, message: str, **changes: int) -> None:
        added = {name: getattr(self.counts, name) + change for name, change in changes.items()}
        self.counts = replace(self.counts, **added)
        if self._listener is not None:
            self._listener(Event(kind, key, self.counts, trajectory, message, session))


@dataclass(frozen=True, slots=True)
class _Place:
    """A session's place on the board."""

    board: _Board
    session: int

    def tell(self, kind: EventKind, key: EpisodeKey, trajectory: Trajectory | None = None, message: str = "", **changes: int) -> None:
        """Add the changes to the counts and tell the listener."""
        self.board.tell(self.session, kind, key, trajectory, message, **changes)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the policy chose for a turn, until the browser has performed it."""

    completion: Completion
    action: Action | InvalidAction
    policy_s: float


class _Episode:
    """One episode, through as many sessions as it takes."""

    def __init__(
        self, key: EpisodeKey, env: Env, policy: Policy, board: _Place, deadlines: Deadlines, retries: Retries, record: Record
    ) -> None:
        self.key, self.env, self.policy, self.board = key, env, policy, board
        self.deadlines, self.retries, self.record = deadlines, retries, record
        self.goal = ""
        self.turns: list[Turn] = []
        self.actions: list[Action | InvalidAction] = []  # of the turns so far
        self.hashes: list[str] = []  # of the observations so far: one more than turns, once the first reset worked
        self.choice: _Choice | None = None  # the action that comes next, kept through a fault
        self.performing: int | None = None  # the turn whose action is under way
        self.faults: Counter[int] = Counter()  # by the turn whose action was under way
        self.restarts = 0

    async def play(self) -> Trajectory:
        """The trajectory; never raises a Fault."""
        self.board.tell("begin", self.key, acting=1)
        while True:
            self.performing = None
            try:
                trajectory = await self._attempt()
            except Fault as fault:
                trajectory = await self._after(fault)
            if trajectory is not None:
                outcome = trajectory.outcome
                self.board.tell("end", self.key, trajectory, acting=-1, done=1, successes=int(outcome.success), faults=int(outcome.faulted))
                return trajectory

    async def _attempt(self) -> Trajectory:
        """Play from a fresh reset to the end."""
        if self.choice is None:
            del self.hashes[len(self.turns) :]  # nothing was decided on the last page, and a dying browser may have shown half of it
        reset = self.env.reset(self.key.task_id, self.key.seed)
        observation = await within(reset, self.deadlines.reset_s, f"the reset of {self.key.task_id}")
        self.goal = observation.goal
        observation = await self._replay(observation)
        while True:
            step = await self._turn(observation)
            if step.kind:
                ended = self._ended(Outcome(cast(OutcomeKind, step.kind), step.reward, step.raw_reward, step.message, self.restarts))
                if ended.outcome.kind != "truncated" or self.record.final_prompt is None:
                    return ended
                return replace(ended, final_prompt_ids=self.record.final_prompt(step.observation, ended.turns, self.key))
            observation = step.observation

    async def _replay(self, observation: Observation) -> Observation:
        """Perform the recorded actions again; the observation after them."""
        self._compare(0, observation)
        for turn in range(len(self.turns)):
            step = await self._perform(turn, self.actions[turn])
            if step.kind:
                raise BrowserFault(f"replaying {self.key.task_id} (seed {self.key.seed}) ended early, at turn {turn}")
            observation = step.observation
            self._compare(turn + 1, observation)
        return observation

    def _compare(self, turn: int, observation: Observation) -> None:
        """The observation must be the one that was recorded, if one was."""
        if turn >= len(self.hashes):
            self.hashes.append(observation.hash)
        elif self.hashes[turn] != observation.hash:
            raise BrowserFault(f"replaying {self.key.task_id} (seed {self.key.seed}) led to another page at turn {turn}")

    async def _perform(self, turn: int, action: Action | InvalidAction) -> StepLike:
        self.performing = turn
        step = await within(self.env.step(action), self.deadlines.step_s, f"turn {turn} of {self.key.task_id}")
        self.performing = None
        return step

    async def _turn(self, observation: Observation) -> StepLike:
        """Choose (unless that was done before a fault), perform and record one turn."""
        observation = await self._pictured(observation)
        if self.choice is None:
            self.choice = await self._choose(observation)
        choice, start = self.choice, _now()
        step = await self._perform(len(self.turns), choice.action)
        self.turns.append(self._recorded(observation, choice, step, _now() - start))
        self.actions.append(choice.action)
        self.hashes.append(step.observation.hash)
        self.choice = None
        self.board.tell("turn", self.key, turns=1)
        return step

    async def _pictured(self, observation: Observation) -> Observation:
        """The observation with its picture, where one is wanted and does not come by itself."""
        if self.record.screenshot is None or observation.screenshot is not None or not self.record.pictured(self.key):
            return observation
        pixels = await within(self.env.screenshot(), self.deadlines.step_s, f"a picture of {self.key.task_id}")
        return replace(observation, screenshot=pixels)

    async def _choose(self, observation: Observation) -> _Choice:
        start = _now()
        self.board.tell("thinking", self.key, thinking=1, acting=-1)
        try:
            asked = self.policy.act(observation, tuple(self.turns), self.key)
            completion = await within(asked, self.deadlines.policy_s, "the policy's answer")
        finally:
            self.board.tell("acting", self.key, thinking=-1, acting=1)
        return _Choice(completion, parse(completion.text, self.policy.dialect, self.goal), _now() - start)

    def _recorded(self, observation: Observation, choice: _Choice, step: StepLike, browser_s: float) -> Turn:
        valid = not isinstance(choice.action, InvalidAction)
        picture, save = observation.screenshot, self.record.screenshot
        return Turn(
            completion=choice.completion if self.record.prompts else replace(choice.completion, prompt=""),
            action=render(cast(Action, choice.action), "call") if valid else "",
            error=step.observation.error,
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            observation_hash=observation.hash,
            state_hash=observation.state_hash,
            url=observation.url,
            page=page_text(observation.nodes) if self.record.pages else "",
            screenshot=save(self.key, observation.turn, picture) if save is not None and picture is not None else "",
            times=Times(choice.policy_s, browser_s),
            box=_target(choice.action, observation),
        )

    async def _after(self, fault: Fault) -> Trajectory | None:
        """What a fault ends the episode with, or None when it may begin again; then the old session is gone."""
        again = False
        if self.performing is not None:
            self.faults[self.performing] += 1
            again = self.faults[self.performing] > 1
        await self._drop_session()
        if again or self.restarts >= self.retries.limit:
            kind: OutcomeKind = "agent_caused" if again else "fault"
            return self._ended(Outcome(kind, math.nan, 0.0, f"{self._culprit()}{fault}", self.restarts))
        self.board.tell("retry", self.key, message=str(fault), retries=1)
        await asyncio.sleep(self.retries.backoff_s * 2**self.restarts)
        self.restarts += 1
        return None

    def _culprit(self) -> str:
        """The action under way, for the message: it is in no turn, because it led nowhere."""
        if self.performing is None:
            return ""
        action = self.actions[self.performing] if self.performing < len(self.actions) else self.choice and self.choice.action
        return "" if action is None or isinstance(action, InvalidAction) else f"{render(action, 'call')[:200]}: "

    async def _drop_session(self) -> None:
        try:
            await within(self.env.close(), self.deadlines.close_s, "closing the session")
        except Fault:
            return  # the session was broken already; the next reset begins a new one

    def _ended(self, outcome: Outcome) -> Trajectory:
        last = self.hashes[len(self.turns)] if len(self.hashes) > len(self.turns) else ""
        return Trajectory(self.key, self.goal, tuple(self.turns), outcome, last)


def _target(action: Action | InvalidAction, observation: Observation) -> tuple[float, float, float, float] | None:
    """Where on the page the action takes place: the box of the thing it names, or the point; None for one without a place."""
    match action:
        case MouseMove(x, y) | MouseClick(x, y) | MouseDown(x, y) | MouseUp(x, y) | MouseDrag(x, y):
            return (x, y, 0.0, 0.0)
        case InvalidAction():
            return None
    ref = getattr(action, "source" if isinstance(action, Drag) else "ref", None)
    node = observation.node(ref) if ref is not None else None
    return node.box if node else None


def _now() -> float:
    return asyncio.get_running_loop().time()


def group_keys(episodes: Iterable[tuple[str, int]], size: int, iteration: int = 0) -> Iterator[EpisodeKey]:
    """The keys of one group after the other: `size` episodes of each (task id, seed).

    >>> [(k.seed, k.group, k.member) for k in group_keys([("a.b", 7), ("a.b", 8)], 2)]
    [(7, 0, 0), (7, 0, 1), (8, 1, 0), (8, 1, 1)]
    """
    for group, (task_id, seed) in enumerate(episodes):
        for member in range(size):
            yield EpisodeKey(task_id, seed, iteration, group, member)


def groups_of(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """The trajectories by iteration and group, in the order in which each group first appears; members in their given order.

    A group is of one task and one seed: the same group number with another task or seed is another group.
    """
    groups: dict[tuple[int, int, str, int], list[Trajectory]] = {}
    for trajectory in trajectories:
        key = trajectory.key
        groups.setdefault((key.iteration, key.group, key.task_id, key.seed), []).append(trajectory)
    return list(groups.values())
