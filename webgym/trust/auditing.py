"""Audit of a task: policies that must win always, never, or no more often than by chance show if its reward can be trusted.

The oracle wins every episode. An *adversary* wants the reward without the work: it waits, stops at once, answers with what the goal
says, or acts at random; each may win at most as often as it is allowed to. `webgym tasks validate` and the tests of every pack ask
this module, so a new adversary, one function under :func:`adversary`, is at once held against all tasks.
"""

import hashlib
import json
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from webgym.errors import UsageError, WebGymError
from webgym.evaluation.statistics import wilson
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs.beginning import drawn
from webgym.packs.rehearsal import rehearse
from webgym.policies.policy import Policy
from webgym.policies.scripted import NoopPolicy, OraclePolicy, RandomPolicy
from webgym.record.lines import Records
from webgym.record.whole import append_line
from webgym.rollout.arena import Arena
from webgym.rollout.collector import collect
from webgym.rollout.contract import Record, Retries
from webgym.task import SEEDS, SPLITS, Task
from webgym.trust import adversaries as attackers
from webgym.trust.adversaries import (
    RANDOM_SEEDS,
    Adversary,
    Answers,
    adversary,
    answers_of,
    by_chance,
    never,
)
from webgym.trust.start_page import start_page
from webgym.trust.tampering import Tampering, sessions
from webgym.trust.wall_time import wall_time
from webgym.types import EpisodeKey, Trajectory, digest

CONFIDENCE = 0.99
DRAWN, DRAWN_S = 500, 20.0  # beginnings that are drawn without being played, and seconds after which no more are
ONCE: Mapping[str, Any] = {"retries": Retries(backoff_s=0.0), "record": Record(prompts=False, pages=False)}


adversary("no-op", "doing nothing")(NoopPolicy)
adversary("random", "acting at random", by_chance, RANDOM_SEEDS)(RandomPolicy)


# --- the audit -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One policy's episodes of a task."""

    name: str
    allowed: str  # the success that is expected, in words
    trajectories: tuple[Trajectory, ...]

    @property
    def wins(self) -> tuple[Trajectory, ...]:
        """The episodes that succeeded."""
        return tuple(found for found in self.trajectories if found.outcome.success)


