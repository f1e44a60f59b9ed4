"""The environment: a task in a browser. :class:`AsyncWebEnv` is the core, :class:`WebEnv` the Gymnasium face of it.

Only this module writes reward, terminated and truncated. The reward is 0 until the end, then 1 for success, else 0.
"""

import base64
import functools
import html
import io
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, SupportsFloat, get_args

import gymnasium as gym
import numpy as np

from webgym import types as t
from webgym.actions import DIALECTS, parse
from webgym.env.core import AsyncWebEnv
from webgym.env.spaces import ActionText, UnicodeText
from webgym.errors import ConfigError, EpisodeStateError, Fault, did_you_mean
from webgym.packs import registry
from webgym.prompts.page import PageMode, page_text

MOST_TURNS = int(np.iinfo(np.int32).max)  # the same bound for all tasks, so that one vector environment can play several
TEXTS = ("goal", "url", "title", "tabs", "page", "error", "notices")


class TextFace:
    """Gymnasium's view of a task: its spaces, text to actions, observations and infos as dicts."""

    def __init__(self, task_id: str, *, dialect: str, page: PageMode, max_turns: int | None, screenshot: bool) -> None:
        if dialect not in DIALECTS:
            raise ConfigError(f"there is no dialect {dialect!r}: expected one of {', '.join(DIALECTS)}{did_you_mean(dialect, DIALECTS)}")
        if page not in get_args(PageMode):
            raise ConfigError(f"there is no page mode {page!r}: expected one of {', '.join(get_args(PageMode))}")
        counted("max_turns", max_turns)
        if not isinstance(screenshot, bool):
            raise ConfigError(f"screenshot: expected True or False, got {screenshot!r}")
        self.task = registry.task(task_id)
        self.dialect = dialect
        self.page: PageMode = page
        self.screenshot = screenshot
        spaces: dict[str, gym.Space[Any]] = {key: UnicodeText() for key in TEXTS}
        spaces["focus"] = gym.spaces.Box(-1, MOST_TURNS, (), np.int32)
        spaces["turn"] = gym.spaces.Box(0, MOST_TURNS, (), np.int32)
        spaces["turns_left"] = gym.spaces.Box(0, MOST_TURNS, (), np.int32)
        if screenshot:
            width, height = self.task.viewport
            spaces["screenshot"] = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space = ActionText(dialect)

    def action(self, text: str, goal: str) -> t.Action | t.InvalidAction:
        """The action that `text` asks for. Raises ConfigError where it is no text at all."""
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

    def info(self, observation: t.Observation, seed: int, kind: str = "", raw_reward: float = 0.0, message: str = "") -> dict[str, Any]:
        """The info that goes with an observation of the episode of this seed."""
        return {
            "task_id": self.task.id,
            "seed": seed,
            "outcome": kind,
            "raw_reward": raw_reward,
            "message": message,
            "observation_hash": observation.hash,
            "state_hash": observation.state_hash,
        }


