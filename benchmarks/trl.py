"""Our update beside TRL's GRPO step: the same model, the same multi-turn trajectories, first the losses, then the time.

    python -m benchmarks.trl [--trajectories 32] [--rounds 7] [--threads 1] [--json FILE]

A trajectory is a conversation, the one layout that both know: page, action, page, action ... in one sequence, the pages masked (TRL's
`tool_mask`). Ids are drawn at random; only their numbers cost time. TRL is given the best of every kind: sorted by length, each
micro-batch padded to its own longest only (by itself it pads the whole batch alike), every micro-batch size tried and the fastest kept,
tensors made before the clock starts. Our clock runs from trajectories' rows on: packing is part of it. Both end with AdamW's step.

Tokens per second count each real token once, whatever was padded or read. The clock is the processor time of this process, so
that other work on the machine costs little, and rounds of all candidates take turns, so that what it does cost slows all alike;
the ratio is the median over rounds of TRL's best time to ours in the same round.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainers.batches.packing import PackedBatch, step_of
from trainers.batches.rows import Streams, rows_of_all, streams_of
from trainers.learning.learner import Learner, OptimConfig
from trainers.learning.losses import LossSpec
from trainers.models.model import action_logprobs, load
from trainers.models.tiny import FOLDER
from webgym.types import Completion, EpisodeKey, Outcome, Trajectory, Turn

BUDGETS = (2048, 4096, 8192, 16384)
MICRO_BATCHES = (1, 2, 4, 8, 16)
MAX_COMPLETION = 1024  # TRL's constant divisor; ours is told the same
CLIP: dict[str, Any] = {"clip_low": 0.2, "clip_high": 0.28}

SETTINGS: dict[str, tuple[LossSpec, dict[str, Any]]] = {
    "GRPO, 1/|o_i|": (LossSpec(divisor="trajectories", **CLIP), {"loss_type": "grpo"}),
    "GRPO with KL": (
        LossSpec(divisor="trajectories", kl="k3", kl_coef=0.04, **CLIP),
        {"loss_type": "grpo", "beta": 0.04, "use_bias_correction_kl": False},
    ),
    "DAPO": (LossSpec(divisor="tokens", **CLIP), {"loss_type": "dapo"}),
    "Dr. GRPO": (LossSpec(divisor="constant", tokens_per_trajectory=MAX_COMPLETION, **CLIP), {"loss_type": "dr_grpo"}),
    "GSPO": (
        LossSpec(ratio_level="sequence", divisor="trajectories", **CLIP),
        {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    ),
}
"""By name: what our learner is asked for, and the same for TRL."""


# --- one batch, in both layouts ------------------------------------------------------------------------------------------


def conversation(rng: np.random.Generator, index: int, vocabulary: int, limit: int) -> Trajectory:
    """An episode of 1 to 10 turns: a first page of 80 to 200 tokens, later ones of 40 to 120, actions of 4 to 8."""
    seen: tuple[int, ...] = ()
    turns: list[Turn] = []
    for t in range(int(rng.integers(1, 11))):
        page = rng.integers(3, vocabulary, int(rng.integers(80, 201) if t == 0 else rng.integers(40, 121))).tolist()
        action = rng.integers(3, vocabulary, int(rng.integers(4, 9))).tolist()
        if len(seen) + len(page) + len(action) > limit:
            break
        completion = Completion("", "", (*seen, *page), tuple(action), (0.0,) * len(action))
        turns.append(Turn(completion, "", "", 0.0, False, False, "", ""))
        seen = (*completion.prompt_ids, *completion.action_ids)
    return Trajectory(EpisodeKey("bench.conversation", index), "", tuple(turns), Outcome("failure", 0.0))


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of trajectories with an advantage each, and log-probabilities near the model's own per sampled token."""

    trajectories: Sequence[Trajectory]
    streams: Streams

    @property
    def tokens(self) -> int:
        """All real tokens, each counted once."""
        return sum(len(row) for row in rows_of_all(self.trajectories))


