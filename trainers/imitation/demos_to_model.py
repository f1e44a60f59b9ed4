"""Imitation of a folder of demonstrations into a model folder: builds webgym-tiny from scratch, or goes on with a given model."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from trainers.config import with_settings
from trainers.imitation import imitate as imitation
from trainers.models import tiny
from trainers.models.lora import LoraSettings
from trainers.models.model import Dtype, check_device, prepare
from trainers.models.policy_model import PolicyModel
from trainers.recipes import defaults as recipes
from trainers.runs.disk import disk_errors, replace_files
from trainers.runs.keys import merged, validated
from trainers.runs.memory import memory_errors, settings_in_words
from webgym.errors import ConfigError, UsageError
from webgym.prompts.settings import PromptSettings
from webgym.record import layout
from webgym.record.store import load
from webgym.record.whole import read_as


class New(BaseModel):
    """Settings of a model that is built from scratch."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    shape: tiny.Shape = tiny.Shape()
    """Its size."""
    vocab_size: int = Field(default=1536, ge=300)
    """Most entries of its tokenizer, which is made from the demonstrations."""


class Given(BaseModel):
    """Settings of a given model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    lora: LoraSettings = LoraSettings()
    """Train a low-rank adapter instead of all weights: lora.rank above 0."""
    dtype: Dtype = "float32"
    """Its precision."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them."""


def sft(
    demos: Path,
    out: Path,
    *,
    model: str = "",
    settings: Iterable[str] = (),
    device: str = "cpu",
    threads: int = 2,
    say: Callable[[str], None] = lambda words: None,
) -> imitation.Report:
    """Imitate the demonstrations in `demos` and save the model in `out`. Raises UsageError, ConfigError.

    `settings` are key=value texts over :class:`trainers.imitation.imitate.Config`, and :class:`New` or, with a `model`, :class:`Given`.
    """
    if demos.is_file():
        raise UsageError(f"{demos} is a file: expected the folder that `webgym demos` wrote")
    if not (demos / layout.DEMOS).is_file():
        raise UsageError(f"{demos} holds no {layout.DEMOS}: record demonstrations with `webgym demos --out {demos}`")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already and is not an empty folder: give another --out, or remove it")
    check_device(device)
    torch.set_num_threads(threads)
    data = with_settings({}, settings, known=(*New.model_fields, *Given.model_fields, *imitation.Config.model_fields), otherwise="")
    _refuse_idle(data, model)
    defaults, line = recipes.imitation(model, data)
    data = merged(defaults, data)
    if line:
        say(line)
    new = validated(New, {key: data.pop(key) for key in New.model_fields if key in data})
    given_model = validated(Given, {key: data.pop(key) for key in Given.model_fields if key in data})
    config = validated(imitation.Config, data)
    prompts = read_as(demos / layout.DEMO_PROMPTS, PromptSettings.from_json, "prompt settings")
    examples = imitation.examples_of(load(demos / layout.DEMOS), prompts)
    if model:
        given = PolicyModel.load(model, device=device, seed=config.seed, **dict(given_model))
        if any(p.dtype == torch.float16 for p in given.model.parameters() if p.requires_grad):
            raise UsageError("dtype=float16 cannot train all weights: expected bfloat16, whose weights have fp32 masters, or lora.rank=16")
        source = PolicyModel(given.model, given.tokenizer, prompts)
    else:
        texts = (text for example in examples for prompt, answer in example.turns for text in (prompt.text, answer))
        tokenizer = tiny.build_tokenizer(texts, new.vocab_size)
        source = PolicyModel(prepare(tiny.build_model(tokenizer, new.shape, config.seed)).to(device), tokenizer, prompts)  # type: ignore[arg-type]
    with disk_errors(out, "try again"):  # now, not when all is learned
        out.mkdir(parents=True, exist_ok=True)
    parameters = sum(p.numel() for p in source.model.parameters() if p.requires_grad)
    say(f"{sum(len(e.turns) for e in examples):,} demonstrated turns, {parameters / 1e6:.2f} M parameters to learn")
    knobs = [f"batch_tokens={config.batch_tokens // 2}"]
    if model and not given_model.gradient_checkpointing:
        knobs.append("gradient_checkpointing=true")
    less = settings_in_words(knobs)
    with memory_errors(device, f"try again with {less}"):
        result = imitation.sft(
            source.model,
            source.tokenizer,
            examples,
            config,
            lambda p: say(_in_words(p)),
            prompts,
        )
    with disk_errors(out, "try again"):
        replace_files(out, source.save)
    return result


def _refuse_idle(data: Mapping[str, Any], model: str) -> None:
    """Raises ConfigError for settings of a new model where one is given, and of a given one where there is none."""
    kind, why = (New, f"--model {model}, which has its size and its tokenizer") if model else (Given, "a model that is built from scratch")
    if idle := [key for key in kind.model_fields if key in data]:
        raise ConfigError(f"{idle[0]} has no effect with {why}: leave it out{'' if model else ', or give --model'}")


def _in_words(p: imitation.Progress) -> str:
    """One line of a run; it leaves out held-out turns where there are none."""
    held_out = "" if math.isnan(p.exact) else f"held-out loss {p.held_out_loss:.3f}  exact {p.exact:.1%}  "
    return f"step {p.step:>5}/{p.steps}  loss {p.loss:.3f}  {held_out}{p.tokens_per_s:,.0f} tokens/s"
