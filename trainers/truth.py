"""The truth about a run's credit: V, Q and advantage at the turns of recorded episodes, by branching and, where it can be had, exactly.

`truth.jsonl` beside the run gets one row per episode, in the shape of values.jsonl, so that the viewer shows both:

    iteration, policy_version   the checkpoint whose policy continues the episodes
    task_id, seed, group, member, trajectory_iteration   the recorded episode
    gamma, continuations        discount per turn, and how many continuations there are of each state
    values, standard_errors     V(s_t) of each turn t; q, q_standard_errors: Q(s_t, a_t); advantages, advantage_standard_errors
    faults                      continuations that were lost (:mod:`webgym.branch`)
    exact                       {values, q, advantages} of tasks whose values are known exactly, for a policy without memory; else null
    reward                      how the recorded episode ended

What was not asked for is null. A later row for the same episode and checkpoint takes the place of an earlier one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from torch import Tensor
from transformers import PreTrainedModel

from trainers.context import Context
from trainers.credit import learnable
from trainers.journal import Journal
from trainers.learner import score
from trainers.model import action_logprobs, end_ids
from trainers.policy import LanguagePolicy, PolicyModel
from trainers.rows import PackedBatch, pack, rows_of_all
from trainers.run import RunFolder
from trainers.samplers.local import LocalSampler
from webgym import registry
from webgym.actions import render
from webgym.arena import Arena
from webgym.branch import truth_row, truths
from webgym.env import Backend
from webgym.errors import UsageError
from webgym.prompt import demonstration, prompt_text
from webgym.store import load
from webgym.task import Chances, ExactValues
from webgym.types import Action, Completion, EpisodeKey, Observation, Outcome, Sampling, Trajectory, Turn, seed_from

FILE = "truth.jsonl"


@dataclass(frozen=True)
class Wanted:
    """Which truth is wanted. None stands for: the newest iteration, the run's own discount and backend.

    `episodes` are spread over the iteration's groups; `turns` (all where empty) count from 0.
    """

    iteration: int | None = None
    episodes: int = 8
    turns: tuple[int, ...] = ()
    continuations: int = 32
    gamma: float | None = None
    backend: Backend | None = None
    sessions: int = 8
    seed: int = 0


def find_truth(path: Path, wanted: Wanted, say: Callable[[str], None] = lambda words: None) -> list[dict[str, Any]]:
    """The rows that were added to the run's truth.jsonl. Raises UsageError, CheckpointError."""
    with RunFolder.open(path, write=False) as run:
        checkpoint = run.latest()
        config = run.config
        source = PolicyModel.load(checkpoint.folder("policy"))
        chosen = _episodes(run, wanted)
    gamma = config["algorithm"].get("gamma", 1.0) if wanted.gamma is None else wanted.gamma
    sampling = Sampling(config["temperature"], max_tokens=config["max_tokens"])
    states = sum(len(set(wanted.turns) & set(range(len(x)))) if wanted.turns else len(x) for x in chosen)
    say(f"{len(chosen)} episodes, {states} turns, {wanted.continuations} continuations a state, policy of iteration {checkpoint.iteration}")
    with (
        LocalSampler(source.model, source.tokenizer) as sampler,
        Arena(wanted.sessions, backend=wanted.backend or config.get("backend", "browser")) as arena,
    ):
        policy = LanguagePolicy(source, sampler, sampling, seed_from(run.seed, "truth", wanted.seed))
        found = truths(arena.collect, policy, chosen, wanted.continuations, gamma, wanted.turns)
    rows = []
    journal = Journal(run.path / FILE)
    chances = chances_of(source, sampling.temperature)
    for x, turns in zip(chosen, found, strict=True):
        row = {
            "policy_version": checkpoint.iteration,
            "task_id": x.key.task_id,
            "seed": x.key.seed,
            "group": x.key.group,
            "member": x.key.member,
            "trajectory_iteration": x.key.iteration,
            "gamma": gamma,
            "continuations": wanted.continuations,
            **truth_row(x, turns),
            "exact": exact_row(x, source, chances, gamma),
            "reward": x.outcome.reward,
        }
        journal.append(checkpoint.iteration, row)
        rows.append(row)
    return rows


