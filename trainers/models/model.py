"""The policy: any causal language model of transformers, run on packed rows without padding.

Rows lie end to end in one sequence, so linear layers see all tokens at once; attention runs per row through transformers' attention
registry (:mod:`trainers.models.attention`). No mask over the pack exists, and the model's own code is untouched. Small Llamas on the CPU,
whose modules cost as much as their arithmetic, run through :mod:`trainers.models.small_llama` instead. Measured on one CPU core with one
of 1 M parameters: one call of attention per row costs no more than batching rows of equal length. On a GPU, in bfloat16 or float16, all
rows go through one call of FlashAttention's kernel for rows of different lengths.
"""

import itertools
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast, overload

import huggingface_hub
import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from trainers.batches.rows import Held
from trainers.models import rope, small_llama, smollm2
from trainers.models.attention import ATTENTION, Segments
from trainers.models.chat_template import ChatTemplate
from trainers.models.kept_keys import kept_shape
from trainers.models.lora import check_kind
from trainers.models.tiny import FOLDER as TINY_FOLDER
from trainers.runs.run_folder import open_checkpoint
from webgym.errors import UsageError, did_you_mean
from webgym.record import layout

BUILT_IN: Mapping[str, Callable[[], Path]] = {"webgym-tiny": lambda: TINY_FOLDER, smollm2.NAME: smollm2.folder}
"""Models that need no hub, by name: where each lies; asking for the folder may make it first."""

LOGITS_AT_ONCE = 1 << 24  # elements of one fp32 block of logits (64 MiB); more are computed block by block
LOGITS_AT_ONCE_GPU = 1 << 28  # the same in a GPU's memory (1 GiB)

HUB_TIMEOUT_S = 10.0

DRAWING_ROUTERS = frozenset({"PhimoeTopKRouter"})
"""Routers that draw experts in training. Their `router_jitter_noise` is no noise: it says which experts weigh in, in sampling too."""

LFS = b"version https://git-lfs"
"""The beginning of a file that Git LFS holds elsewhere."""

Dtype = Literal["float32", "bfloat16", "float16"]
Part = Literal["tokenizer", "weights"]


class Packed(Protocol):
    """Fields of :class:`trainers.batches.packing.PackedBatch` that a forward pass reads."""

    @property
    def ids(self) -> Int[Tensor, " n"]: ...
    @property
    def positions(self) -> Int[Tensor, " n"]: ...
    @property
    def cu_seqlens(self) -> Int[Tensor, " s+1"]: ...


class PackedActions(Protocol):
    """Fields of :class:`trainers.batches.packing.PackedBatch` that the log-probabilities of actions read."""

    @property
    def action_index(self) -> Int[Tensor, " a"]: ...
    @property
    def action_ids(self) -> Int[Tensor, " a"]: ...
    @property
    def held(self) -> Sequence[Held]: ...


class Replay(Protocol):
    """Replays the sets of tokens that could be sampled: :class:`trainers.models.token_grammar.TokenGrammar`."""

    def replay(self, held: Sequence[Held], ids: Sequence[int]) -> tuple[Bool[Tensor, "m vocabulary"], Int[Tensor, " a"]]:
        """Sets of tokens allowed at each id of the turns: different sets as rows, and the row of each id."""
        ...


class PackedRows(Packed, PackedActions, Protocol):
    """A batch that a forward pass and the log-probabilities of actions can read."""


# --- loading -------------------------------------------------------------------------------------------------------------


