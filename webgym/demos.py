"""Demonstrations: oracles play, and each turn is recorded as the prompt a model would have seen and what it should have written."""

import random
from collections.abc import Sequence

from webgym import registry
from webgym.errors import JudgeFault
from webgym.policy import OraclePolicy, random_action
from webgym.prompt import PromptSettings, demonstration, prompt_text
from webgym.types import Action, Completion, EpisodeKey, Observation, Turn, seed_from


class Demonstrator(OraclePolicy):
    """An oracle that writes as a model with these prompt settings should.

    It may slip as people do: with chance `slips` a turn is a sensible action at random (:func:`webgym.policy.random_action`), after
    which the oracle goes on from what it then sees. `seed` says which turns those are.
    """

    def __init__(self, prompts: PromptSettings, slips: float = 0.0, seed: int = 0) -> None:
        super().__init__(registry.task, prompts.dialect)
        self._prompts, self._slips, self._seed = prompts, slips, seed
        self._slipped: set[EpisodeKey] = set()

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The oracle's action, or a slip, with its prompt."""
        action = self._chosen(observation, key)
        return Completion(demonstration(action, observation, self._prompts), prompt_text(observation, history, self._prompts))

    def _chosen(self, observation: Observation, key: EpisodeKey) -> Action:
        if not self._slips:
            return self.action(observation, key)
        rng = random.Random(seed_from(self._seed, "slip", key.task_id, key.seed, key.group, key.member, observation.turn))
        slips = rng.random() < self._slips
        if observation.turn == 0:
            self._slipped.discard(key)
        try:
            action = self.action(observation, key)
        except JudgeFault:
            if key not in self._slipped:
                raise
            slips = True  # a slip has led the oracle where it knows no way on
        if slips:
            self._slipped.add(key)
        return random_action(observation, rng) if slips else action


def demo_keys(tasks: Sequence[str], episodes: int, seeds: range, seed: int = 0) -> list[EpisodeKey]:
    """`episodes` demonstrations of each task, on seeds of the range drawn by `seed`."""
    return [
        EpisodeKey(task, seeds[seed_from(seed, "demo", task, number) % len(seeds)], group=number)
        for number in range(episodes)
        for task in tasks
    ]
