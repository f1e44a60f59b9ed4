"""Demonstrations: oracles play, and each turn is recorded as the prompt a model would have seen and the text it should have written."""

import random
from collections import OrderedDict
from collections.abc import Sequence

from webgym.authoring.oracle import Remembering
from webgym.errors import JudgeFault
from webgym.packs import registry
from webgym.policies.recovery import Recovery
from webgym.policies.scripted import OraclePolicy, random_action
from webgym.prompts.prompt import demonstration, prompt_text
from webgym.prompts.settings import PromptSettings
from webgym.types import Action, Completion, EpisodeKey, Observation, Turn, seed_from


class Demonstrator(OraclePolicy):
    """An oracle that writes as a model with these prompt settings should.

    It may slip as people do: with chance `slips` a turn is a sensible action at random (:func:`webgym.policies.scripted.random_action`).
    `seed` says which turns those are. Afterwards an oracle that looks at the present page only goes on from what it then sees; one that
    remembers is led back first (:mod:`webgym.policies.recovery`). Where neither knows a way on, the rest is random too.
    """

    def __init__(self, prompts: PromptSettings, slips: float = 0.0, seed: int = 0) -> None:
        super().__init__(registry.task, prompts.dialect)
        self._prompts, self._slips, self._seed = prompts, slips, seed
        self._slipped: set[EpisodeKey] = set()
        self._ways: OrderedDict[EpisodeKey, Recovery] = OrderedDict()  # of oracles that remember

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The oracle's action, or a slip, with its prompt."""
        action = self._chosen(observation, key) if self._slips else self.action(observation, key)
        return Completion(demonstration(action, observation, self._prompts), prompt_text(observation, history, self._prompts))

    def _chosen(self, observation: Observation, key: EpisodeKey) -> Action:
        rng = random.Random(seed_from(self._seed, "slip", key.task_id, key.seed, key.group, key.member, observation.turn))
        slips = rng.random() < self._slips
        if observation.turn == 0:
            self._begin(key)
        meant = self._meant(observation, key)
        taken = random_action(observation, rng) if slips or meant is None else meant
        way = self._ways.get(key)
        if meant is None or taken != meant:
            self._slipped.add(key)
            if way and meant is not None:
                way.slip(observation, meant)
        elif way and not way.needed:
            way.took(observation, taken)
        return taken

    def _begin(self, key: EpisodeKey) -> None:
        self._slipped.discard(key)
        self._ways.pop(key, None)

    def _meant(self, observation: Observation, key: EpisodeKey) -> Action | None:
        """The action that it would take without a slip; None where an earlier slip has led it astray for good."""
        way = self._ways.get(key)
        try:
            if way is not None and way.needed:
                return way.step(observation)
            action = self.action(observation, key)
        except (JudgeFault, LookupError):
            if key not in self._slipped:
                raise
            return None
        if way is None and isinstance(self._oracles[key], Remembering):
            self._ways[key] = Recovery()
            if len(self._ways) > self._remembered:
                self._ways.popitem(last=False)
        return action


def demo_keys(tasks: Sequence[str], episodes: int, seeds: range, seed: int = 0) -> list[EpisodeKey]:
    """`episodes` demonstrations of each task, on seeds of the range drawn by `seed`."""
    return [
        EpisodeKey(task, seeds[seed_from(seed, "demo", task, number) % len(seeds)], group=number)
        for number in range(episodes)
        for task in tasks
    ]
