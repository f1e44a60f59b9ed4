"""Learning curves of many algorithms on many tasks and seeds: a grid of cells, each one training run with a budget of environment steps.

::

    OUT/
    ├── grid.toml                  the grid that was asked for; another one is refused in the same folder
    ├── tune/LABEL/N-TASK-SEED.json      one row per finished cell
    ├── measure/LABEL/TASK-SEED.json
    └── work/                      runs under way; the runs of a killed process are begun again

Every algorithm is tuned with the same budget: each has as many candidates, played on the grid's tuning tasks and seeds; the candidate with
the highest mean score is measured. All environment steps count, those of a critic's warm-up and of faulted episodes too.

A cell's row is written in one go when its run has ended, so a process that is killed loses the cell under way and no other. Several
processes may work on one folder: a cell that another one plays is left to it.

Where the grid asks a question, the cells that decide it come first, tuning included. Those that can no longer change the verdict
are left out, and with them the study ends (:mod:`trainers.studies.verdict`).
"""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trainers.config import resolve, with_settings
from trainers.runs.keys import merged, read, validated
from trainers.runs.moved_keys import FORMAT, MOVED, as_meant, moved
from trainers.studies.cells import CellFolder
from trainers.studies.curves import report, scores
from trainers.studies.verdict import verdict
from trainers.training.progress import Display
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.packs import sets as task_sets

LEARNING = Path(__file__).parent / "learning.toml"
"""The grid of the published learning curves."""

WHERE = ("machine", "sampler", "update.token_budget")  # a twin and a browser play the same, bit for bit
"""Configuration keys that a study's own `--set` may change."""

Stage = Literal["tune", "measure"]
STAGES: tuple[Stage, ...] = ("tune", "measure")


class Contender(BaseModel):
    """An algorithm with its candidates: settings over the grid's `train`, of which the best is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    label: str = Field(pattern=r"^[\w-]+$")
    """Name in rows and tables."""
    train: dict[str, Any]
    """Configuration keys, among them `algo`."""
    candidates: tuple[dict[str, Any], ...] = Field(default=({},), min_length=1)
    """Candidate settings, as many for every contender. A single one, the default, needs no tuning."""


class Block(BaseModel):
    """Cells of the measurement: every contender named, on every task, with every seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    contenders: tuple[str, ...] = Field(min_length=1)
    """Labels."""
    tasks: dict[str, int] = Field(min_length=1)
    """Environment steps by task id."""
    seeds: int = Field(ge=1)
    """Runs of each: seeds from 0 on."""


class Tuning(BaseModel):
    """Runs by which candidates are chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    tasks: dict[str, int] = Field(min_length=1)
    """Environment steps by task id."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Seeds that no measurement uses."""


class Question(BaseModel):
    """The question of a study, whose verdict its report gives (:mod:`trainers.studies.verdict`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    label: str
    """Contender that is asked about."""
    yardstick: str
    """Contender whose steps are the measure."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Deciding tasks."""
    half: float = Field(default=0.5, gt=0)
    """Share of the yardstick's steps that would be an answer."""


