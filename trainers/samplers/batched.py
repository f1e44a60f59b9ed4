"""Generation in this process for throughput: hundreds of requests in one batch, as suits a GPU.

Keys and values lie in one block of memory, one slot per request, and stay there when it is done. A new prompt reuses the common beginning
with a prompt that is still known. A conversation goes on in its own slot, so that only the new page is read. The members of a group, and
all prompts behind one system message, go on from a copy. The next token of all slots is one forward pass of fixed shape, on a GPU a
recorded CUDA graph, and one transfer to the host. Here rounding depends on the other requests in the batch; for equal bits, on the CPU,
take :mod:`trainers.samplers.local`. Both share :mod:`trainers.samplers.worker`.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.attention import capped
from trainers.models.kept_keys import kept_shape
from trainers.models.model import logits_of
from trainers.models.policy_model import PolicyModel
from trainers.samplers.sampler import draw
from trainers.samplers.worker import Publish, Request, Worker

log = logging.getLogger(__name__)

WIDTH = 256  # columns of keys and values are added, and looked at, in steps of this and its one and a half, twofold ...
READ_TOKENS = 16_384  # of one pass over prompts, its padding included
SWITCH_S = 5e-4  # every call of torch lets other threads run, at Python's own interval for ten times as long as this thread works between
SAME = 16  # tokens: a slot is reused in place if fewer of its known tokens than this are not the prompt's beginning


HOLDS_GRAMMAR = True
AS_LEARNER = True


class Config(BaseModel):
    """Settings of this sampler."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    slots: int = Field(default=8, ge=1)
    """Completions that are decoded together; on a GPU best as many as there are sessions."""


def open_sampler(config: Config, source: PolicyModel, *, folder: Path, version: int) -> Worker:
    """The batched sampler on the model's device; writes nothing to `folder`."""
    return BatchedSampler(source.model, source.tokenizer, version=version, slots=config.slots)


