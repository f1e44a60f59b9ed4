"""A language model as a policy: observation → prompt → sampled ids → text."""

import bisect
from collections.abc import Sequence
from dataclasses import replace

from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.models.reader import Reader
from trainers.models.token_grammar import grammar_for
from trainers.samplers.sampler import Sampler, picture_key
from webgym.errors import UsageError
from webgym.prompts.parts import Prompt
from webgym.prompts.prompt import prompt_of
from webgym.types import Completion, EpisodeKey, Observation, Sampling, Turn, seed_from


class LanguagePolicy:
    """Acts by sampling from a model; implements :class:`webgym.policies.policy.Policy`.

    The random seed of a completion is a function of the run's seed, the episode's key and the turn, so an episode does not
    depend on others beside it. With `grammar`, answers are constrained to the action syntax, refs to those of the page that is shown.

    A page is shown as far as it fits, in the model's context and in `page_tokens` of the prompt settings, and the cut is announced. A turn
    that no page fits in any more, or behind `episode_tokens` sampled tokens, gets an answer of no token whose text says why.
    """

    def __init__(
        self,
        source: PolicyModel | Reader,
        sampler: Sampler,
        sampling: Sampling,
        run_seed: int = 0,
        *,
        grammar: bool = False,
        episode_tokens: int | None = None,
    ) -> None:
        reader = source if isinstance(source, Reader) else Reader.of(source)
        self.dialect = reader.prompts.dialect
        self._prompts = reader.prompts
        self._context = Context(reader.tokenizer, reader.prompts, reader.ends)
        self._limit = reader.context
        self._sampler = sampler
        self._sampling = sampling
        self._run_seed = run_seed
        self._grammar = grammar
        self._episode_tokens = episode_tokens

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """One completion. Raises UsageError where not even the first prompt fits, or the grammar cannot be applied."""
        most = self._most_tokens(history)
        prompt, ids, lines = self._prompt(observation, history, key, max(most, 1))
        pictures = self._context.key(prompt, history)
        if problem := self._problem(len(ids), most, lines):
            version = history[-1].completion.policy_version if history else 0
            words = f"[no answer: {problem}]"
            return Completion(words, prompt.text, ids[: self._limit], sampling=self._sampling, policy_version=version, key=pictures)
        seed = seed_from(self._run_seed, "sample", key.task_id, key.seed, key.iteration, key.group, key.member, len(history))
        sampling = self._sampling if most == self._sampling.max_tokens else replace(self._sampling, max_tokens=most)
        sampling = replace(sampling, grammar=grammar_for(observation, self._prompts)) if self._grammar else sampling
        drawn = await self._sampler.generate(ids, seed, sampling, **picture_key(pictures))
        return Completion(drawn.text, prompt.text, ids, drawn.ids, drawn.logprobs, sampling, drawn.version, pictures)

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        """Prompt ids that a critic reads at this observation, without an answer, cut where they do not fit. Raises as :meth:`act` does."""
        return self._prompt(observation, history, key, answer=0)[1][: self._limit]

    def _most_tokens(self, history: Sequence[Turn]) -> int:
        """The most tokens of the next answer; 0 where the episode's are used up."""
        if self._episode_tokens is None:
            return self._sampling.max_tokens
        used = sum(len(turn.completion.action_ids) for turn in history)
        return max(0, min(self._sampling.max_tokens, self._episode_tokens - used))

    def _problem(self, tokens: int, most: int, lines: int) -> str:
        """The reason why no answer can be sampled, or ""."""
        if most == 0:
            return f"the {self._episode_tokens:,} tokens of the episode are used up"
        if tokens + most > self._limit:
            return f"the prompt takes {tokens:,} tokens (lines of the page: {lines}), and the model reads at most {self._limit:,}"
        return ""

    def _prompt(
        self, observation: Observation, history: Sequence[Turn], key: EpisodeKey, answer: int
    ) -> tuple[Prompt, tuple[int, ...], int]:
        """The prompt with as many lines of the page as fit beside an answer of this length, its ids, and that number of lines."""

        def cut(lines: int) -> tuple[Prompt, tuple[int, ...]]:
            prompt = prompt_of(observation, history, replace(self._prompts, max_nodes=lines))
            return prompt, self._context.ids(prompt, history)

        most = max(1, min(len(observation.nodes), self._prompts.max_nodes))
        prompt = prompt_of(observation, history, self._prompts)
        ids, room = self._context.ids(prompt, history), self._limit - answer
        if len(ids) <= room and not (self._prompts.page_tokens and most > 1):
            return prompt, ids, most
        least = cut(1)[1]
        if self._prompts.page_tokens:
            room = min(room, len(least) + self._prompts.page_tokens)
        if len(ids) <= room:
            return prompt, ids, most
        if len(least) > self._limit - answer and not history:
            self._refuse(len(least), answer, observation, key)
        fits = max(1, bisect.bisect_right(range(1, most), room, key=lambda lines: len(cut(lines)[1])))  # prompts grow with the lines shown
        while fits > 1 and len(cut(fits)[1]) > room:  # by a digit of the line that says how many are not shown, they need not
            fits -= 1
        return (*cut(fits), fits)

    def _refuse(self, tokens: int, answer: int, observation: Observation, key: EpisodeKey) -> None:
        """Raises UsageError, naming the page: no turn of such a run could be played."""
        raise UsageError(
            f"{key.task_id} (seed {key.seed}), turn {observation.turn}, {observation.url}: the prompt takes {tokens:,} tokens with one "
            f"line of the page and the answer up to {answer:,}, together {tokens + answer:,}, but the model reads at most "
            f"{self._limit:,}; set a smaller max_tokens, leave the task out, or take a model with a longer context"
        )
