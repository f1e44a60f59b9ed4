"""One episode, played through as many sessions as it takes."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from webgym.actions import parse, render
from webgym.errors import BrowserFault, Fault, HangFault, RendererFault
from webgym.policies.policy import Policy
from webgym.prompts.compact import mention
from webgym.prompts.page import page_text
from webgym.rollout.contract import (
    Counts,
    Deadlines,
    Env,
    Event,
    EventKind,
    Listener,
    PictureTaker,
    PromptReader,
    Record,
    Retries,
)
from webgym.task import OracleEnded
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
    Node,
    Observation,
    Outcome,
    OutcomeKind,
    Step,
    Times,
    Trajectory,
    Turn,
)

T = TypeVar("T")


async def within(call: Awaitable[T], seconds: float, what: str) -> T:
    """The call's result, or a HangFault when it takes longer.

    Unlike `asyncio.wait_for` this does not wait for a cancelled call to end: one that ignores its cancellation must not hold up the caller.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done():
        return task.result()
    task.add_done_callback(lambda late: late.cancelled() or late.exception())  # its error, if any, no longer matters
    task.cancel()
    raise HangFault(f"{what} did not end within {seconds:g} s")


class Board:
    """Counts of one collection, and the listener that hears of them."""

    def __init__(self, listener: Listener | None) -> None:
        self.counts = Counts()
        self._listener = listener

    def of(self, session: int) -> "Place":
        """This board as one session writes on it."""
        return Place(self, session)

    def tell(self, session: int, kind: EventKind, key: EpisodeKey, trajectory: Trajectory | None, message: str, **changes: int) -> None:
        added = {name: getattr(self.counts, name) + change for name, change in changes.items()}
        self.counts = replace(self.counts, **added)
        if self._listener is not None:
            self._listener(Event(kind, key, self.counts, trajectory, message, session))


