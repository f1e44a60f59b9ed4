"""Generation on a server with the OpenAI protocol that returns token ids and log-probabilities: vLLM or SGLang.

Prompts go out as ids and come back as the sampled ids with their log-probabilities, so nothing is tokenised twice. New weights are
published by file: a Hugging Face folder (an adapter added in) that the server can read too, and a call that makes it load them:

    vLLM     POST /collective_rpc {"method": "reload_weights", "kwargs": {"weights_path": ...}}, then POST /reset_prefix_cache
             (`VLLM_SERVER_DEV_MODE=1 vllm serve MODEL`)
    SGLang   POST /update_weights_from_disk {"model_path": ...}   (`python -m sglang.launch_server --model-path MODEL`)

Log-probabilities must be those of the distribution that was sampled from: temperature 1 without top-p and top-k, or a server that
processes them (`vllm serve --logprobs-mode processed_logprobs`, and `sampler.logprobs=processed` here).
"""

import asyncio
import shutil
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.chat_template import ChatTemplate
from trainers.models.lora import has_lora, plain_copy, plain_state, sharing_copy, take_over
from trainers.models.model import context_of, end_ids
from trainers.models.policy_model import PolicyModel
from trainers.runs.disk import disk_errors
from trainers.samplers.sampler import Counters, Generated, Sampler, check_sampling, check_text_only
from trainers.samplers.server_answers import Probe, check, check_probe, check_renewed, scored
from trainers.samplers.settings import Reload
from webgym.errors import ConfigError, UsageError
from webgym.policies.openai_client import Logprobs, OpenAIClient, Patience, Reply, Server
from webgym.types import Sampling

T = TypeVar("T")


class Config(BaseModel):
    """Settings of this sampler."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    base_url: str = ""
    """The server's address, such as http://127.0.0.1:8000/v1; else OPENAI_BASE_URL. The key is OPENAI_API_KEY."""
    model: str = ""
    """The model's name on the server."""
    reload: Reload = "vllm"
    """The server's call that loads new weights."""
    logprobs: Logprobs = "raw"
    """The distribution that the server's log-probabilities are of (see above)."""


def open_sampler(config: Config, source: PolicyModel, *, folder: Path, version: int) -> "OpenAISampler":
    """A sampler on the server, which has loaded the model's weights from `folder`, whatever model it was started with."""
    sampler = OpenAISampler(config, source.model, source.tokenizer, folder, version=version)
    try:
        sampler.set_weights(source.model, version)
    except BaseException:
        sampler.close()
        raise
    return sampler


