"""Rotary positions that depend on the length of what is read: rows that may share a pass, and the most tokens of a sampled row.

Most models turn position p by the same angles in any row. Two kinds do not (`rope_type` of transformers' configurations):

- longrope (Phi-3.5, Phi-4-mini) has two sets of frequencies, for sequences up to `original_max_position_embeddings` and for longer ones;
- dynamic NTK computes frequencies from the length, beyond `max_position_embeddings`.

So a short row must not be read beside a long one, and a sampler that keeps keys and values must not cross the border, because the keys
before it were turned by other angles. Sampled rows stay within the border (:func:`border` limits the context). vLLM takes the short
frequencies for all rows where `--max-model-len` is at most the border.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn


def border(config: Any) -> int | None:
    """The number of tokens up to which all rows are turned by the same angles; None for a model that always does that."""
    limits = []
    for parameters in _parameters(config):
        kind = str(parameters.get("rope_type", "default"))
        if kind == "longrope":
            limits.append(int(parameters.get("original_max_position_embeddings") or config.original_max_position_embeddings))
        elif "dynamic" in kind:
            limits.append(int(config.max_position_embeddings))
    return min(limits, default=None)


def companies(config: Any, lengths: Sequence[int]) -> list[list[int]] | None:
    """Rows that may share a pass, as lists of their places: those within the border together, each longer one alone.

    None where all may.
    """
    limit = border(config)
    if limit is None or max(lengths, default=0) <= limit:
        return None
    short = [i for i, n in enumerate(lengths) if n <= limit]
    return [*([short] if short else []), *([i] for i, n in enumerate(lengths) if n > limit)]


def forget(decoder: nn.Module) -> None:
    """Puts the frequencies of dynamic NTK back to those of a short row; they keep the longest row that they have seen."""
    for module in decoder.modules():
        if "dynamic" in str(getattr(module, "rope_type", "")):
            part: Any = module
            part.register_buffer("inv_freq", part.original_inv_freq.clone(), persistent=False)
            part.max_seq_len_cached = part.original_max_seq_len


def _parameters(config: Any) -> Iterator[dict[str, Any]]:
    """The rotary settings of a configuration: one, or one for each type of layer."""
    found = getattr(config, "rope_parameters", None) or {}
    if "rope_type" in found:
        yield found
    else:
        yield from (each for each in found.values() if isinstance(each, dict))
