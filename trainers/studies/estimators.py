"""The estimator report: every estimator's advantages and gradients against exact ones, on the same episodes, by horizon.

::

    OUT/
    ├── grid.toml              the grid that was asked for
    └── measure/TASK-SEED.json one row per finished cell (:mod:`trainers.studies.cells`)

A cell is a task with a seed: a pool of episodes (:mod:`trainers.studies.pool`) on which all estimators give credit, as their algorithms'
own files do it. Advantages are measured on all groups of the pool at once, gradients on batches of some of them
(:mod:`trainers.studies.advantage_figures`). Cells are independent in episodes, instances and critics, so intervals come from drawing cells
anew.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table

from trainers import algorithms
from trainers.credit.algorithm import Algorithm, AlgorithmConfig, discount
from trainers.credit.credit import Values, flatten
from trainers.critics.critic import HeadConfig
from trainers.critics.fit import FitConfig
from trainers.models.policy_model import PolicyModel
from trainers.runs.keys import read, validated
from trainers.runs.moved_keys import FORMAT, as_meant
from trainers.studies.advantage_figures import errors, gradient_quality, signs
from trainers.studies.cells import CellFolder
from trainers.studies.intervals import interval, said
from trainers.studies.pool import Pool, play
from webgym.errors import ConfigError
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.prompts.settings import PromptSettings
from webgym.types import Group

ESTIMATORS = Path(__file__).parent / "estimators.toml"
"""The grid of the published report."""

SECONDS_A_TURN = 0.07
"""Processor time of a turn of webgym-tiny in a cell, everything included, for the plan before the first cell."""


class CriticSpec(BaseModel):
    """The learned critic."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    gamma: float = Field(default=0.99, gt=0, le=1)
    """Discount of its targets."""
    folds: int = Field(default=2, ge=2)
    """Folds of instances."""
    fit: FitConfig = FitConfig(epochs=6, lr=1e-3)
    """Settings of its fit."""
    head: HeadConfig = HeadConfig()
    """Its readout, loss and backbone."""
    token_budget: int = Field(default=2048, ge=64)
    """Tokens of a step."""


class Estimator(BaseModel):
    """An algorithm's credit with its settings, and the critic whose values it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    label: str = Field(pattern=r"^[\w-]+$")
    """Name in rows and tables."""
    algo: str
    """File in trainers/algorithms/."""
    algorithm: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's own options."""
    critic: Literal["", "learned", "seen", "exact"] = ""
    """Source of the values; "" for none."""


class EstimatorGrid(BaseModel):
    """A report, as its file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int = Field(default=1, ge=1, le=FORMAT)
    """Format of the file: in 1 `grpo` means `grpo_positive` (:mod:`trainers.runs.moved_keys`)."""
    model: str = "webgym-tiny"
    """The policy."""
    prompts: dict[str, Any] = Field(default_factory=dict)
    """Changes to its prompt settings."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature."""
    max_tokens: int = Field(default=8, ge=1)
    """Most tokens of a turn."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Tasks whose values are known."""
    seeds: int = Field(ge=1)
    """Cells of each task."""
    instances: int = Field(ge=2)
    """Seeds of the task in a cell."""
    members: int = Field(ge=2)
    """Episodes of each instance."""
    group_size: int = Field(default=4, ge=2)
    """Episodes of a group; it divides `members`."""
    episodes: tuple[int, ...] = Field(min_length=1)
    """Sizes of batches whose gradient is measured: multiples of `group_size`."""
    draws: int = Field(default=32, ge=2)
    """Batches of each size."""
    sketch: int = Field(default=16384, ge=16)
    """Length of the gradients' random projection."""
    critic: CriticSpec = CriticSpec()
    """The learned critic."""
    estimators: tuple[Estimator, ...] = Field(min_length=1)
    """Estimators that are compared."""


