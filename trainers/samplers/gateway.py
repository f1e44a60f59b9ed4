"""A sampler that collectors on other machines ask too: whatever the sampler is, they know one address and one protocol.

GET  /reader/{name}   tokenizer and prompts (:class:`trainers.models.reader.Reader`), by the hash of these bytes
POST /generate        Question → Answer, by the weights of the version that the question names; 409 for another version
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from torch import Tensor, nn

from trainers.models.policy_model import PolicyModel
from trainers.models.reader import Reader, name_of
from trainers.samplers.sampler import Generated, Sampler, picture_key
from webgym.errors import Fault, WebGymError
from webgym.nodes import wire
from webgym.nodes.listening import Listening
from webgym.types import Sampling

Ids = Annotated[tuple[int, ...], Field(max_length=1 << 20)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Message):
    """A completion that is asked for (:meth:`trainers.samplers.sampler.Sampler.submit`)."""

    prompt_ids: Ids
    seed: int
    sampling: Sampling
    key: str
    version: int


class Answer(_Message):
    """A completion (:class:`trainers.samplers.sampler.Generated`). Floats survive JSON exactly."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    version: int


async def _gone(request: Request) -> None:
    """Return when nobody waits for the answer any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Gateway(Sampler):
    """The sampler `inner`, which it closes with itself, and a server at `listen` (HOST:PORT) through which others use it.

    `version` names the weights that are published. Questions for another version are refused, so no batch mixes two.
    """

    def __init__(self, inner: Sampler, source: PolicyModel, listen: str, *, version: int, token: str = "") -> None:
        host, port = wire.place(listen, token, "executor.gateway")
        self.inner, self.version = inner, version
        self.counters = inner.counters
        self._token = token
        self._reader = Reader.of(source).packed()
        self.reader = name_of(self._reader)
        routes = [Route("/reader/{name}", self._give), Route("/generate", self._generate, methods=["POST"])]
        self._listening = Listening(Starlette(routes=routes), host, port)
        self._listening.__enter__()

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._listening.url

    def submit(self, prompt_ids: Sequence[int], seed: int, sampling: Sampling, key: str = "") -> "Future[Generated]":
        """A completion by the inner sampler."""
        return self.inner.submit(prompt_ids, seed, sampling, **picture_key(key))

    def set_weights(self, weights: nn.Module | Mapping[str, Tensor], version: int) -> None:
        """Publishes new weights; from then on, only questions for this version are answered."""
        self.version = -1  # none while they change
        self.inner.set_weights(weights, version)
        self.version = version

    def close(self) -> None:
        """Ends the server and the inner sampler."""
        self._listening.__exit__(None, None, None)
        self.inner.close()

    async def _give(self, request: Request) -> Response:
        if refused := wire.refusal(request, self._token):
            return refused
        if request.path_params["name"] != self.reader:
            return wire.said(404, "there is no such reader")
        return Response(self._reader, media_type="application/json")

    async def _generate(self, request: Request) -> Response:
        if refused := wire.refusal(request, self._token):
            return refused
        question = await wire.message(request, Question)
        if isinstance(question, Response):
            return question
        if question.version != self.version:
            return wire.said(409, f"the weights are of version {self.version} now, version {question.version} was asked for")
        try:
            asking = asyncio.wrap_future(self.submit(question.prompt_ids, question.seed, question.sampling, question.key))
            gone = asyncio.ensure_future(_gone(request))
            await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if not asking.done():  # else it would go on while the weights change, for nobody
                asking.cancel()
                return wire.said(400, "the request was cut off")
            drawn = asking.result()
        except Fault as fault:
            return wire.said(503, str(fault))
        except WebGymError as error:
            return wire.said(422, str(error))
        answer = Answer(ids=drawn.ids, logprobs=drawn.logprobs, text=drawn.text, version=drawn.version)
        return Response(answer.model_dump_json(), media_type="application/json")
