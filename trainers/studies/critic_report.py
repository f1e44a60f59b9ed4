"""Quality of a checkpoint's critic on held-out data: other seeds, other wordings, other sites (`webgym critic`).

The checkpoint's policy plays, and its critic gives V(s_t) at every turn. The truth is exact where the task knows it and the policy has
no memory. Elsewhere, with continuations, it is by Monte Carlo (:mod:`webgym.rollout.branch`), and its noise is subtracted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from trainers import algorithms
from trainers.batches.packing import pack
from trainers.batches.rows import rows_of_all
from trainers.credit.algorithm import discount
from trainers.credit.credit import learnable
from trainers.critics.critic import Critic
from trainers.critics.fit import predict
from trainers.critics.valuation import split
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.runs.run_folder import RunFolder
from trainers.samplers.local import LocalSampler
from trainers.studies.critic_figures import FIGURES, Judged, quality
from trainers.studies.intervals import said
from trainers.studies.truth import ExactTruth
from trainers.training.kept import as_kept
from webgym.errors import CheckpointError
from webgym.packs import sets as task_sets
from webgym.packs.rehearsal import rehearse
from webgym.record import layout
from webgym.rollout.arena import Arena
from webgym.rollout.branch import truth_row, truths
from webgym.types import EpisodeKey, Sampling, Trajectory, seed_from


@dataclass(frozen=True)
class Wanted:
    """Episodes that the critic is tested on: `seeds` held-out instances of every task, `episodes` of each.

    `sites` are tasks beside the run's own. `continuations` of each state of `truth_episodes` episodes are played where the truth is not
    known exactly; 0 plays none. None stands for the run's own backend.
    """

    seeds: int = 20
    episodes: int = 2
    sites: tuple[str, ...] = ()
    continuations: int = 0
    truth_episodes: int = 8
    backend: str | None = None
    sessions: int = 8
    seed: int = 0


def critic_report(path: Path, wanted: Wanted, say: Callable[[str], None] = lambda words: None) -> dict[str, Any]:
    """The report as plain data. Raises CheckpointError where the checkpoint has no critic of states, UsageError."""
    torch.set_num_threads(1)
    with RunFolder.open(path, write=False) as run:
        checkpoint, (settings, algorithm_config) = run.latest(), as_kept(run.config, run.path)
        needs = algorithms.get(settings.algo).needs_values(algorithm_config)
        if needs not in ("turn", "token"):
            what = "has no critic" if not needs else "has a critic of actions; the report is on critics of states"
            raise CheckpointError(f"{path}: {settings.algo} {what}")
        source = PolicyModel.load(checkpoint.folder(layout.POLICY))
        critic = Critic.load(checkpoint.folder(layout.CRITIC), policy=source.model)
        run_seed = run.seed
    tasks, backend = settings.tasks, wanted.backend or settings.machine.backend
    sets: list[tuple[str, Sequence[str], task_sets.Split]] = [("seeds", tasks, "valid"), ("wordings", tasks, "test")]
    for site in wanted.sites:
        sets.append((site, (site,), "test"))
    gamma = discount(algorithm_config)
    found: dict[str, Any] = {"checkpoint": str(path), "iteration": checkpoint.iteration, "gamma": gamma, "sets": {}}
    for _, names, _ in sets:
        rehearse(task_sets.choose(names), backend)
    exact = ExactTruth(source, settings.rollout.temperature, grammar=settings.rollout.grammar)
    with (
        LocalSampler(source.model, source.tokenizer, threads=1, block=source.read_in_blocks_of) as sampler,
        Arena(wanted.sessions, backend=backend) as arena,
    ):
        sampling = Sampling(settings.rollout.temperature, max_tokens=settings.rollout.max_tokens)
        limits = {"grammar": settings.rollout.grammar, "episode_tokens": settings.rollout.episode_tokens}
        policy = LanguagePolicy(source, sampler, sampling, seed_from(run_seed, "critic", wanted.seed), **limits)
        for name, names, held_out in sets:
            played = [x for x in arena.collect(policy, _keys(names, held_out, wanted)) if learnable(x)]
            values = values_of(critic, played)
            truth, errors = _truth(arena, policy, exact, played, gamma, wanted)
            found["sets"][name] = quality(Judged.of(played, values, gamma, truth, errors))
            say(f"{name}: {len(played)} episodes of {', '.join(names)}")
    return found


def _keys(tasks: Sequence[str], held_out: task_sets.Split, wanted: Wanted) -> list[EpisodeKey]:
    seeds = task_sets.seeds_of(held_out)
    chosen = [seeds[seed_from("critic", wanted.seed, n) % len(seeds)] for n in range(wanted.seeds)]
    pairs = [(task, seed) for seed in chosen for task in task_sets.choose(tasks)]
    return [EpisodeKey(task, seed, 0, group, m) for group, (task, seed) in enumerate(pairs) for m in range(wanted.episodes)]


def values_of(critic: Critic, trajectories: Sequence[Trajectory], token_budget: int = 8192) -> list[np.ndarray]:
    """V(s_t) of each trajectory, [T_i]; a critic of tokens is read at each turn's last prompt token."""
    lengths = [len(x) for x in trajectories]
    return split(predict(critic, pack(rows_of_all(trajectories), token_budget), sum(lengths)), lengths)


def _truth(
    arena: Arena, policy: LanguagePolicy, known: ExactTruth, played: Sequence[Trajectory], gamma: float, wanted: Wanted
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """V(s_t) of each episode with its standard error; NaN where it is unknown."""
    truth, errors = [], []
    for x in played:
        exact = known.row(x, gamma)
        truth.append(np.array(exact["values"]) if exact else np.full(len(x), np.nan))
        errors.append(np.zeros(len(x)))
    unknown = [n for n, v in enumerate(truth) if np.isnan(v).all()][: wanted.truth_episodes if wanted.continuations else 0]
    if unknown:
        branched = truths(arena.collect, policy, [played[n] for n in unknown], wanted.continuations, gamma)
        for n, turns in zip(unknown, branched, strict=True):
            row = truth_row(played[n], turns)
            truth[n], errors[n] = np.array(row["values"]), np.array(row["standard_errors"])
    return truth, errors


def tables(report: dict[str, Any]) -> list[Table]:
    """The report for a terminal."""
    title = f"critic of iteration {report['iteration']}, discount {report['gamma']:g}"
    shown = Table("held out", "turns", "success", *(name.replace("_", " ") for name in FIGURES), title=title)
    for name, row in report["sets"].items():
        shown.add_row(name, f"{row['turns']:,}", f"{row['success']:.2f}", *(said(row[figure]) for figure in FIGURES))
    turns = Table("held out", "turn", "AUC", "turns to the end", "V − G", "RMS V − G", "RMS V − truth")
    for name, row in report["sets"].items():
        for n in range(max(len(row["auc_by_turn"]), len(row["by_distance"]))):
            ranked = f"{row['auc_by_turn'][n]:.2f}" if n < len(row["auc_by_turn"]) else ""
            near = row["by_distance"][n] if n < len(row["by_distance"]) else None
            off = [f"{near[k]:+.2f}" if k == "bias" else f"{near[k]:.2f}" for k in ("bias", "error", "truth_error")] if near else [""] * 3
            turns.add_row(name if n == 0 else "", str(n), ranked, str(n), *off)
    return [shown, turns]