class Grid(BaseModel):
    """A study, as its file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int = Field(default=1, ge=1, le=FORMAT)
    """Format of the configurations: in 1 `grpo` means `grpo_positive` (:mod:`trainers.runs.moved_keys`)."""
    train: dict[str, Any] = Field(default_factory=dict)
    """Configuration keys of every run."""
    goal: float = Field(default=0.8, gt=0, le=1)
    """Success for which the steps to reach it are reported."""
    window: int = Field(default=3, ge=1)
    """Iterations that success is averaged over."""
    contenders: tuple[Contender, ...] = Field(min_length=1)
    """Contenders that are compared."""
    tuning: Tuning | None = None
    """Tuning of the contenders, where there are several candidates."""
    blocks: tuple[Block, ...] = Field(min_length=1)
    """Cells that are measured."""
    question: Question | None = None
    """Question that the measurement answers."""


def read_grid(path: Path) -> Grid:
    """The grid of a file. Raises ConfigError that names the mistake, before an episode is played."""
    grid = validated(Grid, read(path, "grid"), f"{path}: ")
    labels = [contender.label for contender in grid.contenders]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"{path}: two contenders have the same label (there are {', '.join(labels)})")
    if len({len(contender.candidates) for contender in grid.contenders}) > 1:
        raise ConfigError(f"{path}: expected as many candidates for every contender, so that all are tuned with the same budget")
    if grid.tuning is None and len(grid.contenders[0].candidates) > 1:
        raise ConfigError(f"{path}: expected [tuning] with tasks and seeds, since every contender has several candidates")
    measured = {seed for block in grid.blocks for seed in range(block.seeds)}
    if shared := measured & set(grid.tuning.seeds if grid.tuning else ()):
        raise ConfigError(f"{path}: seed {min(shared)} is tuned on and measured: expected tuning seeds of their own")
    for label in (label for block in grid.blocks for label in block.contenders):
        if label not in labels:
            raise ConfigError(f"{path}: no contender has the label {label!r} (there are {', '.join(labels)})")
    asked = (grid.question.label, grid.question.yardstick) if grid.question else ()
    for label in (label for label in asked if label not in labels):
        raise ConfigError(f"{path}: the question is about {label!r}, and no contender has this label (there are {', '.join(labels)})")
    for task, counts in _planned(grid).items():
        if len(counts) < 2 or len(set(counts)) > 1:
            names = " and ".join(asked)
            raise ConfigError(f"{path}: expected as many runs of {names} on the deciding task {task}, got {list(counts) or 'none'}")
    for cell in [*cells(grid, "tune"), *cells(grid, "measure", {label: 0 for label in labels})]:
        task_sets.choose([cell.task])
        settings_of(grid, cell)
    return grid


# --- cells -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: a contender's candidate on a task with a seed, for this number of environment steps."""

    stage: Stage
    label: str
    candidate: int
    task: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        """Path of its row in the folder, without ending."""
        number = f"{self.candidate}-" if self.stage == "tune" else ""
        return f"{self.stage}/{self.label}/{number}{self.task}-{self.seed}"


def cells(grid: Grid, stage: Stage, best: Mapping[str, int] | None = None) -> list[Cell]:
    """The cells of a stage, seeds outermost, so that a stopped study has cells of every contender. `best`: the tuned candidates.

    Those that decide the grid's question come before all others.
    """
    if stage == "tune":
        if grid.tuning is None or len(grid.contenders[0].candidates) == 1:
            return []
        tried = [
            Cell(stage, contender.label, number, task, seed, steps)
            for seed in grid.tuning.seeds
            for task, steps in grid.tuning.tasks.items()
            for contender in grid.contenders
            for number in range(len(contender.candidates))
        ]
        return sorted(tried, key=lambda cell: not decides(grid, cell))
    best = best or {}
    found = {
        Cell(stage, label, best[label], task, seed, steps): None
        for seed in range(max(block.seeds for block in grid.blocks))
        for block in grid.blocks
        if seed < block.seeds
        for task, steps in block.tasks.items()
        for label in block.contenders
    }
    return sorted(found, key=lambda cell: not decides(grid, cell))


def decides(grid: Grid, cell: Cell) -> bool:
    """True if the verdict on the grid's question depends on this cell."""
    asked = grid.question
    return asked is not None and cell.label in (asked.label, asked.yardstick) and (cell.stage == "tune" or cell.task in asked.tasks)


def _planned(grid: Grid) -> dict[str, tuple[int, ...]]:
    """The numbers of runs of the two contenders of the question, where there are any, by deciding task."""
    asked = grid.question
    if asked is None:
        return {}
    measured = [cell for cell in cells(grid, "measure", {contender.label: 0 for contender in grid.contenders}) if decides(grid, cell)]
    counts = {
        task: [sum((x.task, x.label) == (task, name) for x in measured) for name in (asked.label, asked.yardstick)] for task in asked.tasks
    }
    return {task: tuple(n for n in both if n) for task, both in counts.items()}


def settings_of(grid: Grid, cell: Cell, here: Sequence[str] = ()) -> dict[str, Any]:
    """The resolved configuration of a cell's run; `here` are `key=value` texts about the machine. Raises ConfigError."""
    contender = next(contender for contender in grid.contenders if contender.label == cell.label)
    train: dict[str, Any] = {}
    for layer in (grid.train, contender.train, contender.candidates[cell.candidate]):
        train = merged(train, layer)
    own = {
        "tasks": [cell.task],
        "seed": cell.seed,
        "length": {"steps": cell.steps, "iterations": 1_000_000},
        "trackers": [],
        "evaluation": {"seeds": 0},
        "checkpoints": {"every": 1_000_000},
    }
    train = as_meant({"format": grid.format, **moved(train)}, f"contender {cell.label}", warn=True)
    config, _ = resolve(with_settings(merged(merged({"length": {"minutes": None}}, train), own), here))
    return config.model_dump()


