"""The protocol of samplers, their completions, and the choice of one token."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from webgym.errors import UsageError
from webgym.types import Sampling


@dataclass(frozen=True, slots=True)
class Generated:
    """A completion: sampled ids, the end token included where it was sampled, and their log-probabilities.

    `logprobs` are fp32 values of the full distribution at the sampling temperature, before top-k or top-p cut it; under a grammar
    they are those of the distribution over the tokens that it allows. `text` leaves the end token out. `version` names the weights.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    version: int


@dataclass
class Counters:
    """Work that a sampler has done since it started."""

    completions: int = 0
    prompt_tokens: int = 0  # that were read
    reused_prompt_tokens: int = 0  # that stood in prompts read before
    sampled_tokens: int = 0
    reads: int = 0  # forward passes over prompts
    decode_steps: int = 0
    busy_s: float = 0.0
    watch: Callable[[bool], None] = lambda works: None  # called with True when the sampler begins to work, with False when it ends


class Sampler(Protocol):
    """One way to generate completions, with everything that training, evaluation and the studies ask of it. A context manager.

    A class that inherits from it defines `counters`, `submit`, `set_weights` and `close`; the rest follows from these.
    """

    counters: Counters

    @abstractmethod
    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> "Future[Generated]":
        """A completion of the prompt, once it is there; called from any thread, many at once. It depends on the arguments and weights only.

        `key` names the pictures beside the ids (:attr:`webgym.prompts.parts.Prompt.key`); a cache of prompts goes by ids and key.
        Raises UsageError where prompt and answer do not fit in the model's context, or it reads no pictures and there are some (here, or
        as the future's exception).
        """
        ...

    async def generate(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> Generated:
        """Like :meth:`submit`, awaited; on any event loop of any thread."""
        return await asyncio.wrap_future(self.submit(prompt_ids, seed, sampling, **picture_key(key)))

    @abstractmethod
    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Publishes new weights and returns when they are in use; no completion mixes two versions."""
        ...

    @abstractmethod
    def close(self) -> None:
        """Ends it; a second call does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_sampling(sampling: Sampling) -> None:
    """Raises UsageError where a setting is out of range."""
    if sampling.max_tokens < 1 or sampling.top_k < 0 or not 0 < sampling.top_p <= 1 or sampling.temperature <= 0:
        raise UsageError(f"expected max_tokens >= 1, temperature > 0 (or greedy=True), 0 < top_p <= 1 and top_k >= 0, got {sampling}")


def picture_key(key: str) -> dict[str, str]:
    """The argument that names a prompt's pictures to a sampler. It is left out without pictures, so a sampler of text need not take it."""
    return {"key": key} if key else {}


def check_text_only(key: str) -> None:
    """Raises UsageError for a prompt with pictures; called by samplers whose models read text only."""
    if key:
        raise UsageError(
            f"expected a prompt of text, because the sampler's model reads nothing else, got one with pictures (key {key[:8]}): "
            "show the page as text"
        )


def draw(
    logits: Float[Tensor, " vocabulary"], uniform: float, sampling: Sampling, allowed: Bool[Tensor, " vocabulary"] | None = None
) -> tuple[int, float]:
    """A token and its log-probability at the sampling temperature; the inverse of the distribution function at `uniform` in [0, 1).

    `logits` are fp32. Tokens that are not `allowed` have no chance.
    """
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    logprobs = torch.log_softmax(logits / sampling.temperature, -1)
    if sampling.greedy:
        token = int(logprobs.argmax())
        return token, float(logprobs[token])
    chances = logprobs.double().exp()
    if sampling.top_k or sampling.top_p < 1.0:
        chances = _cut(chances, sampling)
    reached = chances.cumsum(-1)
    token = int(torch.searchsorted(reached, uniform * float(reached[-1]), right=True))
    return token, float(logprobs[token])


def _cut(chances: Tensor, sampling: Sampling) -> Tensor:
    """The chances with those that top-k or top-p leave out at 0; the likeliest token always stays."""
    ordered, order = chances.sort(descending=True, stable=True)
    keep = ordered.cumsum(-1) - ordered < sampling.top_p
    if sampling.top_k:
        keep[sampling.top_k :] = False
    return torch.zeros_like(chances).scatter(0, order[keep], ordered[keep])
