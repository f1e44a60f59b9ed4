"""Sessions of a server: an environment for each client, at most so many, ended when the client is gone.

All runs on one event loop, that of the browser (:mod:`webgym.loop_thread`): no session has a thread, and all share one browser.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webgym.actions import parse
from webgym.env.core import AsyncWebEnv
from webgym.errors import EpisodeStateError, Fault, UsageError
from webgym.packs import registry
from webgym.rollout.contract import Deadlines
from webgym.rollout.episode import within
from webgym.serve.messages import Begin, Seen, Turned
from webgym.types import Observation

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

RESETS = 3
"""Number of tries to begin an episode before the client is told of the fault."""


class FullError(UsageError):
    """The server has as many sessions as it may."""


class UnknownSessionError(UsageError):
    """No session has this id: it never existed, or it has ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server: sessions at once, seconds of silence after which a session ends, and deadlines of the environment."""

    sessions: int = 32
    idle_s: float = 900.0
    deadlines: Deadlines = Deadlines()


class Session:
    """One client's environment, which plays one episode after another, of any task. Use :meth:`Sessions.open`."""

    def __init__(self, backend: str, limits: Limits) -> None:
        self.id = secrets.token_urlsafe(16)
        self._backend, self._limits = backend, limits
        self._env: AsyncWebEnv | None = None
        self._max_turns: int | None = None
        self._begun: Begin | None = None
        self._busy = asyncio.Lock()
        self.turn = 0
        self.over = True

    @property
    def task(self) -> str:
        """The task of the episode; empty before the first one."""
        return self._begun.task if self._begun else ""

    @property
    def seed(self) -> int | None:
        """The seed of the episode; None before the first one."""
        return self._begun.seed if self._begun else None

    async def reset(self, asked: Begin) -> Turned:
        """The beginning of an episode. A fault is tried again in a new session of the browser. Raises UsageError, Fault."""
        async with self._turn():
            seed = asked.seed if asked.seed is not None else secrets.randbelow(1 << 31)
            self._begun, self.over = None, True
            tries = RESETS
            while True:
                try:
                    seen = await self._reset(asked, seed)
                    break
                except Fault:
                    await self._drop()
                    tries -= 1
                    if not tries:
                        raise
            self._begun, self.turn, self.over = asked.model_copy(update={"seed": seed}), 0, False
            return Turned(observation=Seen.of(seen, asked.task, seed))

    async def step(self, text: str) -> Turned:
        """The result of one turn. Raises EpisodeStateError, and Fault, which ends the episode without a reward."""
        async with self._turn():
            env, begun = self._env, self._begun
            if env is None or begun is None or begun.seed is None or self.over:
                raise EpisodeStateError("there is no episode, or it is over: begin one first (reset with a task)")
            try:
                act = env.step(parse(text, begun.dialect, env.goal))
                step = await within(act, self._limits.deadlines.step_s, f"turn {self.turn} of {begun.task}")
                observation = await self._pictured(env, step.observation, begun)
            except Fault:
                self.over = True
                await self._drop()
                raise
            self.turn, self.over = self.turn + 1, step.kind != ""
            return Turned.of(replace(step, observation=observation), begun.task, begun.seed)

    async def screenshot(self) -> "np.ndarray":
        """The pixels of the page, [height, width, 3] uint8. Raises EpisodeStateError, Fault."""
        async with self._turn():
            if self._env is None:
                raise EpisodeStateError("there is no page before the first episode: begin one first")
            return await within(self._env.screenshot(), self._limits.deadlines.step_s, f"a picture of {self.task}")

    async def close(self) -> None:
        """End the episode and give the browser's session back, after what is under way."""
        async with self._busy:
            self._begun, self.over = None, True
            await self._drop()

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The session for one call at a time. Raises EpisodeStateError where another is under way."""
        if self._busy.locked():
            raise EpisodeStateError("a turn of this session is under way: wait for its answer")
        async with self._busy:
            yield

    async def _reset(self, asked: Begin, seed: int) -> Observation:
        if self._env is None or asked.max_turns != self._max_turns:
            await self._drop()
            self._env = AsyncWebEnv(max_turns=asked.max_turns, backend=self._backend, find=registry.known_task)
            self._max_turns = asked.max_turns
        begin = self._env.reset(asked.task, seed)
        observation = await within(begin, self._limits.deadlines.reset_s, f"the reset of {asked.task}")
        return await self._pictured(self._env, observation, asked)

    async def _pictured(self, env: AsyncWebEnv, observation: Observation, begun: Begin) -> Observation:
        """The observation with its picture, where one was asked for."""
        if not begun.screenshot:
            return observation
        pixels = await within(env.screenshot(), self._limits.deadlines.step_s, f"a picture of {begun.task}")
        return replace(observation, screenshot=pixels)

    async def _drop(self) -> None:
        """Close the environment; the next reset makes a new one."""
        env, self._env = self._env, None
        if env is not None:
            try:
                await within(env.close(), self._limits.deadlines.close_s, "closing the session")
            except Fault as fault:
                log.debug("a session was broken when it was closed: %s", fault)


class Sessions:
    """The sessions of a server, by id. Where a client is silent for `limits.idle_s`, its session ends."""

    def __init__(self, *, backend: str = "browser", limits: Limits = Limits()) -> None:
        self.limits = limits
        self._backend = backend
        self._open: dict[str, Session] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def open(self) -> Session:
        """A new session. Raises FullError."""
        if len(self._open) >= self.limits.sessions:
            raise FullError(f"all {self.limits.sessions} sessions are taken: try again later, or start the server with more --sessions")
        session = Session(self._backend, self.limits)
        self._open[session.id] = session
        self._heard(session.id)
        return session

    def get(self, session_id: str) -> Session:
        """The session of this id, whose client was just heard. Raises UnknownSessionError."""
        if session_id not in self._open:
            raise UnknownSessionError(f"there is no session {session_id[:40]!r}: it has ended, or never began; open a new one")
        self._heard(session_id)
        return self._open[session_id]

    async def end(self, session_id: str) -> None:
        """End a session; its place is free when this returns. An unknown one is ended already."""
        if alarm := self._alarms.pop(session_id, None):
            alarm.cancel()
        if session := self._open.get(session_id):
            await session.close()
            self._open.pop(session_id, None)

    async def close(self) -> None:
        """End all sessions."""
        await asyncio.gather(*(self.end(session_id) for session_id in [*self._open]), *self._ending)

    def _heard(self, session_id: str) -> None:
        if alarm := self._alarms.pop(session_id, None):
            alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarms[session_id] = loop.call_later(self.limits.idle_s, self._silent, session_id)

    def _silent(self, session_id: str) -> None:
        log.info("a client was silent for %g s: its session ends", self.limits.idle_s)
        task = asyncio.ensure_future(self.end(session_id))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
