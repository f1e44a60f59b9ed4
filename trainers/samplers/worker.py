"""The worker thread of samplers in this process: requests in, completions out, new weights in between.

A request joins as soon as a slot is free and leaves at its end token; no request waits for the slowest. A subclass reads
prompts and draws tokens: :mod:`trainers.samplers.local` gives equal bits in any batch, :mod:`trainers.samplers.batched` throughput.
"""

import queue
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.lora import served_copy, served_state, take_over
from trainers.models.model import context_of, end_ids
from trainers.models.token_grammar import Place, TokenGrammar
from trainers.samplers.sampler import Counters, Generated, Sampler, check_sampling, check_text_only
from webgym.errors import UsageError
from webgym.types import Sampling


@dataclass(eq=False)
class Request:
    """A prompt with its seed and settings, and the tokens sampled for it so far."""

    prompt: tuple[int, ...]
    seed: int
    sampling: Sampling
    done: Future[Generated]
    place: Place | None = None  # in the grammar, where there is one
    key: str = ""  # of the prompt's pictures
    uniforms: np.ndarray = field(init=False)  # [max_tokens] float64, one per sampled token
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.uniforms = np.random.Generator(np.random.Philox(key=self.seed)).random(self.sampling.max_tokens)

    @property
    def length(self) -> int:
        """Positions whose keys are known: the prompt and all sampled tokens but the last."""
        return len(self.prompt) + max(0, len(self.ids) - 1)

    @property
    def uniform(self) -> float:
        """The random number of the next token."""
        return float(self.uniforms[len(self.ids)])


@dataclass(frozen=True, slots=True)
class Publish:
    """New weights and their version; `done` when they are in use."""

    weights: Mapping[str, Tensor]
    version: int
    done: Future[None]


class Stop:
    """Asks the worker to end."""


