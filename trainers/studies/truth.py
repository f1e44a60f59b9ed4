"""The truth about a run's credit: V, Q and advantage at the turns of recorded episodes, by branching and, where it can be had, exactly.

`truth.jsonl` beside the run gets one row per episode, in the shape of values.jsonl, so that the viewer shows both:

    iteration, policy_version   the checkpoint whose policy continues the episodes
    task_id, seed, group, member, trajectory_iteration   the recorded episode
    gamma, continuations        discount per turn, and the number of continuations of each state
    values, standard_errors     V(s_t) of each turn t; q, q_standard_errors: Q(s_t, a_t); advantages, advantage_standard_errors
    faults                      continuations that were lost (:mod:`webgym.rollout.branch`)
    exact                       {values, q, advantages} of tasks whose values are known exactly, for a policy without memory and without
                                a grammar; else null
    reward                      reward of the recorded episode

Fields that were not asked for are null. A later row for the same episode and checkpoint takes the place of an earlier one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from trainers.credit.algorithm import AlgorithmConfig, discount
from trainers.credit.credit import learnable
from trainers.critics.q_critic import ActionValueConfig
from trainers.models.model import end_ids
from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.models.shared_prompt import SharedPrompt, batches, shared_prompt_logprobs
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.runs.journal import Journal
from trainers.runs.run_folder import RunFolder
from trainers.samplers.local import LocalSampler
from trainers.training.kept import as_kept
from webgym.actions import render
from webgym.errors import UsageError
from webgym.packs import registry
from webgym.packs.recorded import recorded_task
from webgym.prompts.prompt import demonstration, prompt_of
from webgym.record import layout
from webgym.record.store import load
from webgym.rollout.arena import Arena
from webgym.rollout.branch import truth_row, truths
from webgym.task import Chances, ExactValues
from webgym.types import Action, Observation, Sampling, Trajectory, seed_from


@dataclass(frozen=True)
class Wanted:
    """Settings of the truth that is wanted. None stands for the newest iteration, the run's own discount and backend.

    `episodes` are spread over the iteration's groups; `turns` (all where empty) count from 0.
    """

    iteration: int | None = None
    episodes: int = 8
    turns: tuple[int, ...] = ()
    continuations: int = 32
    gamma: float | None = None
    backend: str | None = None
    sessions: int = 8
    seed: int = 0


def own_discount(config: AlgorithmConfig) -> float:
    """γ per turn of the values that a run's own critic fits, of actions or of states."""
    return config.q.gamma if isinstance(config, ActionValueConfig) else discount(config)


def find_truth(path: Path, wanted: Wanted, say: Callable[[str], None] = lambda words: None) -> list[dict[str, Any]]:
    """The rows that were added to the run's truth.jsonl. Raises UsageError, CheckpointError."""
    with RunFolder.open(path, write=False) as run:
        checkpoint = run.latest()
        settings, algorithm_config = as_kept(run.config, run.path)
        source = PolicyModel.load(checkpoint.folder(layout.POLICY))
        chosen = _episodes(run, wanted)
        for task_id in sorted({x.key.task_id for x in chosen}):
            recorded_task(task_id, run.path)
    gamma = own_discount(algorithm_config) if wanted.gamma is None else wanted.gamma
    rollout = settings.rollout
    sampling = Sampling(rollout.temperature, max_tokens=rollout.max_tokens)
    states = sum(len(set(wanted.turns) & set(range(len(x)))) if wanted.turns else len(x) for x in chosen)
    say(f"{len(chosen)} episodes, {states} turns, {wanted.continuations} continuations a state, policy of iteration {checkpoint.iteration}")
    with (
        LocalSampler(source.model, source.tokenizer, block=source.read_in_blocks_of) as sampler,
        Arena(wanted.sessions, backend=wanted.backend or settings.machine.backend) as arena,
    ):
        held, seed = rollout.grammar, seed_from(run.seed, "truth", wanted.seed)
        policy = LanguagePolicy(source, sampler, sampling, seed, grammar=held, episode_tokens=rollout.episode_tokens)
        found = truths(arena.collect, policy, chosen, wanted.continuations, gamma, wanted.turns)
    rows = []
    journal = Journal(run.path / layout.TRUTH)
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
            "exact": None if held else exact_row(x, source, chances, gamma),
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
    there = [layout.iteration_of(file.stem) for file in layout.trajectory_files(run.path)]
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
    return _row_of(x, task.exact(x.key.seed, chances, gamma))