def play(grid: Grid, cell: Cell, out: Path, here: Sequence[str] = ()) -> dict[str, Any]:
    """The row of a cell: its run, played from the start with the settings `here` (:func:`settings_of`).

    Raises KeyboardInterrupt where the run was stopped before its budget.
    """
    work = out / "work" / cell.name
    shutil.rmtree(work, ignore_errors=True)
    config, _ = resolve(settings_of(grid, cell, here))
    started = time.monotonic()
    trainer = Trainer.start(config, parent=work, name="run", display=Display())
    with trainer.run:
        trainer.train()
        if not trainer.done:
            raise KeyboardInterrupt
        curve = [_point(row) for row in trainer.run.metrics if "rollout/success" in row]
    shutil.rmtree(work, ignore_errors=True)
    return {
        **asdict(cell),
        "curve": curve,
        **scores(curve, cell.steps, grid.goal, grid.window),
        "seconds": round(time.monotonic() - started, 1),
        "here": list(here),
        "candidate_settings": next(x for x in grid.contenders if x.label == cell.label).candidates[cell.candidate],
    }


def _point(row: Mapping[str, Any]) -> dict[str, float]:
    point = {"steps": row["rollout/turns_total"], "episodes": row["rollout/episodes_total"], "success": row["rollout/success"] or 0.0}
    point |= {"replayed": row["rollout/replayed_total"], "tokens": row["rollout/tokens_total"]}
    shown = ("held_out_ev", "gate", "slope", "lambda")
    return point | {name: row[f"critic/{name}"] for name in shown if f"critic/{name}" in row}


# --- the study -------------------------------------------------------------------------------------------------------------


