"""The policy: any causal language model of transformers, run on packed rows without padding.

Rows lie end to end in one sequence, so linear layers see all tokens at once; attention runs per row through transformers' attention
registry (:func:`segment_attention`). No mask over the pack exists, and the model's own code is untouched. Measured on one CPU core
with a 1 M-parameter Llama: one call per row costs no more than batching rows of equal length, and matrix products run at the
processor's peak, so nothing finer pays. On a GPU, in bfloat16 or float16, all rows go through one call of FlashAttention's kernel for
rows of different lengths (:func:`flash`), where a trial at the start shows that it computes the same.
"""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, overload

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from trainers import smollm2
from trainers.checkpoint import MANIFEST
from trainers.rows import Held
from trainers.run import open_checkpoint
from trainers.tiny import FOLDER as TINY_FOLDER
from webgym.errors import UsageError

log = logging.getLogger(__name__)

ATTENTION = "webgym_segments"
"""Name of :func:`segment_attention` in transformers' registry; :func:`prepare` puts it on a model."""

BUILT_IN: Mapping[str, Callable[[], Path]] = {"webgym-tiny": lambda: TINY_FOLDER, smollm2.NAME: smollm2.folder}
"""Models that need no hub, by name: where each lies; asking for the folder may make it first."""

LOGITS_AT_ONCE = 1 << 24  # elements of one fp32 block of logits (64 MiB); more are computed block by block
LOGITS_AT_ONCE_GPU = 1 << 28  # the same in a GPU's memory (1 GiB)

Dtype = Literal["float32", "bfloat16", "float16"]


class Packed(Protocol):
    """What a forward pass reads of :class:`trainers.rows.PackedBatch`."""

    @property
    def ids(self) -> Int[Tensor, " n"]: ...
    @property
    def positions(self) -> Int[Tensor, " n"]: ...
    @property
    def cu_seqlens(self) -> Int[Tensor, " s+1"]: ...


class PackedActions(Protocol):
    """What the log-probabilities of actions read of :class:`trainers.rows.PackedBatch`."""

    @property
    def action_index(self) -> Int[Tensor, " a"]: ...
    @property
    def action_ids(self) -> Int[Tensor, " a"]: ...
    @property
    def held(self) -> Sequence[Held]: ...


class Replay(Protocol):
    """Says again what could be sampled: :class:`trainers.grammar.TokenGrammar`."""

    def replay(self, held: Sequence[Held], ids: Sequence[int]) -> tuple[Bool[Tensor, "m vocabulary"], Int[Tensor, " a"]]:
        """What was allowed at each id of the turns: different sets as rows, and the row of each id."""
        ...


# --- loading -------------------------------------------------------------------------------------------------------------


