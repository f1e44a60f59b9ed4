"""A language model as a policy: observation → prompt → sampled ids → text. And how such a policy lies on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.context import Context
from trainers.grammar import grammar_for
from trainers.lora import LoraSettings, add_lora, has_lora
from trainers.model import Dtype, context_of, end_ids, folder_of, load
from trainers.samplers.sampling import Sampler
from webgym.errors import CheckpointError, UsageError, WebGymError
from webgym.prompt import PromptSettings, prompt_text
from webgym.types import Completion, EpisodeKey, Observation, Sampling, Turn, seed_from

SETTINGS_FILE = "webgym_prompt.json"
"""Beside the weights: the prompts that the model was trained on (:class:`webgym.prompt.PromptSettings`)."""


@dataclass(frozen=True)
class PolicyModel:
    """A causal language model with its tokenizer and the prompts it reads."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptSettings

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        device: str = "cpu",
        dtype: Dtype = "float32",
        lora: LoraSettings = LoraSettings(),  # noqa: B008
        seed: int = 0,
        gradient_checkpointing: bool = False,
    ) -> "PolicyModel":
        """A model folder, built-in name or hub name; one without prompt settings of ours is prompted in the chat style.

        `lora` with a rank puts an adapter on it, drawn by `seed`; a folder that holds an adapter brings its own, which is then all that
        is trained. `gradient_checkpointing` computes activations again in the backward pass instead of keeping them.
        Raises UsageError where there is no such model, CheckpointError where its prompt settings cannot be read.
        """
        model, tokenizer = load(name_or_path, device=device, dtype=dtype)
        if lora.rank or has_lora(model):
            add_lora(model, lora, seed)
        if gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        return cls(model, tokenizer, read_settings(Path(folder_of(name_or_path))))

    @property
    def read_in_blocks_of(self) -> int:
        """The size of the pieces in which a sampler should read prompts: small where prompts begin alike, 0 (in one) where they do not.

        The short prompts of the compact window differ from their second line on.
        """
        return 0 if self.prompts.style == "compact" and self.prompts.context == "window" else 128

    def save(self, folder: Path) -> None:
        """Write an HF folder that `from_pretrained` loads, with the prompt settings beside the weights."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / SETTINGS_FILE).write_text(json.dumps(self.prompts.to_json(), indent=2) + "\n", "utf-8")


def read_settings(folder: Path) -> PromptSettings:
    """The prompt settings in a model folder; the defaults where it has none. Raises CheckpointError where they are damaged."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return PromptSettings()
    try:
        return PromptSettings.from_json(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, WebGymError) as error:
        raise CheckpointError(f"{path}: expected the prompt settings of a WebGym model: {error}") from error


class LanguagePolicy:
    """Acts by sampling from a model; implements :class:`webgym.policy.Policy`.

    The random seed of a completion is a function of the run's seed, the episode's key and the turn, so an episode is the same
    whatever runs beside it. With `grammar`, answers are held to the action syntax, refs to those of the page that is shown.
    """

    def __init__(self, source: PolicyModel, sampler: Sampler, sampling: Sampling, run_seed: int = 0, *, grammar: bool = False) -> None:
        self.dialect = source.prompts.dialect
        self._prompts = source.prompts
        self._context = Context(source.tokenizer, source.prompts, end_ids(source.model, source.tokenizer))
        self._limit = context_of(source.model)
        self._sampler = sampler
        self._sampling = sampling
        self._run_seed = run_seed
        self._grammar = grammar

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """One completion. Raises UsageError where the page does not fit in the model's context, or nothing can be held to a grammar."""
        prompt, ids = self._prompt(observation, history, key, self._sampling.max_tokens)
        seed = seed_from(self._run_seed, "sample", key.task_id, key.seed, key.iteration, key.group, key.member, len(history))
        sampling = replace(self._sampling, grammar=grammar_for(observation, self._prompts)) if self._grammar else self._sampling
        drawn = await self._sampler.generate(ids, seed, sampling)
        return Completion(drawn.text, prompt, ids, drawn.ids, drawn.logprobs, sampling, drawn.version)

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        """What a critic reads at this observation, to which nothing is answered; raises as :meth:`act` does where it does not fit."""
        return self._prompt(observation, history, key, answer=0)[1]

    def _prompt(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey, answer: int) -> tuple[str, tuple[int, ...]]:
        prompt = prompt_text(observation, history, self._prompts)
        ids = self._context.ids(prompt, history)
        self._check(len(ids), answer, observation, key)
        return prompt, ids

    def _check(self, tokens: int, answer: int, observation: Observation, key: EpisodeKey) -> None:
        """Raises UsageError, naming the page, where prompt and answer do not fit in what the model can read."""
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
