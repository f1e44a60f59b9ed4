"""Replay: the recorded actions of an episode in a browser again, compared turn by turn with what was recorded, shown or filmed."""

import asyncio
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from webgym.actions import parse
from webgym.backends.browser.session import in_browser
from webgym.backends.browser.trace import Trace
from webgym.backends.browser.window import why_none
from webgym.commands.film import Film
from webgym.env.core import AsyncWebEnv
from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.record.episodes import Episodes
from webgym.task import Task
from webgym.types import Action, InvalidAction, Trajectory
from webgym.view.runs import Library


@dataclass(frozen=True, slots=True)
class Check:
    """One page of the episode, compared. `turn` counts from 0; the last one is the page after the last action."""

    turn: int
    action: str
    observation: bool  # the agent sees what was recorded
    state: bool  # site and page are in the recorded state


@dataclass(frozen=True, slots=True)
class Replayed:
    """Result of a replay."""

    task_id: str
    seed: int
    checks: tuple[Check, ...]
    recorded_end: str
    end: str
    recorded_reward: float
    reward: float
    deterministic: bool = True

    @property
    def same(self) -> bool:
        """True if everything was as recorded, the end and its reward included.

        A task that is not deterministic must come to the same end, on whatever pages.
        """
        pages = not self.deterministic or all(check.observation and check.state for check in self.checks)
        return pages and self.end == self.recorded_end and self.same_reward

    @property
    def same_reward(self) -> bool:
        return self.reward == self.recorded_reward

    def lines(self) -> list[str]:
        """The comparison in words, a line per page."""
        found = [f"{self.task_id}, seed {self.seed}"]
        for check in self.checks:
            words = (
                "same" if check.observation and check.state else "another state" if not check.state else "another view of the same state"
            )
            found.append(f"  {check.turn + 1:>3}  {words:<32}{check.action}")
        if not self.deterministic:
            found.append("  the task is not deterministic: only the end is compared")
        verdict = "the replay is what was recorded" if self.same else "the replay is NOT what was recorded"
        return [
            *found,
            f"  end: {self.end} with reward {self.reward:g} (recorded: {self.recorded_end}, {self.recorded_reward:g}); {verdict}",
        ]


def find(address: str) -> Trajectory:
    """The episode of an address: `RUN/iter-000003/7` or `FILE.jsonl#7` (line 7). Raises UsageError, in words, where there is none."""
    path, mark, number = address.rpartition("#")
    if not mark:
        path, _, number = address.rpartition("/")
    if not path or not (number.isascii() and number.isdigit() and len(number) < 16):
        raise UsageError(f"{address!r} names no episode: expected RUN/iter-000003/7 or FILE.jsonl#7, as `webgym view` shows them")
    try:
        if mark:
            if not Path(path).is_file():
                raise UsageError(f"there is no trajectory file {path}")
            episodes = Episodes(Path(path))
            name = Path(path).stem
        else:
            folder, _, name = path.rpartition("/")
            library = Library.open(folder or ".")
            episodes = library.run(library.focus).episodes
        episodes.refresh()
        return episodes.load(episodes.find(name, int(number)))
    except KeyError as error:
        raise UsageError(f"there is no episode {error.args[0] or address} in {path}: `webgym view` lists them") from None


def folder_of(address: str) -> Path:
    """The folder that holds the episode of an address: the run, or that of the file."""
    path, mark, _ = address.rpartition("#")
    return Path(path).parent if mark else Path(address).parent.parent


def replay(
    trajectory: Trajectory,
    *,
    headed: bool = False,
    pause_s: float = 0.0,
    video: Path | None = None,
    trace: Path | None = None,
    task_of: Callable[[str], Task] = registry.task,
    say: Callable[[str], None] = lambda words: None,
) -> Replayed:
    """Play the recorded actions again. `pause_s` is the time between two of them, for people; `video` and `trace` are written.
    `task_of` gives the task of an id.

    Raises UsageError for an episode whose machinery failed before its first turn and where no window can be shown, Fault where the
    machinery fails now.
    """
    if not trajectory.turns:
        raise UsageError(f"the episode of {trajectory.key.task_id} (seed {trajectory.key.seed}) has no turns to replay")
    if headed and (reason := why_none(os.environ, platform.system())):
        raise UsageError(f"no window can be shown: {reason}; --video and --trace show a replay without one")
    return loop_thread().run(_replay(trajectory, headed, pause_s, Film(video) if video else None, trace, task_of, say))


async def _replay(
    trajectory: Trajectory,
    headed: bool,
    pause_s: float,
    film: Film | None,
    trace: Path | None,
    task_of: Callable[[str], Task],
    say: Callable[[str], None],
) -> Replayed:
    env = AsyncWebEnv(headless=not headed, max_turns=_limit(trajectory), find=task_of)
    key, turns = trajectory.key, trajectory.turns
    recorder = None
    try:
        observation = await env.reset(key.task_id, key.seed)
        deterministic = env.deterministic
        if trace is not None:
            recorder = Trace(in_browser(env.session).tab.page.context)
            await recorder.begin(f"{key.task_id}, seed {key.seed}")
        checks: list[Check] = []
        end, reward = "", 0.0
        for number, turn in enumerate(turns):
            words = f"{number + 1}. {turn.action or 'no action'}"
            same = (observation.hash == turn.observation_hash, observation.state_hash == turn.state_hash)
            checks.append(Check(number, turn.action or "(no action)", *same))
            say(words)
            if recorder is not None:
                await recorder.turn(in_browser(env.session).tab.page, words)
            if film is not None:
                film.add(await env.screenshot(), words, turn.box)
            await asyncio.sleep(pause_s)
            step = await env.step(_action(turn.action, turn.error))
            observation, end, reward = step.observation, step.kind, step.reward
            if end:
                break
        last = observation.hash == trajectory.final_hash or not trajectory.final_hash
        checks.append(Check(len(checks), f"({end or 'going on'})", last, last))
        if recorder is not None and trace is not None:
            await recorder.turn(in_browser(env.session).tab.page, end or "the last page")
            await recorder.end(trace)
        if film is not None:
            film.add(await env.screenshot(), end or "going on", None)
            film.write()
        await asyncio.sleep(pause_s)
    finally:
        await env.close()
    outcome = trajectory.outcome
    return Replayed(key.task_id, key.seed, tuple(checks), outcome.kind, end, _known(outcome.reward), reward, deterministic)


def _known(reward: float) -> float:
    return 0.0 if math.isnan(reward) else reward


def _limit(trajectory: Trajectory) -> int | None:
    """The turn limit that the episode was played under, where it shows: it ran out of turns."""
    return len(trajectory) if trajectory.outcome.kind == "truncated" else None


def _action(text: str, error: str) -> Action | InvalidAction:
    """The recorded action. A text that was no action stays none, with the recorded error."""
    return parse(text, "call", "") if text else InvalidAction(error)
