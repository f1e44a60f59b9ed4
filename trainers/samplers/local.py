"""Generation in this process: a worker thread that decodes many requests at once, each exactly as it would be alone.

A result depends on its own prompt, seed, sampling settings and the weights only, never on what else is running, bit for bit on CPU:

- a prompt is read without padding, in pieces that depend on the prompt alone (:mod:`trainers.samplers.prompt_reading`); prompts that wait
  are read in one pass where the processor's matrix products give each row the same bits in any company, which is tried first;
- decoding runs all linear layers at one fixed shape [slots, 1], where a row ignores its neighbours (fp32 products of fewer than 16
  rows do differ), and attention runs per row over exactly the row's own keys and values;
- the random numbers of a request come from a counter-based generator of its own seed;
- what a grammar allows is a function of the request's own tokens (:mod:`trainers.models.token_grammar`);
- the worker's thread count is pinned.

No barrier: a request joins as soon as a slot is free and leaves at its end token. What was read already is not read again: the first
page of all members of a group, a page that several of them reached, the turns before in a conversation. Keys and values are kept up to
a limit.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.attention import causal
from trainers.models.lora import plain_copy, plain_state
from trainers.models.model import context_of, end_ids, logits_of
from trainers.models.token_grammar import Place, TokenGrammar
from trainers.samplers.prompt_reading import Known, Piece, Prefix, Reading, ReadLayout, ends, passes
from trainers.samplers.sampler import Counters, Generated, check_sampling, draw
from trainers.samplers.small_llama import LeanDecoder
from webgym.errors import UsageError
from webgym.types import Sampling

log = logging.getLogger(__name__)

READ_TOKENS = 2048  # of one pass over prompts: what it computes is held in memory


@dataclass(eq=False)
class _Request:
    prompt: tuple[int, ...]
    seed: int
    sampling: Sampling
    done: Future[Generated]
    place: Place | None = None  # in the grammar, where there is one
    uniforms: np.ndarray = field(init=False)  # [max_tokens] float64, one per sampled token
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    keys: Tensor = field(init=False)  # [layers, 2, kv_heads, capacity, d]

    def __post_init__(self) -> None:
        self.uniforms = np.random.Generator(np.random.Philox(key=self.seed)).random(self.sampling.max_tokens)

    @property
    def length(self) -> int:
        """Positions whose keys are known: the prompt and all sampled tokens but the last."""
        return len(self.prompt) + max(0, len(self.ids) - 1)


@dataclass(frozen=True, slots=True)
class _Publish:
    weights: Mapping[str, Tensor]
    version: int
    done: Future[None]


class _Stop:
    """Asks the worker to end."""


@dataclass(frozen=True, slots=True)
class _Decode:
    """Attention of one new token per slot over the slot's own past; empty slots attend to nothing."""

    slots: Sequence[_Request | None]

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        layer = cast(int, module.layer_idx)
        out = query.new_zeros(query.shape[0], 1, query.shape[1], value.shape[-1])
        for i, request in enumerate(self.slots):
            if request is None:
                continue
            n = request.length
            past = request.keys[layer]  # [2, kv_heads, capacity, d]
            past[0, :, n] = key[i, :, 0]
            past[1, :, n] = value[i, :, 0]
            seen = past[:, None, :, : n + 1]
            out[i] = causal(query[i : i + 1], seen[0], seen[1], **settings).transpose(1, 2)[0]
        return out


