"""The environment: a task in a browser. :class:`AsyncWebEnv` is the core, :class:`WebEnv` the Gymnasium face of it.

Only this module writes reward, terminated and truncated. The reward is 0 until the end, then 1 for success, else 0.
"""

import asyncio
import secrets
import tempfile
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, SupportsFloat, TypeVar, get_args

import gymnasium as gym
import numpy as np

from webgym import registry
from webgym import types as t
from webgym.actions import DIALECTS, parse
from webgym.errors import ConfigError, EpisodeStateError, JudgeFault, did_you_mean
from webgym.page import PageMode, page_text
from webgym.spaces import ActionText, UnicodeText
from webgym.task import Evidence, Site, Start, Task, Verdict

Backend = Literal["browser", "text"]
"""Where episodes are played: in Chromium, or on the text twin that packs with plain pages have (:mod:`webgym.text`)."""

A = TypeVar("A")
B = TypeVar("B")

TEXTS = ("goal", "url", "title", "tabs", "page", "error", "notices")


@dataclass(frozen=True, slots=True)
class Step:
    """What a turn led to. `kind` is "" while the episode goes on."""

    observation: t.Observation
    reward: float
    terminated: bool
    truncated: bool
    kind: t.OutcomeKind | str = ""
    raw_reward: float = 0.0
    message: str = ""


