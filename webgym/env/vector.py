"""Vector environment of Gymnasium: many sessions of one task or of several, side by side on the one loop of one browser.

``gymnasium.make_vec(id, num_envs=N)`` makes one. Given the same seeds and actions it goes through the same episodes as Gymnasium's
``SyncVectorEnv`` of :class:`webgym.env.gym.WebEnv`. It differs where a session fails: a Fault ends the episode of its slot, with reward
NaN, truncated, and the reason in ``infos["fault"]``, and the others go on.
"""

import asyncio
import math
import os
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from webgym.env.core import AsyncWebEnv
from webgym.env.gym import TextFace, counted, episode_seed, only, release_with
from webgym.errors import ConfigError, EpisodeStateError, Fault, did_you_mean
from webgym.prompts.page import PageMode
from webgym.types import Action, InvalidAction, Observation

RESETS = 3
"""Number of tries of a slot to begin an episode before it gives the fault back."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """Result of a slot's step or reset."""

    observation: dict[str, Any]
    info: dict[str, Any]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False

    @property
    def over(self) -> bool:
        return self.terminated or self.truncated


@dataclass
class _Slot:
    """One session, its task, where its episode stands, and the stream of seeds of its later episodes."""

    env: AsyncWebEnv
    face: TextFace
    stream: np.random.Generator = field(default_factory=lambda: np_random()[0])
    last: _Turn | None = None
    seed: int = 0  # of the episode that runs
    failed: bool = False  # no episode runs, since its reset was a fault that no step has shown yet

    @property
    def over(self) -> bool:
        return self.last is not None and self.last.over


