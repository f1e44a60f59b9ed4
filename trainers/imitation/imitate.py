"""Imitation: a model learns to write the demonstrator's actions (supervised fine-tuning).

    L(θ) = - (1/|A|) Σ log π_θ(a | prompt)  -  w · (1/|P|) Σ log π_θ(token | tokens before)

The first sum runs over the tokens of the demonstrated actions, the second, with a small weight w or none, over the prompts' tokens.
Demonstrations are packed like rollouts, without padding; a step's divisors count all its tokens. In a conversation the turns of a
demonstration are one row, as they are when the model plays.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from trainers.batches.packing import PackedBatch, pack
from trainers.batches.rows import Held, Row, Span
from trainers.learning.masters import Masters, loss_scale, unscale
from trainers.models.model import context_of, logprobs_at, packed_hidden
from trainers.models.prompt_ids import Context
from webgym.errors import DivergenceError, UsageError
from webgym.prompts.parts import Prompt
from webgym.prompts.prompt import recorded_prompt
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.types import Trajectory, seed_from


class Config(BaseModel):
    """Settings of imitation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: float = Field(default=3.0, gt=0, description="passes over the demonstrations; a part of one is fine")
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="stop after this much time, if that comes before the epochs; the step size then falls with the time, "
        "and two runs differ by their clocks",
    )
    optimizer: Literal["muon", "adamw"] = Field(
        default="muon",
        description="muon: orthogonalised momentum for the matrices between embeddings and head, AdamW for the rest; adamw: AdamW for all",
    )
    lr: float = Field(default=3e-3, gt=0, description="highest step size; Muon's is scaled to the size of AdamW's updates")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="how the step size falls after the warm-up, to lr / 20"
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps in which the step size rises")
    batch_tokens: int = Field(default=4096, ge=1, description="tokens of one optimiser step, prompts included")
    prompt_weight: float = Field(default=0.0, ge=0, description="w above: weight of predicting the prompts' tokens too")
    weight_decay: float = Field(default=0.05, ge=0, description="decoupled decay, on matrices only")
    beta2: float = Field(default=0.98, gt=0, lt=1, description="AdamW's second moment")
    grad_clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    held_out: float = Field(default=0.05, ge=0, lt=1, description="share of the episodes that are only measured")
    seed: int = Field(default=0, description="order of the demonstrations and choice of those held out")
    measure_every: int = Field(default=200, ge=1, description="steps between two measurements on the held-out demonstrations")


