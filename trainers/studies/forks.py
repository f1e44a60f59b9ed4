"""Credit by sampling on a table of choices: the signal-to-noise of estimators with and without forks, and the steps that learning takes.

::

    OUT/
    ├── grid.toml                              the grid that was asked for
    ├── signal/PROBLEM-SEED.json               one row per finished cell (:mod:`trainers.studies.cells`)
    ├── tune/PROBLEM/LABEL/N-SEED.json
    └── measure/PROBLEM/LABEL/SEED.json

Credit is given by the algorithms' own files, on episodes of :mod:`trainers.studies.choices`, where policy gradient and values are known.
Two costs are counted: C1, the environment steps that were sampled, and C2, those and the steps that forks performed again. A turn has one
token, so C1 is the number of sampled tokens too. In learning, each contender has as many candidates, which are tuned alike; the one with
the fewest steps in the mean is measured. A run ends at the first iteration whose policy succeeds with the goal's probability, exactly.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table

from trainers import algorithms
from trainers.credit.algorithm import Algorithm, AlgorithmConfig
from trainers.credit.credit import Values, flatten, gae, monte_carlo_targets, rewards
from trainers.runs.keys import merged, read, validated
from trainers.studies.cells import CellFolder
from trainers.studies.choices import (
    Costs,
    KnownCritic,
    Logits,
    Player,
    Problem,
    TableCritic,
    exact_gradient,
    exact_values,
    gradient,
    softmax,
)
from trainers.studies.intervals import interval, said
from webgym.errors import ConfigError
from webgym.rollout.branch import fork_keys
from webgym.types import EpisodeKey, Trajectory, groups_of, seed_from

FORKS = Path(__file__).parent / "forks.toml"
"""The grid of the published figures."""

SECONDS_A_STEP = 3e-5
"""Processor time of an environment step of the table, credit and critic included, for the plan before the first cell."""

SAMPLED = ("tree", "vine")
"""Algorithms whose credit comes from continuations, to which the stop rule applies."""

Stage = Literal["signal", "tune", "measure"]
STAGES: tuple[Stage, ...] = ("signal", "tune", "measure")


class Contender(BaseModel):
    """An algorithm with its settings, and the critic whose values it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    label: str = Field(pattern=r"^[\w-]+$")
    """Name in rows and tables."""
    algo: str
    """File in trainers/algorithms/."""
    algorithm: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's own options."""
    critic: Literal["", "learned", "exact"] = ""
    """Source of the values: a table that learns on the way (for the signal: from other episodes), or the exact V; "" for none."""
    rates: tuple[float, ...] = ()
    """Learning rates, each a candidate."""
    variants: tuple[dict[str, Any], ...] = ({},)
    """Changes to `algorithm`, each tried with every rate."""
    group_size: int = Field(default=0, ge=0)
    """Episodes of a group, with as many in an iteration as the others have; 0 for the grid's own."""

    def resolved(self, variant: int = 0) -> tuple[Algorithm, AlgorithmConfig]:
        """The algorithm and its own configuration. Raises ConfigError."""
        algorithm = algorithms.get(self.algo)
        config = validated(algorithm.Config, merged(self.algorithm, self.variants[variant]), f"contender {self.label}: ")
        if bool(algorithm.needs_values(config)) != bool(self.critic):
            raise ConfigError(f"contender {self.label}: expected a critic just where {self.algo} needs values, got critic={self.critic!r}")
        return algorithm, config

    @property
    def candidates(self) -> list[tuple[float, int]]:
        """Rate and variant of each candidate."""
        return [(rate, n) for n in range(len(self.variants)) for rate in self.rates]


