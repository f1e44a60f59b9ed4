"""The environment's core: :class:`AsyncWebEnv` plays one episode after another, of any task, on any backend.

Only this module writes reward, terminated and truncated. The reward is 0 until the end, then 1 for success, else 0.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from webgym import backends
from webgym import types as t
from webgym.backends.base import Backend, Beginning, Pool, Session, View
from webgym.env import entering
from webgym.env.words import Words
from webgym.errors import BrowserFault, ConfigError, DiskFault, EpisodeStateError, Fault, HangFault, JudgeFault, SiteFault
from webgym.packs import registry
from webgym.packs.beginning import begun
from webgym.prompts.page import one_line
from webgym.task import PENDING, Evidence, Site, Start, Task, Verdict
from webgym.types import Step

A = TypeVar("A")
B = TypeVar("B")
End = Literal["", "stop", "infeasible"]
"""The agent's way of ending the episode, if it did."""

RESET_S = 60.0
CHECK_S = 45.0  # that a check may take which waits
LONGEST_LINE = 1000  # characters of a title, an error or a notice, in which a page or an agent can be repeated
LONGEST_URL = 2048  # characters of an address that an agent is shown: a page can make its own as long as it likes
START_SHARE = 0.5  # of a reset's seconds that the task's own program may take
LEASE_SHARE = 0.75  # of a reset's seconds that a site may take, so that a site which hangs is told from a browser which does


@dataclass(frozen=True, slots=True)
class _Page:
    """A page after an action, and what the task's probe read on it."""

    view: View
    state: object
    pixels: np.ndarray | None