def load(name_or_path: str | Path, *, device: str = "cpu", dtype: Dtype = "float32") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model, ready for packed rows, and its tokenizer.

    `name_or_path` is a local folder, the name of a model that needs no hub (:data:`BUILT_IN`), or a hub name (which needs the network
    or the hub's cache). Raises UsageError where there is no such model, or where its rows cannot be packed, or there is no such device.
    """
    check_device(device)
    source = folder_of(name_or_path)
    if isinstance(source, str):
        check_hub(source)
    elif list(source.glob("*config.json")) and not any(list(source.glob(kind)) for kind in ("tokenizer*", "vocab*", "*.model")):
        raise UsageError(f"{str(name_or_path)!r} has no tokenizer: copy the files of its base model's there (tokenizer.json and its like)")
    part: Part = "tokenizer"
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        part = "weights"
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=getattr(torch, dtype), trust_remote_code=False, use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, in words
        )  # fmt: skip
        model, info = loaded
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of many packages: no such folder, no network, no causal LM, cut weights, a tokenizer of another kind
        raise UsageError(f"cannot load a model from {str(name_or_path)!r}: {_wrong(source, part, error)}") from error
    check_causal(model, name_or_path)
    check_kind(model)
    check_whole(info, name_or_path)
    model = cast(Any, prepare(model)).to(device)
    check_rows_apart(model)
    check_vocabulary(model, tokenizer)
    return model, tokenizer


def _wrong(source: str | Path, part: Part, error: Exception) -> str:
    """The reason why a part of a model could not be read, with what was expected."""
    said = in_words(error)
    if isinstance(source, str) or not (source / "config.json").is_file():
        return f"expected a folder with config.json and safetensors, one of {', '.join(BUILT_IN)}, or a reachable hub name ({said})"
    pointers = [file.name for file in sorted(source.iterdir()) if file.is_file() and _starts(file, LFS)]
    if pointers:
        return f"{pointers[0]} is a pointer of Git LFS in place of the file: run `git lfs pull` where the folder comes from"
    if part == "tokenizer" and _is_config(source):
        return f"expected the tokenizer's files as save_pretrained writes them (tokenizer.json and its like), got others ({said})"
    if part == "weights" and not any(source.glob("*.safetensors")):
        return "expected its weights as safetensors beside config.json, got none"
    if isinstance(error, SafetensorError):
        return f"expected whole weights as safetensors, got a file that is cut or something else ({said})"
    return f"expected the folder of a language model as save_pretrained writes it ({said})"


def _starts(file: Path, words: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(words)) == words


def _is_config(source: Path) -> bool:
    try:
        return isinstance(json.loads((source / "config.json").read_text("utf-8")), dict)
    except ValueError:
        return False


def check_causal(model: PreTrainedModel, source: object) -> None:
    """Raises UsageError for weights of a model of another purpose (BERT, a classifier), which transformers would put into a causal one."""
    trained = [str(name) for name in named] if isinstance(named := model.config.architectures, list) else []
    if trained and not any(name == type(model).__name__ or name.endswith(("ForCausalLM", "LMHeadModel")) for name in trained):
        raise UsageError(f"{str(source)!r} holds a {', '.join(trained)}: expected a causal language model, such as {type(model).__name__}")


def check_whole(info: Mapping[str, Any], source: object) -> None:
    """Raises UsageError where weights are missing in a folder, or have other sizes than its configuration says, which `info` of
    `from_pretrained` tells; they would begin at random.
    """
    if others := sorted(info["mismatched_keys"]):
        name, found, wanted = others[0]
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(
            f"{str(source)!r} holds weights of other sizes than its config.json says ({name}: {_size(found)}, not {_size(wanted)}{more}): "
            "expected the configuration and the weights of one model"
        )
    if missing := sorted(info["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(
            f"{str(source)!r} lacks weights of a causal language model ({missing[0]}{more}): expected the folder of a whole model with its "
            "language-model head, as save_pretrained writes it"
        )


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def check_vocabulary(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises UsageError where prompts or answers hold ids that the model has no embedding for."""
    words = cast(Any, model).get_input_embeddings().weight.shape[0]
    beyond = {token: i for token, i in tokenizer.get_vocab().items() if i >= words}
    template = ChatTemplate(tokenizer)
    written = {*template.beginning, template.end, *(template.first([("system", "x"), ("user", "x")]) if template else ())}
    unread = {token for token in beyond if template.is_control(token)}  # never read in a page, and harmless where no template writes them
    if wrong := sorted((i, token) for token, i in beyond.items() if token not in unread or i in written):
        raise UsageError(
            f"the tokenizer writes {wrong[0][1]!r} as {wrong[0][0]}, and the model embeds the ids 0 to {words - 1} only: expected the "
            "model's own tokenizer, or a model whose embeddings were resized to it"
        )


def in_words(error: Exception) -> str:
    """The words of an error of another package, in one line."""
    words = " ".join(str(error).split())
    return words[:400] if isinstance(error, OSError | ValueError) and words else f"{type(error).__name__}: {words}"[:400]


def check_device(device: str) -> None:
    """Raises UsageError where this torch has no such device."""
    try:
        if torch.device(device).type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = re.split(r"\.\s|\n", str(error).strip())[0] or type(error).__name__
        raise UsageError(f"device={device!r} cannot be used here ({said}): expected cpu, or cuda where torch sees a GPU") from None


def check_hub(name: str) -> None:
    """Raises UsageError at once where this is no name of the hub, or it is not in the hub's cache and the hub cannot be reached."""
    if name.startswith((".", "/", "~")):
        raise UsageError(f"there is no folder {name!r}: expected one with config.json and safetensors")
    if "/" not in name:
        raise UsageError(
            f"there is no model {name!r}{did_you_mean(name, BUILT_IN)}: expected a folder, one of {', '.join(BUILT_IN)}, or a hub name "
            "with its owner, such as Qwen/Qwen3-0.6B"
        )
    try:
        if isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str):
            return
    except ValueError:  # the hub's own words for a text that is no name of its
        plain = re.sub(r"^(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|(?:/tree/[^/]*|/blob/[^/]*/[^/]*)?/*$", "", name.strip())
        meant = f"; did you mean {plain!r}?" if plain != name and re.fullmatch(r"[\w.-]+/[\w.-]+", plain) else ""
        raise UsageError(f"{name!r} is no name of a model on the hub, which is OWNER/NAME, such as Qwen/Qwen3-0.6B{meant}") from None
    try:
        huggingface_hub.HfApi().model_info(name, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # the hub's client raises errors of several packages; each means that there is no such model to be had
        said = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"cannot load {name!r}: there is no such folder, it is not in the hub's cache, and the hub did not give it ({said})"
        ) from error


