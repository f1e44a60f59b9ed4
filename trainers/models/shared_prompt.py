"""Shared prompts: many texts after one prompt, each prompt read once. They give the chances of all actions of a page, and their gradient.

A shared prompt lies in the sequence as its prompt and then its texts, one after the other. The positions of every text go on where the
prompt ends. Attention is causal in the prompt, and a text sees the prompt and itself, never its neighbours. No mask over the whole exists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainers.models.attention import causal
from trainers.models.model import logits_of

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SharedPrompt:
    """A prompt and the texts that may follow it, none of them empty."""

    prompt: Ids
    texts: tuple[Ids, ...]

    @property
    def tokens(self) -> int:
        """Number of tokens that a forward pass reads."""
        return len(self.prompt) + sum(map(len, self.texts))


@dataclass(frozen=True, slots=True)
class SharedPrompts:
    """The layout of shared prompts laid end to end, for :func:`trainers.models.model.segment_attention`.

    `lengths` holds (prompt length, text lengths) of each.
    """

    lengths: Sequence[tuple[int, Sequence[int]]]

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        """[1, heads, N, d] → [1, N, heads, d]."""
        sizes = [size for prompt, texts in self.lengths for size in (prompt, *texts)]
        parts = iter(zip(*(x.split(sizes, dim=2) for x in (query, key, value)), strict=True))
        seen = []
        for _, texts in self.lengths:
            q, k, v = next(parts)
            seen.append(causal(q, k, v, **settings))
            for _ in texts:
                own_q, own_k, own_v = next(parts)
                seen.append(causal(own_q, torch.cat([k, own_k], 2), torch.cat([v, own_v], 2), **settings))
        return torch.cat([x.transpose(1, 2) for x in seen], dim=1)


def shared_prompt_logprobs(
    model: nn.Module, shared_prompts: Sequence[SharedPrompt], temperature: float = 1.0
) -> list[Float[Tensor, " texts"]]:
    """log π(text | prompt) of every text of every shared prompt, summed over its tokens, fp32; with gradient where gradients are on."""
    device = cast(Any, model).device
    ids, positions, asked, place = [], [], [], 0
    for shared_prompt in shared_prompts:
        end = place + len(shared_prompt.prompt)
        ids += shared_prompt.prompt
        positions += range(len(shared_prompt.prompt))
        place = end
        for text in shared_prompt.texts:
            ids += text
            positions += range(len(shared_prompt.prompt), len(shared_prompt.prompt) + len(text))
            asked += [end - 1, *range(place, place + len(text) - 1)]  # where each token of the text is predicted
            place += len(text)
    layout = SharedPrompts([(len(shared_prompt.prompt), [len(text) for text in shared_prompt.texts]) for shared_prompt in shared_prompts])
    inputs = torch.tensor([ids], device=device), torch.tensor([positions], device=device)
    decoder = cast(Any, model).get_decoder()
    hidden = decoder(input_ids=inputs[0], position_ids=inputs[1], layout=layout, use_cache=False).last_hidden_state[0]
    logits = logits_of(model, hidden[asked]) / temperature  # [tokens of all texts, vocabulary]
    wanted = torch.tensor([i for shared_prompt in shared_prompts for text in shared_prompt.texts for i in text], device=device)
    logprobs = logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(-1)
    by_text = [part.sum() for part in logprobs.split([len(text) for shared_prompt in shared_prompts for text in shared_prompt.texts])]
    return [torch.stack(part) for part in _cut(by_text, [len(shared_prompt.texts) for shared_prompt in shared_prompts])]


def _cut(items: list[Tensor], sizes: Sequence[int]) -> Iterator[list[Tensor]]:
    place = 0
    for size in sizes:
        yield items[place : place + size]
        place += size


def batches(shared_prompts: Sequence[SharedPrompt], token_budget: int) -> Iterator[list[SharedPrompt]]:
    """The shared prompts in order, as many at a time as the budget holds, one at least."""
    waiting: list[SharedPrompt] = []
    for shared_prompt in shared_prompts:
        if waiting and sum(x.tokens for x in waiting) + shared_prompt.tokens > token_budget:
            yield waiting
            waiting = []
        waiting.append(shared_prompt)
    if waiting:
        yield waiting