class AsyncWebEnv:
    """One session that plays one episode after another, of any task. Runs on the sessions' loop (see `webgym.loop_thread`).

    `max_turns` replaces the tasks' own turn limits. `screenshots` adds pixels to every observation. `backend` is a name or an object
    (:mod:`webgym.backends`): with "text" the session is one of the text twin, which plays the same episodes for packs whose pages are
    plain, without a browser and on any loop. `reset_s` is the time that a reset may take; the task's own program has half of it, and a
    site three quarters.
    """

    def __init__(
        self,
        *,
        max_turns: int | None = None,
        screenshots: bool = False,
        headless: bool = True,
        backend: Backend | str = "browser",
        reset_s: float = RESET_S,
        find: Callable[[str], Task] = registry.task,
    ) -> None:
        self._backend = backends.get(backend)
        self._max_turns = max_turns
        self._screenshots = screenshots
        self._headless = headless
        self._start_s, self._lease_s = START_SHARE * reset_s, LEASE_SHARE * reset_s
        self._find = find
        self._pool: Pool | None = None
        self._plays: Backend | None = None  # whose pool it is
        self._session: Session | None = None
        self._token = ""
        self._task: Task | None = None
        self._goal = ""
        self._seed = 0
        self._turn = 0
        self._limit = 0
        self._over = True
        self._pages: list[tuple[t.Node, ...]] = []  # that the agent was shown
        self._words = Words("")
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def reset(self, task_id: str, seed: int) -> t.Observation:
        """The first observation of the episode that (task, seed) fixes. Raises UnknownTaskError, Fault, ConfigError for a task that the
        backend cannot play. A start page that is answered with a server error is a SiteFault: no action of an agent asked for it.
        """
        with system_errors(f"the reset of {task_id}"):
            return await self._reset(task_id, seed)

    async def _reset(self, task_id: str, seed: int) -> t.Observation:
        task = self._find(task_id)
        sites = registry.sites_of(task)
        await self._end_episode()
        self._pool = await self._pool_for(task, sites)
        self._pool.serve(sites)
        start = await begun(task, seed, self._start_s)
        self._token = secrets.token_hex(16)
        episode = await self._pool.gateway.open(self._token, task.hosts, seed, start.site_state, timeout_s=self._lease_s)
        episode.streams.know(task.streams)
        entry = await entering.enter(sites, self._pool.gateway.leases(self._token), start)
        async with self._pool.turn():
            session = await self._living(self._pool)
            self._goal = await self._begin(session, task, seed, start, entry)
            page = await self._look(session, None)
        if words := entering.refused(session, start.url, page.view.nodes, least=500):
            raise SiteFault(words)
        site_state = await self._pool.gateway.snapshot(self._token, due=False)
        self._task, self._seed, self._turn, self._over = task, seed, 0, False
        self._limit = self._max_turns or task.max_turns
        self._pages, self._words = [], Words(self._goal)
        first = self._observation(page, site_state, "")
        self._pages.append(first.nodes)
        return first

    async def _pool_for(self, task: Task, sites: Sequence[Site]) -> Pool:
        """The pool of the backend that plays the task. Raises ConfigError."""
        backend = backends.of(task, self._backend)
        if reason := backend.can_play(task, sites):
            raise ConfigError(reason)
        if backend is self._plays and self._pool is not None:
            return self._pool
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._plays = backend
        return await backend.pool(headless=self._headless)

    async def _living(self, pool: Pool) -> Session:
        """A session that can play another episode."""
        if self._session is not None and (self._session.spent or not self._session.alive):
            await self._session.close()
            self._session = None
        if self._session is None:
            self._session = await pool.session()
        return self._session

    async def _begin(self, session: Session, task: Task, seed: int, start: Start, entry: "entering.Entry") -> str:
        """Begin the episode in the session; the goal."""
        begun = await session.begin(
            Beginning(
                url=entry.url,
                token=self._token,
                hosts=task.hosts,
                seed=seed,
                clock_s=task.clock_s,
                settle_ms=task.settle_ms,
                viewport=task.viewport,
                page_script=start.page_script,
                one_document=start.goal is None,
                folder=self._keep(start.files, task.clock_s),
                cookies=entry.cookies,
                storage=entry.storage,
            )
        )
        if entry.steps is not None:
            await entering.walk_in(session, entry.steps, start.url, task)
        goal = start.goal if start.goal is not None else (begun or {}).get("goal")
        if not goal or not isinstance(goal, str):
            raise JudgeFault(f"task {task.id} gave no goal for seed {seed}")
        return t.well_formed(goal)

    async def step(self, action: t.Action | t.InvalidAction) -> Step:
        """Perform one turn. Raises EpisodeStateError, Fault."""
        task, pool, session = self._task, self._pool, self._session
        if self._over or task is None or pool is None or session is None:
            raise EpisodeStateError("the episode is over, or was never begun: call reset first")
        self._turn += 1
        with system_errors(f"turn {self._turn} of {task.id}"):
            self._words.note(action, len(self._pages))
            async with pool.turn():
                error, ended, answer = await self._perform(session, action)
                due, url = task.ends == "success" or ended != "", session.url
                page = await self._look(session, task.probe if due else None)
            site_state = await pool.gateway.snapshot(self._token, due=due)
        observation = self._observation(page, site_state, error)  # before the check, which could change what it is handed
        instance = entering.instance(pool.gateway.leases(self._token)) if due else None
        evidence = Evidence(
            self._seed,
            url,
            site_state,
            page.state,
            ended,
            answer,
            tuple(self._words.messages),
            instance,
            tuple(self._pages),
            tuple(self._words.written),
        )
        self._words.note_fields(action, self._pages[-1], observation.nodes, len(self._pages))
        self._pages.append(observation.nodes)
        verdict = await _judged(task, evidence) if due else PENDING
        kind = self._kind(verdict, ended)
        terminated = kind not in ("", "truncated")
        self._over = kind != ""
        reward = 1.0 if kind == "success" else 0.0
        return Step(observation, reward, terminated, kind == "truncated", kind, verdict.raw_reward, t.well_formed(verdict.message))

    async def _perform(self, session: Session, action: t.Action | t.InvalidAction) -> tuple[str, End, str]:
        """The reason why the action did not work, how it ends the episode, and what it answers; "" where there is nothing to say."""
        match action:
            case t.InvalidAction(words):
                return words, "", ""
            case t.Stop() | t.Infeasible() | t.Message() if hasattr(session, "hear"):  # a backend whose own judge listens
                await session.hear(action)  # pyright: ignore[reportAttributeAccessIssue]
        match action:
            case t.Stop(text):
                return "", "stop", text
            case t.Infeasible(reason):
                return "", "infeasible", reason
            case t.Message(text):
                return self._words.say(text), "", ""
        return await session.act(action), "", ""

    async def _look(self, session: Session, probe: str | None) -> _Page:
        """The page as it is now; the probe is asked at the same time."""
        if probe is None:
            state, view = None, await session.view()
        else:
            state, view = await _both(session.page_state(probe), session.view())
        return _Page(view, state, await session.screenshot() if self._screenshots else None)

    def _observation(self, page: _Page, site_state: object, error: str) -> t.Observation:
        view = page.view
        shown = tuple(_well_formed(node) for node in view.nodes)
        nodes = [(n.role, n.text, n.value, n.states, n.depth) for n in shown]
        return t.Observation(
            goal=self._goal,
            url=_shortened(one_line(t.well_formed(view.url))),
            title=_line(view.title),
            nodes=shown,
            tabs=tuple(map(_line, view.tabs)),
            focus=view.focus,
            turn=self._turn,
            turns_left=max(0, self._limit - self._turn),
            error=_line(error),
            notices=tuple(map(_line, view.notices)),
            state_hash=t.digest([view.url, nodes, site_state]),
            dialog=t.well_formed(getattr(view, "dialog", "")),  # a backend without dialogs has no such field
            screenshot=page.pixels,
            top=getattr(view, "top", 0),  # a backend whose pages are short need not tell
        )

    def _kind(self, verdict: Verdict, ended: End) -> t.OutcomeKind | Literal[""]:
        if verdict.kind != "pending":
            return verdict.kind
        if ended:
            return "stopped" if ended == "stop" else "infeasible"
        return "truncated" if self._turn >= self._limit else ""

    @property
    def deterministic(self) -> bool:
        """False where the task of this episode says that the same actions need not lead to the same pages."""
        return self._task is None or self._task.deterministic

    @property
    def opened(self) -> bool:
        """True where there is a session or a site's lease to give back."""
        return self._session is not None or self._token != ""

    @property
    def goal(self) -> str:
        """The goal of this episode."""
        return self._goal

    @property
    def pages(self) -> tuple[tuple[t.Node, ...], ...]:
        """The pages that the agent was shown in this episode, that of the reset first."""
        return tuple(self._pages)

    @property
    def session(self) -> Session:
        """The session of this episode. Raises EpisodeStateError before the first reset."""
        if self._session is None:
            raise EpisodeStateError("there is no browser session before the first reset")
        return self._session

    async def site_state(self) -> object:
        """The state of the episode's sites as a check would see it now. Raises SiteFault, EpisodeStateError."""
        if self._pool is None or not self._token:
            raise EpisodeStateError("there is no episode: call reset first")
        return await self._pool.gateway.snapshot(self._token)

    async def screenshot(self) -> np.ndarray:
        """The pixels of the current page, [height, width, 3] uint8. Raises EpisodeStateError, Fault."""
        return await self.session.screenshot()

    def _keep(self, files: Mapping[str, str | bytes], clock_s: float) -> Path | None:
        """The episode's folder with its files, as old as its clock says, None without any. It lasts until the episode ends."""
        if not files:
            return None
        self._folder = tempfile.TemporaryDirectory(prefix="webgym-files-")
        for name, content in files.items():
            path = Path(self._folder.name, name)
            path.write_bytes(t.well_formed(content).encode() if isinstance(content, str) else content)
            if clock_s:
                os.utime(path, (clock_s, clock_s))  # which pages can read
        return Path(self._folder.name)

    async def _end_episode(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        token, self._token, self._over = self._token, "", True
        if token and self._pool is not None:
            await self._pool.gateway.end(token)

    async def close(self) -> None:
        """Give the session and the sites' leases back."""
        await self._end_episode()
        if self._session is not None:
            await self._session.close()
            self._session = None


@contextlib.contextmanager
def system_errors(what: str) -> Iterator[None]:
    """Turns an error of the operating system (a full disk, no more descriptors, a connection that is lost) into the Fault that it is."""
    try:
        yield
    except OSError as error:
        kind = DiskFault if error.errno in (errno.ENOSPC, errno.EDQUOT) else HangFault if isinstance(error, TimeoutError) else BrowserFault
        raise kind(f"{what} failed: {error or type(error).__name__}") from error


async def _both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """The answers to two questions to the browser, asked at once. Both have ended before an error of either is raised."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    for found in (one, other):
        if isinstance(found, BaseException):
            raise found
    return one, other  # type: ignore[return-value]


def _line(text: str) -> str:
    """One line of at most `LONGEST_LINE` characters, which every encoder takes."""
    line = one_line(t.well_formed(text))
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def _shortened(url: str) -> str:
    return url if len(url) <= LONGEST_URL else f"{url[: LONGEST_URL - 1]}…"


def _well_formed(node: t.Node) -> t.Node:
    """The node with texts that every encoder takes; the node itself where they are so already."""
    text, value = t.well_formed(node.text), None if node.value is None else t.well_formed(node.value)
    return node if (text, value) == (node.text, node.value) else replace(node, text=text, value=value)


async def _judged(task: Task, evidence: Evidence) -> Verdict:
    """The verdict of the task's check. An error of the check becomes a JudgeFault."""
    try:
        found = task.check(evidence)
        if isinstance(found, Verdict):
            return found
        async with asyncio.timeout(CHECK_S):
            return await found
    except Fault:
        raise
    except TimeoutError as error:
        raise JudgeFault(f"the check of task {task.id} gave no verdict in time: {error or f'{CHECK_S:g} s'}") from error
    except Exception as error:
        raise JudgeFault(f"the check of task {task.id} failed: {error!r}") from error