def problem(model: torch.nn.Module, trajectories: int, seed: int = 0) -> Problem:
    """A batch whose old and reference log-probabilities lie around the model's, so that some ratios are clipped."""
    rng = np.random.default_rng(seed)
    config = model.config.get_text_config()  # type: ignore[union-attr]
    many = [conversation(rng, i, config.vocab_size, config.max_position_embeddings) for i in range(trajectories)]
    advantages = [np.full(len(x), a) for x, a in zip(many, rng.normal(size=trajectories), strict=True)]
    blank = streams_of(many, advantages, [np.ones(len(x)) for x in many])
    (batch,) = step_of(rows_of_all(many), blank, 1 << 30).batches
    with torch.no_grad():
        flat = action_logprobs(model, batch)[0].numpy()
    own = np.split(flat, np.cumsum([len(s) for s in blank.behaviour_logprob])[:-1])

    def near(spread: float) -> list[np.ndarray]:
        return [(x + rng.normal(0, spread, len(x))).astype(np.float32) for x in own]

    return Problem(many, Streams(blank.advantage, blank.weight, near(0.2), reference_logprob=near(0.3)))


def padded(found: Problem, chosen: Sequence[int]) -> dict[str, Tensor]:
    """TRL's inputs for these trajectories, padded to their own longest: prompts on the left, the rest on the right."""
    rows = {row.trajectory: row for row in rows_of_all(found.trajectories)}
    prompts = [rows[i].ids[: rows[i].spans[0].start] for i in chosen]
    rests = [rows[i].ids[rows[i].spans[0].start :] for i in chosen]
    left, right = max(map(len, prompts)), max(map(len, rests))
    shape = (len(chosen), right)
    tool_mask, old, reference = torch.zeros(shape, dtype=torch.long), torch.zeros(shape), torch.zeros(shape)
    for k, i in enumerate(chosen):
        start = rows[i].spans[0].start
        places = torch.cat([torch.arange(span.start - start, span.end - start) for span in rows[i].spans])
        tool_mask[k, places] = 1
        old[k, places] = torch.from_numpy(found.streams.behaviour_logprob[i])
        reference[k, places] = torch.from_numpy(_given(found.streams.reference_logprob)[i])
    return {
        "prompt_ids": torch.tensor([[0] * (left - len(p)) + list(p) for p in prompts]),
        "prompt_mask": torch.tensor([[0] * (left - len(p)) + [1] * len(p) for p in prompts]),
        "completion_ids": torch.tensor([list(r) + [0] * (right - len(r)) for r in rests]),
        "completion_mask": torch.tensor([[1] * len(r) + [0] * (right - len(r)) for r in rests]),
        "tool_mask": tool_mask,
        "advantages": torch.tensor([float(found.streams.advantage[i][0]) for i in chosen]),
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": torch.tensor(float(sum(len(s) for s in found.streams.weight))),
    }


def _given(streams: Sequence[np.ndarray] | None) -> Sequence[np.ndarray]:
    assert streams is not None
    return streams


# --- the two sides -------------------------------------------------------------------------------------------------------