class BatchedSampler(Worker):
    """Samples all slots at once, on any device; use it as a context manager or call :meth:`close`.

    Its memory for keys and values grows with the longest request: `slots` times that many tokens.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, version: int = 0, slots: int = 64) -> None:
        self._device = model.device
        self._kept = kept_shape(model)
        self._past: Tensor | None = None  # [layers, 2, slots, kv_heads, columns, d]; the last column is written to and never read
        self._seen = np.zeros((slots, 0), np.int32)  # ids whose keys are known
        self._seen_length = np.zeros(slots, np.int64)
        self._seen_key = np.full(slots, "", object)  # of the pictures beside those ids
        self._released = np.zeros(slots, np.int64)  # when each slot became free, by the count of releases
        self._graphs: dict[int, tuple[Any, Tensor]] = {}
        self._now = torch.zeros(2, slots, dtype=torch.int64, device=self._device)  # id and position of each slot's newest token
        super().__init__(model, tokenizer, version=version, slots=slots)

    # --- the worker's side -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Gives the thread a stream of its own on a GPU."""
        if self._device.type == "cuda":
            sys.setswitchinterval(SWITCH_S)
            torch.cuda.synchronize()  # the weights were made on another stream
            torch.cuda.set_stream(torch.cuda.Stream())

    def publish(self, message: Publish) -> None:
        """Takes over the new weights once the stream that made them is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        super().publish(message)
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def renewed(self) -> None:
        """Forgets all keys and values of the weights before."""
        self._seen_length[:] = 0

    def ready(self, waiting: int) -> bool:
        """True when half the slots wait or there is no other work, because a pass over few prompts costs as much as one over many."""
        return waiting * 2 >= len(self.slots) or not any(self.slots)

    def slot_for(self, request: Request) -> int:
        """The free slot that knows the prompt's beginning and least besides, or the one free longest with a copy of that beginning."""
        prompt = np.array(request.prompt, np.int32)
        self._grow(len(prompt) + request.sampling.max_tokens)
        alike = np.where(self._seen_key == request.key, self._alike(prompt), 0)
        free = np.array([other is None for other in self.slots])
        source = int(alike.argmax())
        goes_on = free & (alike > 0) & (self._seen_length - alike < SAME) & (alike == alike[source])
        most = np.iinfo(np.int64).max
        order = np.where(goes_on, self._seen_length, most) if goes_on.any() else np.where(free, self._released, most)
        slot = int(order.argmin())
        known = int(alike[source])
        if slot != source and known and not goes_on[slot]:
            self._past_of()[:, :, slot, :, :known] = self._past_of()[:, :, source, :, :known]
        self._seen[slot, : len(prompt)] = prompt
        self._seen_length[slot] = known
        self._seen_key[slot] = request.key
        self.counters.reused_prompt_tokens += known
        return slot

    def _alike(self, prompt: np.ndarray) -> np.ndarray:
        """Number of tokens of the prompt's beginning that each slot knows, [slots]; its last token is never among them."""
        n = len(prompt) - 1
        equal = self._seen[:, :n] == prompt[:n]
        first = equal.argmin(axis=1) if n else np.zeros(len(equal), np.int64)
        first = np.where(equal.all(axis=1), n, first)
        return np.minimum(first, self._seen_length)

    def begin(self, requests: Sequence[Request]) -> None:
        """Reads the unknown parts of the prompts, each prompt once, and draws the first token of each request."""
        slots = {id(request): i for i, request in enumerate(self.slots) if request is not None}
        leaders: dict[tuple[str, tuple[int, ...]], Request] = {}
        for request in requests:
            leaders.setdefault((request.key, request.prompt), request)
        logits: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        for group in self._passes(list(leaders.values()), slots):
            for request, row in zip(group, self._read_rows(group, [slots[id(r)] for r in group]), strict=True):
                logits[request.key, request.prompt] = row
        for request in requests:
            leader, slot, n = leaders[request.key, request.prompt], slots[id(request)], len(request.prompt)
            if leader is not request:
                known = int(self._seen_length[slot])
                source = slots[id(leader)]
                self._past_of()[:, :, slot, :, known:n] = self._past_of()[:, :, source, :, known:n]
                self.counters.reused_prompt_tokens += n - known
            self._seen_length[slot] = n
        self._draw(requests, torch.stack([logits[request.key, request.prompt] for request in requests]), [slots[id(r)] for r in requests])

    def _passes(self, requests: list[Request], slots: dict[int, int]) -> list[list[Request]]:
        """The requests in groups for one forward pass each, of similar lengths."""

        def left(request: Request) -> int:
            return len(request.prompt) - int(self._seen_length[slots[id(request)]])

        groups: list[list[Request]] = []
        for request in sorted(requests, key=left, reverse=True):
            first = groups[-1][0] if groups else request
            if groups and (len(groups[-1]) + 1) * left(first) <= READ_TOKENS and 2 * left(request) >= left(first):
                groups[-1].append(request)
            else:
                groups.append([request])
        return groups

    def _read_rows(self, group: Sequence[Request], slots: Sequence[int]) -> Tensor:
        """The logits behind each prompt, [rows, vocabulary], from one pass over their unknown parts, padded at the end."""
        columns = self._past_of().shape[4]
        starts = [int(self._seen_length[slot]) for slot in slots]
        sizes = [len(request.prompt) - start for request, start in zip(group, starts, strict=True)]
        n = max(sizes)
        ids = np.zeros((len(group), n), np.int64)
        positions = np.full((len(group), n), columns - 1, np.int64)
        for row, (request, start, size) in enumerate(zip(group, starts, sizes, strict=True)):
            ids[row, :size] = request.prompt[start:]
            positions[row, :size] = range(start, start + size)
        where = torch.from_numpy(positions).to(self._device)
        layout = _Reading.of(self._past_of(), torch.tensor(slots, device=self._device), where, self._width(max(map(len_of, group))))
        hidden = self._forward(torch.from_numpy(ids).to(self._device), where, layout)
        self.counters.reads += 1
        self.counters.prompt_tokens += sum(sizes)
        last = torch.tensor(sizes, device=self._device) - 1
        return logits_of(self.model, hidden[torch.arange(len(group), device=self._device), last])

    def step(self) -> None:
        """One token for every slot that is taken."""
        self.counters.decode_steps += 1
        taken = [(i, request) for i, request in enumerate(self.slots) if request is not None]
        columns = self._past_of().shape[4]
        now = np.zeros((2, len(self.slots)), np.int64)
        now[1] = columns - 1  # a free slot writes to a column that is never read
        for i, request in taken:
            now[:, i] = request.ids[-1], request.length
            self._seen[i, request.length] = request.ids[-1]
            self._seen_length[i] = request.length + 1
        self._now.copy_(torch.from_numpy(now))
        logits = self._decoded(self._width(1 + max(request.length for _, request in taken)))
        index = [i for i, _ in taken]
        rows = logits if len(index) == len(self.slots) else logits[torch.tensor(index, device=self._device)]
        self._draw([request for _, request in taken], rows, index)

    def _draw(self, requests: Sequence[Request], logits: Float[Tensor, "rows vocabulary"], slots: Sequence[int]) -> None:
        """A token for each request; a request that is done leaves its slot."""
        logits = self._constrained(requests, logits)
        plan = np.array([[r.uniforms[len(r.ids)], r.sampling.temperature, r.sampling.greedy] for r in requests]).T
        tokens, logprobs = draw_many(logits, *torch.from_numpy(np.ascontiguousarray(plan)).to(self._device))
        both = torch.stack([tokens.double(), logprobs.double()]).cpu().numpy()  # the step's one wait for the device
        for row, (request, slot) in enumerate(zip(requests, slots, strict=True)):
            token, logprob = int(both[0, row]), float(both[1, row])
            if request.sampling.top_k or request.sampling.top_p < 1:
                token, logprob = draw(logits[row].cpu(), request.uniform, request.sampling)
            if self.add(request, token, logprob):
                self.slots[slot] = None
                self._released[slot] = self._released.max() + 1

    def _constrained(self, requests: Sequence[Request], logits: Float[Tensor, "rows vocabulary"]) -> Float[Tensor, "rows vocabulary"]:
        """The logits, -inf for tokens that a request's grammar does not allow."""
        masks = {row: allowed for row, request in enumerate(requests) if (allowed := self.allowed(request)) is not None}
        if not masks:
            return logits
        sees = torch.ones(logits.shape, dtype=torch.bool)
        for row, allowed in masks.items():
            sees[row] = allowed
        return logits.masked_fill(~sees.to(self._device), -torch.inf)

    # --- the forward passes --------------------------------------------------------------------------------------------

    def _decoded(self, width: int) -> Float[Tensor, "slots vocabulary"]:
        """Logits behind the newest token of every slot. On a GPU a graph is recorded for each width, and replayed."""
        if self._device.type != "cuda":
            return self._decode(width)
        if width not in self._graphs:
            self._decode(width)  # libraries set themselves up outside the graph; doing it twice changes nothing
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
                logits = self._decode(width)
            self._graphs[width] = graph, logits
        graph, logits = self._graphs[width]
        graph.replay()
        return logits

    def _decode(self, width: int) -> Tensor:
        ids, positions = self._now[0][:, None], self._now[1][:, None]
        return logits_of(self.model, self._forward(ids, positions, _Decoding.of(self._past_of(), positions, width))[:, -1])

    def _forward(self, ids: Tensor, positions: Tensor, layout: "_Reading | _Decoding") -> Tensor:
        decoder = cast(Any, self.model).get_decoder()
        return decoder(input_ids=ids, position_ids=positions, layout=layout, use_cache=False).last_hidden_state

    # --- keys and values -----------------------------------------------------------------------------------------------

    def _past_of(self) -> Tensor:
        assert self._past is not None
        return self._past

    def _width(self, length: int) -> int:
        """The fewest columns of the usual sizes that hold `length` tokens."""
        return min(wide(length), self._past_of().shape[4])

    def _grow(self, length: int) -> None:
        """Make room for requests of `length` tokens; known keys and values are kept."""
        if self._past is not None and length < self._past.shape[4]:
            return
        shape = (self._kept.layers, 2, len(self.slots), self._kept.heads, wide(length + 1), self._kept.width)
        grown = torch.zeros(shape, dtype=self.model.dtype, device=self._device)
        seen = np.zeros((len(self.slots), shape[4]), np.int32)
        if self._past is not None:
            old = self._past.shape[4] - 1
            grown[:, :, :, :, :old] = self._past[:, :, :, :, :old]
            seen[:, :old] = self._seen[:, :old]
        self._past, self._seen = grown, seen
        self._graphs.clear()
        log.debug("room for %d tokens in each of %d slots: %.1f GB", shape[4], shape[2], grown.nbytes / 1e9)