class Study:
    """A grid in its folder. Raises ConfigError where the folder holds another grid, or a setting is refused.

    `here` are settings of the machine (`device=cuda`, `sampler.slots=64`). They are not part of the comparison, so one folder may hold rows
    of several machines. Every row records its own.
    """

    def __init__(self, grid_file: Path, out: Path, here: Sequence[str] = ()) -> None:
        self.grid, self.out, self.here = read_grid(grid_file), out, here
        for setting in here:
            key = setting.partition("=")[0]
            if not f"{MOVED.get(key, key)}.".startswith(tuple(f"{name}." for name in WHERE)):
                raise ConfigError(
                    f"--set {setting}: a study takes only what says where cells run ({', '.join(WHERE)}); the rest is the grid's"
                )
        settings_of(self.grid, cells(self.grid, "measure", dict.fromkeys(self._labels, 0))[0], here)
        self._cells = CellFolder(out, grid_file.read_bytes(), grid_file)

    @property
    def _labels(self) -> list[str]:
        return [contender.label for contender in self.grid.contenders]

    def rows(self, stage: Stage) -> list[dict[str, Any]]:
        """The rows of the finished cells of a stage."""
        return self._cells.rows(f"{stage}/*/*")

    def best(self, labels: Collection[str] | None = None) -> dict[str, int]:
        """The candidate with the highest mean area of each contender (of `labels`, or all), the first of equals.

        Raises ConfigError before they are tuned.
        """
        areas: dict[tuple[str, int], list[float]] = {}
        for row in self.rows("tune"):
            areas.setdefault((row["label"], row["candidate"]), []).append(row["area"])
        due = len(self.grid.tuning.seeds) * len(self.grid.tuning.tasks) if self.grid.tuning else 0
        found = {}
        for contender in self.grid.contenders:
            if labels is not None and contender.label not in labels:
                continue
            tried = [areas.get((contender.label, number), []) for number in range(len(contender.candidates))]
            if len(tried) > 1 and any(len(x) < due for x in tried):
                raise ConfigError(f"{contender.label} is not tuned yet: {sum(map(len, tried))} of {due * len(tried)} cells are there")
            found[contender.label] = int(np.argmax([np.mean(x) for x in tried])) if len(tried) > 1 else 0
        return found

    def todo(self, stage: Stage, only: Sequence[str] = ("*",), deciding: bool | None = None) -> list[Cell]:
        """The cells of a stage whose name fits one of `only` and that are not finished. One candidate alone needs no tuning.

        `deciding` chooses those that decide the question, or the others. Raises ConfigError where a contender of these cells is not tuned
        yet; the others may wait.
        """
        found = [cell for cell in self._named(stage, only) if deciding in (None, decides(self.grid, cell))]
        if stage == "measure":
            best = self.best({cell.label for cell in found})
            found = [replace(cell, candidate=best[cell.label]) for cell in found]
        return [cell for cell in found if not self._cells.done(cell.name)]

    def _named(self, stage: Stage, only: Sequence[str]) -> list[Cell]:
        """The cells of a stage whose name fits one of `only`."""
        every = cells(self.grid, stage, dict.fromkeys(self._labels, 0))
        return [cell for cell in every if any(fnmatchcase(cell.name, f"{stage}/{x}") for x in only)]

    def run(
        self,
        stages: Sequence[Stage] = STAGES,
        only: Sequence[str] = ("*",),
        most: int | None = None,
        say: Callable[[str], None] = print,
    ) -> int:
        """Play open cells of the stages whose name fits one of `only`, at most `most`; returns the number played.

        With all cells in `only`, deciding cells that can no longer change the verdict are left out, and it ends when there are no others;
        any other pattern plays what is left. Raises ConfigError where none of `only` fits the name of a cell.
        """
        played, whole = 0, tuple(only) == ("*",)
        if not any(self._named(stage, only) for stage in stages):
            example = cells(self.grid, stages[-1], dict.fromkeys(self._labels, 0))[0].name.partition("/")[2]
            raise ConfigError(f"--only {' '.join(only)}: no cell is called so; expected patterns such as {example!r} or '*/*'")
        for deciding in (True, False) if self.grid.question else (False,):
            for stage in stages:
                answer = self.answer() if whole else {}
                if len(answer.get("open", ())) == 1:
                    say(f"the verdict is {answer['verdict']}: no cell that is left can change it (--only '*/*' plays them all the same)")
                    return played
                waiting = self.todo(stage, only, deciding)
                if waiting:
                    say(f"{stage}: {len(waiting)} cells to play, {_steps(waiting):,} environment steps")
                due = filter(self._matters, waiting) if whole and deciding else waiting
                left = None if most is None else most - played
                for cell, row in self._cells.play(due, lambda cell: play(self.grid, cell, self.out, self.here), left):
                    played += 1
                    say(f"{cell.name}: area {row['area']:.3f}, final {row['final']:.3f}, {row['seconds']:.0f} s")
                if played == most:
                    return played
        return played

    def _matters(self, cell: Cell) -> bool:
        """True if the verdict may depend on this deciding cell."""
        answer = self.answer()
        on_task = {task["task"]: task["matters"] for task in answer["tasks"]}
        return on_task[cell.task] if cell.stage == "measure" else len(answer["open"]) > 1

    def plan(self) -> list[str]:
        """Cost of the whole study, and the share of it that is done, one line per stage."""
        lines = []
        for stage in STAGES:
            all_cells = cells(self.grid, stage, dict.fromkeys(self._labels, 0))
            done = len(self.rows(stage))
            first = [cell for cell in all_cells if decides(self.grid, cell)]
            lines.append(f"{stage}: {len(all_cells)} cells, {_steps(all_cells):,} environment steps; {done} cells are done")
            if first:
                done = sum(self._cells.done(cell.name) for cell in first)
                lines.append(f"  {len(first)} of them decide and come first, {_steps(first):,} environment steps; {done} are done")
        if answer := self.answer():
            lines.append(f"verdict: {answer['verdict']}; still possible: {', '.join(answer['open'])}")
        return lines

    def answer(self) -> dict[str, Any]:
        """The verdict on the grid's question by the cells that are played; empty where it asks none."""
        asked = self.grid.question
        if asked is None:
            return {}
        runs = {task: counts[0] for task, counts in _planned(self.grid).items()}
        return verdict(self.rows("measure"), asked.label, asked.yardstick, runs, asked.half)

    def report(self) -> dict[str, Any]:
        """Results of the measured cells, as plain data (:func:`trainers.studies.curves.report`)."""
        found = report(self.rows("measure"), self._labels, self.grid.goal, self.grid.window)
        return found | ({"verdict": self.answer()} if self.grid.question else {})


def _steps(of: Sequence[Cell]) -> int:
    return sum(cell.steps for cell in of)