@dataclass(frozen=True, slots=True)
class Place:
    """A session's place on the board."""

    board: Board
    session: int

    def tell(self, kind: EventKind, key: EpisodeKey, trajectory: Trajectory | None = None, message: str = "", **changes: int) -> None:
        """Add the changes to the counts and tell the listener."""
        self.board.tell(self.session, kind, key, trajectory, message, **changes)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Choice of the policy for a turn, kept until the browser has performed it."""

    completion: Completion
    action: Action | InvalidAction
    policy_s: float


class _Diverged(BrowserFault):
    """The recorded actions led elsewhere."""


class Episode:
    """One episode, through as many sessions as it takes."""

    def __init__(
        self,
        key: EpisodeKey,
        env: Env,
        policy: Policy,
        board: Place,
        deadlines: Deadlines,
        retries: Retries,
        record: Record,
        on_picture: PictureTaker | None = None,
    ) -> None:
        self.key, self.env, self.policy, self.board = key, env, policy, board
        self.deadlines, self.retries, self.record, self.on_picture = deadlines, retries, record, on_picture
        self.goal = ""
        self.turns: list[Turn] = []
        self.actions: list[Action | InvalidAction] = []  # of the turns so far
        self.hashes: list[str] = []  # of the observations so far: one more than turns, once the first reset worked
        self.choice: _Choice | None = None  # the action that comes next, kept through a fault
        self.performing: int | None = None  # the turn whose action is under way
        self.unmet = ""  # what the check still misses, in words
        self.faults: Counter[int] = Counter()  # by the turn whose action was under way
        self.suspect: int | None = None  # the turn whose action was under way when a page hung or crashed
        self.restarts = 0
        self.met: list[str] = []  # the kinds of the faults so far

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
        self.unmet = ""
        if self.choice is None:
            del self.hashes[len(self.turns) :]  # nothing was decided on the last page, and a dying browser may have shown half of it
        reset = self.env.reset(self.key.task_id, self.key.seed)
        observation = await within(reset, self.deadlines.reset_s, f"the reset of {self.key.task_id}")
        self.goal = observation.goal
        observation = await self._replay(observation)
        while True:
            step = await self._turn(observation)
            if step.kind:
                ended = self._ended(
                    Outcome(cast(OutcomeKind, step.kind), step.reward, step.raw_reward, step.message, self.restarts, tuple(self.met))
                )
                if ended.outcome.kind != "truncated" or not self.record.final_prompts:
                    return ended
                reader = cast(PromptReader, self.policy)
                return replace(ended, final_prompt_ids=reader.prompt_ids(step.observation, ended.turns, self.key))
            observation = step.observation

    async def _replay(self, observation: Observation) -> Observation:
        """Perform the recorded actions again; the observation after them."""
        self._compare(0, observation)
        for turn in range(len(self.turns)):
            step = await self._perform(turn, self.actions[turn])
            if step.kind:
                raise _Diverged(f"replaying {self.key.task_id} (seed {self.key.seed}) ended early, at turn {turn}")
            observation = step.observation
            self._compare(turn + 1, observation)
        return observation

    def _compare(self, turn: int, observation: Observation) -> None:
        """The observation must be the one that was recorded, if one was and the task leads to the same pages each time."""
        if turn >= len(self.hashes):
            self.hashes.append(observation.hash)
        elif not self.env.deterministic:
            self.hashes[turn] = observation.hash
        elif self.hashes[turn] != observation.hash:
            raise _Diverged(f"replaying {self.key.task_id} (seed {self.key.seed}) led to another page at turn {turn}")

    async def _perform(self, turn: int, action: Action | InvalidAction) -> Step:
        self.performing = turn
        step = await within(self.env.step(action), self.deadlines.step_s, f"turn {turn} of {self.key.task_id}")
        self.performing, self.unmet = None, step.message
        return step

    async def _turn(self, observation: Observation) -> Step:
        """Choose (unless that was done before a fault), perform and record one turn."""
        pictured = await self._pictured(observation)
        if self.choice is None:
            self.choice = await self._choose(observation)  # which never sees a picture that is taken for the record only
        choice, start = self.choice, _now()
        step = await self._perform(len(self.turns), choice.action)
        self.turns.append(self._recorded(pictured, choice, step, _now() - start))
        self.actions.append(choice.action)
        self.hashes.append(step.observation.hash)
        self.choice = None
        self.board.tell("turn", self.key, turns=1)
        return step

    async def _pictured(self, observation: Observation) -> Observation:
        """The observation with its picture, where one is wanted and does not come by itself."""
        if self.on_picture is None or observation.screenshot is not None or not self.record.pictured(self.key):
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

    def _recorded(self, observation: Observation, choice: _Choice, step: Step, browser_s: float) -> Turn:
        valid = not isinstance(choice.action, InvalidAction)
        picture, save = observation.screenshot, self.on_picture
        target = _target(choice.action, observation)
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
            box=target.box if target else _point(choice.action),
            target=target,
            mention=mention(choice.completion.text, observation.nodes, observation.top),
        )

    async def _after(self, fault: Fault) -> Trajectory | None:
        """The trajectory if the fault ends the episode, or None when it may begin again; then the old session is gone."""
        again = False
        self.met.append(fault.kind)
        lacks = f"; {self.unmet}" if self.unmet and isinstance(fault.__cause__, OracleEnded) else ""
        turn = self.performing
        if isinstance(fault, _Diverged):  # what an agent can cause, and then keep from being tried again
            turn = self.suspect
        if turn is not None:
            self.faults[turn] += 1
            again = self.faults[turn] > 1
            self.suspect = turn if isinstance(fault, HangFault | RendererFault) else self.suspect
        await self._drop_session()
        if again or self.restarts >= self.retries.limit:
            kind: OutcomeKind = "agent_caused" if again else "fault"
            return self._ended(Outcome(kind, math.nan, 0.0, f"{self._culprit()}{fault}{lacks}", self.restarts, tuple(self.met)))
        self.board.tell("retry", self.key, message=str(fault), retries=1)
        await asyncio.sleep(self.retries.backoff_s * 2**self.restarts)
        self.restarts += 1
        return None

    def _culprit(self) -> str:
        """The action under way, for the message. It is in no turn, because it led nowhere."""
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


def _target(action: Action | InvalidAction, observation: Observation) -> Node | None:
    """The thing that the action names by its ref; None for an action without a ref, or where nothing on the page bears it."""
    ref = getattr(action, "source" if isinstance(action, Drag) else "ref", None)
    return observation.node(ref) if ref is not None else None


def _point(action: Action | InvalidAction) -> tuple[float, float, float, float] | None:
    """The place of an action by coordinates, as a box without size; None for any other action."""
    match action:
        case MouseMove(x, y) | MouseClick(x, y) | MouseDown(x, y) | MouseUp(x, y) | MouseDrag(x, y):
            return (x, y, 0.0, 0.0)
    return None


def _now() -> float:
    return asyncio.get_running_loop().time()