@dataclass(frozen=True)
class Audit:
    """Audit of a task: its trials, and its problems in a sentence each. `notes` are worth knowing and no reason for distrust."""

    task: Task
    trials: tuple[Trial, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """True where nothing speaks against the task."""
        return not self.problems

    def lines(self) -> list[str]:
        """The audit for a terminal."""
        found = [f"{self.task.id}: {'can be trusted' if self.trusted else 'cannot be trusted'}"]
        found += [f"  {t.name:<12} {len(t.wins):>3} of {len(t.trajectories):<3} (expected {t.allowed})" for t in self.trials]
        return found + [f"  problem: {words}" for words in self.problems] + [f"  note: {words}" for words in self.notes]

    def to_json(self) -> dict[str, Any]:
        """The audit as plain data."""
        tried = {t.name: {"wins": len(t.wins), "episodes": len(t.trajectories), "expected": t.allowed} for t in self.trials}
        return {"id": self.task.id, "trusted": self.trusted, "tried": tried, "problems": list(self.problems), "notes": list(self.notes)}


def audit_seeds(count: int) -> list[int]:
    """The first seeds of the splits in turn, so that the wordings of each are tried.

    >>> audit_seeds(4)
    [0, 1000000, 2000000, 1]
    """
    return [SEEDS[SPLITS[number % len(SPLITS)]][number // len(SPLITS)] for number in range(count)]


def audit(
    task_id: str,
    arena: Arena,
    seeds: Sequence[int],
    adversaries: Iterable[str] | None = None,
    oracle: bool = True,
    clock: bool = False,
) -> Audit:
    """Plays the oracle (if wanted) and the adversaries (all unless named) on the seeds and says what is wrong with the task.

    With `clock`, the start of the first seed is also played slowly, to find sites whose answers depend on the wall clock.
    """
    task = registry.task(task_id)
    try:
        rehearse([task_id])
    except WebGymError as error:
        return Audit(task, (), (str(error),))
    differs = wall_time(task_id, seeds[0]) if clock else ""
    problems, notes = [*_beginnings(task), *([differs] if differs else [])], []
    trials: list[Trial] = []

    def play(name: str, allowed: str, policy: Policy, played: Sequence[int]) -> Trial:
        keys = [EpisodeKey(task.id, seed, group=group) for group, seed in enumerate(played)]
        found = _in_tampered_pages(policy, keys) if isinstance(policy, Tampering) else arena.collect(policy, keys, **ONCE)
        trials.append(Trial(name, allowed, tuple(found)))
        return trials[-1]

    solved: Trial | None = None
    if oracle and task.oracle is None:
        problems.append("there is no oracle, so nothing shows that the task can be solved: write one")
    elif oracle:
        solved = play("oracle", "all", OraclePolicy(registry.task), seeds)
        lost = [found for found in solved.trajectories if not found.outcome.success]
        refused = start_page(task_id, lost[0].key.seed) if lost and not solved.wins else ""
        problems += [refused] if refused else _failures(lost)
        notes += _tight(task, solved)
    for name in attackers.ADVERSARIES if adversaries is None else adversaries:
        other = attackers.ADVERSARIES[name]
        if _senseless(other, arena, solved):
            continue
        most = other.most(task)
        policy = other.policy(solved.trajectories) if other.informed and solved is not None else other.policy()
        trial = play(name, f"at most {most:.0%}" if most else "none", policy, other.seeds or seeds)
        problems += _wins(other, most, trial) + _faults(other, trial)
    notes += _alone(trials, solved, play) if adversaries is None and solved is not None else []
    if task.deterministic and not differs:
        problems += _unequal(trials)
    return Audit(task, tuple(trials), tuple(problems), tuple(notes + _monotonous(task, trials)))


def _beginnings(task: Task) -> list[str]:
    """The problem that the task cannot begin with some seed, if there is one among those that are drawn here and not played."""
    rng, until = random.Random(task.id), time.monotonic() + DRAWN_S
    for number in range(DRAWN):
        seed = rng.choice(task.splits.seeds[SPLITS[number % len(SPLITS)]])
        try:
            drawn(task, seed)
        except Exception as error:  # a program of the task's author
            return [str(error) if isinstance(error, WebGymError) else f"task {task.id} cannot begin with seed {seed}: {error!r}"]
        if time.monotonic() > until:
            break
    return []


def _senseless(other: Adversary, arena: Arena, solved: Trial | None) -> bool:
    """True where an adversary has nothing to try."""
    if solved is None:
        return other.informed
    match other.name:
        case "infeasible" | "wrong target" | "other seed":
            return _gives_up(solved)  # right for any target; the task's twin tells policies that look from those that do not
        case "shortcut":
            return not answers_of(solved.trajectories)
        case "tampering":
            return arena.backend == "text"  # which runs no script
    return False


def _alone(trials: list[Trial], solved: Trial, play: Callable[[str, str, Policy, Sequence[int]], Trial]) -> list[str]:
    """The note that the right answer alone wins, without the visits that the goal needs: then a check trusts that answers cannot leak.

    An answer that stands on the start page needs no visit.
    """
    answers = answers_of(solved.trajectories)
    if not answers:
        return []
    policy = Answers(answers)
    trial = play("answer alone", "any", policy, list(answers))
    unseen = [found for found in trial.wins if found.key.seed not in policy.told]
    known = f"the right answer alone wins {len(unseen)} of {len(answers)} episodes, without the visits that the goal needs"
    return [f"{known}: answers must stay where only visits show them"] if unseen else []


def _in_tampered_pages(policy: Tampering, keys: Sequence[EpisodeKey]) -> list[Trajectory]:
    """Episodes in whose start pages the policy's scripts run, in a session of their own."""
    envs = sessions(policy)

    async def played() -> list[Trajectory]:
        try:
            return await collect(envs, policy, keys, **ONCE)
        finally:
            await envs[0].close()

    return loop_thread().run(played())


def _failures(lost: Iterable[Trajectory]) -> list[str]:
    """The reasons why an oracle's episodes are no success, each once, with the first seed that has it."""
    seeds: dict[str, list[int]] = {}
    for found in lost:
        seeds.setdefault(_reason(found), []).append(found.key.seed)
    more = {reason: f" (and {len(found) - 1} more)" if len(found) > 1 else "" for reason, found in seeds.items()}
    return [f"the oracle fails on seed {found[0]}{more[reason]}: {reason}" for reason, found in seeds.items()]


def _reason(found: Trajectory) -> str:
    outcome, turns = found.outcome, len(found.turns)
    how = {
        "truncated": f"is not done after all {turns} turns",
        "failure": f"loses at turn {turns}",
        "stopped": f"stops at turn {turns} without success",
        "infeasible": f"gives up at turn {turns}",
    }.get(outcome.kind, f"breaks down at turn {turns + 1}")
    words, message = f"it {how}", re.sub(r"\Athe oracle of \S+ failed on seed \d+, turn \d+: ", "", outcome.message)
    failed = [f"{turn.action or 'its text'} did not work: {turn.error}" for turn in found.turns if turn.error]
    return "; ".join(part for part in (words, message, *failed[-1:]) if part)


def _wins(other: Adversary, most: float, trial: Trial) -> list[str]:
    """The problem that the adversary wins more often than it may, if its Wilson interval lies above."""
    played = [found for found in trial.trajectories if not found.outcome.faulted]
    if not trial.wins or wilson(len(trial.wins), len(played), CONFIDENCE).low <= most:
        return []
    first = trial.wins[0]
    if other.name == "no-op" and len(first.turns) == 1:
        return [f"the check passes at the start: doing nothing wins on the first turn (seed {first.key.seed})"]
    words = f"{other.what} wins {len(trial.wins)} of {len(played)} episodes, first on seed {first.key.seed} at turn {len(first.turns)}"
    if not most and other.most is never:
        return [f"{words}; it must never win"]
    return [f"{words}; that is more than the stated chance of {most:g} explains: state a higher chance, or ask for more"]


def _faults(other: Adversary, trial: Trial) -> list[str]:
    found = next((found for found in trial.trajectories if found.outcome.faulted), None)
    return [] if found is None else [f"{other.what} breaks the task on seed {found.key.seed}: {found.outcome.message}"]


def _gives_up(solved: Trial) -> bool:
    """True if the oracle itself calls the goal infeasible, and is right."""
    return all(found.turns and found.turns[-1].action.startswith("infeasible(") for found in solved.wins) and bool(solved.wins)


def _unequal(trials: Sequence[Trial]) -> list[str]:
    """The problem that one seed does not always begin with the same page, if there is one."""
    first: dict[int, str] = {}
    untouched = (trial for trial in trials if trial.name != "tampering")
    for found in (found for trial in untouched for found in trial.trajectories if found.turns):
        seen = found.turns[0].observation_hash
        if first.setdefault(found.key.seed, seen) != seen:
            return [f"seed {found.key.seed} does not always begin with the same page: nothing but the seed may decide it"]
    return []


def _monotonous(task: Task, trials: Sequence[Trial]) -> list[str]:
    notes = []
    begun = {found.key.seed: (found.goal, found.turns[0].state_hash) for trial in trials for found in trial.trajectories if found.turns}
    if len(begun) > 1 and len(set(begun.values())) == 1:
        notes.append("every seed gives the same episode: what is learned on the training seeds is the test")
    wordings = task.splits.templates
    if wordings and set(wordings.get("train", ())) & set(wordings.get("test", ())):
        notes.append("training and test goals have the same wordings: the splits differ by seed only")
    return notes


def _tight(task: Task, solved: Trial) -> list[str]:
    longest = max((len(found.turns) for found in solved.wins), default=0)
    if longest < task.max_turns:
        return []
    return [f"the oracle needs all {longest} turns on some seed: a learner has none left to recover from a slip"]


# --- the ledger ------------------------------------------------------------------------------------------------------------


class Ledger:
    """Ledger of the tasks that are trusted, in a file of one JSON line each, so that a long audit goes on where it was cut off.

    A task counts only while the files of its pack and of webgym are what they were, and only for as many seeds. A last line that was cut
    off is passed over. Raises UsageError for a folder, and for a file that is no ledger.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_dir():
            raise UsageError(f"{path} is a folder: expected a file for the results of audits")
        records = Records(path)
        rows = [row for row in records.refresh() if "trusted" in row]
        if not rows and (records.rows or records.problems):
            raise UsageError(f"{path} is no ledger: expected lines that an audit wrote, and found none; give another file")
        self._known = {(row.get("id"), row.get("files"), row.get("seeds")) for row in rows if row["trusted"] is True}

    def knows(self, task_id: str, seeds: int) -> bool:
        """True if this task was trusted with these seeds, as it is now."""
        return (task_id, files_digest(task_id), seeds) in self._known

    def add(self, found: Audit, seeds: int) -> None:
        """Write an audit down."""
        entry = {**found.to_json(), "files": files_digest(found.task.id), "seeds": seeds}
        append_line(self._path, json.dumps(entry))


def files_digest(task_id: str) -> str:
    """A digest of all files that decide what becomes of a task of our packs, the same in every checkout; a new one each time for a task
    from elsewhere.
    """
    pack = registry.PACKS_FOLDER / task_id.partition(".")[0]
    return _folders_digest(pack, Path(__file__).parents[1]) if pack.is_dir() else secrets.token_hex(8)


@cache
def _folders_digest(*folders: Path) -> str:
    found = []
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder.parent)
            if file.is_file() and "__pycache__" not in name.parts and name.parts[:2] != ("webgym", "view"):  # the viewer decides nothing
                found.append([name.as_posix(), hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()])
    return digest(found)
