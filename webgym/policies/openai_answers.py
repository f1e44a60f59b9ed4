"""Answers of servers of the OpenAI protocol, and which answers to a completion of token ids cannot be right.

Unknown fields are the server's own. A field that a server leaves out is not missed.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, StrictInt, field_validator

LEAST_LOGPROB = -100.0
"""A token of e⁻¹⁰⁰ is never sampled; vLLM writes −9999 for the logarithm of 0."""
TOLERANCE = 1e-3  # of a log-probability of 0, in a server's 16 bits

Ids = tuple[StrictInt, ...]  # "7", 7.0 and true are no token ids
Logprob = Annotated[float, Strict()]


class Answer(BaseModel):
    """Contents that an answer may have."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Function(Answer):
    """A function that the model calls, and its arguments, as JSON or as an object."""

    name: str = ""
    arguments: str | dict[str, Any] | None = None


class ToolCall(Answer):
    """A tool call of a message."""

    function: Function | None = None


class Message(Answer):
    """The model's message in a chat."""

    content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    function_call: Function | None = None  # the older form
    reasoning_content: str | None = None  # vLLM, SGLang, DeepSeek
    reasoning: str | None = None  # OpenRouter, newer vLLM

    @field_validator("content", mode="before")
    @classmethod
    def _joined(cls, content: object) -> object:
        """The text of a content in parts, as some servers give it."""
        if isinstance(content, list) and all(isinstance(part, dict) and isinstance(part.get("text", ""), str) for part in content):
            return "".join(part.get("text", "") for part in content)
        return content

    @property
    def call(self) -> str:
        """The first tool call in the `json` dialect's form: later ones were written without having seen what the first does."""
        called = [each.function for each in self.tool_calls or () if each.function] or ([self.function_call] if self.function_call else [])
        return json.dumps({"name": called[0].name, "arguments": called[0].arguments or {}}, ensure_ascii=False) if called else ""


class TokenLogprob(Answer):
    """The log-probability of a token of a chat."""

    logprob: Logprob


class ChatLogprobs(Answer):
    """The log-probabilities of a message."""

    content: tuple[TokenLogprob, ...] | None = None


class ChatChoice(Answer):
    """One answer of a chat."""

    message: Message
    finish_reason: str | None = None
    token_ids: Ids | None = None
    logprobs: ChatLogprobs | None = None


class Chat(Answer):
    """The answer to chat messages."""

    choices: tuple[ChatChoice, ...] = Field(min_length=1)
    prompt_token_ids: Ids | None = None


class TextLogprobs(Answer):
    """The log-probabilities of a completion and the tokens that they are of."""

    token_logprobs: tuple[Logprob | None, ...] | None = None
    tokens: tuple[str | None, ...] | None = None  # pieces of text, or token_id:7

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids that stand in place of pieces (vLLM's return_tokens_as_token_ids); none where pieces do."""
        found = [re.fullmatch(r"token_id:(\d+)", piece or "") for piece in self.tokens or ()]
        return tuple(int(each[1]) for each in found if each) if all(found) else ()


class TextChoice(Answer):
    """One continuation of a prompt."""

    text: str
    index: int | None = None
    finish_reason: str | None = None
    token_ids: Ids | None = None
    prompt_token_ids: Ids | None = None
    logprobs: TextLogprobs | None = None

    @property
    def pieces(self) -> tuple[str, ...]:
        """The texts beside the log-probabilities, "" for one that is missing; none where the server gives none or ids."""
        return tuple(piece or "" for piece in self.logprobs.tokens or ()) if self.logprobs and not self.logprobs.ids else ()


class Usage(Answer):
    """The tokens that a server has counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Text(Answer):
    """The answer to a prompt of token ids."""

    choices: tuple[TextChoice, ...] = Field(min_length=1)
    model: str | None = None
    prompt_token_ids: Ids | None = None  # here or in the choice
    usage: Usage | None = None


class Listed(Answer):
    """A model in a list."""

    id: str


class Models(Answer):
    """The list of models."""

    data: tuple[Listed, ...]


# --- what cannot be right -----------------------------------------------------------------------------------------------------


def wrong_logprobs(logprobs: Sequence[float]) -> str:
    """The log-probability of a sampled token that cannot be one, and what was expected; "" where all can.

    >>> wrong_logprobs([-0.5, 0.7])
    'the log-probability 0.7: expected a number of at most 0'
    """
    if nonsense := [p for p in logprobs if not math.isfinite(p) or p > TOLERANCE]:
        return f"the log-probability {nonsense[0]:g}: expected a number of at most 0"
    if never := [p for p in logprobs if p < LEAST_LOGPROB]:
        return f"the log-probability {never[0]:g} of a token that it sampled: expected the distribution that is sampled from"
    return ""


def of_another(answer: Text, model: str, prompt: Sequence[int]) -> str:
    """The reason why the answer is that to another request, as the server's doing; "" where nothing says so. Fields may be missing."""
    choice, usage = answer.choices[0], answer.usage or Usage()
    if answer.model and answer.model != model:
        return (
            f"answered by the model {answer.model!r}: expected {model!r}, which was asked for (a server whose model has several names "
            "answers by the first: ask for that one)"
        )
    if len(answer.choices) > 1 or choice.index:
        numbers = " and ".join(str(each.index or 0) for each in answer.choices)
        return f"gave choices that are numbered {numbers}: expected one, number 0"
    for read in (choice.prompt_token_ids, answer.prompt_token_ids):
        if read is not None and read != tuple(prompt):
            return (
                f"read another prompt than it was sent ({len(read)} token ids in place of {len(prompt)}): expected a server that adds none "
                "and changes none"
            )
    if usage.prompt_tokens is not None and usage.prompt_tokens != len(prompt):
        return f"counts {usage.prompt_tokens} tokens of a prompt of {len(prompt)} (usage.prompt_tokens): expected a server that adds none"
    return ""


def uneven(answer: Text) -> str:
    """Parts of the answer that are of other tokens than its ids, as the server's doing; "" where all fit. Fields may be missing."""
    choice, usage = answer.choices[0], answer.usage or Usage()
    ids, given = choice.token_ids or (), (choice.logprobs and choice.logprobs.token_logprobs) or ()
    if None in given or len(given) != len(ids):
        return f"gave {len(ids)} token ids and {sum(p is not None for p in given)} log-probabilities: expected one each"
    if usage.completion_tokens is not None and usage.completion_tokens != len(ids):
        return f"counts {usage.completion_tokens} sampled tokens and gave {len(ids)} token ids (usage.completion_tokens): expected all ids"
    tokens, written = (choice.logprobs.tokens or (), choice.logprobs.ids) if choice.logprobs else ((), ())
    if tokens and len(tokens) != len(ids):
        return f"gave {len(ids)} token ids and {len(tokens)} tokens with log-probabilities (logprobs.tokens): expected one each"
    if other := [(one, i) for one, i in zip(written, ids, strict=False) if one != i]:
        return f"gave the log-probability of the token {other[0][0]} beside the token id {other[0][1]}: expected those of its ids"
    return ""