def load(name_or_path: str | Path, *, device: str = "cpu", dtype: Dtype = "float32") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model, ready for packed rows, and its tokenizer.

    `name_or_path` is a local folder, the name of a model that needs no hub (:data:`BUILT_IN`), or a hub name (which needs the network
    or the hub's cache). Raises UsageError where there is no such model, or where its rows cannot be packed.
    """
    source = folder_of(name_or_path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype))
    except (
        OSError,
        ValueError,
        SafetensorError,
    ) as error:  # no such folder, no network, no causal LM, cut weights
        raise UsageError(
            f"cannot load a model from {str(name_or_path)!r}: expected a folder with config.json and safetensors, "
            f"one of {', '.join(BUILT_IN)}, or a reachable hub name ({error})"
        ) from error
    model = cast(Any, prepare(model)).to(device)
    check_rows_apart(model)
    return model, tokenizer


def folder_of(name_or_path: str | Path) -> str | Path:
    """The folder of a built-in name; the policy's folder of a run or checkpoint, verified; any other folder or hub name as it is.

    Folders are absolute, so that an adapter finds its base from anywhere. Raises CheckpointError for a run without a whole checkpoint.
    """
    if find := BUILT_IN.get(str(name_or_path)):
        return find()
    path = Path(name_or_path)
    if not path.is_dir():
        return name_or_path
    if (path / "run.json").is_file() or (path / MANIFEST).is_file():
        return open_checkpoint(path).folder("policy").resolve()
    return path.resolve()


def no_progress_bars() -> None:
    """From now on loading and saving models draws no bars; for a command line with a display of its own."""
    transformers_logging.disable_progress_bar()


def prepare(model: PreTrainedModel) -> PreTrainedModel:
    """The model with attention per segment. Raises UsageError for an architecture that takes no attention of ours."""
    model.set_attn_implementation(ATTENTION)
    if model.config.get_text_config()._attn_implementation != ATTENTION:
        raise UsageError(f"{type(model).__name__} has attention of its own kind, which cannot run per row of a pack")
    return model


@torch.no_grad()
def check_rows_apart(model: nn.Module) -> None:
    """Raises UsageError for a model whose rows see each other in a pack: one with layers that carry state past our attention."""
    decoder, device = cast(Any, model).get_decoder(), cast(Any, model).device
    last = []
    for first in (1, 2):  # two packs that differ in their first row only
        ids = torch.tensor([[first, first + 1, first, 3, 4, 5]], device=device)
        positions = torch.tensor([[0, 1, 2, 0, 1, 2]], device=device)
        last.append(decoder(input_ids=ids, position_ids=positions, layout=Segments([3, 3]), use_cache=False).last_hidden_state[0, 3:])
    one, other = (x.float() for x in last)
    if float((one - other).abs().max()) > 16 * torch.finfo(last[0].dtype).eps * float(one.abs().max()):  # rounding, at most
        raise UsageError(
            f"{type(model).__name__} carries state from one row of a pack to the next (a recurrent or convolutional layer, perhaps); "
            "take a model whose layers are attention and feed-forward only"
        )


def context_of(model: nn.Module) -> int:
    """The most tokens that the model can read."""
    return int(cast(Any, model).config.get_text_config().max_position_embeddings)


def end_ids(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids that end a completion: the tokenizer's end of sequence (where a chat model ends its turn) and the model's own list."""
    own = cast(Any, model).generation_config.eos_token_id
    ids = {cast(Any, tokenizer).eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    if not ids:
        raise UsageError("the tokenizer names no end-of-sequence token, so that a completion could never end; set eos_token")
    return tuple(sorted(int(cast(int, i)) for i in ids))


# --- attention per segment -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Segments:
    """How a packed sequence divides into rows: their lengths, in order; `cu_seqlens` says the same on the model's device."""

    lengths: Sequence[int]
    cu_seqlens: Int[Tensor, " ends"] | None = None

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        """Causal attention inside each segment: [1, heads, N, d] → [1, N, heads, d]."""
        if self.cu_seqlens is not None and flash_fits(query, key, value, settings):
            return flash(query, key, value, self.cu_seqlens, max(self.lengths), settings.get("scale"))
        parts = zip(*(x.split(list(self.lengths), dim=2) for x in (query, key, value)), strict=True)
        return torch.cat([causal(q, k, v, **settings).transpose(1, 2) for q, k, v in parts], dim=1)


def flash(query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, longest: int, scale: float | None) -> Tensor:
    """What :meth:`Segments.attend` computes, by one kernel over all segments: [1, heads, N, d] → [1, N, heads, d]. GPU, 16 bits."""
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # [N, heads, d]
    kernel: Any = torch.ops.aten._flash_attention_forward
    return kernel(q, k, v, cu_seqlens, cu_seqlens, longest, longest, 0.0, True, False, scale=scale)[0][None]


def flash_fits(query: Tensor, key: Tensor, value: Tensor, settings: Mapping[str, Any]) -> bool:
    """Whether :func:`flash` can take this attention's place."""
    if query.device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16) or not query.dtype == key.dtype == value.dtype:
        return False
    if settings.get("window") is not None or settings.get("dropout_p"):
        return False
    return _flash_agrees(query.device, query.dtype, query.shape[1], key.shape[1], query.shape[3])


@lru_cache
def _flash_agrees(device: torch.device, dtype: torch.dtype, heads: int, kv_heads: int, d: int) -> bool:
    """Whether :func:`flash` gives the outputs and gradients of attention per segment on this device, up to rounding; tried once."""
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


class Layout(Protocol):
    """How attention runs in one forward pass: :class:`Segments`, or what a sampler keeps of keys and values."""

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        """[batch, heads, n, d] → [batch, n, heads, d]; `settings` are scale, dropout_p and window of :func:`causal`."""
        ...


def causal(query: Tensor, key: Tensor, value: Tensor, *, scale: float | None, dropout_p: float = 0.0, window: int | None = None) -> Tensor:
    """SDPA of the last q positions of a sequence of k: [batch, heads, q, d], [batch, kv_heads, k, d] twice → [batch, heads, q, d].

    Position i sees all up to itself, with `window` only that many, itself included.
    """
    q, k = query.shape[2], key.shape[2]
    mask = None
    if (1 < q < k) or (window is not None and window < k):
        ahead = torch.arange(k, device=key.device) - torch.arange(k - q, k, device=key.device)[:, None]  # [q, k]; > 0: the future
        mask = ahead <= 0 if window is None else (ahead <= 0) & (ahead > -window)
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


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    layout: Layout | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """Attention as `layout` says; transformers calls this in every layer with what the forward pass was given."""
    if layout is None:
        raise UsageError("this model attends per segment: call packed_hidden, or model.set_attn_implementation('sdpa') first")
    if unknown := [name for name in ("softcap", "s_aux", "position_bias") if other.get(name) is not None]:
        raise UsageError(f"{type(module).__name__} needs {', '.join(unknown)} in its attention, which packed rows do not support")
    return layout.attend(module, query, key, value, scale=scaling, dropout_p=dropout, window=sliding_window), None


AttentionInterface.register(ATTENTION, segment_attention)


# --- forward pass --------------------------------------------------------------------------------------------------------


def packed_hidden(model: nn.Module, batch: Packed) -> Float[Tensor, "n d"]:
    """Hidden states after the final norm, [N, d]; equal to running each row alone."""
    lengths = (batch.cu_seqlens[1:] - batch.cu_seqlens[:-1]).tolist()
    decoder = cast(Any, model).get_decoder()
    layout = Segments(lengths, batch.cu_seqlens)
    output = decoder(input_ids=batch.ids[None], position_ids=batch.positions[None], layout=layout, use_cache=False)
    return output.last_hidden_state[0]


def logits_of(model: nn.Module, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... vocabulary"]:
    """What the model's head makes of hidden states, fp32; scaled and capped as its architecture does (Cohere, Granite, Gemma)."""
    config = cast(Any, model).config.get_text_config()
    logits = cast(Any, model).get_output_embeddings()(hidden).float()
    if (scale := getattr(config, "logit_scale", None)) is not None:
        logits = logits * scale
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / divisor
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = torch.tanh(logits / cap) * cap
    return logits


@overload
def logprobs_at(
    model: nn.Module,
    hidden: Tensor,
    batch: PackedActions,
    temperature: float = ...,
    *,
    entropy: Literal[False] = ...,
    grammar: Replay | None = ...,
) -> Tensor: ...
@overload
def logprobs_at(
    model: nn.Module,
    hidden: Tensor,
    batch: PackedActions,
    temperature: float = ...,
    *,
    entropy: Literal[True],
    grammar: Replay | None = ...,
) -> tuple[Tensor, Tensor]: ...
def logprobs_at(
    model: nn.Module,
    hidden: Float[Tensor, "n d"],
    batch: PackedActions,
    temperature: float = 1.0,
    *,
    entropy: bool = False,
    grammar: Replay | None = None,
) -> Float[Tensor, " a"] | tuple[Float[Tensor, " a"], Float[Tensor, " a"]]:
    """log π(action token) at the sampling temperature, [A] fp32; with `entropy=True` also the entropy of π there, [A].

    Under a grammar π is the distribution over the tokens that it allowed: `grammar` replays it. Logits exist at action positions only,
    a block at a time; where there are several blocks, the backward pass computes them again.
    Raises UsageError where turns were held to a grammar and none is given to replay it.
    """
    at_once = LOGITS_AT_ONCE if hidden.device.type == "cpu" else LOGITS_AT_ONCE_GPU
    rows = max(1, at_once // cast(Any, model).get_output_embeddings().weight.shape[0])
    masks, which = _allowed(batch, grammar)

    def block(states: Tensor, ids: Tensor, row: Tensor | None) -> tuple[Tensor, Tensor]:
        logits = logits_of(model, states) / temperature  # [a, vocabulary]
        chances = logits
        if masks is not None:
            logits = torch.where(masks[row], logits, 0.0)  # no −∞ · 0 in the entropy
            chances = logits.masked_fill(~masks[row], -torch.inf)
        log_z = chances.logsumexp(-1)
        logprob = logits.gather(1, ids[:, None])[:, 0] - log_z
        spread = log_z - (torch.softmax(chances, -1) * logits).sum(-1) if entropy else log_z
        return logprob, spread

    parts = list(_blocks(batch, which, rows))
    if len(batch.action_index) <= rows or not torch.is_grad_enabled():
        done = [block(hidden[index], ids, row) for index, ids, row in parts]
    else:
        done = [cast(Any, checkpoint(block, hidden[index], ids, row, use_reentrant=False)) for index, ids, row in parts]
    logprob, spread = (torch.cat(found) for found in zip(*done, strict=True))
    return (logprob, spread) if entropy else logprob


def _allowed(batch: PackedActions, grammar: Replay | None) -> tuple[Tensor | None, Tensor | None]:
    """Sets of allowed tokens, [M, vocabulary], and the set of each action, [A]; nothing for turns that were held to no grammar."""
    if not batch.held:
        return None, None
    if grammar is None:
        name = next(turn.grammar for turn in batch.held if turn.grammar)
        raise UsageError(
            f"these turns were sampled under the grammar {name!r}, so their log-probabilities are over the tokens that it allowed, and no "
            "grammar is replayed here: train with grammar=true, or on episodes that were sampled without one"
        )
    masks, which = grammar.replay(batch.held, batch.action_ids.tolist())
    return masks.to(batch.action_ids.device), which.to(batch.action_ids.device)


def _blocks(batch: PackedActions, which: Tensor | None, rows: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Index, id and set of the actions, at most `rows` at a time."""
    sets = itertools.repeat(None) if which is None else which.split(rows)
    return zip(batch.action_index.split(rows), batch.action_ids.split(rows), sets, strict=False)
