"""A policy that draws several completions and performs the one that a critic values most."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from trainers.critics.valuer import Best
from webgym.rollout.contract import PromptReader
from webgym.types import Completion, EpisodeKey, Observation, Turn, seed_from


class BestOf:
    """Implements :class:`webgym.policies.policy.Policy` over proposers that differ in their seeds only.

    With chance `explore` the first proposal is taken unseen. Which turns those are is a function of seed, episode and turn.
    """

    def __init__(self, proposers: Sequence[PromptReader], best: Best, explore: float = 0.0, run_seed: int = 0) -> None:
        self.dialect = proposers[0].dialect
        self._proposers, self._best, self._explore, self._run_seed = proposers, best, explore, run_seed

    @classmethod
    def of(cls, proposer: Callable[[int], PromptReader], count: int, best: Best, explore: float = 0.0, run_seed: int = 0) -> "BestOf":
        """A policy over `count` proposers made from their seeds. The first has the run's own seed, so it proposes as if alone."""
        seeds = [run_seed, *(seed_from(run_seed, "proposal", n) for n in range(1, count))]
        return cls([proposer(seed) for seed in seeds], best, explore, run_seed)

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The best of the proposals."""
        drawn = await asyncio.gather(*(proposer.act(observation, history, key) for proposer in self._proposers))
        place = (key.task_id, key.seed, key.iteration, key.group, key.member, len(history))
        if np.random.default_rng(seed_from(self._run_seed, "explore", *place)).random() < self._explore:
            return drawn[0]
        return drawn[await asyncio.to_thread(self._best, drawn[0].prompt_ids, [d.action_ids for d in drawn])]

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        """The prompt that all proposers read at this observation."""
        return self._proposers[0].prompt_ids(observation, history, key)
