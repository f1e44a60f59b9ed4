"""Weights from the trainer's memory into a generation server's, by vLLM's native transfer; the trainer does not import vLLM.

    once        GET  /get_world_size                  the number of the server's workers
                POST /init_weight_transfer_engine     {"init_info": {...}}: trainer and workers form a group (transfer_group.py)
    a version   POST /pause?mode=keep                 requests wait
                POST /start_weight_update
                POST /update_weights                  {"update_info": {"names", "dtype_names", "shapes"}}, once for each chunk, while the
                                                      trainer broadcasts the chunk's bytes over the group
                POST /reset_prefix_cache
                POST /finish_weight_update            {"weight_version": "v7"}
                POST /resume

A chunk is the bytes of its tensors one after the other, in one broadcast. vLLM cuts a request's tensors into broadcasts where their bytes
exceed `packed_buffer_size_bytes`, so that a request of at most as many bytes, or of one larger tensor, is exactly one broadcast.

Read in vLLM 0.32.0: vllm/entrypoints/rl/online/api_router.py, vllm/distributed/weight_transfer/nccl_engine.py, nccl_common.py and
packed_tensor.py, vllm/v1/worker/gpu_worker.py. `packed` stands in `init_info` from 0.28 on; earlier servers refuse it.

Each server has a group of its own, so that one that dies or hangs does not hold up the others.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_utils import remove_tied_weights_from_state_dict

from trainers.samplers.transfer_group import Communicator, address_towards, listen, open_group
from trainers.samplers.transport import Published, Transport
from webgym.errors import ConfigError, PolicyFault
from webgym.policies.openai_client import OpenAIClient, Patience

log = logging.getLogger(__name__)

Named = tuple[str, Tensor]
DEVICES = ("cpu", "cuda")
POLL_S = 0.002  # between two looks at a broadcast under way
WORDS_S = 2.0  # that a server has to say why a broadcast broke
ARRIVE_S = 10.0  # that a chunk under way has to arrive where a transfer is given up
BUFFERS = 2  # of a server, vLLM's default


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """Settings of a transfer: this machine's address as servers see it ("" for the one on the way to each), the bytes of a chunk in MiB,
    and the seconds after which a version must have arrived at a server.
    """

    host: str = ""
    chunk_mb: int = 256
    timeout_s: float = 300.0

    def changed(self) -> str:
        """The name of the first setting that is not the default; "" where all are."""
        return next((field.name for field in fields(self) if getattr(self, field.name) != field.default), "")


class MemoryTransport(Transport):
    """The whole model from memory to memory, in chunks. `name` is the model's on the servers."""

    named = False

    def __init__(self, name: str, settings: TransferSettings) -> None:
        self._name, self._settings = name, settings
        self._weights: PreTrainedModel | None = None
        self._groups: dict[OpenAIClient, Communicator] = {}

    def write(self, plain: PreTrainedModel, adapted: nn.Module | None, version: int) -> Published:
        """The weights in the model, which must not change until the next version. Raises ConfigError for a device that no group speaks."""
        if plain.device.type not in DEVICES:
            raise ConfigError(
                f"sampler.transport=nccl sends weights from NVIDIA's GPUs, got machine.device={plain.device}: take transport=file"
            )
        self._weights = plain
        return Published(version, "", self._name)

    async def load(self, client: OpenAIClient, published: Published) -> None:
        """Send all weights to a server. Over a group that was open before, a failure may be the group's, and a new one is tried."""
        assert self._weights is not None
        transfer, timeout_s = _Transfer(client, self._weights, self._settings), self._settings.timeout_s
        try:
            async with asyncio.timeout(timeout_s) as transfer.deadline:
                if client in self._groups:
                    try:
                        return await transfer.run(self._groups[client], published)
                    except PolicyFault as fault:
                        log.warning("a group for weights is opened anew: %s", fault)
                        self.release(client)
                self._groups[client] = await transfer.open()
                await transfer.run(self._groups[client], published)
        except TimeoutError:
            self.release(client)
            words = f"{client.server.shown} did not take version {published.version} within {timeout_s:g} s {transfer.step}"
            raise PolicyFault(words) from None
        except BaseException:  # cancelled ones too: what is in the middle of a transfer is of no more use
            self.release(client)
            raise

    async def unload(self, client: OpenAIClient, published: Published) -> None:
        """Nothing: the next version takes the place of the last."""

    async def version(self, client: OpenAIClient, published: Published) -> str | None:
        """The server's own word."""
        found = await client.told("/weight_info")
        return None if found is None else str(found.get("weight_version"))

    def release(self, client: OpenAIClient) -> None:
        """Close the group with a server's workers."""
        if (group := self._groups.pop(client, None)) is not None:
            group.close()


