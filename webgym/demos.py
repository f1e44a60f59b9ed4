"""Demonstrations: oracles play, and each turn is recorded as the prompt a model would have seen and what it should have written."""

from collections.abc import Sequence

from webgym import registry
from webgym.policy import OraclePolicy
from webgym.prompt import PromptSettings, demonstration, prompt_text
from webgym.types import Completion, EpisodeKey, Observation, Turn, seed_from


class Demonstrator(OraclePolicy):
    """An oracle that writes as a model with these prompt settings should."""

    def __init__(self, prompts: PromptSettings) -> None:
        super().__init__(registry.task, prompts.dialect)
        self._prompts = prompts

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The oracle's action with its prompt."""
        action = self.action(observation, key)
        return Completion(demonstration(action, observation, self._prompts), prompt_text(observation, history, self._prompts))


def demo_keys(tasks: Sequence[str], episodes: int, seeds: range, seed: int = 0) -> list[EpisodeKey]:
    """`episodes` demonstrations of each task, on seeds of the range drawn by `seed`."""
    return [
        EpisodeKey(task, seeds[seed_from(seed, "demo", task, number) % len(seeds)], group=number)
        for number in range(episodes)
        for task in tasks
    ]
