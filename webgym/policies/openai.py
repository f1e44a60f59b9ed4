"""A policy whose model runs behind an OpenAI-compatible server."""

import asyncio
import base64
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from webgym.actions import parse, render, tool_specs
from webgym.errors import ConfigError, UsageError
from webgym.policies.openai_client import OpenAIClient, Reply, RequestRefused
from webgym.prompts.parts import Message, Part, PicturePart, Prompt, TextPart
from webgym.prompts.prompt import prompt_of, system_text
from webgym.prompts.settings import PromptSettings
from webgym.types import Completion, EpisodeKey, InvalidAction, Observation, Sampling, Turn, seed_from

log = logging.getLogger(__name__)

View = Literal["text", "screenshot", "both"]
"""View of the page for the model: its text with refs, its picture (then it acts by coordinates), or both."""

CHAT = PromptSettings()
SAMPLING = Sampling(max_tokens=1024)  # room for reasoning


class OpenAIPolicy:
    """Acts by asking a server for chat completions; implements :class:`webgym.policies.policy.Policy`.

    `tokens` asks for token ids and log-probabilities and keeps them in the completions. `tools` offers the actions as tools of the
    protocol and asks for a call of one of them; a call is read in either case, since servers make one of what a model writes in the form
    of its family. `extra` fields go into every request (see
    :meth:`OpenAIClient.chat`). The seed of a request is a function of the run's seed, the episode's key and the turn; how much of
    the answer it fixes is the server's affair. The caller closes the client.

    Where the server refuses a request for what stands in it, such as a page that is too long, fewer lines of the page are shown. Where it
    refuses one line as well, the turn gets an answer that says so, unless no request of this policy was answered before.
    """

    def __init__(
        self,
        client: OpenAIClient,
        model: str,
        *,
        prompts: PromptSettings = CHAT,
        sampling: Sampling = SAMPLING,
        view: View = "text",
        tokens: bool = False,
        tools: bool = False,
        extra: Mapping[str, Any] | None = None,
        run_seed: int = 0,
    ) -> None:
        if prompts.style != "chat":
            raise ConfigError(f"a server's model is prompted in the chat style, got prompt style {prompts.style!r}")
        if prompts.context != "window":
            raise ConfigError(f"a server's model is told each turn anew: set prompts.context=window, got {prompts.context!r}")
        self.dialect = prompts.dialect
        self._client, self._model, self._prompts, self._sampling = client, model, prompts, sampling
        self._view: View = view
        offered = {"tools": tool_specs(refs=view != "screenshot"), "tool_choice": "required", "parallel_tool_calls": False} if tools else {}
        self._tokens, self._tools, self._extra, self._run_seed = tokens, tools, offered | dict(extra or {}), run_seed
        self._answered = False  # whether the server took any request

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """One completion; the model's reasoning, where the server splits it off, is put back in front. Raises UsageError, PolicyFault."""
        seed = seed_from(self._run_seed, "sample", key.task_id, key.seed, key.iteration, key.group, key.member, len(history))
        shown, pictures, reply = await self._reply(observation, history, seed)
        if reply is None:
            words = f"[no answer: the server refuses the prompt of {len(shown):,} characters, with one line of the page]"
            return Completion(words, shown, sampling=self._sampling, key=pictures)
        written = "\n".join(part for part in (reply.text, self._called(reply.call, observation.goal)) if part)
        text = f"<think>{reply.reasoning}</think>{written}" if reply.reasoning else written
        return Completion(text, shown, reply.prompt_ids, reply.ids, reply.logprobs, self._sampling, key=pictures)

    async def _reply(self, observation: Observation, history: Sequence[Turn], seed: int) -> tuple[str, str, Reply | None]:
        """The prompt's text, its key, and the answer to it; None where not even one line of the page is taken. Raises like :meth:`act`."""
        prompts, first = self._prompts, None
        lines = 1 if self._view == "screenshot" else max(1, min(len(observation.nodes), prompts.max_nodes))
        fields = self._fields(observation)
        while True:
            shown, pictures, asked = await asyncio.to_thread(self._asked, observation, history, prompts)
            try:
                reply = await self._client.chat(self._model, asked, self._sampling, seed, tokens=self._tokens, extra=fields)
            except RequestRefused as refused:
                first = first or refused
                if lines == 1 and not self._answered:
                    raise first from None  # it is more than this page that is wrong
                log.warning("%s, at a prompt of %d characters with %d lines of the page", refused, len(shown), lines)
                if lines == 1:
                    return shown, pictures, None
                lines = lines // 2 if self._answered else 1
                prompts = replace(prompts, max_nodes=lines)
            else:
                self._answered = True
                return shown, pictures, reply

    def _fields(self, observation: Observation) -> dict[str, Any]:
        """The further fields of a request; while a dialog is open, the tool that answers it is one of the tools."""
        if not (observation.dialog and "tools" in self._extra):
            return self._extra
        return {**self._extra, "tools": [*self._extra["tools"], *tool_specs(needs="dialog")]}

    def _called(self, call: str, goal: str) -> str:
        """The tool call in the policy's dialect; as it is where it names no action, so that the error can say what was wrong."""
        action = parse(call, "json", goal) if call and self.dialect != "json" else InvalidAction("")
        return call if isinstance(action, InvalidAction) else render(action, self.dialect)

    def _asked(self, observation: Observation, history: Sequence[Turn], prompts: PromptSettings) -> tuple[str, str, list[dict[str, Any]]]:
        """The prompt's text, its key, and its messages."""
        prompt = viewed_prompt(observation, history, prompts, self._view, self._tools)
        return prompt.text, prompt.key, chat_messages(prompt)


def viewed_prompt(observation: Observation, history: Sequence[Turn], prompts: PromptSettings, view: View, tools: bool = False) -> Prompt:
    """The prompt with the page as text, picture or both. Raises UsageError where the picture is missing.

    A model that sees no refs is told of no action that needs one; with `tools` the server tells it of the actions.
    """
    seen = replace(observation, nodes=()) if view == "screenshot" else observation
    prompt = replace(prompt_of(seen, history, prompts), cue="")  # the server has a chat template
    if tools or view == "screenshot":
        words = system_text(prompts.dialect, refs=view != "screenshot", tools=tools)
        prompt = replace(prompt, messages=(Message("system", (TextPart(words),)), *prompt.messages[1:]))
    if view == "text":
        return prompt
    if observation.screenshot is None:
        raise UsageError(f"view {view!r} needs observations with a picture: open the sessions with screenshots=True")
    picture = PicturePart.of(observation.screenshot)
    words = f"The picture shows the page, {picture.width} by {picture.height} pixels; coordinates are in its pixels, from the top left."
    if view == "screenshot":
        words += " Things on it bear no refs: act by coordinates."
    *before, user = prompt.messages
    return Prompt((*before, Message(user.role, (TextPart(f"{user.text}\n\n{words}"), picture))))


def chat_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The prompt as the protocol's messages: a message of text alone is a text, any other a list of parts."""
    return [{"role": message.role, "content": _content(message)} for message in prompt.messages]


def _content(message: Message) -> str | list[dict[str, Any]]:
    if all(isinstance(part, TextPart) for part in message.parts):
        return message.text
    return [_part(part) for part in message.parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": picture_url(part.pixels)}}


def picture_url(pixels: np.ndarray) -> str:
    """A picture, [height, width, 3] uint8, as a `data:` URL of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