class Signal(BaseModel):
    """Estimators at a fixed policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    problems: tuple[Problem, ...]
    """Workflows, each with the accuracy of the policy."""
    seeds: int = Field(ge=2)
    """Cells of each."""
    groups: int = Field(ge=10)
    """Groups of a cell."""
    group_size: int = Field(default=4, ge=2)
    """Episodes of a group, forks not counted."""
    critic_episodes: int = Field(default=600, ge=1)
    """Other episodes of the policy that the learned critic is fitted to."""
    estimators: tuple[Contender, ...]
    """Estimators that are compared; the first is the yardstick."""


class Learning(BaseModel):
    """Contenders that learn from the start."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    problems: tuple[Problem, ...]
    """Workflows."""
    seeds: int = Field(ge=1)
    """Measured runs of each contender, from seed 0 on."""
    tuning_seeds: tuple[int, ...]
    """Seeds of the candidates' runs, which no measurement uses."""
    groups: int = Field(default=4, ge=1)
    """Groups of an iteration."""
    group_size: int = Field(default=4, ge=2)
    """Episodes of a group, forks not counted."""
    goal: float = Field(default=0.8, gt=0, lt=1)
    """Success that ends a run."""
    most: int = Field(ge=1)
    """Steps (C1) after which a run is given up."""
    contenders: tuple[Contender, ...]
    """Contenders; the first is the yardstick."""


class ForkGrid(BaseModel):
    """The study, as its file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    stop: float = Field(default=1.5, gt=0)
    """Signal-to-noise per C1, as a ratio to the yardstick, that an estimator by sampling must reach for more than one learning cell."""
    signal: Signal
    """Estimators at a fixed policy."""
    learning: Learning
    """Contenders that learn."""


def read_grid(path: Path) -> ForkGrid:
    """The grid of a file. Raises ConfigError that names the mistake, before an episode is played."""
    grid = validated(ForkGrid, read(path, "grid"), f"{path}: ")
    for contender in (*grid.signal.estimators, *grid.learning.contenders):
        for variant in range(len(contender.variants)):
            contender.resolved(variant)
    if len({len(contender.candidates) for contender in grid.learning.contenders}) > 1:
        raise ConfigError(f"{path}: expected as many candidates (rates times variants) for every contender, so that all are tuned alike")
    if shared := set(range(grid.learning.seeds)) & set(grid.learning.tuning_seeds):
        raise ConfigError(f"{path}: seed {min(shared)} is tuned on and measured: expected tuning seeds of their own")
    return grid


@dataclass(frozen=True, slots=True)
class Cell:
    """One row: all estimators at once (signal), or one run of a contender's candidate."""

    stage: Stage
    problem: Problem
    seed: int
    label: str = ""
    candidate: int = 0

    @property
    def name(self) -> str:
        """Path of its row in the folder, without ending."""
        if self.stage == "signal":
            return f"signal/{self.problem.name}-{self.seed}"
        number = f"{self.candidate}-" if self.stage == "tune" else ""
        return f"{self.stage}/{self.problem.name}/{self.label}/{number}{self.seed}"


# --- episodes and their credit ---------------------------------------------------------------------------------------------


class Practised:
    """A contender that plays groups of a problem, its forks included, and gives them credit."""

    def __init__(self, contender: Contender, problem: Problem, rng: np.random.Generator, variant: int = 0) -> None:
        self._algorithm, self.config = contender.resolved(variant)
        self._forks = self._algorithm.practice(self.config).forks
        self._valued = bool(contender.critic)
        self._problem, self._rng = problem, rng
        self.player = Player(problem, rng)
        self.memory: Mapping[str, float] = {}

    def groups(self, count: int, size: int, iteration: int, critic: TableCritic | None) -> list[list[Trajectory]]:
        """Groups of new instances."""
        instances = self._rng.integers(self._problem.things, size=(count, self._problem.turns)).tolist()
        keys = [EpisodeKey(self._problem.name, g, iteration, g, m) for g in range(count) for m in range(size)]
        played = [self.player.play(key, instances[key.group]) for key in keys]
        if self._forks is not None:
            forks = fork_keys(played, self._forks(played, critic.values(played) if critic is not None else None))
            played += [self.player.play(key, instances[key.group], branch) for key, branch in forks.items()]
        return groups_of(played)

    def factors(self, groups: Sequence[Sequence[Trajectory]], critic: TableCritic | None) -> list[np.ndarray]:
        """Advantage times weight of each turn; what credit wants to be remembered is kept."""
        values = Values(critic.values(flatten(groups)), memory=self.memory) if critic is not None and self._valued else None
        credit = self._algorithm.credit(groups, values, self.config)
        self.memory = credit.memory
        return [a * w for a, w in zip(credit.advantages, credit.weights, strict=True)]

    def learn(self, groups: Sequence[Sequence[Trajectory]], critic: TableCritic) -> None:
        """Fit the critic as the algorithm wants it."""
        targets = self._algorithm.targets
        critic.learn(flatten(groups), targets(groups, self.config) if targets else monte_carlo_targets(flatten(groups), 1.0))