def folder_of(name_or_path: str | Path) -> str | Path:
    """The folder of a built-in name; the policy's folder of a run or checkpoint, verified; any other folder or hub name as it is.

    Folders are absolute, so that an adapter finds its base from anywhere. Raises CheckpointError for a run without a whole checkpoint.
    """
    if find := BUILT_IN.get(str(name_or_path)):
        return find()
    path = Path(name_or_path)
    if not path.is_dir():
        return name_or_path
    if layout.is_run(path) or (path / layout.MANIFEST).is_file():
        return open_checkpoint(path).folder(layout.POLICY).resolve()
    return path.resolve()


def no_progress_bars() -> None:
    """Turn off the progress bars of loading and saving models, for a command line with a display of its own."""
    transformers_logging.disable_progress_bar()
    huggingface_hub.logging.disable_propagation()  # it has a handler of its own


def prepare(model: PreTrainedModel) -> PreTrainedModel:
    """The model with attention per segment and without dropout. Raises UsageError for an architecture that does not take this attention.

    Dropout would make the learner another policy than the sampler, so that importance ratios are not 1 before anything was learned. So
    would a router that draws its experts: it computes in training as in sampling.
    """
    model.set_attn_implementation(ATTENTION)
    if model.config.get_text_config()._attn_implementation != ATTENTION:
        raise UsageError(f"{type(model).__name__} has attention of its own kind, which cannot run per row of a pack")
    for module in model.modules():
        if type(module).__name__ in DRAWING_ROUTERS:
            module.register_forward_pre_hook(_as_in_sampling)
            continue
        random = [name for name, x in vars(module).items() if isinstance(x, float) and ("drop" in name or "jitter" in name)]
        for name in [*random, *(["p"] if isinstance(module, nn.Dropout) else [])]:
            setattr(module, name, 0.0)
    return model


def _as_in_sampling(module: nn.Module, inputs: object) -> None:
    module.training = False