class WebVectorEnv(VectorEnv[dict[str, Any], Sequence[str], np.ndarray]):
    """Vector environment of `num_envs` sessions. The arguments are those of :class:`webgym.env.gym.WebEnv`, `autoreset_mode` and `tasks`.

    `tasks` are the ids of the tasks that the sessions play, in turn, instead of `task_id`: session i plays tasks[i % len(tasks)].

    ``NextStep`` (the default): the step after an episode's end ignores the slot's action and begins the next episode.
    ``SameStep``: the step that ends an episode also begins the next; the last observation and info are in ``infos["final_obs"]``
    and ``infos["final_info"]``. ``Disabled``: ``reset(options={"reset_mask": ...})`` begins the slots where the mask is true.

    >>> import gymnasium, webgym
    >>> envs = gymnasium.make_vec("webgym/miniwob.click-button-v0", num_envs=8)     # doctest: +SKIP
    >>> observations, infos = envs.reset(seed=0)                                    # doctest: +SKIP
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        task_id: str,
        num_envs: int = 1,
        *,
        dialect: str = "call",
        page: PageMode = "full",
        max_turns: int | None = None,
        screenshot: bool = False,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        tasks: str | Sequence[str] = (),
    ) -> None:
        counted("num_envs", num_envs)
        tasks = (tasks,) if isinstance(tasks, str) else tasks
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"a vector environment renders as None or rgb_array, got {render_mode!r}; gymnasium.make shows one session")
        self._mode = _autoreset(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self._mode}  # type: ignore[misc]
        faces = [TextFace(each, dialect=dialect, page=page, max_turns=max_turns, screenshot=screenshot) for each in tasks or (task_id,)]
        if any(face.observation_space != faces[0].observation_space for face in faces):
            raise ConfigError("tasks of one vector environment must have pictures of one size: leave screenshot=True out, or take others")
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = faces[0].observation_space
        self.single_action_space = faces[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        envs = [AsyncWebEnv(max_turns=max_turns, screenshots=screenshot) for _ in range(num_envs)]
        self._slots = [_Slot(env, faces[index % len(faces)]) for index, env in enumerate(envs)]
        self._process = os.getpid()
        release_with(self, [slot.env for slot in self._slots])

    def reset(  # type: ignore[override]
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episodes that the seeds fix: `seed` + i where it is one number. A slot without one goes on with its own stream."""
        self._must_be_open()
        chosen = self._chosen(options)
        seeds = self._seeds(seed)
        if any(slot.last is None for index, slot in enumerate(self._slots) if index not in chosen):
            raise EpisodeStateError("the first reset must begin all episodes: call it without a reset_mask")
        for index in chosen:
            if seeds[index] is not None:
                self._slots[index].stream = np_random(seeds[index])[0]
        turns = self._all([self._begin(self._slots[index], seeds[index]) for index in chosen])
        infos: dict[str, Any] = {}
        for index, turn in zip(chosen, turns, strict=True):
            infos = self._add_info(infos, turn.info, index)
        return self._batch(), infos

    def step(self, actions: Sequence[str]) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Perform one action in each slot, all at the same time. Raises EpisodeStateError."""
        self._must_be_open()
        if isinstance(actions, str) or not hasattr(actions, "__len__") or len(actions) != self.num_envs:
            raise ConfigError(f"expected {self.num_envs} actions, one text for each session, got {actions!r:.100}")
        for index, slot in enumerate(self._slots):
            if slot.last is None:
                raise EpisodeStateError("no episode was begun: call reset first")
            if slot.over and not slot.failed and self._mode is AutoresetMode.DISABLED:
                raise EpisodeStateError(f'the episode of session {index} is over: begin the next with reset(options={{"reset_mask": ...}})')
        parsed = [slot.face.action(action, slot.env.goal) for slot, action in zip(self._slots, actions, strict=True)]
        turns = self._all([self._step(slot, action) for slot, action in zip(self._slots, parsed, strict=True)])
        infos: dict[str, Any] = {}
        for index, turn in enumerate(turns):
            infos = self._add_info(infos, turn.info, index)
        rewards = np.array([turn.reward for turn in turns], np.float64)
        terminated, truncated = (
            np.array(flags, np.bool_) for flags in zip(*((turn.terminated, turn.truncated) for turn in turns), strict=True)
        )
        return self._batch(), rewards, terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:  # type: ignore[override]
        """The pixels of every session's page in mode rgb_array."""
        return tuple(self._all([slot.env.screenshot() for slot in self._slots])) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Give the sessions back."""
        if self._process == os.getpid():
            self._all([slot.env.close() for slot in self._slots])

    # --- one slot ----------------------------------------------------------------------------------------------------------

    async def _begin(self, slot: _Slot, seed: int | None) -> _Turn:
        """Begin an episode; a turn that is a fault where that cannot be done."""
        slot.seed = episode_seed(seed, slot.stream)
        for attempt in range(RESETS):
            try:
                observation = await slot.env.reset(slot.face.task.id, slot.seed)
            except Fault as fault:
                await slot.env.close()
                if attempt == RESETS - 1:
                    slot.last, slot.failed = _failed(slot, fault), True
            else:
                slot.last, slot.failed = _Turn(slot.face.observation(observation), slot.face.info(observation, slot.seed)), False
                break
        assert slot.last is not None
        return slot.last

    async def _step(self, slot: _Slot, action: Action | InvalidAction) -> _Turn:
        if slot.over and self._mode is AutoresetMode.NEXT_STEP:
            return await self._begin(slot, None)
        if slot.failed and slot.last is not None:  # an episode of no turns: its fault ends it now
            turn, slot.failed = slot.last, False
        else:
            turn = slot.last = await self._play(slot, action)
        if not turn.over or self._mode is not AutoresetMode.SAME_STEP:
            return turn
        begun = await self._begin(slot, None)
        faults = {key: value for key, value in turn.info.items() if key == "fault"}
        info = {**begun.info, **faults, "final_obs": turn.observation, "final_info": turn.info}
        return _Turn(begun.observation, info, turn.reward, turn.terminated, turn.truncated)

    async def _play(self, slot: _Slot, action: Action | InvalidAction) -> _Turn:
        """One turn of a running episode; a turn that is a fault where the session fails."""
        try:
            step = await slot.env.step(action)
        except Fault as fault:
            await slot.env.close()
            return _failed(slot, fault)
        info = slot.face.info(step.observation, slot.seed, step.kind, step.raw_reward, step.message)
        return _Turn(slot.face.observation(step.observation), info, step.reward, step.terminated, step.truncated)

    # --- all slots ---------------------------------------------------------------------------------------------------------

    def _all(self, works: Sequence[Awaitable[Any]]) -> list[Any]:
        """The results of all, run side by side. The first error is raised when all have ended."""
        from webgym.loop_thread import loop_thread

        async def gathered() -> list[Any]:
            return await asyncio.gather(*works, return_exceptions=True)

        results = loop_thread().run(gathered())
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    def _batch(self) -> dict[str, Any]:
        observations = [slot.last.observation for slot in self._slots if slot.last is not None]
        space = self.single_observation_space
        return concatenate(space, observations, create_empty_array(space, self.num_envs))  # type: ignore[return-value]

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None or isinstance(seed, int | np.integer):
            return [None if seed is None else int(seed) + index for index in range(self.num_envs)]
        if isinstance(seed, str) or not hasattr(seed, "__len__") or len(seed) != self.num_envs:
            raise ConfigError(f"expected one seed, or {self.num_envs} of them, one for each session, got {seed!r:.100}")
        if wrong := [one for one in seed if one is not None and not isinstance(one, int | np.integer)]:
            raise ConfigError(f"expected whole numbers as seeds, got {wrong[0]!r}")
        return [None if one is None else int(one) for one in seed]

    def _chosen(self, options: dict[str, Any] | None) -> list[int]:
        """The slots that a reset begins: those of its reset_mask, or all."""
        only(options, "reset_mask")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return list(range(self.num_envs))
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise ConfigError(f"reset_mask must be a numpy array of {self.num_envs} bools, one of them true; got {mask!r:.100}")
        return [index for index in range(self.num_envs) if mask[index]]

    def _must_be_open(self) -> None:
        if self.closed:
            raise EpisodeStateError("the vector environment is closed: make a new one")
        if self._process != os.getpid():
            raise EpisodeStateError("the vector environment belongs to the process that made it: make a new one in this one")


def _failed(slot: _Slot, fault: Fault) -> _Turn:
    """The end of an episode whose session failed: its observation holds nothing but the reason."""
    words = f"{type(fault).__name__}: {fault}"
    width, height = slot.face.task.viewport
    picture = np.zeros((height, width, 3), np.uint8) if slot.face.screenshot else None
    nothing = Observation("", "", "", (), error=words, screenshot=picture)
    info = {**slot.face.info(nothing, slot.seed, "fault", math.nan, words), "fault": words}
    return _Turn(slot.face.observation(nothing), info, math.nan, truncated=True)


def _autoreset(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = [each.value for each in AutoresetMode]
        raise ConfigError(
            f"there is no autoreset mode {mode!r}: expected one of {', '.join(known)}{did_you_mean(str(mode), known)}"
        ) from None