@dataclass(frozen=True, slots=True)
class Example:
    """One demonstrated turn, or the turns of a conversation: (prompt, completion) of each.

    `episode` says which examples belong together, so that they are held out together.
    """

    turns: tuple[tuple[Prompt, str], ...]
    episode: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of imitation after `step` optimiser steps.

    `loss` is the mean over action tokens since the last measurement; `held_out_loss` that of the held-out demonstrations, in nats;
    `exact` the share of held-out turns whose whole action is the likeliest token by token (as greedy decoding would write it).
    """

    step: int
    steps: int
    epoch: float
    loss: float
    held_out_loss: float
    exact: float
    tokens: int
    tokens_per_s: float
    lr: float


@dataclass(frozen=True, slots=True)
class Report:
    """The curve of one run of imitation; its last entry is the result."""

    curve: tuple[Progress, ...]
    turns: int
    held_out_turns: int

    @property
    def final(self) -> Progress:
        return self.curve[-1]


def examples_of(trajectories: Iterable[Trajectory], prompts: PromptSettings) -> list[Example]:
    """Recorded demonstrations as examples: one a turn, or one an episode where the prompts are those of a conversation.

    Raises UsageError where a turn has no prompt or no text, or its prompt holds pictures.
    """
    examples = []
    for trajectory in trajectories:
        turns = []
        for t, turn in enumerate(trajectory.turns):
            if not turn.completion.prompt or not turn.completion.text:
                raise UsageError(
                    f"{trajectory.key.task_id} (seed {trajectory.key.seed}), turn {t}: expected a prompt and what was written; "
                    "record demonstrations with prompts (webgym demos)"
                )
            if turn.completion.key:
                raise UsageError(
                    f"{trajectory.key.task_id} (seed {trajectory.key.seed}), turn {t}: expected a prompt of text, got one with pictures, "
                    "which are not recorded; record demonstrations that show the page as text"
                )
            turns.append((recorded_prompt(turn.completion.prompt, prompts), turn.completion.text))
        grouped = [tuple(turns)] if prompts.context == "conversation" else [(turn,) for turn in turns]
        examples += [Example(group, f"{trajectory.key.task_id}/{trajectory.key.seed}") for group in grouped if group]
    return examples


def sft(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    config: Config,
    on_progress: Callable[[Progress], None] = lambda _: None,
    prompts: PromptSettings = COMPACT,
) -> Report:
    """Trains the model in place; `prompts` are the settings that the examples' prompts were made with.

    The same model, examples, config and thread count give the same weights on CPU.
    """
    train, held_out = _split(_rows(model, Context(tokenizer, prompts), examples), [example.episode for example in examples], config)
    if not train:
        raise UsageError("expected at least one demonstration to imitate, got none")
    held_batches = [batch for batch in pack(held_out, 2 * config.batch_tokens)] if held_out else []
    steps = _steps(train, config)
    masters = Masters(p for p in model.parameters() if p.requires_grad)
    optimizers = _optimizers(model, masters, config)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    device = next(model.parameters()).device
    curve: list[Progress] = []
    loss_sum, action_sum, tokens, seen, clock = torch.zeros(()), 0, 0, 0, time.perf_counter()
    begun = clock
    for step, rows in enumerate(_deal(train, config), start=1):
        model.train()
        gone = 0.0 if config.minutes is None else (time.perf_counter() - begun) / (60 * config.minutes)  # share of the time
        last = step == steps or gone >= 1
        for group in groups:
            group["lr"] = config.lr * _scale(max(step, min(steps, round(gone * steps))), steps, config)
        batch = pack(rows, max(config.batch_tokens, len(rows[0])))[0].to(device)
        loss, count = _step(model, batch, masters, optimizers, config)
        loss_sum, action_sum = loss_sum + loss, action_sum + count
        tokens, seen = tokens + batch.tokens, seen + batch.tokens
        if step % config.measure_every == 0 or last:
            elapsed = time.perf_counter() - clock
            held_out_loss, exact = measure(model, [held.to(device) for held in held_batches])
            epoch = tokens / sum(map(len, train))
            lr = groups[0]["lr"]
            curve.append(
                Progress(step, steps, epoch, float(loss_sum) / max(1, action_sum), held_out_loss, exact, tokens, seen / elapsed, lr)
            )
            on_progress(curve[-1])
            loss_sum, action_sum, seen, clock = torch.zeros(()), 0, 0, time.perf_counter()
        if last:
            break
    model.eval()
    return Report(tuple(curve), *(sum(len(row.spans) for row in rows) for rows in (train, held_out)))


@torch.no_grad()
def measure(model: nn.Module, batches: Sequence[PackedBatch]) -> tuple[float, float]:
    """Mean loss per action token in nats, and the share of turns whose every token is the likeliest; NaN without turns."""
    model.eval()
    loss, tokens, exact, turns = 0.0, 0, 0, 0
    for batch in batches:
        hidden = packed_hidden(model, batch)
        loss -= float(logprobs_at(model, hidden, batch).sum())
        right = _likeliest(model, hidden, batch) == batch.action_ids
        wrong = torch.zeros(len(batch.value_turn), dtype=torch.bool, device=right.device)
        wrong[torch.bucketize(batch.action_index, batch.value_index, right=True)[~right] - 1] = True
        tokens, exact, turns = tokens + len(right), exact + int((~wrong).sum()), turns + len(wrong)
    return (loss / tokens, exact / turns) if turns else (math.nan, math.nan)


def _likeliest(model: nn.Module, hidden: Tensor, batch: PackedBatch) -> Int[Tensor, " a"]:
    head = model.get_output_embeddings()  # type: ignore[operator]
    return torch.cat([head(hidden[part]).argmax(-1) for part in batch.action_index.split(4096)])


def _rows(model: nn.Module, context: Context, examples: Sequence[Example]) -> list[Row]:
    limit = context_of(model)
    rows = []
    first_turn = 0
    for i, example in enumerate(examples):
        row = _row(context, example, i, first_turn)
        if len(row) > limit:
            raise UsageError(
                f"a demonstration of {example.episode} takes {len(row):,} tokens in {len(example.turns)} turn(s), but the model reads at "
                f"most {limit:,}; show less of the page in the prompt (max_nodes), or take a model with a longer context"
            )
        rows.append(row)
        first_turn += len(example.turns)
    return rows


def _row(context: Context, example: Example, index: int, first_turn: int) -> Row:
    """The example as one row: each turn behind the ones before it."""
    ids: tuple[int, ...] = ()
    action: tuple[int, ...] = ()
    spans: list[Span] = []
    for t, (prompt, completion) in enumerate(example.turns):
        ids += context.following(prompt, action) if spans else context.first(prompt)
        action = context.completion(completion)
        offset = spans[-1].offset + spans[-1].size if spans else 0
        spans.append(Span(t, len(ids) - 1, len(ids), len(ids) + len(action), offset))
        ids += action
    return Row(index, first_turn, ids, tuple(spans))


def _split(rows: list[Row], episodes: list[str], config: Config) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows held out, by whole episodes."""
    held = {name for name in set(episodes) if seed_from(config.seed, "held out", name) < config.held_out * 2**63}
    return (
        [row for row, name in zip(rows, episodes, strict=True) if name not in held],
        [row for row, name in zip(rows, episodes, strict=True) if name in held],
    )