def table(row: dict[str, Any]) -> Table:
    """A row for a terminal: one line a turn, 95% intervals."""
    shown = Table(title=f"{row['task_id']} seed {row['seed']}, group {row['group']}, member {row['member']}: reward {row['reward']:g}")
    exact = row["exact"]
    for heading in ("turn", "V", "Q", "advantage", *(("exact V", "exact Q", "exact advantage") if exact else ())):
        shown.add_column(heading, justify="right")
    for t in range(len(row["values"])):
        pairs = [("values", "standard_errors"), ("q", "q_standard_errors"), ("advantages", "advantage_standard_errors")]
        cells = [f"{row[mean][t]:+.3f} ± {1.96 * row[error][t]:.3f}" for mean, error in pairs if not math.isnan(row[mean][t])]
        if cells:
            shown.add_row(str(t), *cells, *(f"{exact[name][t]:+.3f}" for name in ("values", "q", "advantages") if exact))
    return shown


def _episodes(run: RunFolder, wanted: Wanted) -> list[Trajectory]:
    """The episodes of the wanted iteration: the first member of every group, then the second ..."""
    there = sorted(int(file.stem.removeprefix("iter-")) for file in (run.path / "trajectories").glob("iter-*.jsonl"))
    if not there:
        raise UsageError(f"{run.path} has no trajectories to branch from: train it first")
    iteration = there[-1] if wanted.iteration is None else wanted.iteration
    if iteration not in there:
        raise UsageError(f"{run.path} has no trajectories of iteration {iteration}: it has those of {there[0]} to {there[-1]}")
    found = [x for x in load(run.trajectory_path(iteration)) if learnable(x)]
    return sorted(found, key=lambda x: (x.key.member, x.key.group))[: wanted.episodes]


# --- exact values ----------------------------------------------------------------------------------------------------------


def exact_row(x: Trajectory, source: PolicyModel, chances: Chances, gamma: float) -> dict[str, list[float]] | None:
    """V, Q and advantage at the turns of an episode, exactly; None where the task does not know them or the policy has a memory.

    NaN at a turn whose state no click leads to (a thing had the focus).
    """
    task = registry.task(x.key.task_id)
    if task.exact is None or not source.prompts.memoryless:
        return None
    known: ExactValues = task.exact(x.key.seed, chances, gamma)
    here = [known.get((turn.state_hash, number)) for number, turn in enumerate(x.turns)]
    v = [at.v if at else math.nan for at in here]
    q = [at.of(turn.action) if at else math.nan for at, turn in zip(here, x.turns, strict=True)]
    return {"values": v, "q": q, "advantages": [b - a for a, b in zip(v, q, strict=True)]}


def chances_of(source: PolicyModel, temperature: float, token_budget: int = 8192) -> Chances:
    """The chance that the model writes each action, in any of its usual spellings, its end token included, at this temperature.

    Each spelling is scored with the tokens that the tokenizer gives it; what the model could write with others counts as other text.
    """
    context = Context(source.tokenizer, source.prompts, end_ids(source.model, source.tokenizer))
    end = next(iter(end_ids(source.model, source.tokenizer)))

    def chances(asked: Sequence[tuple[Observation, Sequence[Action]]]) -> list[list[float]]:
        texts: list[tuple[int, int, Trajectory]] = []  # question, action, a one-turn episode of that spelling
        for question, (observation, actions) in enumerate(asked):
            prompt = prompt_text(observation, (), source.prompts)
            ids = context.ids(prompt, ())
            for number, action in enumerate(actions):
                for text in spellings(action, observation, source):
                    written = tuple(source.tokenizer(text, add_special_tokens=False)["input_ids"])
                    texts.append((question, number, _spelt(ids, (*written, end), temperature)))
        logprobs = _scored(source.model, [x for _, _, x in texts], temperature, token_budget)
        found = [[0.0] * len(actions) for _, actions in asked]
        for (question, number, _), values in zip(texts, logprobs, strict=True):
            found[question][number] += float(np.exp(values.sum()))
        return found

    return chances


def spellings(action: Action, observation: Observation, source: PolicyModel) -> list[str]:
    """How the model may write an action: as it is taught to, with the mark of a thing that stands in the goal, and without."""
    return list(dict.fromkeys([demonstration(action, observation, source.prompts), render(action, source.prompts.dialect)]))


def _spelt(prompt: tuple[int, ...], written: tuple[int, ...], temperature: float) -> Trajectory:
    completion = Completion("", "", prompt, written, (0.0,) * len(written), Sampling(temperature))
    turn = Turn(completion, "", "", 0.0, True, False, "", "")
    return Trajectory(EpisodeKey("", 0), "", (turn,), Outcome("success", 0.0))


def _scored(model: PreTrainedModel, texts: Sequence[Trajectory], temperature: float, token_budget: int) -> list[np.ndarray]:
    """log π of every token of the texts."""
    model.eval()
    batches = pack(rows_of_all(texts), token_budget)

    def forward(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        return action_logprobs(model, batch, temperature)

    return score(forward, batches, len(texts))
