"""Ways by which new weights reach a generation server: a model by file, an adapter by file under its own name, or from memory to memory.

    file      a Hugging Face folder with the adapter added in; the server reads it in place of its weights:
              vLLM     POST /pause?mode=keep, /collective_rpc {"method": "reload_weights", "kwargs": {"weights_path": ...}},
                       /reset_prefix_cache, /update_weight_version {"new_version": ...}, /resume (`VLLM_SERVER_DEV_MODE=1`)
              SGLang   POST /update_weights_from_disk {"model_path": ..., "weight_version": ...}
    adapter   the adapter's own folder, a few MB, under a new name for each version, because a name that is used twice keeps stale entries
              of vLLM's prefix cache: POST /v1/load_lora_adapter, later /v1/unload_lora_adapter
              (`VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve MODEL --enable-lora`)
    nccl      the whole model from the trainer's memory into the server's, in chunks (:mod:`trainers.samplers.weight_transfer`)

A server must see a folder under the same path. Servers that do not know a call for pausing or for versions do without it.
"""

import shutil
from pathlib import Path
from typing import Any, Literal

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.lora import has_lora
from trainers.runs.disk import disk_errors
from trainers.samplers.settings import Reload
from trainers.samplers.transport import Published, Transport
from trainers.samplers.weight_transfer import MemoryTransport, TransferSettings
from webgym.errors import ConfigError, UsageError
from webgym.policies.openai_client import OpenAIClient

TransportKind = Literal["file", "adapter", "nccl"]


def check_transport(kind: TransportKind, reload: Reload, transfer: TransferSettings) -> None:
    """Raises ConfigError where settings contradict each other, whatever the model is."""
    if kind != "nccl" and (idle := transfer.changed()):
        raise ConfigError(f"sampler.transfer_{idle} has no effect with sampler.transport={kind}: leave it out, or take transport=nccl")
    if kind != "file" and reload != "vllm":
        raise ConfigError(f"sampler.transport={kind} speaks vLLM's calls only, got sampler.reload={reload}: take transport=file")


def transport_of(
    kind: TransportKind,
    reload: Reload,
    transfer: TransferSettings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    name: str,
) -> Transport:
    """The transport of this kind, which writes below `folder`; `name` is the model's on the server. Raises ConfigError.

    The settings have passed :func:`check_transport`.
    """
    if kind == "file":
        return FileTransport(reload, tokenizer, folder, name)
    if kind == "nccl":
        return MemoryTransport(name, transfer)
    if not has_lora(model):
        raise ConfigError("sampler.transport=adapter publishes an adapter, and the model has none: set lora.rank, or take transport=file")
    return AdapterTransport(folder, name)


class FileTransport(Transport):
    """The whole model by file."""

    named = False

    def __init__(self, reload: Reload, tokenizer: PreTrainedTokenizerBase, folder: Path, name: str) -> None:
        self._reload, self._tokenizer, self._folder, self._name = reload, tokenizer, folder, name

    def write(self, plain: PreTrainedModel, adapted: nn.Module | None, version: int) -> Published:
        """A Hugging Face folder of this version."""
        target = self._folder / f"version-{version:06d}"
        with disk_errors(self._folder):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            plain.save_pretrained(target)
            self._tokenizer.save_pretrained(target)
        return Published(version, str(target), self._name)

    async def load(self, client: OpenAIClient, published: Published) -> None:
        """Reload the server's weights."""
        if self._reload == "sglang":
            body: dict[str, Any] = {"model_path": published.path}
            await client.control("/update_weights_from_disk", body)
            return
        paused = await client.control_if_known("/pause?mode=keep", {})
        await client.control("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": published.path}})
        await client.control("/reset_prefix_cache", {})
        await client.control_if_known("/update_weight_version", {"new_version": published.name})
        if paused:
            await client.control("/resume", {})

    async def unload(self, client: OpenAIClient, published: Published) -> None:
        """Nothing: the next version takes the place of the last."""

    async def version(self, client: OpenAIClient, published: Published) -> str | None:
        """The server's own word."""
        found = await client.told("/weight_info") if self._reload == "vllm" else None
        return None if found is None else str(found.get("weight_version"))


class AdapterTransport(Transport):
    """The adapter by file, under a name of its own for each version."""

    named = True

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def write(self, plain: PreTrainedModel, adapted: nn.Module | None, version: int) -> Published:
        """The adapter's folder of this version."""
        if not isinstance(adapted, PreTrainedModel):
            raise UsageError(
                "sampler.transport=adapter publishes the model's own adapter, and rollout.overlap gives whole weights instead: "
                "take sampler.transport=file, or leave overlap out"
            )
        target = self._folder / f"version-{version:06d}"
        with disk_errors(self._folder):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            adapted.save_pretrained(target)
        return Published(version, str(target), f"{self._name}-v{version}")

    async def load(self, client: OpenAIClient, published: Published) -> None:
        """Load the adapter, unless the server has it."""
        if published.model not in await client.models():
            await client.control("/v1/load_lora_adapter", {"lora_name": published.model, "lora_path": published.path})

    async def unload(self, client: OpenAIClient, published: Published) -> None:
        """Unload the adapter, if the server has it."""
        if published.model in await client.models():
            await client.control("/v1/unload_lora_adapter", {"lora_name": published.model})

    async def version(self, client: OpenAIClient, published: Published) -> str | None:
        """The version, where the server lists the adapter's name."""
        return published.name if published.model in await client.models() else "none"