def _steps(rows: list[Row], config: Config) -> int:
    """The number of steps whose rows come nearest to `epochs` passes: a step has whole rows, so that few are as long as `batch_tokens`."""
    whole, done = config.epochs * sum(map(len, rows)), 0
    for number, step in enumerate(_deal(rows, config), start=1):
        size = sum(map(len, step))
        if done + size >= whole:
            return number if number == 1 or done + size - whole <= whole - done else number - 1
        done += size
    raise AssertionError("rows are dealt without end")


def _deal(rows: list[Row], config: Config) -> Iterator[list[Row]]:
    """Rows of one step after the other, without end; each epoch in an order of its own."""
    epoch, step, size = 0, [], 0
    while True:
        generator = torch.Generator().manual_seed(seed_from(config.seed, "epoch", epoch))
        for i in torch.randperm(len(rows), generator=generator).tolist():
            if step and size + len(rows[i]) > config.batch_tokens:
                yield step
                step, size = [], 0
            step.append(rows[i])
            size += len(rows[i])
        epoch += 1


def _scale(step: int, steps: int, config: Config) -> float:
    """Factor on the highest step size in this step (counted from 1)."""
    rise = max(1, round(config.warmup * steps))
    if step <= rise:
        return step / rise
    if config.schedule == "constant":
        return 1.0
    done = (step - rise) / max(1, steps - rise)
    left = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return 0.05 + 0.95 * left


def _optimizers(model: nn.Module, masters: Masters, config: Config) -> list[torch.optim.Optimizer]:
    """AdamW, and for the hidden matrices Muon (Jordan et al. 2024) at the update scale of Liu et al. (arXiv 2502.16982), if asked for."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    learned = list(zip(names, masters.parameters, strict=True))
    hidden = [p for name, p in learned if p.ndim == 2 and "embed" not in name and "head" not in name] if config.optimizer == "muon" else []
    known = {id(p) for p in hidden}
    matrices = [p for _, p in learned if p.ndim >= 2 and id(p) not in known]
    others = [p for _, p in learned if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2), fused=True)
    if not hidden:
        return [adamw]
    return [adamw, torch.optim.Muon(hidden, lr=config.lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")]


def _step(
    model: nn.Module, batch: PackedBatch, masters: Masters, optimizers: Sequence[torch.optim.Optimizer], config: Config
) -> tuple[Tensor, int]:
    """The sum of the action tokens' losses before the step, and their number."""
    hidden = packed_hidden(model, batch)
    action = -logprobs_at(model, hidden, batch)
    loss = action.mean()
    if config.prompt_weight:
        prompt = _PromptTokens.of(batch)
        loss = loss - config.prompt_weight * logprobs_at(model, hidden, prompt).mean()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    scale = loss_scale(model.parameters())
    (loss * scale).backward()
    masters.gather()
    unscale(masters.parameters, scale)
    norm = nn.utils.clip_grad_norm_(masters.parameters, config.grad_clip)
    if not torch.isfinite(norm):
        raise DivergenceError(f"the gradient is {float(norm)}; the weights were left as they are: set a lower lr")
    for optimizer in optimizers:
        optimizer.step()
    masters.publish()
    return action.detach().sum().cpu(), len(action)


@dataclass(frozen=True, slots=True)
class _PromptTokens:
    """The prompts' tokens of a batch in the place of its actions."""

    action_index: Int[Tensor, " p"]
    action_ids: Int[Tensor, " p"]
    held: tuple[Held, ...] = ()

    @classmethod
    def of(cls, batch: PackedBatch) -> "_PromptTokens":
        predicts = torch.ones(batch.tokens, dtype=torch.bool, device=batch.ids.device)
        predicts[batch.action_index] = False
        predicts[batch.cu_seqlens[1:].long() - 1] = False  # nothing follows the last token of a row
        index = predicts.nonzero()[:, 0]
        return cls(index, batch.ids[index + 1])
