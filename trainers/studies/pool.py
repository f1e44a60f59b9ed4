"""The episodes that estimators are compared on: played without a browser, with true advantages, exact gradient and critics.

A pool has `instances` seeds of one task and `members` episodes of each. Values, advantages and the gradient of success are exact
(:mod:`trainers.studies.exact_gradient`); the scores ∇log π of all turns are kept as sketches, one for each text after a prompt.

There are three critics. "exact" is V(s), which also knows the mistakes that no page shows yet. "seen" is E[V | observation], the best
possible value of any critic. "learned" is our critic, cross-fitted, so that it values the episodes of a seed after a fit to other folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from trainers.batches.distinct_turns import Distinct
from trainers.batches.packing import pack
from trainers.credit.calibration import explained_variance
from trainers.credit.credit import cross_fit_folds, learnable, monte_carlo_targets
from trainers.critics.critic import Critic, HeadConfig
from trainers.critics.fit import CriticOptimizer, FitConfig, fit, predict
from trainers.models.policy_model import PolicyModel
from trainers.models.shared_prompt import Ids, SharedPrompt
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers.local import LocalSampler
from trainers.studies.advantage_figures import Visits
from trainers.studies.exact_gradient import Exact, Sketch, exact_gradient, scores
from trainers.studies.truth import Remembered, chances_of
from webgym.errors import ConfigError
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.rollout.arena import Arena
from webgym.types import EpisodeKey, Group, Sampling, Trajectory, seed_from


def play(source: PolicyModel, task_id: str, seed: int, instances: int, members: int, temperature: float, max_tokens: int) -> list[Group]:
    """The episodes of each instance, faulted ones left out."""
    train = task_sets.seeds_of("train")
    seeds = [train[seed_from("estimators", task_id, seed, i) % len(train)] for i in range(instances)]
    keys = [EpisodeKey(task_id, s, seed, i, m) for i, s in enumerate(seeds) for m in range(members)]
    sampling = Sampling(temperature, max_tokens=max_tokens)
    with (
        LocalSampler(source.model, source.tokenizer, threads=1, block=source.read_in_blocks_of) as sampler,
        Arena(8, backend="text") as arena,
    ):
        played = arena.collect(LanguagePolicy(source, sampler, sampling, seed), keys)
    return [[x for x in played[i * members : (i + 1) * members] if learnable(x)] for i in range(instances)]


@dataclass(frozen=True, eq=False)
class Pool:
    """`episodes` by instance, with the exact knowledge of each instance by discount."""

    source: PolicyModel
    temperature: float
    episodes: Sequence[Group]
    exact: dict[float, list[Exact]]

    @classmethod
    def of(cls, source: PolicyModel, temperature: float, episodes: Sequence[Group], gammas: Sequence[float]) -> "Pool":
        """The pool with exact values at these discounts. Raises ConfigError for a task or a policy whose values are unknown."""
        if not source.prompts.memoryless:
            raise ConfigError("exact values need a policy without memory: set prompts.history = 0 and prompts.errors = false")
        chances = chances_of(source, temperature)
        exact: dict[float, list[Exact]] = {gamma: [] for gamma in (1.0, *gammas)}
        for group in episodes:
            key = group[0].key
            find = registry.task(key.task_id).exact
            if find is None:
                raise ConfigError(f"{key.task_id}: nobody knows its exact values; take tasks of the pack wizard")
            remembered = Remembered(chances)
            for gamma in exact:
                values = find(key.seed, remembered, gamma)
                exact[gamma].append(Exact(values, remembered.asked))
        return cls(source, temperature, episodes, exact)

    @cached_property
    def flat(self) -> list[Trajectory]:
        """All episodes, instance after instance."""
        return [x for group in self.episodes for x in group]

    @cached_property
    def instance(self) -> list[int]:
        """Number of each episode's instance."""
        return [i for i, group in enumerate(self.episodes) for _ in group]

    @cached_property
    def visits(self) -> Visits:
        """All turns with their true advantages, at discount 1."""
        truth, state, pair, turn = [], [], [], []
        states: dict[object, int] = {}
        pairs: dict[object, int] = {}
        for i, x in zip(self.instance, self.flat, strict=True):
            for t, step in enumerate(x.turns):
                here = self.exact[1.0][i].values.get((step.state_hash, t))
                name = (i, step.state_hash, t)
                truth.append(here.of(step.action) - here.v if here else 0.0)
                state.append(states.setdefault(name, len(states)))
                pair.append(pairs.setdefault((name, step.action), len(pairs)))
                turn.append(t)
        return Visits(*(np.array(x) for x in (truth, state, pair, turn)))

    @property
    def success(self) -> float:
        """The policy's exact success, mean over instances."""
        starts = (here.v for exact in self.exact[1.0] for (_, turn), here in exact.values.items() if turn == 0)
        return float(np.mean(list(starts)))

    # --- critics ---------------------------------------------------------------------------------------------------------

    def known_values(self, what: str, gamma: float) -> list[np.ndarray]:
        """V(s_t) of each episode by the exact critic, or by the best one that sees the observation only."""
        seen = [exact.seen() for exact in self.exact[gamma]] if what == "seen" else []
        found = []
        for i, x in zip(self.instance, self.flat, strict=True):
            exact = self.exact[gamma][i]
            here = [exact.values.get((step.state_hash, t)) for t, step in enumerate(x.turns)]
            found.append(np.array([(seen[i].get(v.question, v.v) if seen else v.v) if v else 0.0 for v in here]))
        return found

    def learned_values(self, gamma: float, folds: int, config: FitConfig, head: HeadConfig, budget: int, seed: int) -> list[np.ndarray]:
        """V(s_t) of each episode from a critic that was fitted to the other folds' instances."""
        fold_of = cross_fit_folds(self.episodes, folds, seed)
        distinct = Distinct.of(self.flat, self.instance)
        target, count = distinct.mean(monte_carlo_targets(self.flat, gamma)), distinct.count
        fold = fold_of[distinct.owner]
        values = np.full(len(count), np.nan)
        for k in range(folds):
            inside, outside = ([row for row in distinct.rows if (fold[row.trajectory] == k) == wanted] for wanted in (True, False))
            critic = Critic.of(self.source.model, head)
            critic.set_bias(float(np.average(target[fold != k], weights=count[fold != k])))
            optimizer = CriticOptimizer(critic, config)
            fit(critic, outside, target, optimizer, partial(pack, token_budget=budget), seed=seed, measured=False, weights=count)
            optimizer.settle()
            values[fold == k] = predict(critic, pack(inside, 8192), len(count))[fold == k]
        return distinct.per_trajectory(values)

    def critic_quality(self, values: Sequence[np.ndarray], gamma: float) -> float:
        """Explained variance of the exact V(s_t) by a critic's, over the turns of the pool."""
        return explained_variance(np.concatenate(self.known_values("exact", gamma)), np.concatenate(values))

    # --- gradients -------------------------------------------------------------------------------------------------------

    @cached_property
    def texts(self) -> tuple[list[SharedPrompt], np.ndarray]:
        """The prompts with the texts that were written after them, and the number of each turn's text among all."""
        written = [step.completion for x in self.flat for step in x.turns]
        found: dict[tuple[Ids, str], dict[Ids, None]] = {}
        for one in written:
            found.setdefault((one.prompt_ids, one.key), {})[one.action_ids] = None
        place = {name: n for n, name in enumerate((*prompt, text) for prompt, texts in found.items() for text in texts)}
        shared_prompts = [SharedPrompt(ids, tuple(texts)) for (ids, _), texts in found.items()]
        return shared_prompts, np.array([place[one.prompt_ids, one.key, one.action_ids] for one in written])

    def gradients(self, size: int, seed: int) -> "Gradients":
        """Inner products of all scores, and of the exact gradient (mean over instances) with them."""
        sketch = Sketch(self.source.model, size, seed)
        table = torch.cat(scores(self.source, self.texts[0], self.temperature, sketch)) if self.texts[0] else torch.zeros(0, size)
        exact: Tensor = torch.stack([exact_gradient(self.source, x, self.temperature, sketch) for x in self.exact[1.0]]).mean(0)
        return Gradients((table @ table.T).double().numpy(), (table @ exact).double().numpy(), float(exact.double() @ exact.double()))


@dataclass(frozen=True, eq=False)
class Gradients:
    """`gram`: inner products of the scores of all texts; `with_exact`: theirs with the exact gradient; `exact`: its squared length."""

    gram: np.ndarray
    with_exact: np.ndarray
    exact: float
