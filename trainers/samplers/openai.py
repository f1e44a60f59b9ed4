"""Generation on a server with the OpenAI protocol that returns token ids and log-probabilities: vLLM or SGLang.

Prompts go out as ids and come back as the sampled ids with their log-probabilities, so nothing is tokenised twice. New weights are
published by one of the transports of :mod:`trainers.samplers.transports`. Several servers with the same model share the requests
(:mod:`trainers.samplers.replicas`).

    vLLM     `VLLM_SERVER_DEV_MODE=1 vllm serve MODEL`
    SGLang   `python -m sglang.launch_server --model-path MODEL`

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
from typing import Any, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.chat_template import ChatTemplate
from trainers.models.lora import has_lora, plain_copy, plain_state, sharing_copy, take_over
from trainers.models.model import context_of, end_ids
from trainers.models.policy_model import PolicyModel
from trainers.samplers.replicas import Replica, Replicas
from trainers.samplers.sampler import Counters, Generated, Sampler, check_sampling, check_text_only
from trainers.samplers.server_answers import Probe, check, check_probe, check_renewed, check_sampled, scored
from trainers.samplers.settings import Reload, Several
from trainers.samplers.transport import Published
from trainers.samplers.transports import TransportKind, check_transport, transport_of
from trainers.samplers.weight_transfer import TransferSettings
from webgym.errors import ConfigError, PolicyFault, UsageError
from webgym.policies.openai_client import Logprobs, OpenAIClient, Patience, Reply, Server
from webgym.types import Sampling

T = TypeVar("T")

PROBES = 16  # short completions of a new server, by which its sampling is judged
SEVERAL_S = 120.0  # longest wait for one completion where there are several servers


class Config(BaseModel):
    """Settings of this sampler."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    base_url: str = ""
    """The server's address, such as http://127.0.0.1:8000/v1; else OPENAI_BASE_URL. The key is OPENAI_API_KEY."""
    servers: Several = ()
    """Addresses of several servers with the same model, in place of base_url. One that fails is left out until it has the weights again."""
    model: str = ""
    """The model's name on the server."""
    reload: Reload = "vllm"
    """The server's call that loads new weights."""
    transport: TransportKind = "file"
    """Way of new weights to the servers: file (the whole model), adapter (with lora.rank: a few MB, vLLM only), or nccl (the whole model
    from memory to memory, vLLM only)."""
    transfer_host: str = ""
    """transport=nccl: this machine's IPv4 address as servers see it; else the one on the way to each server."""
    transfer_chunk_mb: int = Field(default=256, ge=1)
    """transport=nccl: MiB of weights that are sent to a server at once; a larger tensor goes by itself."""
    transfer_timeout_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """transport=nccl: seconds after which a server must have received a version; one that has not is left out."""
    logprobs: Logprobs = "raw"
    """The distribution that the server's log-probabilities are of (see above)."""

    @property
    def transfer(self) -> TransferSettings:
        """The settings of transport=nccl."""
        return TransferSettings(self.transfer_host, self.transfer_chunk_mb, self.transfer_timeout_s)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Raises ConfigError, so that a run is refused before its folder is written."""
        if not self.model:
            raise ConfigError("sampler.kind=openai needs sampler.model, the model's name on the server")
        if self.servers and self.base_url:
            raise ConfigError("sampler.base_url has no effect with sampler.servers: leave one of the two out")
        check_transport(self.transport, self.reload, self.transfer)
        return self


def check_here(config: Config) -> None:
    """Raises ConfigError where no server is named, here or in the environment, or an address is wrong."""
    _servers(config)


def _servers(config: Config) -> list[Server]:
    return [Server.from_environment(address, option="set sampler.base_url") for address in config.servers or (config.base_url,)]


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
        found = _servers(config)
        if len(found) > 1:  # another server answers sooner than one that is asked again and again
            patience = replace(patience, tries=1)
        of_completions = replace(patience, timeout_s=min(patience.timeout_s, SEVERAL_S)) if len(found) > 1 else patience
        self.counters = Counters()
        self.context = context_of(model)
        self._config = config
        self._transport = transport_of(config.transport, config.reload, config.transfer, model, tokenizer, folder.resolve(), config.model)
        self._ends = frozenset(end_ids(model, tokenizer))
        stops = {"stop_token_ids": sorted(self._ends)}  # a server knows those of its own model's generation_config only
        clients = [OpenAIClient(Server(server.base_url, server.key, config.logprobs), patience, stops) for server in found]
        self._replicas = Replicas(clients, self._transport, patience=of_completions, check=self._check, prove=self._prove)
        self._plain = plain_copy(model).eval()  # what the servers should have: its weights are replaced each time
        self._adapted = sharing_copy(model) if has_lora(model) else None  # takes adapters that come by themselves
        self._tokenizer = tokenizer
        self._vocabulary = int(cast(Any, model).get_output_embeddings().weight.shape[0])
        self._asked: tuple[tuple[int, ...], Sampling] | None = None  # the first prompt of the run, which probes are made of
        self._folder = folder.resolve()
        self._under_way = 0
        self._before: dict[Replica, Probe] = {}  # of the weights that are being replaced
        self._sampled: set[tuple[Replica, float]] = set()  # servers that were seen to sample as they are asked to, and the temperature
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-sampler", daemon=True)
        self._thread.start()
        try:
            self._run(self._begin(version))
        except BaseException:
            self.close()
            raise

    async def _begin(self, version: int) -> None:
        """Check that a server answers and has the model, whose weights are taken for `version`. Raises ConfigError where none does."""
        replicas = self._replicas.replicas
        checked = await asyncio.gather(*(x.client.check(self._config.model) for x in replicas), return_exceptions=True)
        errors = [error for error in checked if isinstance(error, BaseException)]
        if len(errors) == len(checked):
            raise errors[0]
        well = [replica for replica, error in zip(replicas, checked, strict=True) if error is None]
        self._replicas.assume(Published(version, "", self._config.model, assumed=True), well)
        self._replicas.start_watch()

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
        begun = time.perf_counter()
        if not self._under_way:
            self._since = begun
            self.counters.watch(True)
        self._under_way += 1
        try:
            reply, version = await self._replicas.complete(prompt, sampling, seed)
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

    def _check(self, reply: Reply, sampling: Sampling, where: str) -> None:
        """Raises UsageError for an answer that cannot be right."""
        check(reply, sampling, self._vocabulary, self._ends, self._tokenizer, where)

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Has the servers load the weights, from a folder of this version or from memory, and removes the folder before.

        A short completion before and after says whether a server has them. No request may be under way: the caller publishes between two
        batches. Raises UsageError where every server refuses, still has the weights before, or samples from another distribution.
        """
        self._before = self._run(self._probes())
        merged = self._merged(weights)
        self._run(self._replicas.settle())
        self._plain.load_state_dict(merged)
        adapted = weights if isinstance(weights, nn.Module) else self._adapted if any("lora_" in name for name in weights) else None
        published = self._transport.write(self._plain, adapted, version)
        self._run(self._replicas.publish(published))
        for old in self._folder.glob("version-*"):
            if str(old) != published.path:
                shutil.rmtree(old, ignore_errors=True)

    def _merged(self, weights: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The weights by the names of a model without an adapter."""
        if isinstance(weights, nn.Module):
            return plain_state(weights)
        if self._adapted is None or not any("lora_" in name for name in weights):
            return weights
        take_over(self._adapted, weights)
        return plain_state(self._adapted)

    async def _probes(self) -> dict[Replica, Probe]:
        """A short completion of each server by the weights that it was given last; of none before the first ones."""
        published = self._replicas.published
        if published is None or published.assumed:
            return {}
        well = [replica for replica in self._replicas.replicas if replica.state == "well"]
        found = await asyncio.gather(*(self._probe(replica.client, published) for replica in well), return_exceptions=True)
        for replica, result in zip(well, found, strict=True):
            if isinstance(result, ConfigError) and await self._replicas.forgot(replica, published):
                continue  # it was started anew, and has no weights to tell from the next ones
            if isinstance(result, BaseException) and (len(well) == 1 or not isinstance(result, PolicyFault)):
                raise result
        return {replica: probe for replica, probe in zip(well, found, strict=True) if isinstance(probe, Probe)}

    async def _probe(self, client: OpenAIClient, published: Published, seed: int = 0) -> Probe:
        prompt, sampling = self._probed()
        reply = await client.complete(published.model, prompt, sampling, seed, extra={"cache_salt": published.name})
        self._check(reply, sampling, client.server.shown)
        return Probe.of(reply, prompt, self._plain, sampling.temperature)

    async def _prove(self, replica: Replica, published: Published) -> None:
        """Raises UsageError where a server does not have the weights that it has just loaded, or does not sample as it is asked to."""
        prompt, sampling = self._probed()
        where, before, after = replica.client.server.shown, self._before.pop(replica, None), await self._probe(replica.client, published)
        if before is not None:
            check_renewed(before, after, scored(self._plain, prompt, before.reply.ids, sampling.temperature), where)
        check_probe(after, where)
        if (replica, sampling.temperature) not in self._sampled:
            others = (self._probe(replica.client, published, seed) for seed in range(1, PROBES))
            check_sampled([after, *await asyncio.gather(*others)], where)
            self._sampled.add((replica, sampling.temperature))

    def _probed(self) -> tuple[tuple[int, ...], Sampling]:
        """The prompt of a probe and its sampling."""
        prompt, sampling = self._asked or (self._first_prompt(), Sampling())
        return prompt, replace(sampling, max_tokens=min(16, sampling.max_tokens))

    def _first_prompt(self) -> tuple[int, ...]:
        """Some text, for a server that was asked nothing yet."""
        return ChatTemplate(self._tokenizer).plain("Goal: press OK.") or (0,)

    def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """End what goes on on this loop, which is the sampler's own: requests that nobody waits for, and the watch over servers."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._replicas.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
