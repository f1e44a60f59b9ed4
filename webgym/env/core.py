"""The environment's core: :class:`AsyncWebEnv` plays one episode after another, of any task, on any backend.

Only this module writes reward, terminated and truncated. The reward is 0 until the end, then 1 for success, else 0.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from webgym import types as t
from webgym.backends.base import Backend, known_backend
from webgym.errors import EpisodeStateError, JudgeFault
from webgym.packs import registry
from webgym.task import Evidence, Start, Task, Verdict
from webgym.types import Step

A = TypeVar("A")
B = TypeVar("B")


class AsyncWebEnv:
    """One browser session that plays one episode after another, of any task. Runs on the browser's loop (see `webgym.loop_thread`).

    `max_turns` replaces the tasks' own turn limits. `screenshots` adds pixels to every observation. With `backend="text"` the session is
    one of the text twin: the same episodes for packs whose pages are plain, without a browser and on any loop.
    """

    def __init__(
        self,
        *,
        max_turns: int | None = None,
        screenshots: bool = False,
        headless: bool = True,
        backend: Backend = "browser",
        find: Callable[[str], Task] = registry.task,
    ) -> None:
        self._backend = known_backend(backend)
        self._max_turns = max_turns
        self._screenshots = screenshots
        self._headless = headless
        self._find = find
        self._pool: Any = None
        self._session: Any = None
        self._token = ""
        self._task: Task | None = None
        self._goal = ""
        self._seed = 0
        self._turn = 0
        self._limit = 0
        self._over = True
        self._messages: list[str] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def reset(self, task_id: str, seed: int) -> t.Observation:
        """The first observation of the episode that (task, seed) fixes. Raises UnknownTaskError, Fault, ConfigError for a task
        without a text twin.
        """
        task = self._find(task_id)
        sites = registry.sites_of(task)
        self._end_episode()
        self._pool = self._pool or await self._open_pool()
        if self._backend == "text":
            from webgym.backends.text.session import must_have_twin

            must_have_twin(task, sites)
        self._pool.serve(sites)
        async with self._pool.turn():
            return await self._begin(task, seed, _start(task, seed))

    async def _begin(self, task: Task, seed: int, start: Start) -> t.Observation:
        """Begin the episode in a session that lives."""
        if self._session is not None and (self._session.spent or not self._session.alive):
            await self._session.close()
            self._session = None
        if self._session is None:
            self._session = await self._pool.session()
        self._token = secrets.token_hex(16)
        self._pool.gateway.open(self._token, task.hosts, seed, start.site_state)
        begun = await self._session.begin(
            start.url,
            token=self._token,
            hosts=task.hosts,
            seed=seed,
            clock_s=task.clock_s,
            settle_ms=task.settle_ms,
            viewport=task.viewport,
            page_script=start.page_script,
            folder=self._keep(start.files),
        )
        goal = start.goal if start.goal is not None else (begun or {}).get("goal")
        if not goal:
            raise JudgeFault(f"task {task.id} gave no goal for seed {seed}")
        self._task, self._goal, self._seed, self._turn, self._over = task, goal, seed, 0, False
        self._limit = self._max_turns or task.max_turns
        self._messages = []
        return await self._observe("")

    async def _open_pool(self) -> Any:
        if self._backend == "text":
            from webgym.backends.text.session import TextPool

            return TextPool()
        from webgym.backends.browser.pool import shared_pool

        return await shared_pool(self._headless)

    async def step(self, action: t.Action | t.InvalidAction) -> Step:
        """Perform one turn. Raises EpisodeStateError, Fault."""
        if self._over or self._task is None:
            raise EpisodeStateError("the episode is over, or was never begun: call reset first")
        self._turn += 1
        async with self._pool.turn():
            error, ended, answer = await self._perform(action)
            verdict, observation = await _both(self._judge(ended, answer), self._observe(error))
        kind = self._kind(verdict, ended)
        terminated = kind not in ("", "truncated")
        self._over = kind != ""
        reward = 1.0 if kind == "success" else 0.0
        return Step(observation, reward, terminated, kind == "truncated", kind, verdict.raw_reward, verdict.message)

    async def _perform(self, action: t.Action | t.InvalidAction) -> tuple[str, str, str]:
        """Why the action did not work, how it ends the episode, and what it answers; "" where there is nothing to say."""
        match action:
            case t.InvalidAction(words):
                return words, "", ""
            case t.Stop(text):
                return "", "stop", text
            case t.Infeasible(reason):
                return "", "infeasible", reason
            case t.Message(text):
                self._messages.append(text)
                return "", "", ""
        return await self._session.act(action), "", ""

    def _kind(self, verdict: Verdict, ended: str) -> str:
        if verdict.kind != "pending":
            return verdict.kind
        if ended:
            return "stopped" if ended == "stop" else "infeasible"
        return "truncated" if self._turn >= self._limit else ""

    async def _judge(self, ended: str, answer: str) -> Verdict:
        """The task's check, when it is due."""
        task = self._task
        assert task is not None
        if task.ends == "stop" and not ended:
            return Verdict("pending")
        evidence = Evidence(
            seed=self._seed,
            url=self._session.url,
            site_state=self._pool.gateway.snapshot(self._token),
            page_state=await self._probed(task.probe) if task.probe else None,
            ended=ended,  # type: ignore[arg-type]
            answer=answer,
            messages=tuple(self._messages),
        )
        try:
            return task.check(evidence)
        except Exception as error:
            raise JudgeFault(f"the check of task {task.id} failed: {error!r}") from error

    async def _probed(self, probe: str) -> Any:
        from webgym.backends.browser.tab import PageError

        try:
            return await self._session.page_state(probe)
        except PageError:
            return None  # the page was left, or is broken: then it cannot be solved on it

    async def _observe(self, error: str) -> t.Observation:
        view = await self._session.view()
        nodes = [(n.role, n.text, n.value, n.states, n.depth) for n in view.nodes]
        observation = t.Observation(
            goal=self._goal,
            url=view.url,
            title=view.title,
            nodes=view.nodes,
            tabs=view.tabs,
            focus=view.focus,
            turn=self._turn,
            turns_left=max(0, self._limit - self._turn),
            error=error,
            notices=view.notices,
            state_hash=t.digest([view.url, nodes, self._pool.gateway.snapshot(self._token)]),
        )
        if self._screenshots:
            observation = replace(observation, screenshot=await self._session.screenshot())
        return observation

    @property
    def opened(self) -> bool:
        """Whether there is a browser session to give back."""
        return self._session is not None

    @property
    def goal(self) -> str:
        """The goal of this episode."""
        return self._goal

    @property
    def session(self) -> Any:
        """The browser session of this episode. Raises EpisodeStateError before the first reset."""
        if self._session is None:
            raise EpisodeStateError("there is no browser session before the first reset")
        return self._session

    async def screenshot(self) -> np.ndarray:
        """What the page shows now, [height, width, 3] uint8. Raises EpisodeStateError, Fault."""
        return await self.session.screenshot()

    def _keep(self, files: Mapping[str, str | bytes]) -> Path | None:
        """The episode's folder with its files, None without any. It lasts until the episode ends."""
        if not files:
            return None
        self._folder = tempfile.TemporaryDirectory(prefix="webgym-files-")
        for name, content in files.items():
            Path(self._folder.name, name).write_bytes(content.encode() if isinstance(content, str) else content)
        return Path(self._folder.name)

    def _end_episode(self) -> None:
        if self._token:
            self._pool.gateway.end(self._token)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        self._token, self._over = "", True

    async def close(self) -> None:
        """Give the session back."""
        self._end_episode()
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """The answers to two questions to the browser, asked at once. Both have ended before an error of either is raised."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    for found in (one, other):
        if isinstance(found, BaseException):
            raise found
    return one, other  # type: ignore[return-value]


def _start(task: Task, seed: int) -> Start:
    """How the episode begins; what the task's own program raises is a JudgeFault."""
    try:
        start = task.start(seed)
    except Exception as error:
        raise JudgeFault(f"task {task.id} cannot begin with seed {seed}: {error!r}") from error
    for name in start.files:
        if not name or name != Path(name).name:
            raise JudgeFault(f"task {task.id} gives a file the name {name!r}: expected a plain name such as 'letter.txt'")
    return start
