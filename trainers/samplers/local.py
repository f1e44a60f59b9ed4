"""Generation in this process: a worker thread that decodes many requests at once, each exactly as it would be alone.

A result depends on its own prompt, seed, sampling settings and the weights only, never on what else is running, bit for bit on CPU:

- a prompt is read alone and without padding, so its length is the only shape;
- decoding runs all linear layers at one fixed shape [slots, 1], where a row ignores its neighbours (fp32 products at *other* batch
  sizes do differ), and attention runs per row over exactly the row's own keys and values;
- the random numbers of a request come from a counter-based generator of its own seed;
- the worker's thread count is pinned.

No barrier: a request joins as soon as a slot is free and leaves at its end token. Prompts that were read already (the first page of
all members of a group, a page that several of them reached) are not read again: their keys and values are kept up to a limit.
"""

import asyncio
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.model import causal, context_of, end_ids
from webgym.errors import UsageError
from webgym.types import Sampling


@dataclass(frozen=True, slots=True)
class Generated:
    """A completion: sampled ids, the end token included where it was sampled, and their log-probabilities.

    `logprobs` are fp32 values of the full distribution at the sampling temperature, before top-k or top-p cut it.
    `text` leaves the end token out. `version` names the weights.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    version: int


@dataclass
class Counters:
    """What the sampler has done since it started."""

    completions: int = 0
    prompt_tokens: int = 0
    reused_prompt_tokens: int = 0  # of prompts that were read before
    sampled_tokens: int = 0
    decode_steps: int = 0
    busy_s: float = 0.0


@dataclass(eq=False)
class _Request:
    prompt: tuple[int, ...]
    seed: int
    sampling: Sampling
    done: Future[Generated]
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
class _Read:
    """Attention while a prompt is read: causal; `keys` collects each layer's keys and values [2, kv_heads, n, d]."""

    keys: list[Tensor]

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        self.keys.append(torch.stack([key[0], value[0]]))
        return causal(query, key, value, **settings).transpose(1, 2)


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
    """Samples from a private copy of `model` in a worker thread; use it as a context manager or call :meth:`close`.

    `slots` requests decode together; more wait. `cache_mb` limits what is kept of prompts that were read. The model must come from
    :func:`trainers.model.load` or :func:`trainers.model.prepare`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        version: int = 0,
        slots: int = 8,
        threads: int = 1,
        cache_mb: float = 256.0,
    ) -> None:
        if slots < 1 or threads < 1:
            raise UsageError(f"expected at least one slot and one thread, got slots={slots}, threads={threads}")
        self.counters = Counters()
        self.context = context_of(model)
        self._model = deepcopy(model).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._ends = frozenset(end_ids(model, tokenizer))
        self._version = version
        self._slots: list[_Request | None] = [None] * slots
        self._threads = threads
        self._known = _Known(int(cache_mb * 2**20))
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

        Raises UsageError where prompt and answer do not fit in the model's context, or a setting is out of range.
        """
        return await asyncio.wrap_future(self.submit(prompt_ids, seed, sampling))

    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling) -> "Future[Generated]":
        """Like :meth:`generate`, for callers without an event loop."""
        self._check(prompt_ids, sampling)
        request = _Request(tuple(prompt_ids), seed, sampling, Future())
        self._send(request)
        return request.done

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Publishes new weights and returns when they are in use.

        Requests sent before are completed with the old weights, requests sent after get the new ones; no completion mixes two.
        """
        state = weights.state_dict() if isinstance(weights, nn.Module) else weights
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
        if sampling.max_tokens < 1 or sampling.top_k < 0 or not 0 < sampling.top_p <= 1 or sampling.temperature <= 0:
            raise UsageError(f"expected max_tokens >= 1, temperature > 0 (or greedy=True), 0 < top_p <= 1 and top_k >= 0, got {sampling}")

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
                while self._receive(waiting):
                    started = time.perf_counter()
                    self._admit(waiting)
                    if any(self._slots):
                        self._step()
                    self.counters.busy_s += time.perf_counter() - started
        except Exception as error:  # whatever it is, it belongs to those who wait, not to a thread that nobody watches
            end = error
        with self._lock:
            self._closed = True
            while not self._inbox.empty():
                waiting.append(cast(Any, self._inbox.get()))
        for message in [*waiting, *(r for r in self._slots if r)]:
            if not isinstance(message, _Stop) and not message.done.cancel() and not message.done.done():
                message.done.set_exception(end)

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
        while waiting:
            message = waiting[0]
            if isinstance(message, _Publish):
                if any(self._slots):
                    return
                self._publish(message)
            elif None not in self._slots:
                return
            elif message.done.set_running_or_notify_cancel():
                self._begin(message)
            waiting.popleft()

    def _publish(self, publish: _Publish) -> None:
        try:
            self._model.load_state_dict(publish.weights)
        except RuntimeError as error:  # other names or shapes: the caller's mistake
            publish.done.set_exception(UsageError(f"these weights do not fit the sampler's model: {error}"))
            return
        self._known.clear()
        self._version = publish.version
        publish.done.set_result(None)

    def _begin(self, request: _Request) -> None:
        found = self._known.get(request.prompt)
        if found is None:
            found = self._read(request.prompt)
            self._known.put(request.prompt, found)
        else:
            self.counters.reused_prompt_tokens += len(request.prompt)
        past, logits = found
        layers, two, heads, n, d = past.shape
        request.keys = past.new_empty(layers, two, heads, n + request.sampling.max_tokens, d)
        request.keys[:, :, :, :n] = past
        if not self._choose(request, logits):
            self._slots[self._slots.index(None)] = request

    def _read(self, prompt: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Keys and values of a prompt [layers, 2, kv_heads, n, d] and the logits behind it [vocabulary], fp32."""
        self.counters.prompt_tokens += len(prompt)
        reading = _Read([])
        hidden = self._hidden(torch.tensor([prompt]), torch.arange(len(prompt))[None], reading)
        return torch.stack(reading.keys), self._logits(hidden[:, -1])[0]

    def _step(self) -> None:
        """One token for every slot that is taken."""
        self.counters.decode_steps += 1
        ids = torch.tensor([[r.ids[-1] if r else 0] for r in self._slots])
        positions = torch.tensor([[r.length if r else 0] for r in self._slots])
        logits = self._logits(self._hidden(ids, positions, _Decode(self._slots))[:, -1])
        for i, request in enumerate(self._slots):
            if request is not None and self._choose(request, logits[i]):
                self._slots[i] = None

    def _hidden(self, ids: Tensor, positions: Tensor, layout: _Read | _Decode) -> Tensor:
        device = self._model.device
        decoder = cast(Any, self._model).get_decoder()
        return decoder(input_ids=ids.to(device), position_ids=positions.to(device), layout=layout, use_cache=False).last_hidden_state

    def _logits(self, hidden: Tensor) -> Tensor:
        return cast(Any, self._model).get_output_embeddings()(hidden).float().cpu()

    def _choose(self, request: _Request, logits: Tensor) -> bool:
        """Adds one token to the request; True when that ends it."""
        token, logprob = draw(logits, float(request.uniforms[len(request.ids)]), request.sampling)
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