# --- signal-to-noise -------------------------------------------------------------------------------------------------------


def measure_signal(grid: Signal, problem: Problem, seed: int) -> dict[str, Any]:
    """The row of a cell: of every estimator signal, noise and costs of a group, and what its judge says of the critic."""
    began, chances = time.process_time(), softmax(problem.start())
    target = exact_gradient(problem, chances)
    learned = TableCritic(problem, start=float(exact_values(problem, chances)[0, 0]), memory=10**9)
    player, rng = Player(problem, np.random.default_rng(seed_from("critic", problem.name, seed))), np.random.default_rng(seed)
    player.set_policy(chances)
    things = rng.integers(problem.things, size=(grid.critic_episodes, problem.turns)).tolist()
    seen = [player.play(EpisodeKey(problem.name, n), row) for n, row in enumerate(things)]
    learned.learn(seen, monte_carlo_targets(seen, 1.0))
    known = KnownCritic(problem, chances)
    found = {}
    for number, contender in enumerate(grid.estimators):
        critic = {"": None, "learned": learned, "exact": known}[contender.critic]
        found[contender.label] = _signal(grid, problem, contender, critic, chances, target, seed_from(problem.name, seed, number))
    return {"problem": problem.name, "seed": seed, "estimators": found, "processor_seconds": round(time.process_time() - began, 1)}


def _signal(
    grid: Signal, problem: Problem, contender: Contender, critic: TableCritic | None, chances: Logits, target: Logits, seed: int
) -> dict[str, float]:
    practised, costs = Practised(contender, problem, np.random.default_rng(seed)), Costs()
    practised.player.set_policy(chances)
    exact, judged = exact_values(problem, chances), np.zeros(2)
    gradients = []
    for number in range(grid.groups):
        (group,) = practised.groups(1, grid.group_size, number, critic)
        costs = costs.plus(group)
        gradients.append(gradient(problem, chances, group, practised.factors([group], critic)).ravel() / grid.group_size)
        if critic is not None:
            judged += _agreement(problem, group[: grid.group_size], critic, exact)
    drawn, power = np.array(gradients), float((target**2).sum())
    mean = drawn.mean(0)
    noise = float(np.square(drawn - mean).sum(1).mean()) * len(drawn) / (len(drawn) - 1)
    row = {
        "signal": float(mean @ target.ravel()) / power,
        "noise": noise / power,
        "expected": (float(mean @ mean) - noise / len(drawn)) / power,
        "fresh": costs.fresh / grid.groups,
        "replayed": costs.replayed / grid.groups,
    }
    if critic is not None:
        row["slope"] = float(judged[0] / judged[1]) if judged[1] else float("nan")
        if practised.memory.get("power"):
            row["judge"] = practised.memory["product"] / practised.memory["power"]
    return row


def _agreement(problem: Problem, episodes: Sequence[Trajectory], critic: TableCritic, exact: np.ndarray) -> np.ndarray:
    """Σ A δ and Σ δ² over the turns but the first, A the exact advantage and δ the critic's TD(0) residual."""
    sums = np.zeros(2)
    for x, v in zip(episodes, critic.values(episodes), strict=True):
        delta = gae(rewards(x), np.ones(len(x)), v, 0.0)[1:]
        path = [turn.completion.prompt_ids[2] for turn in x.turns]
        true = np.diff([*(exact[t, m] for t, m in enumerate(path)), x.outcome.reward])[1:]
        sums += (float(true @ delta), float(delta @ delta))
    return sums