def trl_trainer(folder: Path, out: Path, micro_batch: int, batch: int, options: dict[str, Any]) -> Any:
    """TRL's GRPOTrainer over this model; its generation is never called."""
    from datasets import Dataset  # pyright: ignore[reportMissingImports]  # of the extra `trl`
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]

    class Given(GRPOTrainer):
        """Takes prepared inputs as they are."""

        def _prepare_inputs(self, generation_batch: Any) -> Any:
            return generation_batch

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    steps = -(-batch // micro_batch)
    config = GRPOConfig(
        output_dir=str(out),
        use_cpu=True,
        bf16=False,
        report_to=[],
        disable_tqdm=True,
        gradient_checkpointing=False,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=steps,
        steps_per_generation=steps,
        num_generations=max(2, next(n for n in (8, 4, 2, 1) if (micro_batch * steps) % n == 0)),
        max_completion_length=MAX_COMPLETION,
        epsilon=CLIP["clip_low"],
        epsilon_high=CLIP["clip_high"],
        **options,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    data = Dataset.from_list([{"prompt": "page"}] * batch)
    trainer = Given(model=model, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=config, train_dataset=data,
                    processing_class=tokenizer)  # fmt: skip
    trainer.current_gradient_accumulation_steps = steps
    model.train()
    return trainer


def trl_step(trainer: Any, optimiser: torch.optim.Optimizer, batches: Sequence[dict[str, Tensor]]) -> None:
    """All micro-batches of one optimiser step, and the step."""
    for batch in batches:
        trainer.training_step(trainer.model, batch, None)
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def our_step(learner: Learner, found: Problem, spec: LossSpec, budget: int) -> dict[str, float]:
    """Packing and one optimiser step."""
    step = step_of(rows_of_all(found.trajectories), found.streams, budget, whole=spec.whole, keep_zero_advantage=spec.acts_on_every_turn)
    return learner.update([step], spec)


def our_learner(model: torch.nn.Module, out: Path, lr: float = 1e-9) -> Learner:
    """Our learner over this model."""

    def forward(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        return action_logprobs(model, batch)

    return Learner(model.parameters(), forward, OptimConfig(lr=lr), failed_batch=out / "failed.pt")


# --- losses, then time ---------------------------------------------------------------------------------------------------


def compare_losses(folder: Path, found: Problem, out: Path) -> dict[str, dict[str, float]]:
    """By setting: both losses of the whole batch in one piece, and how far apart they are."""
    result = {}
    for name, (spec, options) in SETTINGS.items():
        trainer = trl_trainer(folder, out / "trl", len(found.trajectories), len(found.trajectories), options)
        with torch.no_grad():
            theirs = float(trainer.compute_loss(trainer.model, padded(found, range(len(found.trajectories)))))
        model, _ = load(folder)
        ours = our_step(our_learner(model, out), found, spec, 8192)["loss/total"]
        result[name] = {"ours": ours, "trl": theirs, "difference": abs(ours - theirs)}
    return result


def compare_time(folder: Path, found: Problem, out: Path, rounds: int) -> dict[str, Any]:
    """Processor seconds of one update of each candidate in each round; the first round warms up and is not counted."""
    order = sorted(range(len(found.trajectories)), key=lambda i: len(rows_of_all([found.trajectories[i]])[0]))
    candidates: dict[str, Callable[[], object]] = {}
    for size in MICRO_BATCHES:
        trainer = trl_trainer(folder, out / "trl", size, len(order), {"loss_type": "dapo"})
        optimiser = torch.optim.AdamW(trainer.model.parameters(), lr=1e-9)
        batches = [padded(found, order[k : k + size]) for k in range(0, len(order), size)]
        candidates[f"trl, micro-batches of {size}"] = lambda t=trainer, o=optimiser, b=batches: trl_step(t, o, b)
    spec = SETTINGS["DAPO"][0]
    for budget in BUDGETS:
        learner = our_learner(load(folder)[0].train(), out)
        candidates[f"ours, packs of {budget}"] = lambda x=learner, b=budget: our_step(x, found, spec, b)
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, run in candidates.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return summary({name: times[1:] for name, times in seconds.items()}, found.tokens)


def summary(seconds: dict[str, list[float]], tokens: int) -> dict[str, Any]:
    """Tokens per second of each candidate by its median, the best of each side, and the ratio over rounds of those two."""
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    best = {side: min((n for n in medians if n.startswith(side)), key=medians.__getitem__) for side in ("trl", "ours")}
    ratios = np.array(seconds[best["trl"]]) / np.array(seconds[best["ours"]])
    return {
        "tokens": tokens,
        "tokens_per_s": {name: tokens / median for name, median in medians.items()},
        "best": best,
        "ratio": float(np.median(ratios)),
        "ratio_low": float(ratios.min()),
        "ratio_high": float(ratios.max()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; exit status 1 where a loss differs by more than 1e-5."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=FOLDER, help="folder of a causal language model; webgym-tiny unless given")
    parser.add_argument("--trajectories", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    folder: Path = chosen.model
    with tempfile.TemporaryDirectory() as temporary:
        found = problem(load(folder)[0], chosen.trajectories)
        losses = compare_losses(folder, found, Path(temporary))
        for name, row in losses.items():
            print(f"{name:16} ours {row['ours']:+.8f}  TRL {row['trl']:+.8f}  apart {row['difference']:.1e}")
        times = compare_time(folder, found, Path(temporary), chosen.rounds)
    for name, rate in times["tokens_per_s"].items():
        print(f"{name:24} {rate:9,.0f} tokens per processor second{'  (best of its side)' if name in times['best'].values() else ''}")
    ratio = f"{times['ratio']:.2f} [{times['ratio_low']:.2f}, {times['ratio_high']:.2f}]"
    print(f"{times['tokens']:,} tokens an update; ours / TRL at their best: {ratio}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"losses": losses, **times}, indent=2) + "\n", "utf-8")
    return int(any(row["difference"] > 1e-5 for row in losses.values()))


if __name__ == "__main__":
    raise SystemExit(main())