class OpenAISampler(Sampler):
    """Samples on a server; use it as a context manager or call :meth:`close`.

    Weights are published in `folder`, one folder a version, the newest only; the server must see it under the same path.
    """

    def __init__(
        self,
        config: Config,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        *,
        version: int = 0,
        patience: Patience = Patience(),  # noqa: B008
    ) -> None:
        if not config.model:
            raise ConfigError("sampler.kind=openai needs sampler.model, the model's name on the server")
        found = Server.from_environment(config.base_url)
        self.counters = Counters()
        self.context = context_of(model)
        self._config = config
        self._client = OpenAIClient(Server(found.base_url, found.key, config.logprobs), patience)
        self._plain = plain_copy(model).eval()  # what is published: its weights are replaced each time
        self._adapted = sharing_copy(model) if has_lora(model) else None  # takes adapters that come by themselves
        self._tokenizer = tokenizer
        self._ends = frozenset(end_ids(model, tokenizer))
        self._vocabulary = int(cast(Any, model).get_output_embeddings().weight.shape[0])
        self._asked: tuple[tuple[int, ...], Sampling] | None = None  # the first prompt of the run, which probes are made of
        self._folder = folder.resolve()
        self._version = version
        self._under_way = 0
        self._published = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-sampler", daemon=True)
        self._thread.start()
        try:
            self._run(self._client.check(config.model))
        except BaseException:
            self.close()
            raise

    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> "Future[Generated]":
        """A completion of the prompt, once it is there; from any thread.

        Raises UsageError where prompt and answer do not fit or the prompt holds pictures. The future raises UsageError where the server's
        log-probabilities are of no use or its answer cannot be right, and PolicyFault where the server fails.
        """
        check_text_only(key)
        check_sampling(sampling)
        if len(prompt_ids) + sampling.max_tokens > self.context:
            raise UsageError(
                f"the prompt takes {len(prompt_ids):,} tokens and the answer up to {sampling.max_tokens:,} (max_tokens), but the model "
                f"reads at most {self.context:,}"
            )
        self._asked = self._asked or (tuple(prompt_ids), sampling)
        return asyncio.run_coroutine_threadsafe(self._complete(tuple(prompt_ids), seed, sampling), self._loop)

    async def _complete(self, prompt: tuple[int, ...], seed: int, sampling: Sampling) -> Generated:
        version, begun = self._version, time.perf_counter()
        if not self._under_way:
            self._since = begun
            self.counters.watch(True)
        self._under_way += 1
        try:
            reply = await self._answer(prompt, seed, sampling)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.counters.busy_s += time.perf_counter() - self._since
                self.counters.watch(False)
        self.counters.completions += 1
        self.counters.prompt_tokens += len(prompt)
        self.counters.sampled_tokens += len(reply.ids)
        written = reply.ids[:-1] if reply.ids and reply.ids[-1] in self._ends else reply.ids
        return Generated(reply.ids, reply.logprobs, cast(str, self._tokenizer.decode(list(written))), version)

    async def _answer(self, prompt: tuple[int, ...], seed: int, sampling: Sampling) -> Reply:
        """A completion. Raises UsageError for one that cannot be right."""
        reply = await self._client.complete(self._config.model, prompt, sampling, seed)
        check(reply, sampling, self._vocabulary, self._ends, self._tokenizer, self._client.server.shown)
        return reply

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Writes the weights to a folder of this version, has the server load them, and removes the folder before.

        A short completion before and after says whether the server has them. No request may be under way: the caller publishes between two
        batches. Raises UsageError where the server refuses, still has the weights before, or samples from another distribution.
        """
        target = self._folder / f"version-{version:06d}"
        prompt, sampling = self._asked or (self._first_prompt(), Sampling())
        sampling = replace(sampling, max_tokens=min(16, sampling.max_tokens))
        before = self._probe(prompt, sampling) if self._published else None
        with disk_errors(self._folder), torch.no_grad():
            self._plain.load_state_dict(self._merged(weights))
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            self._plain.save_pretrained(target)
            self._tokenizer.save_pretrained(target)
        self._run(self._load(str(target)))
        after, where = self._probe(prompt, sampling), self._client.server.shown
        if before is not None:
            check_renewed(before, after, scored(self._plain, prompt, before.reply.ids, sampling.temperature), where)
        check_probe(after, where)
        self._published, self._version = True, version
        for old in self._folder.glob("version-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)

    def _merged(self, weights: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights by the names of a model without an adapter."""
        if isinstance(weights, nn.Module):
            return plain_state(weights)
        if self._adapted is None or not any("lora_" in name for name in weights):
            return weights
        take_over(self._adapted, weights)
        return plain_state(self._adapted)

    def _probe(self, prompt: tuple[int, ...], sampling: Sampling) -> Probe:
        return Probe.of(self._run(self._answer(prompt, 0, sampling)), prompt, self._plain, sampling.temperature)

    def _first_prompt(self) -> tuple[int, ...]:
        """Some text, for a server that was asked nothing yet."""
        return ChatTemplate(self._tokenizer).plain("Goal: press OK.") or (0,)

    async def _load(self, path: str) -> None:
        calls: dict[Reload, list[tuple[str, dict[str, Any]]]] = {
            "vllm": [
                ("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": path}}),
                ("/reset_prefix_cache", {}),
            ],
            "sglang": [("/update_weights_from_disk", {"model_path": path})],
        }
        for call, body in calls[self._config.reload]:
            await self._client.control(call, body)

    def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
