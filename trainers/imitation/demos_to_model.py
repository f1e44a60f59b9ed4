"""Imitation of a folder of demonstrations into a model folder: builds webgym-tiny from scratch, or goes on with a given model."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from trainers.config import validated, with_settings
from trainers.imitation import imitate as imitation
from trainers.models import tiny
from trainers.models.lora import LoraSettings
from trainers.models.model import check_device, prepare
from trainers.models.policy_model import PolicyModel
from trainers.recipes import defaults as recipes
from trainers.runs.disk import disk_errors, replace_files
from trainers.runs.memory import memory_errors, settings_in_words
from webgym.errors import UsageError
from webgym.prompts.settings import PromptSettings
from webgym.record import layout
from webgym.record.store import load
from webgym.record.whole import read_as


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

    `settings` are key=value texts over :class:`trainers.imitation.imitate.Config`; with the prefix `shape.` over
    :class:`trainers.models.tiny.Shape`, with `lora.` over :class:`trainers.models.lora.LoraSettings`; `dtype` and `gradient_checkpointing`
    are those of a given model.
    """
    if not (demos / layout.DEMOS).is_file():
        raise UsageError(f"{demos} holds no {layout.DEMOS}: record demonstrations with `webgym demos --out {demos}`")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} exists already and is not empty: give another --out, or remove it")
    check_device(device)
    torch.set_num_threads(threads)
    data = with_settings(
        {}, settings, known=("shape", "vocab_size", "lora", "dtype", "gradient_checkpointing", *imitation.Config.model_fields)
    )
    defaults, line = recipes.imitation(model, data)
    data = {**defaults, **data}
    if line:
        say(line)
    shape = validated(tiny.Shape, data.pop("shape", {}))
    vocab_size = data.pop("vocab_size", 1536)
    lora = validated(LoraSettings, data.pop("lora", {}))
    dtype, checkpointing = data.pop("dtype", "float32"), data.pop("gradient_checkpointing", False)
    config = validated(imitation.Config, data)
    prompts = read_as(demos / layout.DEMO_PROMPTS, PromptSettings.from_json, "prompt settings")
    examples = imitation.examples_of(load(demos / layout.DEMOS), prompts)
    if model:
        given = PolicyModel.load(model, device=device, dtype=dtype, lora=lora, seed=config.seed, gradient_checkpointing=checkpointing)
        if any(p.dtype == torch.float16 for p in given.model.parameters() if p.requires_grad):
            raise UsageError("dtype=float16 cannot train all weights: expected bfloat16, whose weights have fp32 masters, or lora.rank=16")
        source = PolicyModel(given.model, given.tokenizer, prompts)
    else:
        texts = (text for example in examples for prompt, answer in example.turns for text in (prompt.text, answer))
        tokenizer = tiny.build_tokenizer(texts, vocab_size)
        source = PolicyModel(prepare(tiny.build_model(tokenizer, shape, config.seed)).to(device), tokenizer, prompts)  # type: ignore[arg-type]
    parameters = sum(p.numel() for p in source.model.parameters() if p.requires_grad)
    say(f"{sum(len(e.turns) for e in examples):,} demonstrated turns, {parameters / 1e6:.2f} M parameters to learn")
    knobs = [f"batch_tokens={config.batch_tokens // 2}"]
    if model and not checkpointing:
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


def _in_words(p: imitation.Progress) -> str:
    """One line of a run; it leaves out held-out turns where there are none."""
    held_out = "" if math.isnan(p.exact) else f"held-out loss {p.held_out_loss:.3f}  exact {p.exact:.1%}  "
    return f"step {p.step:>5}/{p.steps}  loss {p.loss:.3f}  {held_out}{p.tokens_per_s:,.0f} tokens/s"