def len_of(request: Request) -> int:
    """Tokens of its prompt."""
    return len(request.prompt)


def wide(length: int) -> int:
    """The fewest columns that hold `length`: 256, 384, 512, 768, 1024 and so on, so that there are few sizes.

    >>> [wide(n) for n in (1, 256, 257, 700, 5000)]
    [256, 256, 384, 768, 6144]
    """
    width = WIDTH
    while width < length:
        width = width * 3 // 2 if width & (width - 1) == 0 else width * 4 // 3
    return width


def draw_many(
    logits: Float[Tensor, "rows vocabulary"], uniform: Float[Tensor, " rows"], temperature: Float[Tensor, " rows"], greedy: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`trainers.samplers.sampler.draw` of every row, from the full distribution or greedily: tokens and log-probabilities."""
    logprobs = torch.log_softmax(logits / temperature[:, None].float(), -1)
    reached = logprobs.double().exp().cumsum(-1)
    drawn = torch.searchsorted(reached, uniform[:, None] * reached[:, -1:], right=True)[:, 0].clamp(max=logits.shape[1] - 1)
    tokens = torch.where(greedy > 0, logprobs.argmax(-1), drawn)
    return tokens, logprobs.gather(1, tokens[:, None])[:, 0]


# --- attention over slots -------------------------------------------------------------------------------------------------


def _folded(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float | None, softcap: float | None) -> Tensor:
    """Attention in which query heads that share keys stand behind each other: [b, heads, n, d], [b, kv_heads, k, d] twice, and
    [b, 1, group · n, k] that is added to the scores → [b, n, heads, d].
    """
    b, heads, n, d = query.shape
    kv_heads = key.shape[1]
    folded = query.reshape(b, kv_heads, heads // kv_heads * n, d)
    if softcap:
        out = capped(folded, key, value, mask, scale=scale, softcap=softcap)
    else:
        out = F.scaled_dot_product_attention(folded, key, value, attn_mask=mask, scale=scale)
    return out.reshape(b, heads, n, d).transpose(1, 2)


def _added(sees: Bool[Tensor, "b n k"], past: Tensor, model_heads: int) -> Tensor:
    """Mask that :func:`_folded` adds to the scores: 0 where a position sees another, else -inf."""
    b, n, k = sees.shape
    group = model_heads // past.shape[3]
    added = torch.zeros(b, 1, n, k, dtype=past.dtype, device=past.device).masked_fill(~sees[:, None], -torch.inf)
    return added.expand(b, group, n, k).reshape(b, 1, group * n, k)


class _Slots:
    """Attention over the first `width` columns of the slots' keys and values, after writing there."""

    def __init__(self, past: Tensor, positions: Tensor, width: int) -> None:
        self.past, self.positions, self.width = past, positions, width
        self.sees = torch.arange(width, device=past.device) <= positions[:, :, None]  # [b, n, width]
        self.added: dict[int | None, Tensor] = {}  # by sliding window

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, settings: Mapping[str, Any]) -> Tensor:
        window = settings.get("window")
        if window is not None and window >= self.width:
            window = None
        if window not in self.added:
            sees = self.sees
            if window is not None:
                sees = sees & (torch.arange(self.width, device=sees.device) > self.positions[:, :, None] - window)
            self.added[window] = _added(sees, self.past, query.shape[1])
        return _folded(query, key, value, self.added[window], settings["scale"], settings.get("softcap"))