@torch.no_grad()
def check_rows_apart(model: nn.Module) -> None:
    """Raises UsageError for a model whose rows see each other in a pack, because its layers carry state past this attention.

    Also for one that computes otherwise in training, or no numbers, and for one whose keys and values no sampler here can keep.
    """
    decoder, device = cast(Any, model).get_decoder(), cast(Any, model).device
    if decoder is model:
        raise UsageError(
            f"{type(model).__name__} has no decoder apart from its head, whose hidden states could be read: take another model"
        )
    last = []
    for first, training in ((1, False), (2, False), (2, True)):  # two packs that differ in their first row only
        decoder.train(training)
        ids = torch.tensor([[first, first + 1, first, 3, 4, 5]], device=device)
        positions = torch.tensor([[0, 1, 2, 0, 1, 2]], device=device)
        try:
            output = decoder(input_ids=ids, position_ids=positions, layout=Segments([3, 3]), use_cache=False)
        except torch.OutOfMemoryError:
            raise
        except (TypeError, AttributeError, KeyError, IndexError, ValueError, RuntimeError) as error:  # of code that was written elsewhere
            raise UsageError(f"{type(model).__name__} cannot read the rows of a pack ({in_words(error)}): take another model") from error
        last.append(output.last_hidden_state[0, 3:])
    decoder.eval()
    one, other, trained = (x.float() for x in last)
    if not torch.stack((one, other, trained)).isfinite().all():
        raise UsageError(
            f"{type(model).__name__} computes no finite numbers in {str(last[0].dtype).removeprefix('torch.')}: look at its weights"
        )
    rounding = 16 * torch.finfo(last[0].dtype).eps * float(one.abs().max())
    if float((other - trained).abs().max()) > rounding:
        raise UsageError(
            f"{type(model).__name__} computes otherwise in training than in sampling (dropout or noise of its own kind): set its rates to "
            "0 in config.json"
        )
    if float((one - other).abs().max()) > rounding:
        raise UsageError(
            f"{type(model).__name__} carries state from one row of a pack to the next (a recurrent or convolutional layer, perhaps); "
            "take a model whose layers are attention and feed-forward only"
        )
    kept_shape(model)


def context_of(model: nn.Module) -> int:
    """The most tokens that the model can read. One whose rotary positions change at some length is read up to there (:mod:`rope`)."""
    config = cast(Any, model).config.get_text_config()
    return min(int(config.max_position_embeddings), rope.border(config) or sys.maxsize)


def hidden_width(decoder: nn.Module) -> int:
    """Width of the hidden states that a decoder gives; OPT-350M's are projected to the width of its embeddings."""
    config = cast(Any, decoder).config.get_text_config()
    return int(getattr(config, "word_embed_proj_dim", config.hidden_size))


