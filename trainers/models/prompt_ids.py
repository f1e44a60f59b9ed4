"""Prompts as token ids: the first prompt of an episode, and in a conversation the ids that follow an answer.

A conversation is built of ids, never of text: each prompt is the ids before it, the answer as it was sampled, and the ids of the new
message. So consecutive turns merge into one row of the trainer, and a sampler that keeps keys and values reads each page once.
"""

from collections.abc import Iterable, Sequence

from transformers import PreTrainedTokenizerBase

from trainers.models.chat_template import ChatTemplate, Said
from webgym.errors import UsageError
from webgym.prompts.parts import Prompt, continued_key
from webgym.prompts.settings import PromptSettings, continues
from webgym.types import Turn


class Context:
    """Ids and keys of prompts for one tokenizer and the prompts that its model reads.

    A chat template is used where there is one (:mod:`trainers.models.chat_template`); else a prompt begins as the tokenizer itself begins
    a text. Page text that spells a control token is read as text. The ids are of the texts only; the key says which pictures stand beside
    them, so that a sampler that cannot show them refuses. `ends` are further tokens that may end an answer, beside the template's and
    `eos_token`. Raises UsageError for `prompts.thinking` where it could do nothing.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompts: PromptSettings, ends: Iterable[int] = ()) -> None:
        self._template = ChatTemplate(tokenizer, thinking=prompts.thinking != "off")
        self._prompts = prompts
        self._ends = frozenset([*ends, self._end, *self._template.ends])
        if prompts.thinking == "forget" or (prompts.thinking == "on" and not self._template.asks_thinking):
            self.check_thinking(f"prompts.thinking={prompts.thinking}", "set it to off")

    def ids(self, prompt: Prompt, history: Sequence[Turn]) -> tuple[int, ...]:
        """The ids that the model reads at this turn: `prompt` alone, or behind the conversation so far.

        Raises UsageError where the turn before was not a model's, so that there are no ids to go on from.
        """
        if not continues(history, self._prompts):
            return self.first(prompt)
        last = history[-1].completion
        if not last.prompt_ids:
            raise UsageError("a conversation goes on from the ids of its last turn, and that turn has none: it was not played by a model")
        said = last.action_ids if self._prompts.thinking != "forget" else self._without_thinking(last.action_ids)
        return (*last.prompt_ids, *said, *self.following(prompt, said))

    def key(self, prompt: Prompt, history: Sequence[Turn]) -> str:
        """The identity of the pictures that the model is shown at this turn, those of the conversation so far included; "" without any."""
        return continued_key(history[-1].completion.key, prompt.key) if continues(history, self._prompts) else prompt.key

    def first(self, prompt: Prompt) -> tuple[int, ...]:
        """The ids of the first prompt."""
        if not self._template:
            return (*self._template.beginning, *self._template.plain(prompt.text))
        return self._template.first(_messages(prompt))

    def following(self, prompt: Prompt, action_ids: Sequence[int]) -> tuple[int, ...]:
        """The ids that follow an answer in a conversation; its end token too, where the answer was cut before it."""
        closing = () if action_ids and action_ids[-1] in self._ends else (self._end,)
        if not self._template:
            return (*closing, *self._template.plain(f"\n{prompt.text}"))
        return (*closing, *self._template.following(_messages(prompt)))

    def thinking(self, action_ids: Sequence[int]) -> int:
        """Number of tokens of an answer that are its block of thinking, the closing tag included; all of one that was never closed.

        A block is open from the prompt on, or from the answer's first word on. 0 where the answer holds no such block, or the tokenizer has
        no token for its end. A tag behind an action opens nothing: the action stands.
        """
        begin, end = self._template.thinking_begins, self._template.thinking_ends
        if end is None:
            return 0
        closed = next((i for i in range(len(action_ids), 0, -1) if action_ids[i - 1] == end), 0)  # the last: a block may speak of blocks
        rest = action_ids[closed:]
        opened = self._template.opens_thinking and not closed
        if begin is not None and begin in rest:
            opened = opened or self._template.is_blank(rest[: rest.index(begin)])
        return len(action_ids) if opened else closed

    def check_thinking(self, setting: str, remedy: str) -> None:
        """Raises UsageError for a setting that tells thinking from actions, where the tokenizer has no token that closes a block."""
        if self._template.thinking_ends is None:
            raise UsageError(
                f"{setting}: expected a tokenizer with the token </think>, got one without, so that thinking cannot be told from actions; "
                f"{remedy}, or take a model that thinks"
            )

    def _without_thinking(self, action_ids: tuple[int, ...]) -> tuple[int, ...]:
        """An answer as later prompts hold it; where the prompt before it opened a block, a closing tag stands there."""
        end = self._template.thinking_ends
        closing = (end,) if end is not None and self._template.opens_thinking else ()
        return (*closing, *action_ids[self.thinking(action_ids) :])

    def completion(self, text: str) -> tuple[int, ...]:
        """The ids of a demonstrated answer, with its end and what the template writes around it; a sampled one has its ids already."""
        return (*self._template.answer(text), self._end)

    @property
    def _end(self) -> int:
        if self._template.end is None:
            raise UsageError("the tokenizer names no end-of-sequence token, so that an answer could never end; set eos_token")
        return self._template.end


def _messages(prompt: Prompt) -> list[Said]:
    return [(message.role, message.text) for message in prompt.messages]