class _Decoding(_Slots):
    """One new token in every slot; `positions` [slots, 1]."""

    @classmethod
    def of(cls, past: Tensor, positions: Tensor, width: int) -> "_Decoding":
        return cls(past, positions, width)

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        past = self.past[cast(int, module.layer_idx)]  # [2, slots, kv_heads, columns, d]
        rows, at = torch.arange(len(query), device=query.device), self.positions[:, 0]
        past[0, rows, :, at] = key[:, :, 0]
        past[1, rows, :, at] = value[:, :, 0]
        return self._attend(query, past[0, :, :, : self.width], past[1, :, :, : self.width], settings)


class _Reading(_Slots):
    """Several new tokens in some slots; `positions` [rows, n]."""

    slots: Tensor

    @classmethod
    def of(cls, past: Tensor, slots: Tensor, positions: Tensor, width: int) -> "_Reading":
        reading = cls(past, positions, width)
        reading.slots = slots
        return reading

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        past = self.past[cast(int, module.layer_idx)]
        rows = self.slots[:, None]
        past[0, rows, :, self.positions] = key.transpose(1, 2)  # [rows, n, kv_heads, d]
        past[1, rows, :, self.positions] = value.transpose(1, 2)
        seen = past[:, self.slots, :, : self.width]  # a copy, [2, rows, kv_heads, width, d]
        return self._attend(query, seen[0], seen[1], settings)
