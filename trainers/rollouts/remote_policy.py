"""A language model as a policy of a collector: pages become prompt ids here, the trainer's gateway completes them."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from torch import Tensor, nn

from trainers.models.reader import Reader, name_of
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers.gateway import Answer, Gateway, Question
from trainers.samplers.sampler import Counters, Generated, Sampler
from webgym.errors import PolicyFault, UsageError
from webgym.loop_thread import loop_thread
from webgym.nodes import wire
from webgym.nodes.client import Client, Lost, Refused
from webgym.rollout.contract import PolicyHandle
from webgym.types import Sampling

FACTORY = "trainers.rollouts.remote_policy:remote_policy"
AGAIN_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)  # pauses before a question is asked again
SILENCE_S = 300.0  # longest wait for a completion


class RemoteSampler(Sampler):
    """The sampler behind a trainer's gateway, at one version of the weights."""

    def __init__(self, gateway: str, version: int) -> None:
        self.counters = Counters()
        self._gateway, self._version = gateway, version

    async def generate(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> Generated:
        """A completion. Raises PolicyFault where the gateway cannot be reached or has other weights, UsageError where it refuses."""
        question = Question(prompt_ids=tuple(prompt_ids), seed=seed, sampling=sampling, key=key, version=self._version)
        for pause_s in (*AGAIN_S, None):
            try:
                answer = await client_of(self._gateway).post("/generate", question, Answer)
            except Lost as error:
                if pause_s is None:
                    raise PolicyFault(f"the trainer's sampler cannot be reached: {error}") from error
                await asyncio.sleep(pause_s)
            except Refused as error:
                if "(status 422)" in str(error):
                    raise UsageError(str(error)) from error
                raise PolicyFault(str(error)) from error
            else:
                if answer.version != self._version:
                    raise PolicyFault(f"the sampler answered with weights of version {answer.version}, asked for was {self._version}")
                return Generated(answer.ids, answer.logprobs, answer.text, answer.version)
        raise AssertionError("unreachable")

    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> "Future[Generated]":
        """Like :meth:`generate`, for other threads."""
        return loop_thread().submit(self.generate(prompt_ids, seed, sampling, key))

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Raises UsageError: only the trainer publishes weights."""
        raise UsageError("a collector publishes no weights: the trainer does")

    def close(self) -> None:
        """Does nothing: the connections are shared."""


class RemotePolicy(LanguagePolicy):
    """A language model's policy whose completions come from a gateway."""

    def __init__(
        self, gateway: str, reader: Reader, version: int, sampling: Sampling, run_seed: int, *, grammar: bool, episode_tokens: int | None
    ) -> None:
        sampler = RemoteSampler(gateway, version)
        super().__init__(reader, sampler, sampling, run_seed, grammar=grammar, episode_tokens=episode_tokens)
        self._gateway = gateway

    async def aclose(self) -> None:
        """Close the connections to the gateway, which all policies of this process share."""
        if (client := _clients.pop(self._gateway, None)) is not None:
            await client.close()


def handle_of(
    gateway: Gateway, seen_as: str, sampling: Sampling, run_seed: int, *, grammar: bool, episode_tokens: int | None
) -> PolicyHandle:
    """The handle of a policy that plays with the gateway's present weights; collectors reach it as `seen_as`, else at its own address."""
    settings: dict[str, Any] = {
        "gateway": seen_as or gateway.url,
        "reader": gateway.reader,
        "version": gateway.version,
        "sampling": {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k,
                     "max_tokens": sampling.max_tokens, "greedy": sampling.greedy},
        "run_seed": run_seed,
        "grammar": grammar,
        "episode_tokens": episode_tokens,
    }  # fmt: skip
    return PolicyHandle(FACTORY, settings)


def remote_policy(
    gateway: str,
    reader: str,
    version: int,
    sampling: Mapping[str, Any],
    run_seed: int = 0,
    grammar: bool = False,
    episode_tokens: int | None = None,
) -> RemotePolicy:
    """The policy of a handle; called in any thread but the loop's. Raises UsageError, Lost."""
    read = _reader(gateway, reader)
    return RemotePolicy(gateway, read, version, Sampling(**sampling), run_seed, grammar=grammar, episode_tokens=episode_tokens)


_clients: dict[str, Client] = {}


def client_of(gateway: str) -> Client:
    """The client of a gateway, for the loop thread."""
    if gateway not in _clients:
        _clients[gateway] = Client(wire.address(gateway), wire.token(), SILENCE_S, keep=True)
    return _clients[gateway]


@functools.lru_cache(maxsize=8)
def _reader(gateway: str, name: str) -> Reader:
    """The reader of this name, from the gateway. Raises Lost, UsageError."""

    async def fetched() -> bytes:
        return await client_of(gateway).get(f"/reader/{name}")

    content = loop_thread().run(fetched())
    if name_of(content) != name:
        raise UsageError(f"{gateway} gave another reader than it named")
    return Reader.unpacked(content)
