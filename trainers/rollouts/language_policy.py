"""A language model as a policy: observation → prompt → sampled ids → text."""

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
    """

    def __init__(
        self, source: PolicyModel | Reader, sampler: Sampler, sampling: Sampling, run_seed: int = 0, *, grammar: bool = False
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

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """One completion. Raises UsageError where the page does not fit in the model's context, or the grammar cannot be applied."""
        prompt, ids = self._prompt(observation, history, key, self._sampling.max_tokens)
        pictures = self._context.key(prompt, history)
        seed = seed_from(self._run_seed, "sample", key.task_id, key.seed, key.iteration, key.group, key.member, len(history))
        sampling = replace(self._sampling, grammar=grammar_for(observation, self._prompts)) if self._grammar else self._sampling
        drawn = await self._sampler.generate(ids, seed, sampling, **picture_key(pictures))
        return Completion(drawn.text, prompt.text, ids, drawn.ids, drawn.logprobs, sampling, drawn.version, pictures)

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        """Prompt ids that a critic reads at this observation, without an answer. Raises as :meth:`act` does where they do not fit."""
        return self._prompt(observation, history, key, answer=0)[1]

    def _prompt(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey, answer: int) -> tuple[Prompt, tuple[int, ...]]:
        prompt = prompt_of(observation, history, self._prompts)
        ids = self._context.ids(prompt, history)
        self._check(len(ids), answer, observation, key)
        return prompt, ids

    def _check(self, tokens: int, answer: int, observation: Observation, key: EpisodeKey) -> None:
        """Raises UsageError, naming the page, where prompt and answer do not fit in the model's context."""
        need = tokens + answer
        if need <= self._limit:
            return
        lines = min(len(observation.nodes), self._prompts.max_nodes)
        conversation = self._prompts.context == "conversation"
        fewer = "prompts.context=window (a conversation keeps every page), " if conversation and observation.turn else ""
        raise UsageError(
            f"{key.task_id} (seed {key.seed}), turn {observation.turn}, {observation.url}: the prompt takes {tokens:,} tokens for "
            f"{lines} lines of the page and the answer up to {answer:,}, together {need:,}, but the model reads at most "
            f"{self._limit:,}; set {fewer}a smaller prompts.max_nodes (now {self._prompts.max_nodes}) or max_tokens, leave the task out, "
            "or take a model with a longer context"
        )
