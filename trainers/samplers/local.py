"""Generation in this process: a worker thread that decodes many requests at once, each exactly as it would be alone.

A result depends on its own prompt, seed, sampling settings and the weights only, never on other requests, bit for bit on CPU:

- a prompt is read without padding, in pieces that depend on the prompt alone (:mod:`trainers.samplers.prompt_reading`); prompts that wait
  are read in one pass where the processor's matrix products give each row the same bits in any batch, which is tried first;
- decoding runs all linear layers at one fixed shape [slots, 1], where a row ignores its neighbours (fp32 products of fewer than 16
  rows do differ), and attention runs per row over exactly the row's own keys and values;
- the random numbers of a request come from a counter-based generator of its own seed;
- the tokens that a grammar allows are a function of the request's own tokens (:mod:`trainers.models.token_grammar`);
- the worker's thread count is pinned.

There is no barrier: a request joins as soon as a slot is free and leaves at its end token. Pages are not read twice: neither the first
page of all members of a group, nor a page that several of them reached, nor the turns before in a conversation. Keys and values are kept
up to a limit.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.attention import causal
from trainers.models.model import logits_of
from trainers.models.policy_model import PolicyModel
from trainers.samplers.batched import BatchedSampler
from trainers.samplers.prompt_reading import Known, Piece, Prefix, Reading, ReadLayout, ends, passes
from trainers.samplers.sampler import Counters, draw
from trainers.samplers.small_llama import SmallLlamaDecoder
from trainers.samplers.worker import Request, Worker
from webgym.errors import UsageError

log = logging.getLogger(__name__)

READ_TOKENS = 2048  # of one pass over prompts: what it computes is held in memory


HOLDS_GRAMMAR = True
AS_LEARNER = True


class Config(BaseModel):
    """Settings of this sampler."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    slots: int = Field(default=8, ge=1)
    """Completions that are decoded together."""


def open_sampler(config: Config, source: PolicyModel, *, folder: Path, version: int) -> Worker:
    """The sampler of this process for the model's device; writes nothing to `folder`."""
    return in_this_process(source, version=version, slots=config.slots)


def in_this_process(source: PolicyModel, *, version: int = 0, slots: int = 8) -> Worker:
    """Equal bits in any batch for a model on the CPU, throughput for one on an accelerator."""
    if source.model.device.type != "cpu":
        return BatchedSampler(source.model, source.tokenizer, version=version, slots=slots)
    return LocalSampler(source.model, source.tokenizer, version=version, slots=slots, block=source.read_in_blocks_of)


@dataclass(frozen=True, slots=True)
class _Decode:
    """Attention of one new token per slot over the slot's own past; empty slots attend to nothing."""

    slots: Sequence[Request | None]
    keys: Sequence[Tensor | None]

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        layer = cast(int, module.layer_idx)
        out = query.new_zeros(query.shape[0], 1, query.shape[1], value.shape[-1])
        for i, (request, keys) in enumerate(zip(self.slots, self.keys, strict=True)):
            if request is None or keys is None:
                continue
            n = request.length
            past = keys[layer]  # [2, kv_heads, capacity, d]
            past[0, :, n] = key[i, :, 0]
            past[1, :, n] = value[i, :, 0]
            seen = past[:, None, :, : n + 1]
            out[i] = causal(query[i : i + 1], seen[0], seen[1], **settings).transpose(1, 2)[0]
        return out


