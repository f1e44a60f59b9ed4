"""Attention inside the rows of a pack, through transformers' attention registry, without a mask over the pack.

On a GPU, in bfloat16 or float16, all rows go through one call of FlashAttention's kernel for rows of different lengths (:func:`flash`),
where a trial at the start shows that it computes the same.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn
from transformers import AttentionInterface

from webgym.errors import UsageError

log = logging.getLogger(__name__)

ATTENTION = "webgym_segments"
"""Name of :func:`segment_attention` in transformers' registry; :func:`trainers.models.model.prepare` puts it on a model."""


class Layout(Protocol):
    """Layout of attention in one forward pass: :class:`Segments`, or the keys and values that a sampler keeps."""

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        """[batch, heads, n, d] → [batch, n, heads, d]; `settings` are scale, dropout_p, window and softcap of :func:`causal`."""
        ...


@dataclass(frozen=True, slots=True)
class Segments:
    """Division of a packed sequence into rows: their lengths, in order; `cu_seqlens` has the same on the model's device."""

    lengths: Sequence[int]
    cu_seqlens: Int[Tensor, " ends"] | None = None

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        """Causal attention inside each segment: [1, heads, N, d] → [1, N, heads, d]."""
        if self.cu_seqlens is not None and flash_fits(query, key, value, settings):
            return flash(query, key, value, self.cu_seqlens, max(self.lengths), settings.get("scale"))
        parts = zip(*(x.split(list(self.lengths), dim=2) for x in (query, key, value)), strict=True)
        return torch.cat([causal(q, k, v, **settings).transpose(1, 2) for q, k, v in parts], dim=1)

    def attend_at(self, at: Int[Tensor, " q"], query: Tensor, key: Tensor, value: Tensor, *, scale: float | None) -> Tensor:
        """The same for queries at these positions of the pack only, in rising order: [1, heads, q, d] → [1, q, heads, d]."""
        lengths = list(self.lengths)
        ends = torch.tensor(lengths, device=at.device).cumsum(0)
        counts = torch.bincount(torch.bucketize(at, ends, right=True), minlength=len(lengths)).tolist()
        parts = zip(ends.tolist(), lengths, at.split(counts), query.split(counts, 2), key.split(lengths, 2), value.split(lengths, 2),
                    strict=True)  # fmt: skip
        seen = []
        for end, length, places, q, k, v in parts:
            if len(places):
                mask = torch.arange(end - length, end, device=at.device) <= places[:, None]  # [q, k]
                seen.append(F.scaled_dot_product_attention(q, k, v, mask, scale=scale, enable_gqa=q.shape[1] != k.shape[1]))
        return torch.cat(seen or [query], 2).transpose(1, 2)


def flash(query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, longest: int, scale: float | None) -> Tensor:
    """:meth:`Segments.attend` by one kernel over all segments: [1, heads, N, d] → [1, N, heads, d]. GPU, 16 bits."""
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # [N, heads, d]
    kernel: Any = torch.ops.aten._flash_attention_forward
    return kernel(q, k, v, cu_seqlens, cu_seqlens, longest, longest, 0.0, True, False, scale=scale)[0][None]


def flash_fits(query: Tensor, key: Tensor, value: Tensor, settings: Mapping[str, Any]) -> bool:
    """True if :func:`flash` can replace this attention."""
    if query.device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16) or not query.dtype == key.dtype == value.dtype:
        return False
    if any(settings.get(name) for name in ("window", "dropout_p", "softcap")):
        return False
    return _flash_agrees(query.device, query.dtype, query.shape[1], key.shape[1], query.shape[3])


