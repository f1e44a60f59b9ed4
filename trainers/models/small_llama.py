"""The decoder of a small Llama for updates: the outputs of its modules, up to rounding, in fewer and larger operations.

In a 1 M-parameter model a third of an update is neither matrix products nor attention. Four savings:

- In the last layer only the positions that are read have queries, projections and feed-forward; the others give keys and values.
- Projections of one input are one product, and the weight w of the norm before them is part of it: W (w ⊙ x) = (W diag w) x.
- Queries and keys turn as complex numbers, one product each way: the rows of their projections are dealt in pairs (i, i + d/2),
  the order of channels being nothing to a scalar product.
- Norm and SwiGLU have backward passes of their own (:class:`_Normed`, :class:`_SwiGLU`).

Parameters stay the model's own: all of this is computed from them in every pass, and gradients go back to them.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import LlamaModel

from trainers.models.attention import Segments

LARGEST = 20_000_000  # parameters: beyond it module calls cost little, and joining the weights costs more


def small_llama(decoder: Any) -> bool:
    """True for the decoder of a small fp32 Llama on the CPU, with all of its modules as transformers made them."""
    if not isinstance(decoder, LlamaModel) or decoder.device.type != "cpu" or decoder.dtype != torch.float32:
        return False
    config: Any = decoder.config
    if config.attention_bias or config.mlp_bias or config.hidden_act != "silu":
        return False
    changed = any(m._forward_hooks or m._forward_pre_hooks or hasattr(m, "lora_A") for m in decoder.modules())
    return not changed and sum(p.numel() for p in decoder.parameters()) <= LARGEST


def fits(decoder: Any) -> bool:
    """True if :func:`hidden_at` may replace the decoder's own forward pass."""
    if not small_llama(decoder) or torch.is_autocast_enabled("cpu"):
        return False
    return not (decoder.training and (decoder.config.attention_dropout or decoder.is_activation_checkpointing))


def hidden_at(
    decoder: nn.Module, ids: Int[Tensor, " n"], positions: Int[Tensor, " n"], lengths: Sequence[int], at: Int[Tensor, " a"] | None
) -> Float[Tensor, "a d"]:
    """Hidden states after the final norm of rows laid end to end, at these places (in rising order), or at all of them."""
    model, rows = cast(Any, decoder), Segments(lengths)
    x = F.embedding(ids, model.embed_tokens.weight, model.embed_tokens.padding_idx)  # [n, d]
    turn = _turn(model, x, positions)
    *first, last = model.layers
    for layer in first:
        x = _layer(layer, x, turn, rows, None)
    return model.norm(_layer(last, x, turn, rows, at))


def _turn(model: Any, x: Tensor, positions: Tensor) -> Tensor:
    """The rotation of each position as complex numbers, [n, 1, head_dim / 2]."""
    cos, sin = (table[0, :, None] for table in model.rotary_emb(x[None], positions[None]))
    half = cos.shape[-1] // 2
    return torch.complex(cos[..., :half], sin[..., :half])


def _layer(layer: Any, x: Tensor, turn: Tensor, rows: Segments, at: Tensor | None) -> Tensor:
    """One block, [n, d] → [n, d]; with `at` its output at these places only, [a, d]."""
    attention, mlp = layer.self_attn, layer.mlp
    width: int = attention.head_dim
    norm = layer.input_layernorm
    y = _Normed.apply(x, norm.variance_epsilon)
    q_weight, k_weight = (_in_pairs(p.weight, width) for p in (attention.q_proj, attention.k_proj))
    v_weight = attention.v_proj.weight
    if at is None:
        sizes = [len(q_weight), len(k_weight), len(v_weight)]
        q, k, v = F.linear(y, torch.cat([q_weight, k_weight, v_weight]) * norm.weight).split(sizes, -1)
        q, k, v = _turned(q, turn, width), _turned(k, turn, width), _heads(v, width)
        seen = rows.attend(attention, q, k, v, scale=attention.scaling)
    else:
        k, v = F.linear(y, torch.cat([k_weight, v_weight]) * norm.weight).split([len(k_weight), len(v_weight)], -1)
        q = _turned(F.linear(y.index_select(0, at), q_weight * norm.weight), turn.index_select(0, at), width)
        seen = rows.attend_at(at, q, _turned(k, turn, width), _heads(v, width), scale=attention.scaling)
        x = x.index_select(0, at)
    x = torch.addmm(x, seen.flatten(2)[0], attention.o_proj.weight.t())
    norm = layer.post_attention_layernorm
    gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * norm.weight
    return torch.addmm(x, _SwiGLU.apply(F.linear(_Normed.apply(x, norm.variance_epsilon), gate_up)), mlp.down_proj.weight.t())


def _in_pairs(weight: Tensor, width: int) -> Tensor:
    """The rows of a projection with those that one rotation turns side by side: i and i + width / 2 of each head."""
    return weight.unflatten(0, (-1, 2, width // 2)).transpose(1, 2).flatten(0, 2)


def _heads(x: Tensor, width: int) -> Tensor:
    return x.unflatten(-1, (-1, width)).transpose(0, 1)[None]  # [1, heads, n, width]


def _turned(x: Tensor, turn: Tensor, width: int) -> Tensor:
    """Rotated heads: [n, heads · width] → [1, heads, n, width]."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, width // 2, 2)))
    return _heads(torch.view_as_real(pairs * turn).flatten(1), width)


class _Normed(torch.autograd.Function):
    """x̂ = x / rms(x). With s = 1 / rms(x): dx = s (g − x̂ · mean(g ⊙ x̂))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        scale = x.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (g,), (y, scale) = gradients, ctx.saved_tensors
        return torch.addcmul(g, y, (g * y).mean(-1, keepdim=True), value=-1).mul_(scale), None


class _SwiGLU(torch.autograd.Function):
    """silu(gate) ⊙ up of a joined [n, gate + up]; both halves of the gradient are written where they belong."""

    @staticmethod
    def forward(ctx: Any, joined: Tensor) -> Tensor:
        ctx.save_for_backward(joined)
        gate, up = joined.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (g,), (joined,) = gradients, ctx.saved_tensors
        gate, up = joined.chunk(2, -1)
        gradient = torch.empty_like(joined)
        to_gate, to_up = gradient.chunk(2, -1)
        torch.mul(g, F.silu(gate), out=to_up)
        torch.ops.aten.silu_backward.grad_input(g * up, gate, grad_input=to_gate)
        return gradient