def _row_of(x: Trajectory, known: ExactValues) -> dict[str, list[float]]:
    here = [known.get((turn.state_hash, number)) for number, turn in enumerate(x.turns)]
    v = [at.v if at else math.nan for at in here]
    q = [at.of(turn.action) if at else math.nan for at, turn in zip(here, x.turns, strict=True)]
    return {"values": v, "q": q, "advantages": [b - a for a, b in zip(v, q, strict=True)]}


Asked = Sequence[tuple[Observation, Sequence[Action]]]


class Remembered:
    """Chances that remember their first question and answer, so that values at another discount cost nothing."""

    def __init__(self, chances: Chances) -> None:
        self._chances = chances
        self.asked: Asked = ()
        self._answers: Sequence[Sequence[float]] = ()

    def __call__(self, asked: Asked) -> Sequence[Sequence[float]]:
        if not self.asked:
            self.asked, self._answers = tuple(asked), self._chances(asked)
        return self._answers


class ExactTruth:
    """:func:`exact_row` of many episodes of one policy: every instance is worked out once for each discount, and asked once."""

    def __init__(self, source: PolicyModel, temperature: float, *, grammar: bool = False) -> None:
        self._grammar = grammar
        self._source, self._chances = source, chances_of(source, temperature)
        self._asked: dict[tuple[str, int], Remembered] = {}
        self._known: dict[tuple[str, int, float], ExactValues] = {}

    def row(self, x: Trajectory, gamma: float) -> dict[str, list[float]] | None:
        """V, Q and advantage at the turns of an episode; None where they are not known, as for a policy under a grammar."""
        find, instance = registry.task(x.key.task_id).exact, (x.key.task_id, x.key.seed)
        if find is None or self._grammar or not self._source.prompts.memoryless:
            return None
        asked = self._asked.setdefault(instance, Remembered(self._chances))
        if (*instance, gamma) not in self._known:
            self._known[*instance, gamma] = find(x.key.seed, asked, gamma)
        return _row_of(x, self._known[*instance, gamma])


def chances_of(source: PolicyModel, temperature: float, token_budget: int = 8192) -> Chances:
    """The chance that the model writes each action, in any of its usual spellings, its end token included, at this temperature.

    Each spelling is scored with the tokens that the tokenizer gives it. The same text in other tokens counts as other text.
    """

    @torch.no_grad()
    def chances(asked: Sequence[tuple[Observation, Sequence[Action]]]) -> list[list[float]]:
        source.model.eval()
        shared_prompts, owners = shared_prompts_of(asked, source)
        logprobs = [x for batch in batches(shared_prompts, token_budget) for x in shared_prompt_logprobs(source.model, batch, temperature)]
        found = [[0.0] * len(actions) for _, actions in asked]
        for question, (texts, owner) in enumerate(zip(logprobs, owners, strict=True)):
            for logprob, action in zip(texts.tolist(), owner, strict=True):
                found[question][action] += math.exp(logprob)
        return found

    return chances


def shared_prompts_of(
    asked: Sequence[tuple[Observation, Sequence[Action]]], source: PolicyModel
) -> tuple[list[SharedPrompt], list[list[int]]]:
    """Prompt of each observation with all spellings of its actions, and the action of each spelling."""
    ends = end_ids(source.model, source.tokenizer)
    context = Context(source.tokenizer, source.prompts, ends)
    shared_prompts, owners = [], []
    for observation, actions in asked:
        spelt = [(number, text) for number, action in enumerate(actions) for text in spellings(action, observation, source)]
        written = tuple((*source.tokenizer(text, add_special_tokens=False)["input_ids"], ends[0]) for _, text in spelt)
        shared_prompts.append(SharedPrompt(context.ids(prompt_of(observation, (), source.prompts), ()), written))
        owners.append([number for number, _ in spelt])
    return shared_prompts, owners


def spellings(action: Action, observation: Observation, source: PolicyModel) -> list[str]:
    """Spellings of an action by the model: as it is taught to, with the mark of a thing that stands in the goal, and without."""
    return list(dict.fromkeys([demonstration(action, observation, source.prompts), render(action, source.prompts.dialect)]))
