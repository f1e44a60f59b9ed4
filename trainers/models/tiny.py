"""webgym-tiny: the architecture and the tokenizer of the model that the package brings.

A Llama of about 1 M parameters that reads compact pages (`checkbox abc *3`) and answers with one compact action (`click *3`).
The weights come from imitation (:mod:`trainers.imitation.imitate`).

The tokenizer gives a word the same id wherever it stands (at the start of a line, behind a space, in quotes), because a
small model must match words of the goal to words of the page: a word always bears the mark `▁`, and where no space precedes it,
`⌁` stands before it. Lines cost nothing: a word at the start of a line needs no `⌁`. Refs (`#0` to `#199`, marked ones `*0` to
`*99`), pointers into the goal (`$1` to `$9`), roles and verbs are one token each. Other words are BPE, characters never seen are
bytes, so any text but one that holds `▁` or `⌁` itself comes back as it was.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from webgym.errors import UsageError

FOLDER = Path(__file__).parents[1] / "pretrained" / "webgym-tiny"
"""Folder of the trained model in the package, in Hugging Face format."""

PAD, END = "<|pad|>", "<|end|>"

VERBS = (
    "click type clear select press write scroll hover focus drag upload move down up goto back forward reload tab new close wait "
    "message stop infeasible left right Enter Tab Escape Backspace ArrowDown ArrowUp"
)
ROLES = (
    "goal left done error note page cut do failed nothing text heading paragraph label image list item listitem table row "
    "cell link button textbox searchbox checkbox radio combobox listbox option slider spinbutton switch tab tabpanel tablist menu "
    "menuitem dialog tree treeitem group form region main navigation status alert progressbar canvas svg generic "
    "value checked selected disabled expanded collapsed readonly required focused pressed draggable clickable scrollable file"
)
WORDS = tuple(dict.fromkeys(f"{VERBS} {ROLES}".split())) + tuple(f"#{i}" for i in range(200)) + tuple(f"*{i}" for i in range(100))
WORDS += tuple(f"${i}" for i in range(1, 10))
"""Words that are one token, even if the training texts lack them."""

WORD, JOIN = "▁", "⌁"
_STARTS = r"(?=\w|[#*$]\d)"  # a word, a ref or a pointer begins here


class Shape(BaseModel):
    """The size of the model; the default has 1.05 M parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: int = Field(default=128, ge=2, description="width of the residual stream")
    layers: int = Field(default=4, ge=1, description="transformer blocks")
    heads: int = Field(default=4, ge=1, description="attention heads; hidden must divide by twice as many")
    mlp: int = Field(default=384, ge=1, description="inner width of the gated MLP")
    context: int = Field(default=1024, ge=2, description="most tokens of prompt and answer together")
    rope_theta: float = Field(default=10_000.0, gt=0, description="base of the rotary position embedding")

    @model_validator(mode="after")
    def _heads_of_even_width(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"shape.hidden={self.hidden} gives {self.heads} heads no even width: take a multiple of {2 * self.heads}")
        return self


# --- tokenizer -----------------------------------------------------------------------------------------------------------


def build_tokenizer(texts: Iterable[str], vocab_size: int = 1536, words: Iterable[str] = WORDS) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` entries trained on prompts and completions; the same texts give the same tokenizer."""
    forced = list(dict.fromkeys(words))
    specials = [PAD, END, *(f"<0x{byte:02X}>" for byte in range(256))]
    room = vocab_size - len(specials) - len(forced)
    if room < 200:
        least = vocab_size - room + 200
        raise UsageError(f"vocab_size={vocab_size} has no room for bytes, words of the dialect and 200 pieces: expected {least} or more")
    pieces, merges = _pieces(texts, forced, room)
    entries = dict.fromkeys([*specials, *pieces, *(WORD + word for word in forced)])
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    bpe = models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, ignore_merges=True, unk_token=PAD)
    tokenizer = _pipeline(bpe)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(JOIN + WORD, ""),
            decoders.Replace(Regex(rf"(?<=\n){WORD}|\A{WORD}"), ""),
            decoders.Replace(WORD, " "),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(PAD, special=True, normalized=False), AddedToken(END, special=True, normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False, padding_side="right"
    )


def _pipeline(bpe: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(bpe)
    glued = r"(?<=[^\s\w#*$])(?=\w)|(?<=[#*$])(?=[^\W\d])|(?<=\S)(?=[#*$]\d)"  # a word begins and no space stands before it
    spaced = rf"(?:(?<=\s )|(?<=\A )|(?<=[^\S\n ])){_STARTS}"  # a space that stands for itself
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(f"{glued}|{spaced}"), JOIN),
            normalizers.Replace(Regex(rf"(?<=\S) {_STARTS}|(?<![^\n{JOIN}]){_STARTS}"), WORD),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(rf"{WORD}[#*$]?\w+|\n+|[^\w{WORD}\n]+|."), "isolated")
    return tokenizer


def _pieces(texts: Iterable[str], forced: list[str], size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """BPE entries and merges learned from the texts without the forced words, which need no merges."""
    known = re.compile(rf"(?<![\w#$])(?:{'|'.join(re.escape(word) for word in forced)})(?!\w)")

    def rest() -> Iterator[str]:
        for text in texts:
            yield known.sub("", text)

    learner = _pipeline(models.BPE())
    learner.train_from_iterator(rest(), BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False, limit_alphabet=160))
    entries = learner.get_vocab()
    merges = [(a, b) for a, b in json.loads(learner.to_str())["model"]["merges"]]
    return sorted(entries, key=entries.__getitem__), merges


# --- architecture --------------------------------------------------------------------------------------------------------


def build_model(tokenizer: PreTrainedTokenizerFast, shape: Shape | None = None, seed: int = 0) -> LlamaForCausalLM:
    """An untrained fp32 model of this shape with shared input and output embeddings; equal seeds give equal weights."""
    shape = shape or Shape()
    pad, end = cast(int, tokenizer.pad_token_id), cast(int, tokenizer.eos_token_id)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        pad_token_id=pad,
        bos_token_id=None,
        eos_token_id=end,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    return model