# --- learning --------------------------------------------------------------------------------------------------------------


def learn(grid: Learning, cell: Cell) -> dict[str, Any]:
    """The row of a run: steps of both kinds until the exact success of the policy was the goal, or until it was given up."""
    began, problem = time.process_time(), cell.problem
    contender = next(x for x in grid.contenders if x.label == cell.label)
    rate, variant = contender.candidates[cell.candidate]
    rng = np.random.default_rng(seed_from(cell.stage, cell.seed))
    practised, logits, costs, iteration = Practised(contender, problem, rng, variant), problem.start(), Costs(), 0
    critic: TableCritic | None = TableCritic(problem) if contender.critic else None
    size = contender.group_size or grid.group_size
    curve: list[tuple[int, float]] = []
    while True:
        chances = softmax(logits)
        curve.append((costs.fresh, float(exact_values(problem, chances)[0, 0])))
        if curve[-1][1] >= grid.goal or costs.fresh >= grid.most:
            break
        practised.player.set_policy(chances)
        critic = KnownCritic(problem, chances) if contender.critic == "exact" else critic
        groups = practised.groups(grid.groups * grid.group_size // size, size, iteration, critic)
        factors = practised.factors(groups, critic)
        logits = logits + rate * gradient(problem, chances, flatten(groups), factors) / (grid.groups * grid.group_size)
        if critic is not None:
            practised.learn(groups, critic)
        costs, iteration = costs.plus(flatten(groups)), iteration + 1
    return {
        "problem": problem.name,
        "label": cell.label,
        "seed": cell.seed,
        "candidate": cell.candidate,
        "rate": rate,
        "variant": contender.variants[variant],
        "reached": curve[-1][1] >= grid.goal,
        "fresh": costs.fresh,
        "replayed": costs.replayed,
        "success": curve[-1][1],
        "curve": curve[:: max(1, len(curve) // 100)],
        "processor_seconds": round(time.process_time() - began, 1),
    }


# --- the study -------------------------------------------------------------------------------------------------------------


class ForkStudy:
    """A grid in its folder. Raises ConfigError where the folder holds another grid."""

    def __init__(self, grid_file: Path, out: Path) -> None:
        self.grid = read_grid(grid_file)
        self._cells = CellFolder(out, grid_file.read_bytes(), grid_file)

    def cells(self, stage: Stage) -> list[Cell]:
        """The cells of a stage, seeds outermost. A measured contender has the candidate that its tuning chose.

        Raises ConfigError for the measurement where a contender is not tuned.
        """
        signal, learning = self.grid.signal, self.grid.learning
        if stage == "signal":
            return [Cell(stage, problem, seed) for seed in range(signal.seeds) for problem in signal.problems]
        pairs = [(problem, contender) for problem in learning.problems for contender in learning.contenders]
        if stage == "tune":
            return [
                Cell(stage, problem, seed, contender.label, n)
                for seed in learning.tuning_seeds
                for problem, contender in pairs
                for n in range(len(contender.candidates))
            ]
        return [
            Cell(stage, problem, seed, contender.label, self.best(problem, contender))
            for seed in range(learning.seeds)
            for problem, contender in pairs
        ]

    def best(self, problem: Problem, contender: Contender) -> int:
        """The candidate with the fewest steps in the mean, the first of equals; one that never came to the goal counts with all."""
        steps: dict[int, list[int]] = {}
        for row in self._cells.rows(f"tune/{problem.name}/{contender.label}/*"):
            steps.setdefault(row["candidate"], []).append(row["fresh"] if row["reached"] else 2 * self.grid.learning.most)
        due = len(self.grid.learning.tuning_seeds)
        if any(len(steps.get(n, [])) < due for n in range(len(contender.candidates))):
            raise ConfigError(f"{contender.label} is not tuned yet on {problem.name}: run the stage tune")
        return min(steps, key=lambda n: (np.mean(steps[n]), n))

    def run(self, stages: Sequence[Stage] = STAGES, most: int | None = None, say: Callable[[str], None] = print) -> int:
        """Play open cells of the stages, at most `most`; returns the number played."""
        played = 0
        for stage in stages:
            waiting = [cell for cell in self.cells(stage) if not self._cells.done(cell.name)]
            for cell, row in self._cells.play(waiting, self._measure, None if most is None else most - played):
                played += 1
                say(f"{cell.name}: {row['processor_seconds']:.0f} s" + (f", {row['fresh']:,} steps" if stage != "signal" else ""))
            if played == most:
                break
        return played

    def _measure(self, cell: Cell) -> dict[str, Any]:
        if cell.stage == "signal":
            return measure_signal(self.grid.signal, cell.problem, cell.seed)
        return learn(self.grid.learning, cell)

    def plan(self) -> list[str]:
        """Cost of each stage at most, and the cells that are done."""
        signal, learning = self.grid.signal, self.grid.learning
        steps = sum(p.turns for p in signal.problems) * signal.seeds * signal.groups * signal.group_size * len(signal.estimators)
        candidates = len(learning.contenders[0].candidates)
        runs = {"tune": candidates * len(learning.tuning_seeds), "measure": learning.seeds}
        of = {stage: n * len(learning.problems) * len(learning.contenders) for stage, n in runs.items()}
        counts = {"signal": signal.seeds * len(signal.problems), **of}
        costs = {"signal": steps, **{stage: n * learning.most for stage, n in of.items()}}
        done = {stage: len(self._cells.rows(f"{stage}/*" if stage == "signal" else f"{stage}/*/*/*")) for stage in STAGES}
        return [
            f"{stage}: {counts[stage]} cells, {'about' if stage == 'signal' else 'at most'} {costs[stage]:,} environment steps, "
            f"{costs[stage] * SECONDS_A_STEP / 60:.0f} minutes of one core; {done[stage]} are done"
            for stage in STAGES
        ]

    def report(self) -> dict[str, Any]:
        """Results of the finished cells, with 95% intervals over cells."""
        return reported(self.grid, *self.rows())

    def rows(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The rows of the finished cells: of signals, and of measured runs."""
        return self._cells.rows("signal/*"), self._cells.rows("measure/*/*/*")


def reported(grid: ForkGrid, signals: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Results of rows of a grid, with 95% intervals over cells."""
    signal = _signal_report(signals, [x.label for x in grid.signal.estimators])
    sampled = {x.label for x in grid.signal.estimators if x.algo in SAMPLED}
    ratios = [(row["ratio_C1"]["mean"], row["problem"], row["estimator"]) for row in signal if row["estimator"] in sampled]
    return {
        "signal": signal,
        "stop": {"needed": grid.stop, "best": max(ratios, default=None)},
        "learning": _learning_report(measured, [x.label for x in grid.learning.contenders], grid.learning.goal),
    }


def _signal_report(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for problem in dict.fromkeys(row["problem"] for row in rows):
        cells = [row["estimators"] for row in rows if row["problem"] == problem]
        names = ("signal", "noise", "expected", "fresh", "replayed")
        yard = np.array([[cell[labels[0]][k] for k in names] for cell in cells])
        for label in labels:
            parts = np.array([[cell[label][k] for k in names] for cell in cells])
            both = np.concatenate([parts, yard], axis=1)
            row = {"problem": problem, "estimator": label, "cells": len(cells)}
            row |= {"signal": interval(lambda x: float(x[:, 0].mean()), parts), "limit": interval(_limit, parts)}
            for cost, count in (("C1", _fresh), ("C2", _all_steps)):
                row[f"snr_{cost}"] = interval(lambda x, count=count: 1000 * _snr(x) / count(x), parts)
                row[f"ratio_{cost}"] = interval(lambda x, n=count: _snr(x[:, :5]) / n(x[:, :5]) / (_snr(x[:, 5:]) / n(x[:, 5:])), both)
            for name in ("slope", "judge"):
                if name in cells[0][label]:
                    row[name] = interval(lambda x: float(x.mean()), np.array([cell[label][name] for cell in cells]))
            found.append(row)
    return found


def _snr(parts: np.ndarray) -> float:
    """signal² / noise of a group."""
    return max(float(parts[:, 0].mean()), 0.0) ** 2 / float(parts[:, 1].mean())


def _limit(parts: np.ndarray) -> float:
    """The cosine with the exact gradient for ever more groups."""
    return float(parts[:, 0].mean()) / float(np.sqrt(max(parts[:, 2].mean(), parts[:, 0].mean() ** 2)))


def _fresh(parts: np.ndarray) -> float:
    return float(parts[:, 3].mean())


def _all_steps(parts: np.ndarray) -> float:
    return float((parts[:, 3] + parts[:, 4]).mean())


def _learning_report(rows: Sequence[Mapping[str, Any]], labels: Sequence[str], goal: float) -> list[dict[str, Any]]:
    found = []
    for problem in dict.fromkeys(row["problem"] for row in rows):
        by = {label: [row for row in rows if (row["problem"], row["label"]) == (problem, label)] for label in labels}
        for label in (label for label in labels if by[label] and by[labels[0]]):
            runs, yard = by[label], by[labels[0]]
            row = {"problem": problem, "contender": label, "runs": len(runs), "reached": sum(x["reached"] for x in runs), "goal": goal}
            row |= {
                "rate": runs[0]["rate"],
                "variant": runs[0]["variant"],
                "seconds": float(np.mean([x["processor_seconds"] for x in runs])),
            }
            for cost, of in (("C1", lambda x: x["fresh"]), ("C2", lambda x: x["fresh"] + x["replayed"])):
                mine, theirs = np.array([of(x) for x in runs], float), np.array([of(x) for x in yard], float)
                row[f"steps_{cost}"] = float(np.median(mine))
                row[f"ratio_{cost}"] = _ratio_of_medians(mine, theirs)
            found.append(row)
    return found


def _ratio_of_medians(first: np.ndarray, second: np.ndarray, draws: int = 2000) -> dict[str, float]:
    """The ratio of medians, with the 95% percentile interval of runs drawn anew on both sides."""
    rng = np.random.default_rng(0)
    a, b = (x[rng.integers(len(x), size=(draws, len(x)))] for x in (first, second))
    low, high = np.quantile(np.median(a, 1) / np.median(b, 1), [0.025, 0.975])
    return {"mean": float(np.median(first) / np.median(second)), "low": float(low), "high": float(high)}


def tables(report: Mapping[str, Any]) -> list[Table]:
    """The report for a terminal: one table a problem and part."""
    shown = []
    ratio, problem, best = report["stop"]["best"] or (0.0, "", "none")
    passed = "goes on" if ratio >= report["stop"]["needed"] else "one learning cell each, as controls"
    rule = f"best by sampling: {best}, {ratio:.2f} ({problem}); {report['stop']['needed']:g} is needed: {passed}"
    for problem in dict.fromkeys(row["problem"] for row in report["signal"]):
        rows = [row for row in report["signal"] if row["problem"] == problem]
        headings = ("estimator", "SNR per 1,000 C1", "ratio C1", "ratio C2", "signal", "limit", "slope", "judge")
        table = Table(*headings, title=f"{problem}, {rows[0]['cells']} cells", caption=rule)
        for row in rows:
            cells = [said(row[k]) if k in row else "" for k in ("ratio_C1", "ratio_C2", "signal", "limit", "slope", "judge")]
            table.add_row(row["estimator"], said(row["snr_C1"], 3), *cells)
        shown.append(table)
    for problem in dict.fromkeys(row["problem"] for row in report["learning"]):
        table = Table(
            "contender", "runs", "there", "steps C1", "ratio C1", "ratio C2", "rate", "variant", "s", title=f"{problem}: learning"
        )
        for row in (row for row in report["learning"] if row["problem"] == problem):
            counts = (str(row["runs"]), str(row["reached"]), f"{row['steps_C1']:,.0f}")
            ends = (f"{row['rate']:g}", str(row["variant"] or ""), f"{row['seconds']:.1f}")
            table.add_row(row["contender"], *counts, said(row["ratio_C1"]), said(row["ratio_C2"]), *ends)
        shown.append(table)
    return shown