def read_grid(path: Path) -> EstimatorGrid:
    """The grid of a file. Raises ConfigError that names the mistake, before an episode is played."""
    grid = validated(EstimatorGrid, read(path, "grid"), f"{path}: ")
    meant = [
        as_meant({"format": grid.format, **x.model_dump()}, f"{path}: estimator {x.label}", warn=True)["algo"] for x in grid.estimators
    ]
    renamed = tuple(x.model_copy(update={"algo": algo}) for x, algo in zip(grid.estimators, meant, strict=True))
    grid = grid.model_copy(update={"estimators": renamed})
    if grid.members % grid.group_size:
        raise ConfigError(f"{path}: expected members to be a multiple of group_size, got {grid.members} and {grid.group_size}")
    groups = grid.instances * grid.members // grid.group_size
    for size in grid.episodes:
        if size % grid.group_size or size // grid.group_size >= groups:
            most = (groups - 1) * grid.group_size
            raise ConfigError(f"{path}: expected batches of a multiple of {grid.group_size} episodes, at most {most}, got {size}")
    for task in task_sets.choose(grid.tasks):
        if registry.task(task).exact is None:
            raise ConfigError(f"{path}: nobody knows the exact values of {task}; take tasks of the pack wizard")
    for estimator in grid.estimators:
        _resolved(estimator)
    return grid


def _resolved(estimator: Estimator) -> tuple[Algorithm, AlgorithmConfig]:
    algorithm = algorithms.get(estimator.algo)
    algorithm_config = validated(algorithm.Config, estimator.algorithm, f"estimator {estimator.label}: ")
    needs = algorithm.needs_values(algorithm_config)
    if needs not in ("", "turn"):
        raise ConfigError(f"estimator {estimator.label}: {estimator.algo} wants values per {needs}; only values per turn are compared")
    if bool(needs) != bool(estimator.critic):
        raise ConfigError(f"estimator {estimator.label}: expected {'a' if needs else 'no'} critic, got critic = {estimator.critic!r}")
    return algorithm, algorithm_config


# --- a cell ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """A task with a seed."""

    task: str
    seed: int

    @property
    def name(self) -> str:
        """Path of its row in the folder, without ending."""
        return f"measure/{self.task}-{self.seed}"


def measure(grid: EstimatorGrid, cell: Cell) -> dict[str, Any]:
    """The row of a cell."""
    torch.set_num_threads(1)
    began = time.process_time()
    source = PolicyModel.load(grid.model)
    source = PolicyModel(source.model, source.tokenizer, PromptSettings.from_json({**source.prompts.to_json(), **grid.prompts}))
    played = play(source, cell.task, cell.seed, grid.instances, grid.members, grid.temperature, grid.max_tokens)
    gammas = sorted({g for e in grid.estimators if e.critic in ("seen", "exact") and (g := discount(_resolved(e)[1])) < 1})
    pool = Pool.of(source, grid.temperature, played, [*gammas, *([grid.critic.gamma] if grid.critic.gamma < 1 else [])])
    values = CriticValues(grid, pool, cell.seed)
    gradients = pool.gradients(grid.sketch, cell.seed)
    found = {estimator.label: _measured(grid, pool, gradients, estimator, values(estimator), cell.seed) for estimator in grid.estimators}
    learned = values.learned
    return {
        "task": cell.task,
        "seed": cell.seed,
        "episodes": len(pool.flat),
        "turns": len(pool.visits.turn),
        "success": pool.success,
        "played_success": float(np.mean([x.outcome.success for x in pool.flat])),
        "at_stake": float(np.mean(np.abs(pool.visits.truth) >= 0.01)),
        "truth_rms": float(np.sqrt(np.mean(pool.visits.truth**2))),
        "critic_ev": pool.critic_quality(learned, grid.critic.gamma) if learned else None,
        "best_ev": pool.critic_quality(pool.known_values("seen", 1.0), 1.0),
        "estimators": found,
        "processor_seconds": round(time.process_time() - began, 1),
    }


class CriticValues:
    """The values of an estimator's critic, one array per episode; the learned critic is fitted when it is first asked."""

    def __init__(self, grid: EstimatorGrid, pool: Pool, seed: int) -> None:
        self._grid, self._pool, self._seed = grid, pool, seed
        self.learned: list[np.ndarray] = []

    def __call__(self, estimator: Estimator) -> list[np.ndarray]:
        if estimator.critic in ("seen", "exact"):
            return self._pool.known_values(estimator.critic, discount(_resolved(estimator)[1]))
        if estimator.critic and not self.learned:
            spec = self._grid.critic
            self.learned = self._pool.learned_values(spec.gamma, spec.folds, spec.fit, spec.head, spec.token_budget, self._seed)
        return self.learned if estimator.critic else []