@lru_cache
def _flash_agrees(device: torch.device, dtype: torch.dtype, heads: int, kv_heads: int, d: int) -> bool:
    """True if :func:`flash` gives the outputs and gradients of attention per segment on this device, up to rounding; tried once."""
    lengths = [5, 1, 130, 64]
    ends = torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)
    with torch.inference_mode(False), torch.enable_grad():
        generator = torch.Generator(device).manual_seed(0)
        shape = {"generator": generator, "device": device, "dtype": torch.float32}
        inputs = [torch.randn(1, n, sum(lengths), d, **shape).to(dtype).requires_grad_() for n in (heads, kv_heads, kv_heads)]
        found = []
        try:
            for attend in (Segments(lengths).attend, lambda _, q, k, v, scale: flash(q, k, v, ends, max(lengths), scale)):
                out = attend(nn.Identity(), *inputs, scale=d**-0.5)
                found.append([out.detach(), *torch.autograd.grad((out.float() ** 2).sum(), inputs)])
        except RuntimeError as error:  # no such kernel for this device or size
            log.warning("attention runs row by row: %s", error)
            return False
        apart = max(float((a - b).float().norm() / a.float().norm()) for a, b in zip(*found, strict=True))
    if apart > 16 * torch.finfo(dtype).eps:
        log.warning("attention runs row by row: the kernel for packed rows is %.1e off on this device", apart)
    return apart <= 16 * torch.finfo(dtype).eps


def causal(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float | None,
    dropout_p: float = 0.0,
    window: int | None = None,
    softcap: float | None = None,
) -> Tensor:
    """SDPA of the last q positions of a sequence of k: [batch, heads, q, d], [batch, kv_heads, k, d] twice → [batch, heads, q, d].

    Position i sees all up to itself, with `window` only that many, itself included; then in blocks, so that no mask has more than
    window × 2 window places. With `softcap` scores s become c tanh(s / c) (Gemma-2).
    """
    q, k = query.shape[2], key.shape[2]
    if window is not None and window < q:
        blocks = []
        for start in range(0, q, window):
            end = min(start + window, q)
            seen = slice(max(0, k - q + start - window + 1), k - q + end)
            block = query[:, :, start:end], key[:, :, seen], value[:, :, seen]
            blocks.append(causal(*block, scale=scale, dropout_p=dropout_p, window=window, softcap=softcap))
        return torch.cat(blocks, 2)
    mask = None
    if (1 < q < k) or (window is not None and window < k) or (softcap and q > 1):
        ahead = torch.arange(k, device=key.device) - torch.arange(k - q, k, device=key.device)[:, None]  # [q, k]; > 0: the future
        mask = ahead <= 0 if window is None else (ahead <= 0) & (ahead > -window)
    if softcap:
        return capped(query, key, value, mask, scale=scale, softcap=softcap)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout_p,
        scale=scale,
        is_causal=mask is None and q == k and q > 1,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def capped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, scale: float | None, softcap: float) -> Tensor:
    """SDPA with scores capped by c tanh(s / c) before the mask, which is boolean or added to the scores; shapes as in :func:`causal`."""
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    scores = (query @ key.transpose(-1, -2)).float() * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = softcap * torch.tanh(scores / softcap)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(scores, -1).to(query.dtype) @ value


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    layout: Layout | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """Attention by `layout`; transformers calls this in every layer with the arguments of the forward pass."""
    if layout is None:
        raise UsageError(
            f"{type(module).__name__} is told nothing of the rows of a pack, because its model hands no arguments on to it; take one of "
            "another family (in code: call packed_hidden, or model.set_attn_implementation('sdpa') first)"
        )
    if unknown := [name for name in ("s_aux", "position_bias") if other.get(name) is not None]:
        raise UsageError(f"{type(module).__name__} needs {', '.join(unknown)} in its attention, which packed rows do not support")
    capping = {"softcap": softcap} if softcap else {}
    width = value.shape[-1]
    if width < key.shape[-1]:  # in latent attention (DeepSeek)
        value = F.pad(value, (0, key.shape[-1] - width))
    seen = layout.attend(module, query, key, value, scale=scaling, dropout_p=dropout, window=sliding_window, **capping)
    return seen[..., :width].contiguous(), None  # models view it as they like


AttentionInterface.register(ATTENTION, segment_attention)
