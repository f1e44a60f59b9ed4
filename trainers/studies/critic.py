"""Ablation of a critic: its readout, loss, target and backbone, and its use on held-out or on fitted episodes.

::

    OUT/
    ├── grid.toml              the grid, and the checkpoint that it is of
    ├── data/SEED.json         the exact values of the episodes of a seed
    ├── data/SEED-*.jsonl      the episodes
    └── measure/LABEL-SEED.json one row per finished cell (:mod:`trainers.studies.cells`)

Every variant starts from the checkpoint's policy and is fitted to the same episodes of its tasks, as far as their prompts differ
(:mod:`trainers.batches.distinct_turns`). It is judged against exact values on held-out instances, and on the episodes of its fit. On the
latter `memory` is the share of the outcomes' variance that it explains beyond V itself, and `slope` is the share of the true advantage
that is left in GAE(0.95) on its values: 1 for a good critic, towards 0 for one that remembers the outcomes.
"""

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table

from trainers.batches.distinct_turns import Distinct
from trainers.batches.packing import PackedBatch, pack
from trainers.batches.rows import Row
from trainers.credit.algorithm import discount
from trainers.credit.calibration import explained_variance
from trainers.credit.credit import discounts, gae, lambda_returns, learnable, monte_carlo_targets, rewards
from trainers.critics.critic import Critic, HeadConfig
from trainers.critics.fit import CriticOptimizer, FitConfig, fit, predict
from trainers.critics.valuation import prompt_tail
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.runs.keys import read, validated
from trainers.runs.run_folder import RunFolder
from trainers.samplers.local import LocalSampler
from trainers.studies.advantage_figures import slope
from trainers.studies.cells import CellFolder
from trainers.studies.critic_figures import Judged, figures
from trainers.studies.intervals import interval, said
from trainers.studies.truth import ExactTruth
from trainers.training.kept import as_kept
from webgym.errors import ConfigError
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.record import layout
from webgym.record.store import TrajectoryStore, load
from webgym.rollout.arena import Arena
from webgym.types import EpisodeKey, Sampling, Trajectory, seed_from

VARIANTS = Path(__file__).parent / "critic.toml"
"""The published grid."""

LAMBDA = 0.95
"""λ of the advantage that `slope` is of."""


class Size(BaseModel):
    """Number of episodes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    instances: int = Field(ge=2)
    """Seeds of each task."""
    members: int = Field(ge=1)
    """Episodes of each."""


class Variant(BaseModel):
    """One critic."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    label: str = Field(pattern=r"^[\w.-]+$")
    """Name in rows and tables."""
    head: HeadConfig = HeadConfig()
    """Readout, loss, backbone."""
    fit: dict[str, Any] = Field(default_factory=dict)
    """Changes to the grid's fit."""
    target_lam: float = Field(default=1.0, ge=0, le=1)
    """λ of its targets; below 1 they are computed anew, with its own values, before each pass."""
    cross_fit: bool = False
    """Value each fitted episode by a critic that was fitted to other folds."""


class CriticGrid(BaseModel):
    """A study, as its file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seeds: int = Field(ge=1)
    """Cells of each variant."""
    train: Size
    """Episodes of the fit, on training seeds."""
    held_out: Size
    """Episodes of the evaluation, on validation seeds."""
    token_budget: int = Field(default=2048, ge=64)
    """Most tokens of a forward pass."""
    folds: int = Field(default=3, ge=2)
    """Folds of cross-fitting."""
    fit: FitConfig = FitConfig(epochs=4, lr=1e-3)
    """Settings of every variant's fit."""
    variants: tuple[Variant, ...] = Field(min_length=1)
    """The critics."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A variant with a seed."""

    label: str
    seed: int

    @property
    def name(self) -> str:
        """Path of its row in the folder, without ending."""
        return f"measure/{self.label}-{self.seed}"