class _Transfer:
    """One version on its way to one server until a `deadline`. `step` says what goes on, for the error message of a late one."""

    def __init__(self, client: OpenAIClient, weights: PreTrainedModel, settings: TransferSettings) -> None:
        self._client, self._weights = client, weights
        self._host, self._timeout_s, self._chunk_bytes = settings.host, settings.timeout_s, settings.chunk_mb * 2**20
        self._once = Patience(tries=1, timeout_s=2 * settings.timeout_s, give_up_s=2 * settings.timeout_s)  # the deadline comes first
        self._where = client.server.shown
        self.deadline = asyncio.timeout(None)
        self.step = "and did not say how many workers it has"

    async def open(self) -> Communicator:
        """A new group with the server's workers. Raises UsageError, PolicyFault."""
        workers = await self._workers()
        device = self._weights.device
        self.step = f"and its {workers} worker(s) did not all join the group for weights"
        if device.type != "cuda":
            self.step += " (a trainer on the CPU speaks gloo, which vLLM does not)"
        with contextlib.suppress(PolicyFault):  # refused in the middle of an update, which begins anew below
            await self._client.control_if_known("/shutdown_weight_transfer_engine", {})
        listening = listen(self._host or address_towards(self._client.server.base_url))
        host, port = listening.getsockname()
        info = {
            "master_address": host, "master_port": port, "rank_offset": 1, "world_size": 1 + workers,
            "packed": True, "packed_buffer_size_bytes": self._chunk_bytes, "packed_num_buffers": BUFFERS,
        }  # fmt: skip
        joining = asyncio.ensure_future(open_group(listening, 1 + workers, device, self._timeout_s))
        asking = asyncio.ensure_future(self._tell("/init_weight_transfer_engine", {"init_info": info}))
        try:
            await asyncio.wait({joining, asking}, return_when=asyncio.FIRST_EXCEPTION)
            if asking.done():
                asking.result()
            return joining.result()
        except RuntimeError as error:
            raise PolicyFault(f"no group for weights with {self._where}: {_words(error)}") from error
        finally:
            for task in (joining, asking):
                task.cancel()
            done = await asyncio.gather(joining, asking, return_exceptions=True)
            if isinstance(done[1], BaseException) and not isinstance(done[0], BaseException):
                done[0].close()

    async def _workers(self) -> int:
        """The number of the server's workers over all its parallel dimensions. Raises ConfigError where it does not say it."""
        found = (await self._client.told("/get_world_size") or {}).get("world_size")
        if not isinstance(found, int) or found < 1:
            raise ConfigError(
                f"{self._where} does not say how many workers it has (GET /get_world_size): sampler.transport=nccl needs vLLM 0.28 or "
                'newer, with VLLM_SERVER_DEV_MODE=1 and --weight-transfer-config \'{"backend": "nccl"}\''
            )
        return found

    async def run(self, group: Communicator, published: Published) -> None:
        """All phases of a version over a group. Raises UsageError, PolicyFault."""
        self.step = "and did not pause"
        await self._client.control_if_known("/pause?mode=keep", {})
        self.step = "and did not begin an update"
        await self._start()
        sent = 0
        for chunk in chunks(saved_weights(self._weights), self._chunk_bytes):
            self.step = f"and broke off after {sent} of its tensors"
            await self._send(group, chunk)
            sent += len(chunk)
        self.step = "and did not end the update"
        await self._tell("/reset_prefix_cache", {})
        await self._tell("/finish_weight_update", {"weight_version": published.name})
        await self._client.control_if_known("/resume", {})

    async def _start(self) -> None:
        """Begin an update; one that an earlier trainer left open is finished first, and all its weights are sent again."""
        try:
            await self._tell("/start_weight_update", {})
        except PolicyFault:
            await self._tell("/finish_weight_update", {})
            await self._tell("/start_weight_update", {})

    async def _send(self, group: Communicator, chunk: list[Named]) -> None:
        """Send one chunk while the server receives it. Raises UsageError, PolicyFault."""
        names, tensors = zip(*chunk, strict=True)
        dtypes, shapes = [str(x.dtype).removeprefix("torch.") for x in tensors], [list(x.shape) for x in tensors]
        info = {"names": names, "dtype_names": dtypes, "shapes": shapes}
        answer = asyncio.ensure_future(self._tell("/update_weights", {"update_info": info}))
        try:
            gone = group.send(packed(tensors))
            while not gone():
                if answer.done():
                    answer.result()  # refused before all was sent
                await asyncio.sleep(POLL_S)
            await answer
        except RuntimeError as error:
            await asyncio.wait({answer}, timeout=WORDS_S)
            if answer.done():
                answer.result()
            raise PolicyFault(f"the group for weights with {self._where} broke: {_words(error)}") from error
        except asyncio.CancelledError:
            if not self.deadline.expired():  # given up for a newer version: a worker that is left in the middle of NCCL never returns
                await asyncio.wait({answer}, timeout=ARRIVE_S)
            raise
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    async def _tell(self, path: str, body: Mapping[str, Any]) -> None:
        """A call that must not come twice."""
        await self._client.control(path, body, self._once)