class WebEnv(gym.Env[dict[str, Any], str]):
    """A task as a Gymnasium environment: observations are dicts of text, actions are text.

    ``action`` is what an agent writes, in the environment's dialect (`call`, `compact` or `json`); text that is no action costs a
    turn and comes back as ``observation["error"]``. ``info`` holds ``task_id`` and ``seed``, which name the episode, ``raw_reward``,
    ``outcome``, ``message``, ``observation_hash`` and ``state_hash``. ``gymnasium.make`` gives it as it is, without wrappers.

    ``render_mode="human"`` shows the browser's window. Where there is no display or no browser with a window, it says so in a
    warning, and keeps the picture of the latest turn in a file that the warning names.

    >>> import gymnasium, webgym
    >>> env = gymnasium.make("webgym/miniwob.click-button-v0")      # doctest: +SKIP
    >>> observation, info = env.reset(seed=0)                       # doctest: +SKIP
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "render_modes": ["rgb_array", "human"],
        "render_fps": 4,
    }

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
        self._made_with = {"dialect": dialect, "page": page, "max_turns": max_turns, "screenshot": screenshot, "render_mode": render_mode}
        self.task = self._face.task
        self.render_mode = _render_mode(render_mode, self.metadata)
        self.observation_space = self._face.observation_space
        self.action_space = self._face.action_space
        self._window = _window(self.metadata["render_fps"]) if render_mode == "human" else None
        self._seed = 0
        self._seen: t.Observation | None = None
        self._open()

    def _open(self) -> None:
        """The session, which belongs to this process."""
        headless = self._window is None or not self._window.visible
        self._env = AsyncWebEnv(max_turns=self._made_with["max_turns"], screenshots=self._made_with["screenshot"], headless=headless)
        self._process = os.getpid()
        release_with(self, [self._env])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episode that `seed` fixes (without one, the next of this environment's own stream). It takes no options."""
        only(options)
        if self._process != os.getpid():
            self._open()  # after a fork: the other session is the parent's
        super().reset(seed=seed)
        self._seed = episode_seed(seed, self.np_random)
        observation = self._seen = _run(self._env.reset(self.task.id, self._seed))
        self._show()
        return self._face.observation(observation), self._face.info(observation, self._seed)

    def step(self, action: str) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """Perform one action, given as text. Raises EpisodeStateError, Fault."""
        self._must_be_ours()
        step = _run(self._env.step(self._face.action(action, self._env.goal)))
        self._seen = step.observation
        self._show()
        info = self._face.info(step.observation, self._seed, step.kind, step.raw_reward, step.message)
        return self._face.observation(step.observation), step.reward, step.terminated, step.truncated, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The page's pixels in mode rgb_array, [height, width, 3] uint8. Mode human shows every turn by itself."""
        self._must_be_ours()
        return _run(self._env.screenshot()) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Give the browser session back."""
        if self._process == os.getpid():
            _run(self._env.close())
        if self._window is not None:
            self._window.close()

    def _must_be_ours(self) -> None:
        """Raises EpisodeStateError in a process that was forked after the episode began."""
        if self._process != os.getpid():
            raise EpisodeStateError("this episode belongs to the process that began it: call reset in this one")

    def __repr__(self) -> str:
        seen = self._seen
        where = "before its first episode" if seen is None else f"seed {self._seed}, turn {seen.turn}"
        return f"<{type(self).__name__} {self.task.id}, {where}>"

    def __reduce__(self) -> Any:
        """A copy, or one in another process, is a new environment of the same arguments, before its first episode."""
        file = registry.file_of(self.task.id)
        return functools.partial(type(self), **self._made_with), (f"{file}#{self.task.id}" if file else self.task.id,)

    def _repr_html_(self) -> str:
        """The environment in a notebook: the goal, the page as an agent reads it, and its picture."""
        seen = self._seen
        title = f"<b>{html.escape(self.task.id)}</b>"
        if seen is None:
            return f"<div>{title}, before its first episode</div>"
        rows = [f"{title}, seed {self._seed}, turn {seen.turn}, {seen.turns_left} left", html.escape(seen.goal), html.escape(seen.error)]
        page = f"<pre style='margin:0'>{html.escape(page_text(seen.nodes, self._face.page))}</pre>"
        cells = f"<td style='text-align:left;vertical-align:top'>{page}</td><td style='vertical-align:top'>{self._picture()}</td>"
        return f"<div>{'<br>'.join(row for row in rows if row)}<table><tr>{cells}</tr></table></div>"

    def _picture(self) -> str:
        """The page's picture as HTML; empty where there is none any more."""
        from PIL import Image

        try:
            self._must_be_ours()
            pixels = _run(self._env.screenshot())
        except (Fault, EpisodeStateError):
            return ""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return f"<img src='data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}'>"

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(None if self._window.visible else _run(self._env.screenshot()))


def counted(name: str, value: object) -> None:
    """Raises ConfigError for a value that is neither None nor a whole number of at least 1."""
    if value is not None and (not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1):
        raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")


def only(options: Mapping[str, Any] | None, *known: str) -> None:
    """Raises ConfigError for options of a reset that are no mapping, and for one that is not known."""
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"the options of a reset: expected a dict, got {options!r:.100}; the seed is an argument: reset(seed=3)")
    for name in options or ():
        if name not in known:
            expected = f"expected {' or '.join(known)}" if known else "expected none, because the seed is an argument: reset(seed=3)"
            raise ConfigError(f"reset has no option {name!r}{did_you_mean(name, known)} ({expected})")


def episode_seed(seed: int | None, stream: np.random.Generator) -> int:
    """The seed of an episode: the given one, or the next of an environment's own stream."""
    return int(seed) if seed is not None else int(stream.integers(2**31))


def release_with(owner: object, envs: Sequence[AsyncWebEnv]) -> None:
    """Give the sessions back when `owner` is dropped without having been closed (Gymnasium's own checker does so)."""
    weakref.finalize(owner, _release, envs, os.getpid()).atexit = False  # at the end of the process, the browser closes as a whole


def _release(envs: Sequence[AsyncWebEnv], process: int) -> None:
    from webgym.loop_thread import loop_thread

    for env in envs if process == os.getpid() else ():  # in a forked child they are the parent's
        if env.opened:
            loop_thread().start(env.close())


def _render_mode(mode: str | None, metadata: Mapping[str, Any]) -> str | None:
    if mode is not None and mode not in metadata["render_modes"]:
        raise ConfigError(f"there is no render mode {mode!r}: expected None or one of {', '.join(metadata['render_modes'])}")
    return mode


def _window(turns_per_s: float) -> Any:
    from webgym.backends.browser.window import Window

    return Window(turns_per_s)


def _run(coroutine: Any) -> Any:
    from webgym.loop_thread import loop_thread

    return loop_thread().run(coroutine)