def end_ids(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids that end a completion: the tokenizer's end of sequence, what the chat template writes behind an answer, the model's own list."""
    own = cast(Any, model).generation_config.eos_token_id
    ids = {cast(Any, tokenizer).eos_token_id, ChatTemplate(tokenizer).end, *(own if isinstance(own, list) else [own])} - {None}
    if not ids:
        raise UsageError("the tokenizer names no end-of-sequence token, so that a completion could never end; set eos_token")
    return tuple(sorted(int(cast(int, i)) for i in ids))


# --- forward pass --------------------------------------------------------------------------------------------------------


def packed_hidden(model: nn.Module, batch: Packed, at: Int[Tensor, " a"] | None = None) -> Float[Tensor, "a d"]:
    """Hidden states after the final norm, [N, d], or at these places in rising order, [A, d]; equal to running each row alone.

    A small Llama on the CPU goes through :mod:`trainers.models.small_llama`, all others through their own modules.
    """
    decoder = cast(Any, model).get_decoder()
    companies = rope.companies(decoder.config, _lengths(batch))
    if companies is None:
        return _hidden_of(decoder, batch, at)
    hidden = _by_companies(decoder, batch, companies)
    return hidden if at is None else hidden[at]


def _lengths(batch: Packed) -> list[int]:
    return (batch.cu_seqlens[1:] - batch.cu_seqlens[:-1]).tolist()


def _hidden_of(decoder: Any, batch: Packed, at: Int[Tensor, " a"] | None) -> Float[Tensor, "a d"]:
    """Hidden states of all rows, or at these places, from one pass."""
    lengths = _lengths(batch)
    if small_llama.fits(decoder):
        return small_llama.hidden_at(decoder, batch.ids, batch.positions, lengths, at)
    layout = Segments(lengths, batch.cu_seqlens)
    output = decoder(input_ids=batch.ids[None], position_ids=batch.positions[None], layout=layout, use_cache=False)
    hidden = output.last_hidden_state[0]
    return hidden if at is None else hidden[at]


@dataclass(frozen=True, slots=True)
class _Company:
    """Some rows of a batch."""

    ids: Int[Tensor, " n"]
    positions: Int[Tensor, " n"]
    cu_seqlens: Int[Tensor, " s+1"]


def _by_companies(decoder: Any, batch: Packed, companies: Sequence[Sequence[int]]) -> Float[Tensor, "n d"]:
    """Hidden states of all rows, from a pass for each company, in the batch's order."""
    ends, device = batch.cu_seqlens.tolist(), batch.ids.device
    parts, order = [], []
    for rows in companies:
        order.append(torch.cat([torch.arange(ends[i], ends[i + 1], device=device) for i in rows]))
        lengths = torch.tensor([0, *(ends[i + 1] - ends[i] for i in rows)], device=device)
        rope.forget(decoder)
        company = _Company(batch.ids[order[-1]], batch.positions[order[-1]], lengths.cumsum(0).to(batch.cu_seqlens.dtype))
        parts.append(_hidden_of(decoder, company, None))
    rope.forget(decoder)
    return torch.cat(parts)[torch.cat(order).argsort()]


def logits_of(model: nn.Module, hidden: Float[Tensor, "... d"]) -> Float[Tensor, "... vocabulary"]:
    """Logits of the model's head on hidden states, fp32; scaled and capped as its architecture does (Cohere, Granite, Gemma)."""
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
    Raises UsageError where turns were sampled under a grammar and none is given to replay it.
    """
    logprob, spread = _logprobs(model, hidden[batch.action_index], batch, temperature, entropy, grammar)
    return (logprob, spread) if entropy else logprob


def action_logprobs(
    model: nn.Module, batch: PackedRows, temperature: float = 1.0, *, entropy: bool = False, grammar: Replay | None = None
) -> tuple[Float[Tensor, " a"], Float[Tensor, " a"] | None]:
    """:func:`logprobs_at` of the batch's own actions, and the entropies where asked for (:class:`trainers.learning.learner.Forward`).

    No more is computed than they need: a small Llama's last layer runs at action positions only.
    """
    states = packed_hidden(model, batch, batch.action_index)
    logprob, spread = _logprobs(model, states, batch, temperature, entropy, grammar)
    return logprob, spread if entropy else None


def _logprobs(
    model: nn.Module, states: Tensor, batch: PackedActions, temperature: float, entropy: bool, grammar: Replay | None
) -> tuple[Tensor, Tensor]:
    """log π(action) of each state, [A], and with `entropy` the entropies (else anything of that shape)."""
    at_once = LOGITS_AT_ONCE if states.device.type == "cpu" else LOGITS_AT_ONCE_GPU
    rows = max(1, at_once // cast(Any, model).get_output_embeddings().weight.shape[0])
    masks, which = _allowed(batch, grammar)
    sets = itertools.repeat(None) if which is None else which.split(rows)
    blocks = zip(states.split(rows), batch.action_ids.split(rows), sets, strict=False)

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

    if len(states) <= rows or not torch.is_grad_enabled():
        done = [block(*one) for one in blocks]
    else:
        done = [cast(Any, checkpoint(block, *one, use_reentrant=False)) for one in blocks]
    logprob, spread = (torch.cat(parts) for parts in zip(*done, strict=True))
    return logprob, spread


def _allowed(batch: PackedActions, grammar: Replay | None) -> tuple[Tensor | None, Tensor | None]:
    """Sets of allowed tokens, [M, vocabulary], and the set of each action, [A]; None for both where no turn was constrained."""
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
