"""Whether the trainer computes on a GPU what it computes on the CPU: `python -m benchmarks.gpu_check --model smollm2-135m`.

Comparisons by relative distance, each with its tolerance: log-probabilities and gradients of packed rows (16 bits on the device, fp32
on the CPU), and what the sampler says of its tokens against what the learner computes for them; and whether the kernel for packed rows
is in use. Then what a decoding step and a training token cost. Exit code 1 where a comparison fails.
"""

import argparse
import asyncio
import sys
import time
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from trainers.batches.packing import PackedBatch, pack
from trainers.batches.rows import Row, Span
from trainers.models.attention import flash_fits
from trainers.models.lora import LoraSettings, add_lora
from trainers.models.model import load, logprobs_at, packed_hidden
from trainers.samplers.batched import BatchedSampler
from trainers.samplers.sampler import Generated
from webgym.types import Sampling


def rows(vocabulary: int, lengths: list[int], actions: int = 6) -> list[Row]:
    """Rows of random ids whose last tokens were sampled."""
    rng = np.random.default_rng(0)
    found = []
    for i, n in enumerate(lengths):
        ids = tuple(int(x) for x in rng.integers(0, vocabulary, n))
        found.append(Row(i, i, ids, (Span(0, n - actions - 1, n - actions, n, 0),)))
    return found


def learned(model: Any, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the actions, and the gradient of their mean for the adapter."""
    logprobs = logprobs_at(model, packed_hidden(model, batch), batch)
    model.zero_grad()
    (-logprobs.mean()).backward()
    gradient = torch.cat([p.grad.flatten().float().cpu() for p in model.parameters() if p.grad is not None])
    return logprobs.detach().cpu(), gradient


def generated(model: Any, tokenizer: Any, prompts: list[tuple[int, ...]], tokens: int) -> list[Generated]:
    """A completion of each prompt, all at once."""
    with BatchedSampler(model, tokenizer, slots=len(prompts)) as sampler:

        async def ask() -> list[Generated]:
            return await asyncio.gather(*(sampler.generate(p, i, Sampling(max_tokens=tokens)) for i, p in enumerate(prompts)))

        return asyncio.run(ask())


def sampler_apart(model: Any, tokenizer: Any, vocabulary: int) -> float:
    """The relative distance between the sampler's log-probabilities and the learner's."""
    prompts = [row.ids for row in rows(vocabulary, [40, 300, 120, 77, 200, 33, 90, 510])]
    found = generated(model, tokenizer, prompts, 8)
    played = []
    for i, (p, g) in enumerate(zip(prompts, found, strict=True)):
        played.append(Row(i, i, (*p, *g.ids), (Span(0, len(p) - 1, len(p), len(p) + len(g.ids), 0),)))
    computed = []
    for row in played:
        batch = pack([row], 4096)[0].to(model.device)
        with torch.no_grad():
            computed.append(logprobs_at(model, packed_hidden(model, batch), batch).cpu())
    return apart(torch.cat(computed), torch.tensor([x for g in found for x in g.logprobs]))


def apart(one: Tensor, other: Tensor) -> float:
    """‖one − other‖ / ‖one‖."""
    return float((one - other).norm() / one.norm())


def main() -> None:
    """The comparisons and the costs, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="webgym-tiny")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--slots", type=int, default=128, help="requests that are decoded together")
    parser.add_argument("--pack", type=int, default=16384, help="tokens of a timed update")
    given = parser.parse_args()
    here, tokenizer = load(given.model)
    there, _ = load(given.model, device=given.device, dtype="float32" if given.device == "cpu" else "bfloat16")
    for model in (here, there):
        add_lora(model, LoraSettings(rank=8))
    vocabulary = cast(Any, here).get_input_embeddings().weight.shape[0]
    batch = pack(rows(vocabulary, [130, 17, 64, 250]), 1024)[0]
    one, gradient = learned(here, batch)
    other, gradient_there = learned(there, batch.to(given.device))
    checks = {
        "log-probabilities of packed rows": (apart(one, other), 0.02),
        "gradient of the adapter": (apart(gradient, gradient_there), 0.15),
        "log-probabilities of the sampler": (sampler_apart(there, tokenizer, vocabulary), 0.05),
    }
    failed = False
    for name, (found, most) in checks.items():
        failed |= not found <= most
        print(f"{'ok    ' if found <= most else 'FAILED'} {name}: {found:.2e} apart (at most {most})")
    config = cast(Any, there).config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    query, key = (torch.zeros(1, n, 8, config.hidden_size // heads, device=given.device, dtype=there.dtype) for n in (heads, kv_heads))
    print(f"one kernel for packed rows: {flash_fits(query, key, key, {})}")
    costs(there, tokenizer, vocabulary, given.slots, given.pack)
    sys.exit(failed)


def costs(model: Any, tokenizer: Any, vocabulary: int, slots: int, size: int) -> None:
    """Times of generation and of an update, after a first round that is not counted."""
    prompts = [row.ids for row in rows(vocabulary, [512 - i % 64 for i in range(slots)])]
    with BatchedSampler(model, tokenizer, slots=slots) as sampler:
        before = replace(sampler.counters)
        for version in range(2):
            before = replace(sampler.counters)
            sampler.set_weights(model, version)
            for future in [sampler.submit(p, i, Sampling(max_tokens=32)) for i, p in enumerate(prompts)]:
                future.result()
        after = sampler.counters
    tokens, steps = after.sampled_tokens - before.sampled_tokens, after.decode_steps - before.decode_steps
    print(f"sampler: {slots} prompts of 512 tokens and {tokens} sampled ones in {after.busy_s - before.busy_s:.2f} s, {steps} steps")
    batch = pack(rows(vocabulary, [1024] * (size // 1024)), size)[0].to(model.device)
    elapsed = 0.0
    for _ in range(3):
        clock = time.perf_counter()
        learned(model, batch)
        elapsed = time.perf_counter() - clock
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most" if model.device.type == "cuda" else ""
    print(f"update: {batch.tokens} tokens forward and backward in {elapsed:.3f} s, {batch.tokens / elapsed:,.0f} tokens/s{memory}")


if __name__ == "__main__":
    main()
