"""A generation server of our own for tests: vLLM's endpoints over a model of this process, and the ways in which servers fail."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

from transformers import AutoModelForCausalLM

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.webgym.model_server import HANG_UP, SILENCE, Asked, Half, ModelServer, model_server
from trainers.models.model import prepare
from trainers.samplers.local import LocalSampler
from webgym.types import Sampling

LOADING = Lock()
"""Held while a model is read: transformers changes settings of the whole process meanwhile, and servers are threads here."""


class GenerationServer:
    """Answers like `vllm serve` in development mode. `restart` brings back the weights that it began with, and no adapter.

    `stalls` leaves completions without an answer, `deaf` every request; `dies` so many completions with the connection closed, and
    `breaks_off` so many in the middle of the answer.
    """

    def __init__(self, *, says_version: bool = True) -> None:
        self._origin = chat_model(0)  # made here: it draws from the one generator that all threads share
        self._base = LocalSampler(self._origin, chat_tokenizer())
        self._adapters: dict[str, LocalSampler] = {}
        self.version: str | None = None
        self.says_version = says_version
        self.stalls = self.deaf = False
        self.dies = self.breaks_off = 0
        self.other_ids = False
        self.completions = 0
        self.salts: list[str] = []
        self.calls: list[str] = []

    @property
    def adapters(self) -> list[str]:
        return list(self._adapters)

    def restart(self) -> None:
        """Begin anew, with old weights."""
        self._base.set_weights(self._origin, 0)
        self.version = None
        self._drop_adapters()

    def _drop_adapters(self) -> None:
        for sampler in self._adapters.values():
            sampler.close()
        self._adapters.clear()

    def close(self) -> None:
        self._drop_adapters()
        self._base.close()

    async def answer(self, asked: Asked) -> Any:
        if self.deaf:
            return SILENCE
        path, body = asked.path.partition("?")[0], asked.body
        self.calls.append(path)
        match path:
            case "/v1/models":
                return {"data": [{"id": name} for name in ("m", *self._adapters)]}
            case "/weight_info" if self.says_version:
                return {"weight_version": self.version}
            case "/update_weight_version" if self.says_version:
                self.version = body["new_version"]
            case "/pause" | "/resume" | "/reset_prefix_cache":
                pass
            case "/collective_rpc":
                with LOADING:
                    model = AutoModelForCausalLM.from_pretrained(body["kwargs"]["weights_path"])
                self._base.set_weights(prepare(model), 1)
                self.version = None
            case "/v1/load_lora_adapter":
                model = deepcopy(self._origin)
                with LOADING:
                    model.load_adapter(body["lora_path"])
                self._adapters[body["lora_name"]] = LocalSampler(prepare(model), chat_tokenizer())
            case "/v1/unload_lora_adapter":
                self._adapters.pop(body["lora_name"]).close()
            case "/v1/completions":
                return await self._complete(body)
            case _:
                return (404, {"detail": "Not Found"})
        return {"success": True}

    async def _complete(self, body: dict[str, Any]) -> Any:
        if self.stalls:
            return SILENCE
        if self.dies:
            self.dies -= 1
            return HANG_UP
        sampler = self._base if body["model"] == "m" else self._adapters.get(body["model"])
        if sampler is None:
            return (404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        self.completions += 1
        self.salts.append(body["cache_salt"])
        found = await sampler.generate(body["prompt"], body["seed"], Sampling(body["temperature"], max_tokens=body["max_tokens"]))
        read = [1, *body["prompt"]] if self.other_ids else body["prompt"]
        logprobs = {"token_logprobs": found.logprobs}
        answer = {"choices": [{"text": found.text, "token_ids": found.ids, "prompt_token_ids": read, "logprobs": logprobs}]}
        if self.breaks_off:
            self.breaks_off -= 1
            return Half(answer)
        return answer


@contextmanager
def generation_servers(count: int, **settings: Any) -> Iterator[list[tuple[GenerationServer, ModelServer]]]:
    """So many servers on ports of their own."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            behind = GenerationServer(**settings)
            stack.callback(behind.close)
            found.append((behind, stack.enter_context(model_server(behind.answer))))
        yield found
