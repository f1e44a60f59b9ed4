"""Keys and values that a sampler keeps of each token that it has read: found out from the model, by reading two tokens.

Configurations of families name their numbers in different ways, and some of them mean something else: in multi-head latent attention
(DeepSeek) `head_dim` is that of a part of a key.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from trainers.models.attention import causal
from webgym.errors import UsageError


class KeptShape(NamedTuple):
    """Shape of the keys, and of the values, that all layers keep of a token."""

    layers: int
    heads: int
    width: int


@dataclass(frozen=True)
class _Seen:
    """Causal attention that notes the layer and the shapes of each call."""

    calls: list[tuple[int, torch.Size, torch.Size]] = field(default_factory=list)

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        self.calls.append((getattr(module, "layer_idx", -1), key.shape, value.shape))
        return causal(query, key, value, **settings).transpose(1, 2)


@torch.no_grad()
def kept_shape(model: nn.Module) -> KeptShape:
    """Keys and values that :class:`trainers.samplers.local.LocalSampler` and its like keep of a token.

    Raises UsageError for a model that does not attend once in each layer, or whose layers differ in it.
    """
    decoder, seen = cast(Any, model).get_decoder(), _Seen()
    device = cast(Any, model).device
    ids, positions = (torch.tensor([each], device=device) for each in ([1, 2], [0, 1]))
    read: Callable[..., Any] = decoder
    read(input_ids=ids, position_ids=positions, layout=seen, use_cache=False)
    shapes = {shape for _, *both in seen.calls for shape in both}
    if len(shapes) != 1:
        found = ", ".join(f"{heads} heads of {width}" for heads, width in sorted({(shape[1], shape[3]) for shape in shapes}))
        raise UsageError(
            f"{type(model).__name__} keeps other keys and values in some layers than in others ({found or 'none'}), which the samplers "
            "here do not hold; take a model whose layers are alike"
        )
    if [layer for layer, *_ in seen.calls] != list(range(len(seen.calls))):
        raise UsageError(
            f"{type(model).__name__} does not attend once in each of its layers, so that no sampler here can keep its keys and values; "
            "take a model whose layers are attention and feed-forward only"
        )
    (shape,) = shapes
    return KeptShape(len(seen.calls), shape[1], shape[3])