def saved_weights(model: PreTrainedModel) -> Iterator[Named]:
    """The model's weights by the names and shapes with which `save_pretrained` writes them, a layer after the other.

    Tied weights come once. What transformers keeps in another form than its files, such as the experts of a mixture, is converted back a
    layer at a time.
    """
    state = dict(model.state_dict())
    for name in cast(Any, model)._keys_to_ignore_on_save or ():
        state.pop(name, None)
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in remove_tied_weights_from_state_dict(state, model).items():
        layers.setdefault(_layer_of(name), {})[name] = tensor
    for layer in layers.values():
        yield from revert_weight_conversion(model, layer).items()


def _layer_of(name: str) -> str:
    """The name up to its first number.

    >>> _layer_of("model.layers.3.mlp.experts.7.weight"), _layer_of("model.norm.weight")
    ('model.layers.3', '')
    """
    parts = name.split(".")
    number = next((at for at, part in enumerate(parts) if part.isdigit()), -1)
    return ".".join(parts[: number + 1])


def chunks(weights: Iterable[Named], most: int) -> Iterator[list[Named]]:
    """The weights in order, in lists of at most `most` bytes; a larger tensor is a list by itself.

    >>> rows = [(name, torch.zeros(size)) for name, size in (("a", 2), ("b", 2), ("c", 9), ("d", 1))]
    >>> [[name for name, _ in chunk] for chunk in chunks(rows, 16)]
    [['a', 'b'], ['c'], ['d']]
    """
    chunk, size = [], 0
    for name, tensor in weights:
        if chunk and size + tensor.nbytes > most:
            yield chunk
            chunk, size = [], 0
        chunk.append((name, tensor))
        size += tensor.nbytes
    if chunk:
        yield chunk


def packed(tensors: Iterable[Tensor]) -> UInt8[Tensor, " n"]:
    """The bytes of all tensors, one after the other."""
    return torch.cat([tensor.detach().contiguous().view(-1).view(torch.uint8) for tensor in tensors])


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