def draw(logits: Tensor, uniform: float, sampling: Sampling) -> tuple[int, float]:
    """A token and its log-probability at the sampling temperature; the inverse of the distribution function at `uniform` in [0, 1).

    `logits` are [vocabulary] fp32.
    """
    logprobs = torch.log_softmax(logits / sampling.temperature, -1)
    if sampling.greedy:
        token = int(logprobs.argmax())
        return token, float(logprobs[token])
    chances = logprobs.double().exp()
    if sampling.top_k or sampling.top_p < 1.0:
        chances = _cut(chances, sampling)
    reached = chances.cumsum(-1)
    token = int(torch.searchsorted(reached, uniform * float(reached[-1]), right=True))
    return token, float(logprobs[token])


def _cut(chances: Tensor, sampling: Sampling) -> Tensor:
    """The chances with those that top-k or top-p leave out at 0; the likeliest token always stays."""
    ordered, order = chances.sort(descending=True, stable=True)
    keep = ordered.cumsum(-1) - ordered < sampling.top_p
    if sampling.top_k:
        keep[sampling.top_k :] = False
    return torch.zeros_like(chances).scatter(0, order[keep], ordered[keep])


class _Known:
    """What is kept of prompts that were read: keys and values with the logits behind them, the longest unused dropped first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._entries: OrderedDict[tuple[int, ...], tuple[Tensor, Tensor]] = OrderedDict()

    def get(self, prompt: tuple[int, ...]) -> tuple[Tensor, Tensor] | None:
        if prompt in self._entries:
            self._entries.move_to_end(prompt)
        return self._entries.get(prompt)

    def put(self, prompt: tuple[int, ...], entry: tuple[Tensor, Tensor]) -> None:
        self._entries[prompt] = entry
        self._size += _bytes(entry)
        while self._size > self._limit:
            _, dropped = self._entries.popitem(last=False)
            self._size -= _bytes(dropped)

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0


def _bytes(entry: tuple[Tensor, Tensor]) -> int:
    return sum(t.nbytes for t in entry)