def _measured(
    grid: EstimatorGrid, pool: Pool, gradients: Any, estimator: Estimator, values: Sequence[np.ndarray], seed: int
) -> dict[str, Any]:
    """All figures of one estimator on a pool."""
    ids = {id(x): n for n, x in enumerate(pool.flat)}
    groups = [group[k : k + grid.group_size] for group in pool.episodes for k in range(0, len(group), grid.group_size)]
    ends = np.cumsum([len(x) for x in pool.flat])
    starts = ends - [len(x) for x in pool.flat]
    whole = np.zeros(len(pool.visits.turn))
    for n, advantages in _credit(estimator, groups, ids, values).items():
        whole[starts[n] : ends[n]] = advantages
    rng = np.random.default_rng(seed)
    by_size = {}
    for size in grid.episodes:
        count = size // grid.group_size
        draws = np.zeros((grid.draws, len(gradients.with_exact)))
        for draw in draws:
            chosen = [groups[k] for k in rng.choice(len(groups), count, replace=False)]
            for n, advantages in _credit(estimator, chosen, ids, values).items():
                np.add.at(draw, pool.texts[1][starts[n] : ends[n]], advantages / size)
        by_size[str(size)] = gradient_quality(draws, gradients.gram, gradients.with_exact, gradients.exact, count, len(groups))
    return {**errors(whole, pool.visits), "signs": signs(whole, pool.visits), "gradient": by_size}