class Worker(Sampler):
    """Samples from a private copy of `model` (:func:`trainers.models.lora.served_copy`) in a thread of its own.

    `slots` requests decode together; more wait. The model must come from :func:`trainers.models.model.load` or
    :func:`trainers.models.model.prepare`. A subclass defines `begin` and `step`, and where it likes `prepare`, `ready`, `slot_for`,
    `publish` and `renewed`, all of which run in the thread. The thread starts here, so the subclass's own fields come first.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, version: int = 0, slots: int = 8, threads: int = 1
    ) -> None:
        if slots < 1 or threads < 1:
            raise UsageError(f"expected slots >= 1 and threads >= 1, got slots={slots}, threads={threads}")
        self.counters = Counters()
        self.context = context_of(model)
        self.model = served_copy(model).eval().requires_grad_(False)
        self.slots: list[Request | None] = [None] * slots
        self._tokenizer = tokenizer
        self._ends = frozenset(end_ids(model, tokenizer))
        self._version = version
        self._threads = threads
        self._grammar: TokenGrammar | None = None  # made for the first request that wants one
        self._inbox: queue.SimpleQueue[Request | Publish | Stop] = queue.SimpleQueue()
        self._closed = False
        self._died: Exception | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    # --- the caller's side -------------------------------------------------------------------------------------------

    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> "Future[Generated]":
        """A completion of the prompt, once it is there; from any thread.

        Raises UsageError where prompt and answer do not fit in the model's context, the prompt holds pictures, a setting is out of range,
        or `sampling.grammar` cannot be laid over the tokenizer.
        """
        check_text_only(key)
        self._check(prompt_ids, sampling)
        request = Request(tuple(prompt_ids), seed, sampling, Future(), self._start(sampling), key)
        self._send(request)
        return request.done

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Publishes new weights and returns when they are in use.

        Requests sent before are completed with the old weights, requests sent after get the new ones; no completion mixes two.
        """
        state = served_state(weights) if isinstance(weights, nn.Module) else weights
        publish = Publish(state, version, Future())
        self._send(publish)
        publish.done.result()

    def close(self) -> None:
        """Ends the worker; requests that still wait are cancelled, those under way end with a UsageError."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._inbox.put(Stop())
        self._thread.join()

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

    def _start(self, sampling: Sampling) -> Place | None:
        if not sampling.grammar:
            return None
        with self._lock:
            if self._grammar is None:
                self._grammar = TokenGrammar.of(self.model, self._tokenizer)
        return self._grammar.start(sampling.grammar, sampling.max_tokens)

    def _send(self, message: Request | Publish) -> None:
        with self._lock:
            if self._died is not None:
                raise UsageError(f"this sampler has ended with an error: {self._died!r}") from self._died
            if self._closed:
                raise UsageError("this sampler is closed")
            self._inbox.put(message)

    # --- the thread's side, which a subclass defines -----------------------------------------------------------------

    def prepare(self) -> None:
        """Runs once, before the first request."""
        return

    def ready(self, waiting: int) -> bool:
        """True if waiting requests should be let in now."""
        return True

    def slot_for(self, request: Request) -> int:
        """The free slot that the request gets."""
        return self.slots.index(None)

    @abstractmethod
    def begin(self, requests: Sequence[Request]) -> None:
        """Reads the prompts of requests that have just got their slots, and draws the first token of each (:meth:`add`)."""
        ...

    @abstractmethod
    def step(self) -> None:
        """Draws one token for every slot that is taken; frees those that are done."""
        ...

    def renewed(self) -> None:
        """Forgets all keys and values of the weights before."""
        return

    def publish(self, message: Publish) -> None:
        """Takes over the new weights while all slots are empty."""
        try:
            take_over(self.model, message.weights)
        except RuntimeError as error:  # other names or shapes: the caller's mistake
            message.done.set_exception(UsageError(f"these weights do not fit the sampler's model: {error}"))
            return
        self.renewed()
        self._version = message.version
        message.done.set_result(None)

    # --- the thread's side, the same for all -------------------------------------------------------------------------

    def allowed(self, request: Request) -> Bool[Tensor, " vocabulary"] | None:
        """The tokens that the request's grammar allows next; None where there is no grammar."""
        if request.place is None or self._grammar is None:
            return None
        return self._grammar.allowed(request.place, request.sampling.max_tokens - len(request.ids))

    def add(self, request: Request, token: int, logprob: float) -> bool:
        """Adds one token to the request; True when that ends it."""
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

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        waiting: deque[Request | Publish] = deque()
        end: BaseException = UsageError("the sampler was closed before this was done")
        try:
            with torch.inference_mode():
                self.prepare()
                while self._receive(waiting):
                    started = time.perf_counter()
                    self.counters.watch(True)
                    if self.ready(len(waiting)):
                        self._admit(waiting)
                    if any(self.slots):
                        self.step()
                    self.counters.busy_s += time.perf_counter() - started
                    self.counters.watch(False)
        except Exception as error:  # it belongs to the callers that wait, not to a thread that is not watched
            end = self._died = error
        with self._lock:
            self._closed = True
            left = [*waiting, *self._rest(), *(request for request in self.slots if request)]
        for message in left:
            if not message.done.cancel() and not message.done.done():
                message.done.set_exception(end)

    def _rest(self) -> list[Request | Publish]:
        """The messages that will not be handled."""
        found: list[Request | Publish] = []
        while not self._inbox.empty():
            message = self._inbox.get()
            if not isinstance(message, Stop):
                found.append(message)
        return found

    def _receive(self, waiting: "deque[Request | Publish]") -> bool:
        """Takes all messages that are there, or waits for one where there is no work; False at the end."""
        idle = not waiting and not any(self.slots)
        while True:
            try:
                message = self._inbox.get(block=idle)
            except queue.Empty:
                return True
            if isinstance(message, Stop):
                return False
            waiting.append(message)
            idle = False

    def _admit(self, waiting: "deque[Request | Publish]") -> None:
        """Messages in their order: requests into free slots, new weights once all slots are empty."""
        begun: list[Request] = []
        while waiting:
            message = waiting[0]
            if isinstance(message, Publish):
                if any(self.slots):
                    break
                self.publish(message)
            elif None not in self.slots:
                break
            elif message.done.set_running_or_notify_cancel():
                self.slots[self.slot_for(message)] = message
                begun.append(message)
            waiting.popleft()
        if begun:
            self.begin(begun)