class LocalSampler(Worker):
    """Samples on the CPU, each completion bit for bit as it would be alone; use it as a context manager or call :meth:`close`.

    `block` is the size of the pieces in which prompts are read and kept, for prompts that begin alike; 0 reads each in one piece.
    `cache_mb` limits the cache of them. `model`, `slots` and `threads` are those of :class:`trainers.samplers.worker.Worker`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        version: int = 0,
        slots: int = 8,
        threads: int = 1,
        block: int = 0,
        cache_mb: float = 256.0,
    ) -> None:
        if block < 0:
            raise UsageError(f"expected block >= 0, got block={block}")
        self._block = block
        self._decoder: SmallLlamaDecoder | None = None  # found by the worker
        self._together: bool | None = None  # true if prompts may be read in one pass; None before the trial
        self._known = Known(int(cache_mb * 2**20))
        self._keys: list[Tensor | None] = [None] * slots  # [layers, 2, kv_heads, capacity, d] of each slot that is taken
        super().__init__(model, tokenizer, version=version, slots=slots, threads=threads)

    def prepare(self) -> None:
        """Finds out whether a faster decoder gives the same bits."""
        self._decoder = SmallLlamaDecoder.of(self.model)

    def renewed(self) -> None:
        """Forgets all keys and values of the weights before."""
        self._known.clear()
        if self._decoder is not None:
            self._decoder.refresh()

    def begin(self, requests: Sequence[Request]) -> None:
        """Reads the prompts of requests that have just got their slots, and draws the first token of each."""
        readings = {(r.key, r.prompt): Reading(r.prompt, ends(len(r.prompt), self._block), key=r.key) for r in requests}
        left = list(readings.values())
        self.counters.reused_prompt_tokens += sum(len(request.prompt) for request in requests)
        for reading in left:
            reading.take(self._known.get)
        while left := [reading for reading in left if not reading.done]:
            found: dict[Prefix, Piece] = {}
            for group in passes(left, READ_TOKENS, self._reads_agree):
                found |= self._read(group)
            for reading in left:
                reading.take(found.get)
        for request in requests:
            reading = readings[request.key, request.prompt]
            last = reading.pieces[-1]
            layers, two, heads, _, d = last.past.shape
            keys = last.past.new_empty(layers, two, heads, len(request.prompt) + request.sampling.max_tokens, d)
            reading.fill(keys)
            slot = self.slots.index(request)
            self._keys[slot] = keys
            assert last.logits is not None
            self._draw(slot, request, last.logits)

    def _read(self, group: Sequence[Reading]) -> dict[Prefix, Piece]:
        """The next piece of each reading, from one forward pass."""
        spans = [range(reading.start, len(reading.next)) for reading in group]
        layout = ReadLayout([len(span) for span in spans], [reading.pieces for reading in group], [])
        ids = torch.tensor([[i for reading, span in zip(group, spans, strict=True) for i in reading.prompt[span.start : span.stop]]])
        positions = torch.tensor([[i for span in spans for i in span]])
        hidden = self._hidden(ids, positions, layout)
        pasts = torch.stack(layout.keys).split(layout.lengths, dim=3)  # each [layers, 2, kv_heads, n, d]
        found, end = {}, 0
        for reading, past in zip(group, pasts, strict=True):
            end += past.shape[3]
            logits = self._logits(hidden[:, end - 1])[0] if reading.next == reading.prompt else None
            found[reading.name] = Piece(past.contiguous() if len(group) > 1 else past, logits)
        for prefix, piece in found.items():
            self._known.put(prefix, piece)
        self.counters.reads += 1
        self.counters.prompt_tokens += end
        self.counters.reused_prompt_tokens -= end
        return found

    def _reads_agree(self) -> bool:
        """True if a pass over several prompts gives each the bits that it gets alone. It is tried once, on made-up ids, and kept.

        On an accelerator no result is bitwise reproducible, and it is always true.
        """
        together = self._together
        if together is None:
            self._together = together = self.model.device.type != "cpu" or self._try_reads()
            log.debug("prompts are read %s", "together" if together else "one by one: this processor's products depend on their size")
        return together

    def _try_reads(self) -> bool:
        vocabulary = cast(Any, self.model).get_input_embeddings().weight.shape[0]
        readings = []
        for n in (16, 37, 100, 203):
            n = min(n, self.context)
            readings.append(Reading(tuple((7 * n + 31 * i) % vocabulary for i in range(n)), (n,)))
        known, counters = self._known, self.counters
        self._known, self.counters = Known(0), Counters()
        together = self._read(readings)
        alone = [self._read([reading])[reading.prompt] for reading in readings]
        self._known, self.counters = known, counters
        return all(
            torch.equal(one.past, together[reading.prompt].past)
            and torch.equal(cast(Tensor, one.logits), cast(Tensor, together[reading.prompt].logits))
            for reading, one in zip(readings, alone, strict=True)
        )

    def step(self) -> None:
        """One token for every slot that is taken."""
        self.counters.decode_steps += 1
        ids = torch.tensor([[r.ids[-1] if r else 0] for r in self.slots])
        positions = torch.tensor([[r.length if r else 0] for r in self.slots])
        logits = self._logits(self._hidden(ids, positions, _Decode(self.slots, self._keys))[:, -1])
        for slot, request in enumerate(self.slots):
            if request is not None:
                self._draw(slot, request, logits[slot])

    def _hidden(self, ids: Tensor, positions: Tensor, layout: ReadLayout | _Decode) -> Tensor:
        if self._decoder is not None:
            return self._decoder(ids, positions, layout)
        device = self.model.device
        decoder = cast(Any, self.model).get_decoder()
        return decoder(input_ids=ids.to(device), position_ids=positions.to(device), layout=layout, use_cache=False).last_hidden_state

    def _logits(self, hidden: Tensor) -> Tensor:
        return logits_of(self.model, hidden).cpu()

    def _draw(self, slot: int, request: Request, logits: Tensor) -> None:
        """One token for the request; its slot is free when that ends it."""
        if self.add(request, *draw(logits, request.uniform, request.sampling, self.allowed(request))):
            self.slots[slot] = self._keys[slot] = None
