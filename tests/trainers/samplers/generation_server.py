"""A generation server of our own for tests: vLLM's endpoints over a model of this process, and the ways in which servers fail."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

from transformers import AutoModelForCausalLM

from tests.trainers.chat_model import chat_model, chat_tokenizer
from tests.trainers.samplers.weight_receiver import WeightReceiver
from tests.webgym.model_server import HANG_UP, SILENCE, Asked, Half, ModelServer, model_server
from trainers.models.model import prepare
from trainers.samplers.local import LocalSampler
from webgym.types import Sampling

LOADING = Lock()
"""Held while a model is read: transformers changes settings of the whole process meanwhile, and servers are threads here."""


class GenerationServer:
    """Answers like `vllm serve` in development mode. `restart` brings back the weights that it began with, and no adapter.

    `stalls` leaves completions without an answer, `deaf` every request; `dies` so many completions with the connection closed, and
    `breaks_off` so many in the middle of the answer. With so many chunks of weights received, `stuck_after` receives no more, and
    `killed_after` ends this process. `workers` is how many it says that it has.
    """

    def __init__(self, *, says_version: bool = True, model: Any = None, tokenizer: Any = None) -> None:
        self._origin = model or chat_model(0)  # made here: it draws from the one generator that all threads share
        self._tokenizer = tokenizer or chat_tokenizer()
        self._base = LocalSampler(self._origin, self._tokenizer)
        self._state = {name: x.clone() for name, x in self._origin.state_dict().items()}
        self._receiver = WeightReceiver(self._load_weights)
        self._running = asyncio.Event()
        self._running.set()
        self.workers, self.chunks = 1, 0
        self.stuck_after = self.killed_after = -1
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
        self._state = {name: x.clone() for name, x in self._origin.state_dict().items()}
        self._receiver = WeightReceiver(self._load_weights)
        self._running.set()
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
            case "/pause":
                self._running.clear()
            case "/resume":
                self._running.set()
            case "/reset_prefix_cache":
                pass
            case "/get_world_size":
                return {"world_size": self.workers}
            case "/update_weights" if self.chunks == self.killed_after:
                os.kill(os.getpid(), signal.SIGKILL)
            case "/update_weights" if self.chunks == self.stuck_after:
                return SILENCE
            case _ if path in WeightReceiver.CALLS:
                return await self._transfer(path, body)
            case "/collective_rpc":
                with LOADING:
                    model = AutoModelForCausalLM.from_pretrained(body["kwargs"]["weights_path"])
                self._base.set_weights(prepare(model), 1)
                self.version = None
            case "/v1/load_lora_adapter":
                model = deepcopy(self._origin)
                with LOADING:
                    model.load_adapter(body["lora_path"])
                self._adapters[body["lora_name"]] = LocalSampler(prepare(model), self._tokenizer)
            case "/v1/unload_lora_adapter":
                self._adapters.pop(body["lora_name"]).close()
            case "/v1/completions":
                return await self._complete(body)
            case _:
                return (404, {"detail": "Not Found"})
        return {"success": True}

    async def _transfer(self, path: str, body: dict[str, Any]) -> Any:
        """A phase of a transfer of weights, in a thread, as vLLM's worker performs it beside the server; 500 with its error's words."""
        try:
            await asyncio.to_thread(self._receiver.call, path, body)
        except Exception as error:  # whatever it is, as vLLM answers
            return (500, {"error": {"message": f"{type(error).__name__}: {error}", "code": 500}})
        if path == "/finish_weight_update" and "weight_version" in body:
            self.version = body["weight_version"]
        return {"message": "done"}

    def _load_weights(self, weights: list[tuple[str, Any]]) -> None:
        """Put some weights in place of this model's own at once, so that half a transfer leaves half a model."""
        for name, tensor in weights:
            if name not in self._state:
                raise KeyError(f"There is no module or parameter named {name!r}")
            if tensor.shape != self._state[name].shape:
                raise ValueError(f"{name}: loaded shape {list(tensor.shape)} is not {list(self._state[name].shape)}")
            self._state[name].copy_(tensor)
        self.chunks += 1
        self._base.set_weights(self._tied(), self.chunks)

    def _tied(self) -> dict[str, Any]:
        """The weights with those that are tied to others."""
        tied = self._origin.all_tied_weights_keys  # {name: the name that is loaded in its place}
        return {name: self._state[tied.get(name, name)] for name in self._state}

    async def _complete(self, body: dict[str, Any]) -> Any:
        await self._running.wait()
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
        ended = found.ids[-1] == self._tokenizer.eos_token_id and len(found.ids) < body["max_tokens"]  # vLLM has counted before it looks
        choice = {
            "index": 0,
            "text": found.text,
            "finish_reason": "stop" if ended else "length",
            "token_ids": found.ids,
            "prompt_token_ids": read,
            "logprobs": {"token_logprobs": found.logprobs, "tokens": [self._tokenizer.decode([i]) for i in found.ids]},
        }
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(found.ids)}
        answer = {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}
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