@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes with the exact V(s_t) at the algorithm's discount and the exact advantage at none."""

    trajectories: Sequence[Trajectory]
    values: Sequence[np.ndarray]
    advantages: Sequence[np.ndarray]


class CriticStudy:
    """A grid on a checkpoint in a folder. Raises ConfigError where the folder holds another, CheckpointError, UsageError."""

    def __init__(self, grid_file: Path, checkpoint: Path, out: Path) -> None:
        self.grid = validated(CriticGrid, read(grid_file, "grid"), f"{grid_file}: ")
        with RunFolder.open(checkpoint, write=False) as run:
            self._checkpoint = run.latest()
            self.config, algorithm_config = as_kept(run.config, run.path)
        self.gamma = discount(algorithm_config)
        for task in task_sets.choose(self.config.tasks):
            if registry.task(task).exact is None:
                raise ConfigError(f"{checkpoint}: nobody knows the exact values of {task}; train on tasks of the pack wizard")
        if self.config.rollout.grammar:
            raise ConfigError(f"{checkpoint}: exact values are those of a policy without a grammar; take a run with grammar=false")
        about = f"# checkpoint {checkpoint.name}, iteration {self._checkpoint.iteration}\n"
        self.out, self._cells = out, CellFolder(out, about.encode() + grid_file.read_bytes(), grid_file)

    @property
    def todo(self) -> list[Cell]:
        """The cells that are not finished, seeds outermost."""
        cells = [Cell(variant.label, seed) for seed in range(self.grid.seeds) for variant in self.grid.variants]
        return [cell for cell in cells if not self._cells.done(cell.name)]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the finished cells."""
        return self._cells.rows("measure/*")

    def plan(self) -> list[str]:
        """Cost of the study, and the share of it that is done."""
        grid, took = self.grid, [row["processor_seconds"] for row in self.rows()]
        each = f"{np.mean(took):.0f} s each (measured)" if took else "not timed yet: play one with --most 1"
        episodes = [size.instances * size.members for size in (grid.train, grid.held_out)]
        return [
            f"{len(grid.variants)} variants, {grid.seeds} seeds, {episodes[0]} episodes to fit to and {episodes[1]} to judge on",
            f"{len(took)} cells done, {len(self.todo)} left, {each}",
        ]

    def run(self, most: int | None = None, say: Callable[[str], None] = print) -> int:
        """Play open cells, at most `most`; returns the number played."""
        torch.set_num_threads(1)
        played = 0
        for cell, row in self._cells.play(self.todo, self._measure, most):
            played += 1
            say(f"{cell.name}: explains {row['truth']:.3f} of V on held-out instances, {row['processor_seconds']:.0f} s")
        return played

    # --- episodes --------------------------------------------------------------------------------------------------------

    def _source(self) -> PolicyModel:
        return PolicyModel.load(self._checkpoint.folder(layout.POLICY))

    def _episodes(self, seed: int) -> tuple[Episodes, Episodes]:
        """The episodes to fit to and to judge on, played and valued once for all variants of a seed."""
        name = f"data/{seed}"
        files = [self.out / f"{name}-{part}.jsonl" for part in ("train", "held_out")]
        if not self._cells.done(name):
            self._cells.keep(name, self._play(seed, files))
        truth = self._cells.rows(name)[0]
        found = []
        for part, file in zip(("train", "held_out"), files, strict=True):
            values, advantages = ([np.array(x) for x in truth[part][what]] for what in ("values", "advantages"))
            found.append(Episodes(load(file), values, advantages))
        return found[0], found[1]

    def _play(self, seed: int, files: Sequence[Path]) -> dict[str, Any]:
        source, config = self._source(), self.config
        sampling = Sampling(config.rollout.temperature, max_tokens=config.rollout.max_tokens)
        exact = ExactTruth(source, config.rollout.temperature, grammar=config.rollout.grammar)
        row: dict[str, Any] = {}
        parts: tuple[tuple[str, Size, task_sets.Split, Path], ...] = (
            ("train", self.grid.train, "train", files[0]),
            ("held_out", self.grid.held_out, "valid", files[1]),
        )
        with (
            LocalSampler(source.model, source.tokenizer, threads=1, block=source.read_in_blocks_of) as sampler,
            Arena(8, backend="text") as arena,
        ):
            policy = LanguagePolicy(source, sampler, sampling, seed_from("critic study", seed), grammar=config.rollout.grammar)
            for part, size, seeds, file in parts:
                played = [x for x in arena.collect(policy, self._keys(size, seeds, seed)) if learnable(x)]
                file.parent.mkdir(parents=True, exist_ok=True)
                own = file.with_suffix(f".{os.getpid()}")  # another process may play the same, and come to the same
                with TrajectoryStore(own) as store:
                    for x in played:
                        store.append(x)
                own.replace(file)
                discounted, plain = exact_rows(played, exact, self.gamma), exact_rows(played, exact, 1.0)
                row[part] = {"values": [x["values"] for x in discounted], "advantages": [x["advantages"] for x in plain]}
        return row

    def _keys(self, size: Size, split: task_sets.Split, seed: int) -> list[EpisodeKey]:
        seeds = task_sets.seeds_of(split)
        chosen = [seeds[seed_from("critic study", split, seed, n) % len(seeds)] for n in range(size.instances)]
        pairs = [(task, s) for s in chosen for task in task_sets.choose(self.config.tasks)]
        return [EpisodeKey(task, s, 0, group, member) for group, (task, s) in enumerate(pairs) for member in range(size.members)]

    # --- a cell ----------------------------------------------------------------------------------------------------------

    def _measure(self, cell: Cell) -> dict[str, Any]:
        began = time.process_time()
        variant = next(x for x in self.grid.variants if x.label == cell.label)
        train, held_out = self._episodes(cell.seed)
        fitter = Fitter(self._source(), variant, self.grid, self.gamma, cell.seed)
        critic = fitter.fitted(train.trajectories)
        apart = fitter.values(critic, held_out.trajectories)
        own = fitter.cross_fitted(train.trajectories) if variant.cross_fit else fitter.values(critic, train.trajectories)
        outcome, exact = (np.concatenate(x) for x in (monte_carlo_targets(train.trajectories, self.gamma), train.values))
        advantage = [gae(rewards(x), discounts(len(x), self.gamma), v, LAMBDA) for x, v in zip(train.trajectories, own, strict=True)]
        known = ~np.isnan(exact)
        return {
            "label": cell.label,
            "seed": cell.seed,
            **figures(Judged.of(held_out.trajectories, apart, self.gamma, held_out.values)),
            "own_truth": explained_variance(exact[known], np.concatenate(own)[known]),
            "memory": explained_variance(outcome[known], np.concatenate(own)[known]) - explained_variance(outcome[known], exact[known]),
            "slope": slope(np.concatenate(advantage)[known], np.concatenate(train.advantages)[known]),
            "processor_seconds": round(time.process_time() - began, 1),
        }

    def report(self) -> dict[str, Any]:
        """Results of the finished cells, with intervals over seeds where there are several."""
        labels = [variant.label for variant in self.grid.variants]
        by = {label: [row for row in self.rows() if row["label"] == label] for label in labels}
        names = ("truth", "truth_within", "explained", "calibration_error", "auc", "own_truth", "memory", "slope")

        def mean(x: np.ndarray) -> float:
            return float(np.mean(x))

        return {
            "variants": [
                {"label": label, "seeds": len(rows), **{name: interval(mean, np.array([row[name] for row in rows])) for name in names}}
                for label, rows in by.items()
                if rows
            ]
        }


def exact_rows(played: Sequence[Trajectory], exact: ExactTruth, gamma: float) -> list[dict[str, list[float]]]:
    """Exact values of each episode. Raises ConfigError for a policy with a memory or a grammar."""
    found = [exact.row(x, gamma) for x in played]
    known = [row for row in found if row is not None]
    if len(known) < len(found):
        raise ConfigError("exact values need a policy without memory or grammar: train with prompts.history = 0, prompts.errors = false")
    return known


class Fitter:
    """Fits one variant, and measures it."""

    def __init__(self, source: PolicyModel, variant: Variant, grid: CriticGrid, gamma: float, seed: int) -> None:
        self._source, self._variant, self._gamma, self._seed = source, variant, gamma, seed
        self._folds, self._budget = grid.folds, grid.token_budget
        self._head = variant.head.model_copy(update={"tail": prompt_tail(source)})
        self._fit = validated(FitConfig, {**grid.fit.model_dump(), **variant.fit}, f"variant {variant.label}: ")

    def _distinct(self, trajectories: Sequence[Trajectory]) -> Distinct:
        owners = [x.key.group for x in trajectories]
        return Distinct.of(trajectories, owners, with_action=self._head.readout == "action")

    def fitted(self, trajectories: Sequence[Trajectory], inside: Callable[[int], bool] = lambda owner: True) -> Critic:
        """A new critic, fitted to the episodes of the instances that are `inside`."""
        distinct = self._distinct(trajectories)
        model = copy.deepcopy(self._source.model) if self._head.backbone == "trunk" else self._source.model
        critic = Critic.of(model, self._head)
        rows = [row for row in distinct.rows if inside(int(distinct.owner[row.trajectory]))]
        chosen = [row.trajectory for row in rows]
        target = distinct.mean(monte_carlo_targets(trajectories, self._gamma))
        critic.set_bias(float(np.average(target[chosen], weights=distinct.count[chosen])))
        lam, passes = self._variant.target_lam, self._fit.epochs
        config = self._fit if lam == 1 else self._fit.model_copy(update={"epochs": 1})
        optimizer = CriticOptimizer(critic, config)
        for number in range(1 if lam == 1 else passes):
            if lam < 1:
                with optimizer.averaged():
                    values = self._read(critic, distinct)
                target = distinct.mean(lambda_returns(trajectories, values, self._gamma, lam))
            seed = seed_from(self._seed, number)
            fit(critic, rows, target, optimizer, self._packed, seed=seed, measured=False, weights=distinct.count)
        optimizer.settle()
        return critic

    def _packed(self, rows: Sequence[Row]) -> list[PackedBatch]:
        return pack(rows, self._budget)

    def values(self, critic: Critic, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
        """V(s_t) of each trajectory."""
        return self._read(critic, self._distinct(trajectories))

    def cross_fitted(self, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
        """V(s_t) of each trajectory from a critic that was fitted to the other folds' instances."""
        distinct = self._distinct(trajectories)
        found = np.full(len(distinct.count), np.nan)
        for fold in range(self._folds):
            critic = self.fitted(trajectories, lambda owner, fold=fold: owner % self._folds != fold)
            held = [row for row in distinct.rows if distinct.owner[row.trajectory] % self._folds == fold]
            values = self._predict(critic, held, len(found))
            found[~np.isnan(values)] = values[~np.isnan(values)]
        return distinct.per_trajectory(found)

    def _read(self, critic: Critic, distinct: Distinct) -> list[np.ndarray]:
        return distinct.per_trajectory(self._predict(critic, distinct.rows, len(distinct.count)))

    def _predict(self, critic: Critic, rows: Sequence[Row], count: int) -> np.ndarray:
        return predict(critic, pack(rows, 8192), count)


def tables(report: Mapping[str, Any]) -> list[Table]:
    """The report for a terminal."""
    names = ("truth", "truth_within", "explained", "calibration_error", "auc", "own_truth", "memory", "slope")
    shown = Table("variant", "seeds", *(name.replace("_", " ") for name in names), title="held out, then on the fitted episodes")
    for row in report["variants"]:
        shown.add_row(
            row["label"], str(row["seeds"]), *(said(row[name]) if row["seeds"] > 1 else f"{row[name]['mean']:.2f}" for name in names)
        )
    return [shown]