def _credit(estimator: Estimator, groups: Sequence[Group], ids: Mapping[int, int], values: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Factor on each turn's ∇log π, by the episode's number in the pool: advantage times weight, over the loss's own divisor
    where that is no constant of the batch."""
    algorithm, algorithm_config = _resolved(estimator)
    trajectories = flatten(groups)
    given = Values([values[ids[id(x)]] for x in trajectories]) if estimator.critic else None
    credit = algorithm.credit(groups, given, algorithm_config)
    found = {}
    for x, advantages, weights in zip(trajectories, credit.advantages, credit.weights, strict=True):
        sizes = sum(len(turn.completion.action_ids) for turn in x.turns) if algorithm_config.loss.divisor == "trajectories" else 1
        found[ids[id(x)]] = advantages * weights / sizes
    return found


# --- the study -------------------------------------------------------------------------------------------------------------


class EstimatorStudy:
    """A grid in its folder. Raises ConfigError where the folder holds another grid."""

    def __init__(self, grid_file: Path, out: Path) -> None:
        self.grid = read_grid(grid_file)
        self._cells = CellFolder(out, grid_file.read_bytes(), grid_file)

    @property
    def cells(self) -> list[Cell]:
        """All cells, seeds outermost, so that a stopped study has cells of every task."""
        return [Cell(task, seed) for seed in range(self.grid.seeds) for task in self.grid.tasks]

    @property
    def todo(self) -> list[Cell]:
        """Cells that are not finished."""
        return [cell for cell in self.cells if not self._cells.done(cell.name)]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the finished cells."""
        return self._cells.rows("measure/*")

    def plan(self) -> list[str]:
        """Cost of the study, and the share of it that is done."""
        grid, done = self.grid, {(row["task"], row["seed"]): row for row in self.rows()}
        lines = []
        total = 0.0
        for task in grid.tasks:
            took = [row["processor_seconds"] for (name, _), row in done.items() if name == task]
            turns = grid.instances * grid.members * registry.task(task).max_turns
            each = float(np.mean(took)) if took else SECONDS_A_TURN * turns
            total += each * (grid.seeds - len(took))
            how = "measured" if took else "estimated"
            lines.append(
                f"{task}: {grid.seeds} cells of {grid.instances * grid.members} episodes, {each:.0f} s each ({how}), {len(took)} done"
            )
        return [*lines, f"left: {len(self.todo)} cells, about {total / 60:.0f} minutes of one core"]

    def run(self, most: int | None = None, say: Callable[[str], None] = print) -> int:
        """Play open cells, at most `most`; returns the number played."""
        played = 0
        for cell, row in self._cells.play(self.todo, partial(measure, self.grid), most):
            played += 1
            say(f"{cell.name}: success {row['success']:.3f}, {row['turns']} turns, {row['processor_seconds']:.0f} s")
        return played

    def report(self) -> dict[str, Any]:
        """Results of the finished cells, with 95% intervals over cells."""
        rows = self.rows()
        labels = [estimator.label for estimator in self.grid.estimators]
        tasks = [task for task in self.grid.tasks if any(row["task"] == task for row in rows)]
        by = {task: [row for row in rows if row["task"] == task] for task in tasks}
        return {
            "tasks": [_of_task(task, by[task]) for task in tasks],
            "estimators": [
                {"task": task, "estimator": label, **_of_estimator([row["estimators"][label] for row in by[task]])}
                for task in tasks
                for label in labels
            ],
        }


def _of_task(task: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {
        name: float(np.mean([row[name] for row in rows]))
        for name in ("success", "at_stake", "truth_rms", "best_ev", "critic_ev")
        if rows[0][name] is not None
    }
    turns = int(sum(row["turns"] for row in rows))
    return {"task": task, "horizon": horizon_of(task), "cells": len(rows), "turns": turns, **means}


def horizon_of(task: str) -> int:
    """The number of pages in a workflow's name; the turn limit of other tasks."""
    named = re.search(r"\.h(\d+)", task)
    return int(named[1]) if named else registry.task(task).max_turns


def _of_estimator(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means of the cells with intervals; ratios are of means, not means of ratios."""
    found: dict[str, Any] = {}
    for name in ("slope", "bias", "action_bias", "std", "idle"):
        found[name] = interval(lambda x: float(np.mean(x)), np.array([cell[name] for cell in cells]))
    totals = np.array([np.sum(cell["signs"], axis=0) for cell in cells], float)
    found["sign"] = interval(lambda x: float(x[:, 0].sum() / max(x[:, 1].sum(), 1)), totals)
    longest = max(len(cell["signs"]) for cell in cells)
    padded = np.array([[*cell["signs"], *[(0.0, 0)] * (longest - len(cell["signs"]))] for cell in cells]).sum(0)
    found["sign_by_turn"] = [right / of if of else None for right, of in padded.tolist()]
    found["gradient"] = {}
    for size in cells[0]["gradient"]:
        parts = np.array([[cell["gradient"][size][k] for k in ("cosine", "signal", "noise", "expected")] for cell in cells])
        found["gradient"][size] = {
            "cosine": interval(lambda x: float(x[:, 0].mean()), parts),
            "signal": interval(lambda x: float(x[:, 1].mean()), parts),
            "snr": interval(snr, parts),
            "limit": interval(_limit, parts),
        }
    return found


def snr(parts: np.ndarray) -> float:
    """signal² / noise of cells' [cosine, signal, noise, expected], 0 where the signal points the wrong way."""
    signal, noise = max(float(parts[:, 1].mean()), 0.0), float(parts[:, 2].mean())
    return signal**2 / noise if noise > 0 else float("nan")


def _limit(parts: np.ndarray) -> float:
    """The limit of the cosine for ever more episodes; at most 1."""
    signal, expected = float(parts[:, 1].mean()), float(parts[:, 3].mean())
    return signal / float(np.sqrt(max(expected, signal**2))) if signal else 0.0


def tables(report: Mapping[str, Any]) -> list[Table]:
    """The report for a terminal: one table a task."""
    shown = []
    for task in report["tasks"]:
        rows = [row for row in report["estimators"] if row["task"] == task["task"]]
        sizes = list(rows[0]["gradient"])
        measures = ("slope", "bias", "action_bias", "std", "idle", "sign")
        headings = (
            "estimator",
            *(name.replace("_", " ") for name in measures),
            *(f"cosine {n}" for n in sizes),
            f"SNR {sizes[-1]}",
            "limit",
        )
        table = Table(*headings, title=_about(task))
        for row in rows:
            gradient = row["gradient"]
            last = gradient[sizes[-1]]
            cosines = [said(gradient[n]["cosine"]) for n in sizes]
            table.add_row(row["estimator"], *(said(row[k]) for k in measures), *cosines, said(last["snr"], 3), said(last["limit"]))
        shown.append(table)
    return shown


def _about(task: Mapping[str, Any]) -> str:
    learned = f", the learned one {task['critic_ev']:.2f}" if "critic_ev" in task else ""
    return (
        f"{task['task']}: success {task['success']:.2f}, {task['cells']} cells, {task['turns']:,} turns, "
        f"the best critic explains {task['best_ev']:.2f} of V{learned}"
    )