class LocalSampler:
    """Samples from a private copy of `model` (an adapter added in) in a worker thread; use it as a context manager or call :meth:`close`.

    `slots` requests decode together; more wait. `block` is the size of the pieces in which prompts are read and kept, for prompts that
    begin alike; 0 reads each in one piece. `cache_mb` limits what is kept. The model must come from :func:`trainers.models.model.load` or
    :func:`trainers.models.model.prepare`.
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
        if slots < 1 or threads < 1 or block < 0:
            raise UsageError(f"expected slots >= 1, threads >= 1 and block >= 0, got slots={slots}, threads={threads}, block={block}")
        self.counters = Counters()
        self.context = context_of(model)
        self._model = plain_copy(model).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._ends = frozenset(end_ids(model, tokenizer))
        self._version = version
        self._slots: list[_Request | None] = [None] * slots
        self._threads = threads
        self._block = block
        self._lean: LeanDecoder | None = None  # found by the worker
        self._together: bool | None = None  # whether prompts may be read in one pass; None: not tried yet
        self._known = Known(int(cache_mb * 2**20))
        self._grammar: TokenGrammar | None = None  # made for the first request that wants one
        self._inbox: queue.SimpleQueue[_Request | _Publish | _Stop] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._worker = threading.Thread(target=self._run, name="local-sampler", daemon=True)
        self._worker.start()

    def __enter__(self) -> "LocalSampler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the caller's side -------------------------------------------------------------------------------------------

    async def generate(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling) -> Generated:
        """A completion of the prompt; may be awaited on any event loop of any thread, by many callers at once.

        Raises UsageError where prompt and answer do not fit in the model's context, a setting is out of range, or `sampling.grammar`
        cannot be laid over the tokenizer.
        """
        return await asyncio.wrap_future(self.submit(prompt_ids, seed, sampling))

    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling) -> "Future[Generated]":
        """Like :meth:`generate`, for callers without an event loop."""
        self._check(prompt_ids, sampling)
        request = _Request(tuple(prompt_ids), seed, sampling, Future(), self._start(sampling))
        self._send(request)
        return request.done

    def _start(self, sampling: Sampling) -> Place | None:
        if not sampling.grammar:
            return None
        with self._lock:
            if self._grammar is None:
                self._grammar = TokenGrammar.of(self._model, self._tokenizer)
        return self._grammar.start(sampling.grammar, sampling.max_tokens)

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Publishes new weights and returns when they are in use.

        Requests sent before are completed with the old weights, requests sent after get the new ones; no completion mixes two.
        """
        state = plain_state(weights) if isinstance(weights, nn.Module) else weights
        publish = _Publish(state, version, Future())
        self._send(publish)
        publish.done.result()

    def close(self) -> None:
        """Ends the worker; requests that still wait are cancelled, those under way end with a UsageError."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._inbox.put(_Stop())
        self._worker.join()

    def _check(self, prompt_ids: Sequence[int], sampling: Sampling) -> None:
        if not prompt_ids:
            raise UsageError("expected a prompt of at least one token, got none")
        need = len(prompt_ids) + sampling.max_tokens
        if need > self.context:
            raise UsageError(
                f"the prompt takes {len(prompt_ids):,} tokens and the answer up to {sampling.max_tokens:,} (max_tokens), "
                f"together {need:,}, but the model reads at most {self.context:,}; show less of the page or fewer past turns, "
                "lower max_tokens, or take a model with a longer context"
            )
        check_sampling(sampling)

    def _send(self, message: "_Request | _Publish") -> None:
        with self._lock:
            if self._closed:
                raise UsageError("this sampler is closed")
            self._inbox.put(message)

    # --- the worker's side -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        waiting: deque[_Request | _Publish] = deque()
        end: BaseException = UsageError("the sampler was closed before this was done")
        try:
            with torch.inference_mode():
                self._prepare()
                while self._receive(waiting):
                    started = time.perf_counter()
                    self.counters.watch(True)
                    if self._ready(len(waiting)):
                        self._admit(waiting)
                    if any(self._slots):
                        self._step()
                    self.counters.busy_s += time.perf_counter() - started
                    self.counters.watch(False)
        except Exception as error:  # whatever it is, it belongs to those who wait, not to a thread that nobody watches
            end = error
        with self._lock:
            self._closed = True
            while not self._inbox.empty():
                waiting.append(cast(Any, self._inbox.get()))
        for message in [*waiting, *(r for r in self._slots if r)]:
            if not isinstance(message, _Stop) and not message.done.cancel() and not message.done.done():
                message.done.set_exception(end)

    def _prepare(self) -> None:
        """What the worker does once, before the first request."""
        self._lean = LeanDecoder.of(self._model)

    def _receive(self, waiting: "deque[_Request | _Publish]") -> bool:
        """Takes all messages that are there, or waits for one where there is nothing to do; False at the end."""
        idle = not waiting and not any(self._slots)
        while True:
            try:
                message = self._inbox.get(block=idle)
            except queue.Empty:
                return True
            if isinstance(message, _Stop):
                return False
            waiting.append(message)
            idle = False

    def _admit(self, waiting: "deque[_Request | _Publish]") -> None:
        """Messages in their order: requests into free slots, new weights once all slots are empty."""
        begun: list[_Request] = []
        while waiting:
            message = waiting[0]
            if isinstance(message, _Publish):
                if any(self._slots):
                    break
                self._publish(message)
            elif None not in self._slots:
                break
            elif message.done.set_running_or_notify_cancel():
                self._slots[self._place(message)] = message
                begun.append(message)
            waiting.popleft()
        if begun:
            self._begin(begun)

    def _ready(self, waiting: int) -> bool:
        """Whether those that wait should be let in now."""
        return True

    def _place(self, request: _Request) -> int:
        """The free slot that the request gets."""
        return self._slots.index(None)

    def _publish(self, publish: _Publish) -> None:
        try:
            self._model.load_state_dict(publish.weights)
        except RuntimeError as error:  # other names or shapes: the caller's mistake
            publish.done.set_exception(UsageError(f"these weights do not fit the sampler's model: {error}"))
            return
        self._renewed()
        self._version = publish.version
        publish.done.set_result(None)

    def _renewed(self) -> None:
        """Forgets what was made with the weights before."""
        self._known.clear()
        if self._lean is not None:
            self._lean.refresh()

    def _begin(self, requests: Sequence[_Request]) -> None:
        """Reads the prompts of requests that have just got their slots, and draws the first token of each."""
        readings = {request.prompt: Reading(request.prompt, ends(len(request.prompt), self._block)) for request in requests}
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
            reading = readings[request.prompt]
            last = reading.pieces[-1]
            layers, two, heads, _, d = last.past.shape
            request.keys = last.past.new_empty(layers, two, heads, len(request.prompt) + request.sampling.max_tokens, d)
            reading.fill(request.keys)
            assert last.logits is not None
            if self._choose(request, last.logits):
                self._slots[self._slots.index(request)] = None

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
            found[reading.next] = Piece(past.contiguous() if len(group) > 1 else past, logits)
        for prefix, piece in found.items():
            self._known.put(prefix, piece)
        self.counters.reads += 1
        self.counters.prompt_tokens += end
        self.counters.reused_prompt_tokens -= end
        return found

    def _reads_agree(self) -> bool:
        """Whether a pass over several prompts gives each the bits that it gets alone: tried once, on made-up ids, and kept.

        On an accelerator nothing is bitwise, and the answer is yes.
        """
        together = self._together
        if together is None:
            self._together = together = self._model.device.type != "cpu" or self._try_reads()
            log.debug("prompts are read %s", "together" if together else "one by one: this processor's products depend on their size")
        return together

    def _try_reads(self) -> bool:
        vocabulary = cast(Any, self._model).get_input_embeddings().weight.shape[0]
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

    def _step(self) -> None:
        """One token for every slot that is taken."""
        self.counters.decode_steps += 1
        ids = torch.tensor([[r.ids[-1] if r else 0] for r in self._slots])
        positions = torch.tensor([[r.length if r else 0] for r in self._slots])
        logits = self._logits(self._hidden(ids, positions, _Decode(self._slots))[:, -1])
        for i, request in enumerate(self._slots):
            if request is not None and self._choose(request, logits[i]):
                self._slots[i] = None

    def _hidden(self, ids: Tensor, positions: Tensor, layout: ReadLayout | _Decode) -> Tensor:
        if self._lean is not None:
            return self._lean(ids, positions, layout)
        device = self._model.device
        decoder = cast(Any, self._model).get_decoder()
        return decoder(input_ids=ids.to(device), position_ids=positions.to(device), layout=layout, use_cache=False).last_hidden_state

    def _logits(self, hidden: Tensor) -> Tensor:
        return logits_of(self._model, hidden).cpu()

    def _choose(self, request: _Request, logits: Tensor) -> bool:
        """Adds one token to the request; True when that ends it."""
        left = request.sampling.max_tokens - len(request.ids)
        allowed = self._grammar.allowed(request.place, left) if request.place and self._grammar else None
        return self._add(request, *draw(logits, float(request.uniforms[len(request.ids)]), request.sampling, allowed))

    def _add(self, request: _Request, token: int, logprob: float) -> bool:
        if request.place and self._grammar:
            request.place = self._grammar.after(request.place, token)
        request.ids.append(token)
        request.logprobs.append(logprob)
        ended = token in self._ends
        if not ended and len(request.ids) < request.sampling.max_tokens:
            return False
        text = cast(str, self._tokenizer.decode(request.ids[:-1] if ended else request.ids))
        self.counters.completions += 1
        self.counters.sampled_tokens += len(request.ids)
        request.done.set_result(Generated(tuple(request.ids), tuple(request.logprobs), text, self._version))
        return True
