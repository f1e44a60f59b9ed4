"""Tasks made from a template: a seed draws an instance, one of several wordings tells it, and a check compares how the site was left.

The draw, the wording and the check are pure functions of the seed and of the site's final state, so that the reward cannot depend on
anything that the agent can write. :func:`tasks_of` makes the tasks of a pack from its goals, its wordings and its oracles.
"""

import random
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webgym.authoring.oracle import Memory, remembering
from webgym.authoring.placeholders import fill_text
from webgym.errors import TaskFileError, did_you_mean
from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Splits, Start, Task, Verdict
from webgym.types import Observation, seed_from

REMEMBERED = 512  # instances that are kept, of all templates together: an episode asks for its own at the start and at its end


@dataclass(frozen=True)
class Instance:
    """Instance of a goal, drawn by a seed.

    A wording's placeholders stand for `values` (see :mod:`webgym.authoring.placeholders`). The check compares with `expected`, the site
    begins with `site_state`, and the episode begins at `path`.
    """

    values: Mapping[str, Any]
    expected: Any = None
    site_state: Any = field(default=None, repr=False)
    path: str = "/"


Draw = Callable[[random.Random], Instance]
Holds = Callable[[Instance, Evidence], bool]
Program = Callable[[Observation], Memory]
"""An oracle, as a generator."""


@dataclass(frozen=True)
class Goal:
    """A kind of goal: `draw` makes an instance of it, and `holds` decides from the site's final state whether the instance was reached.

    `feasible` is false where the right answer is `infeasible(...)`. `twin` names the goal with the same wordings and the same oracle that
    is feasible where this one is not, or the other way round.
    """

    name: str
    draw: Draw = field(repr=False)
    holds: Holds = field(repr=False)
    feasible: bool = True
    twin: str = ""

    @property
    def told_as(self) -> str:
        """The name of its wordings and its oracle: its own, or that of its feasible twin."""
        return self.name if self.feasible or not self.twin else self.twin


def tasks_of(
    pack: str,
    folder: Path,
    host: str,
    goals: Iterable[Goal],
    oracles: Mapping[str, Program],
    beginning: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Task]:
    """The tasks of a pack's goals, by name.

    `folder` has `pack.toml`, whose tables [tasks.NAME] hold fields of :class:`webgym.task.Task` (`max_turns`, `chance`, `description`), and
    `wordings.toml`, whose tables [NAME] hold the lists `train` and `test`. Twins share the wordings and the oracle of the feasible one.
    `beginning` are more fields of :class:`webgym.task.Start`, such as `cookies`, with which every episode begins.
    Raises TaskFileError when a goal lacks one of them, and when two goals have the same name.
    """
    manifest, wordings = (tomllib.loads((folder / file).read_text("utf-8")) for file in ("pack.toml", "wordings.toml"))
    found: dict[str, Task] = {}
    for goal in goals:
        if goal.name in found:
            raise TaskFileError(f"the pack {pack!r} has two goals named {goal.name!r}: give one of them another name")
        if goal.told_as not in oracles:
            near = did_you_mean(goal.told_as, oracles)
            raise TaskFileError(f"the pack {pack!r} has no oracle for the goal {goal.told_as!r}: add one under this name{near}")
        train, test = _wordings(folder / "wordings.toml", goal, wordings)
        found[goal.name] = templated(
            f"{pack}.{goal.name}",
            host=host,
            draw=goal.draw,
            holds=goal.holds,
            train=train,
            test=test,
            feasible=goal.feasible,
            twin=goal.twin and f"{pack}.{goal.twin}",
            beginning=beginning,
            oracle=remembering(oracles[goal.told_as]),
            **_fields(folder / "pack.toml", goal, manifest["tasks"]),
        )
    return found


def _wordings(file: Path, goal: Goal, tables: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The wordings of a goal for training and for test."""
    table = tables.get(goal.told_as)
    if not isinstance(table, dict) or set(table) != {"train", "test"}:
        came = ", ".join(table) or "an empty one" if isinstance(table, dict) else "none"
        raise TaskFileError(f"{file}: expected a table [{goal.told_as}] with the lists train and test for this goal, got {came}")
    return tuple(table["train"]), tuple(table["test"])


def _fields(file: Path, goal: Goal, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a task that its table in the manifest gives."""
    if goal.name not in tables:
        raise TaskFileError(f"{file}: expected a table [tasks.{goal.name}] for this goal, got none: add one with at least max_turns")
    known = [one.name for one in fields(Task)]
    for key in tables[goal.name]:
        if key not in known:
            raise TaskFileError(f"{file}: [tasks.{goal.name}] has a field {key!r} that no task has{did_you_mean(key, known)}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in tables[goal.name].items()}


def templated(
    id: str,
    *,
    host: str,
    draw: Draw,
    holds: Holds,
    train: tuple[str, ...],
    test: tuple[str, ...],
    feasible: bool = True,
    twin: str = "",
    beginning: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> Task:
    """The task `id` (`<pack>.<name>`) of a template on the site `host`; `more` are fields of :class:`webgym.task.Task`.

    `train` and `test` are the goal's wordings, held apart by the splits (validation has those of training). An episode is won when
    the agent has said `stop(...)` and `holds`; with `feasible=False`, when it has said `infeasible(...)` and `holds` (which then says
    that nothing was changed). With `ends="success"` no word of the agent is needed. `twin` is the id of the task with the same wordings
    that is feasible where this one is not: both draw from the same stream, so that one seed gives both the same goal.
    """
    if not train or not test or set(train) & set(test):
        raise ValueError(f"template {id}: expected wordings for training and others for test, got {len(train)} and {len(test)}")
    stream = min(id, twin) if twin else id
    splits = Splits(templates={"train": train, "valid": train, "test": test})

    def instance(seed: int) -> Instance:
        return _drawn(draw, stream, seed)

    def start(seed: int) -> Start:
        drawn = instance(seed)
        wording = random.Random(seed_from(stream, seed, "wording")).choice(splits.wordings(seed))
        return Start(f"http://{host}{drawn.path}", fill_text(wording, drawn.values), site_state=drawn.site_state, **beginning)

    def check(evidence: Evidence) -> Verdict:
        said = evidence.ended == ("stop" if feasible else "infeasible") or more.get("ends") == "success"
        if said and holds(instance(evidence.seed), evidence):
            return SUCCESS
        return FAILURE if evidence.ended else PENDING

    return Task(id=id, start=start, check=check, hosts=(host,), twin=twin, splits=splits, **{"ends": "stop", **more})


@lru_cache(REMEMBERED)
def _drawn(draw: Draw, stream: str, seed: int) -> Instance:
    return draw(random.Random(seed_from(stream, seed)))