class AsyncWebEnv:
    """One browser session that plays one episode after another, of any task. Runs on the browser's loop (see `webgym.browser.thread`).

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
            from webgym.text.session import TextPool

            return TextPool()
        from webgym.browser.pool import shared_pool

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
        from webgym.browser.tab import PageError

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


def known_backend(backend: str) -> Backend:
    """The backend, or a ConfigError that names the known ones."""
    if backend not in get_args(Backend):
        raise ConfigError(f"there is no backend {backend!r}: expected one of {', '.join(get_args(Backend))}")
    return backend  # type: ignore[return-value]


def must_have_twin(task: Task, sites: Sequence[Site]) -> None:
    """Raises ConfigError for a task that cannot be played on the text twin."""
    from webgym.text.session import why_no_twin

    if problem := why_no_twin(task, sites):
        raise ConfigError(problem)


class TextFace:
    """How a task looks to Gymnasium: its spaces, text to actions, observations and infos as dicts."""

    def __init__(self, task_id: str, *, dialect: str, page: PageMode, max_turns: int | None, screenshot: bool) -> None:
        if dialect not in DIALECTS:
            raise ConfigError(f"there is no dialect {dialect!r}: expected one of {', '.join(DIALECTS)}{did_you_mean(dialect, DIALECTS)}")
        if page not in get_args(PageMode):
            raise ConfigError(f"there is no page mode {page!r}: expected one of {', '.join(get_args(PageMode))}")
        if max_turns is not None and max_turns < 1:
            raise ConfigError(f"max_turns must be at least 1, got {max_turns}")
        self.task = registry.task(task_id)
        self.dialect = dialect
        self.page: PageMode = page
        self.screenshot = screenshot
        limit = max_turns or self.task.max_turns
        spaces: dict[str, gym.Space[Any]] = {key: UnicodeText() for key in TEXTS}
        spaces["focus"] = gym.spaces.Box(-1, np.iinfo(np.int32).max, (), np.int32)
        spaces["turn"] = gym.spaces.Box(0, limit, (), np.int32)
        spaces["turns_left"] = gym.spaces.Box(0, limit, (), np.int32)
        if screenshot:
            width, height = self.task.viewport
            spaces["screenshot"] = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space = ActionText(dialect)

    def action(self, text: str, goal: str) -> t.Action | t.InvalidAction:
        """What `text` asks for. Raises ConfigError where it is no text at all."""
        if not isinstance(text, str):
            raise ConfigError(
                f"an action is text in the {self.dialect} dialect, such as {self.action_space.sample()!r}; got {type(text).__name__}"
            )
        return parse(text, self.dialect, goal)

    def observation(self, observation: t.Observation) -> dict[str, Any]:
        """The observation as an element of the observation space."""
        seen: dict[str, Any] = {
            "goal": observation.goal,
            "url": observation.url,
            "title": observation.title,
            "tabs": "\n".join(observation.tabs),
            "page": page_text(observation.nodes, self.page),
            "error": observation.error,
            "notices": "\n".join(observation.notices),
            "focus": np.array(-1 if observation.focus is None else observation.focus, np.int32),
            "turn": np.array(observation.turn, np.int32),
            "turns_left": np.array(observation.turns_left, np.int32),
        }
        if self.screenshot:
            seen["screenshot"] = observation.screenshot
        return seen

    def info(self, observation: t.Observation, kind: str = "", raw_reward: float = 0.0, message: str = "") -> dict[str, Any]:
        """The info that goes with an observation."""
        return {
            "outcome": kind,
            "raw_reward": raw_reward,
            "message": message,
            "observation_hash": observation.hash,
            "state_hash": observation.state_hash,
        }


class WebEnv(gym.Env[dict[str, Any], str]):
    """A task as a Gymnasium environment: observations are dicts of text, actions are text.

    ``action`` is what an agent writes, in the environment's dialect (`call`, `compact` or `json`); text that is no action costs a
    turn and comes back as ``observation["error"]``. ``info`` holds ``raw_reward``, ``outcome``, ``message``, ``observation_hash``
    and ``state_hash``.

    ``render_mode="human"`` shows the browser's window. Where there is no display or no browser with a window, it says so in a
    warning, and keeps the picture of the latest turn in a file that the warning names.

    >>> import gymnasium, webgym
    >>> env = gymnasium.make("webgym/miniwob.click-button-v0")      # doctest: +SKIP
    >>> observation, info = env.reset(seed=0)                       # doctest: +SKIP
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human"], "render_fps": 4}

    def __init__(
        self,
        task_id: str,
        *,
        dialect: str = "call",
        page: PageMode = "full",
        max_turns: int | None = None,
        screenshot: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self._face = TextFace(task_id, dialect=dialect, page=page, max_turns=max_turns, screenshot=screenshot)
        self.task = self._face.task
        self.render_mode = _render_mode(render_mode, self.metadata)
        self.observation_space = self._face.observation_space
        self.action_space = self._face.action_space
        self._window = _window(self.metadata["render_fps"]) if render_mode == "human" else None
        self._env = AsyncWebEnv(max_turns=max_turns, screenshots=screenshot, headless=self._window is None or not self._window.visible)
        release_with(self, [self._env])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episode that `seed` fixes (without one, the next of this environment's own stream)."""
        super().reset(seed=seed)
        observation = _run(self._env.reset(self.task.id, episode_seed(seed, self.np_random)))
        self._show()
        return self._face.observation(observation), self._face.info(observation)

    def step(self, action: str) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """Perform one action, given as text. Raises EpisodeStateError, Fault."""
        step = _run(self._env.step(self._face.action(action, self._env.goal)))
        self._show()
        info = self._face.info(step.observation, step.kind, step.raw_reward, step.message)
        return self._face.observation(step.observation), step.reward, step.terminated, step.truncated, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The page's pixels in mode rgb_array, [height, width, 3] uint8. Mode human shows every turn by itself."""
        return _run(self._env.screenshot()) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Give the browser session back."""
        _run(self._env.close())
        if self._window is not None:
            self._window.close()

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(None if self._window.visible else _run(self._env.screenshot()))


def episode_seed(seed: int | None, stream: np.random.Generator) -> int:
    """The seed of an episode: the given one, or the next of an environment's own stream."""
    return seed if seed is not None else int(stream.integers(2**31))


def release_with(owner: object, envs: Sequence[AsyncWebEnv]) -> None:
    """Give the sessions back when `owner` is dropped without having been closed (Gymnasium's own checker does so)."""
    weakref.finalize(owner, _release, envs).atexit = False  # at the end of the process, the browser closes as a whole


def _release(envs: Sequence[AsyncWebEnv]) -> None:
    from webgym.browser.thread import loop_thread

    for env in envs:
        if env.opened:
            loop_thread().start(env.close())


def _render_mode(mode: str | None, metadata: Mapping[str, Any]) -> str | None:
    if mode is not None and mode not in metadata["render_modes"]:
        raise ConfigError(f"there is no render mode {mode!r}: expected None or one of {', '.join(metadata['render_modes'])}")
    return mode


def _window(turns_per_s: float) -> Any:
    from webgym.browser.window import Window

    return Window(turns_per_s)


def _run(coroutine: Any) -> Any:
    from webgym.browser.thread import loop_thread

    return loop_thread().run(coroutine)
