"""Prompts as token ids: the first prompt of an episode, and in a conversation the ids that follow an answer.

A conversation is built of ids, never of text: each prompt is the ids before it, the answer as it was sampled, and the ids of the new
message. So consecutive turns merge into one row of the trainer, and a sampler that keeps keys and values reads each page once.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from webgym.errors import UsageError
from webgym.prompts.parts import Prompt, continued_key
from webgym.prompts.settings import PromptSettings, continues
from webgym.types import Turn, well_formed

ANSWER = "answer-5d1f"  # stands for the model's answer when a chat template is asked what comes behind one

_TAG = re.compile(r"<[^\s<>]+>|\[[^\s\[\]]+\]|\{[^\s{}]+\}")


class Context:
    """Ids and keys of prompts for one tokenizer and the prompts that its model reads.

    A chat template is used where there is one. Page text that spells a special token is read as text. The ids are of the texts only;
    the key says which pictures stand beside them, so that a sampler that cannot show them refuses.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompts: PromptSettings, ends: Iterable[int] = ()) -> None:
        self._tokenizer: Any = tokenizer
        self._prompts = prompts
        self._ends = frozenset([*ends, self._tokenizer.eos_token_id])  # what may end an answer

    def ids(self, prompt: Prompt, history: Sequence[Turn]) -> tuple[int, ...]:
        """The ids that the model reads at this turn: `prompt` alone, or behind the conversation so far.

        Raises UsageError where the turn before was not a model's, so that there are no ids to go on from.
        """
        if not continues(history, self._prompts):
            return self.first(prompt)
        last = history[-1].completion
        if not last.prompt_ids:
            raise UsageError("a conversation goes on from the ids of its last turn, and that turn has none: it was not played by a model")
        return (*last.prompt_ids, *last.action_ids, *self.following(prompt, last.action_ids))

    def key(self, prompt: Prompt, history: Sequence[Turn]) -> str:
        """The identity of the pictures that the model is shown at this turn, those of the conversation so far included; "" without any."""
        return continued_key(history[-1].completion.key, prompt.key) if continues(history, self._prompts) else prompt.key

    def first(self, prompt: Prompt) -> tuple[int, ...]:
        """The ids of the first prompt."""
        if not self._tokenizer.chat_template:
            return self._plain(_spelled_out(prompt.text, self._tags))
        text = self._templated(self._harmless(prompt))
        return tuple(self._tokenizer(well_formed(text), add_special_tokens=False)["input_ids"])

    def following(self, prompt: Prompt, action_ids: Sequence[int]) -> tuple[int, ...]:
        """The ids that follow an answer in a conversation; its end token too, where the answer was cut before it."""
        end = cast(int, self._tokenizer.eos_token_id)
        closing = () if action_ids and action_ids[-1] in self._ends else (end,)
        if not self._tokenizer.chat_template:
            return (*closing, *self._plain(_spelled_out(f"\n{prompt.text}", self._tags)))
        before = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ANSWER}]
        _, found, text = self._templated([*before, *self._harmless(prompt)]).partition(ANSWER)
        if not found:
            raise UsageError(
                "the model's chat template drops earlier answers, so that no conversation can go on: set prompts.context=window"
            )
        text = text.lstrip(" ").removeprefix(self._tokenizer.eos_token)
        return (*closing, *self._tokenizer(well_formed(text), add_special_tokens=False)["input_ids"])

    def completion(self, text: str) -> tuple[int, ...]:
        """The ids of a demonstrated answer, its end included; a sampled one has its ids already."""
        return (*self._plain(text), cast(int, self._tokenizer.eos_token_id))

    def _plain(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(well_formed(text), add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def _templated(self, messages: Sequence[Mapping[str, str]]) -> str:
        return self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)

    def _harmless(self, prompt: Prompt) -> list[dict[str, str]]:
        """The messages with a space inside any text that spells a control token, so that no page can end a turn or begin one."""
        contents = [_spelled_out(message.text, (*self._special, *self._tags)) for message in prompt.messages]
        return [{"role": message.role, "content": content} for message, content in zip(prompt.messages, contents, strict=True)]

    @cached_property
    def _special(self) -> tuple[str, ...]:
        added = self._tokenizer.added_tokens_decoder.values()
        return tuple(token.content for token in added if token.special and len(token.content) > 1)

    @cached_property
    def _tags(self) -> tuple[str, ...]:
        """Added tokens such as <think> and <tool_call>, which mean more than their letters and which some tokenizers call not special."""
        added = self._tokenizer.added_tokens_decoder.values()
        return tuple(token.content for token in added if not token.special and _TAG.fullmatch(token.content))


def _spelled_out(text: str, tokens: Iterable[str]) -> str:
    """The text with a space inside each of these tokens."""
    for token in tokens:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
