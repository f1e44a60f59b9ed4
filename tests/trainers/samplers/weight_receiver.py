"""The server's side of vLLM's transfer of weights, over gloo: what its worker does, written anew for tests.

Its states and errors are those of `vllm/v1/worker/gpu_worker.py` and `vllm/distributed/weight_transfer/nccl_engine.py` (0.32.0).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor

PATIENCE = timedelta(seconds=60)
dist: Any = torch.distributed


@dataclass
class InitInfo:
    """The fields of vLLM's `NCCLWeightTransferInitInfo`, of which any other is an error."""

    master_address: str
    master_port: int
    rank_offset: int
    world_size: int
    packed: bool = False
    packed_buffer_size_bytes: int = 2**30
    packed_num_buffers: int = 2


@dataclass
class UpdateInfo:
    """The fields of vLLM's `NCCLWeightTransferUpdateInfo`."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


class WeightReceiver:
    """One worker. `load_weights` is called with the named tensors of each broadcast."""

    CALLS = ("/init_weight_transfer_engine", "/shutdown_weight_transfer_engine", "/start_weight_update", "/update_weights",
             "/finish_weight_update")  # fmt: skip

    def __init__(self, load_weights: Callable[[list[tuple[str, Tensor]]], None]) -> None:
        self._load_weights = load_weights
        self._group: Any = None
        self._active = False
        self._init: InitInfo | None = None

    def call(self, path: str, body: dict[str, Any]) -> None:
        """Perform a call. Raises RuntimeError where it comes out of turn, and whatever else goes wrong."""
        match path:
            case "/init_weight_transfer_engine":
                self._join(InitInfo(**body["init_info"]))
            case "/shutdown_weight_transfer_engine":
                if self._active:
                    raise RuntimeError("Cannot release a trainer connection during a weight update")
                self._group = None
            case "/start_weight_update":
                if self._active:
                    raise RuntimeError("start_weight_update called while a weight update is already active.")
                self._active = True
            case "/update_weights":
                if not self._active:
                    raise RuntimeError("start_weight_update must be called before update_weights.")
                try:
                    self._receive(UpdateInfo(**body["update_info"]))
                except BaseException:
                    self._active = False
                    raise
            case "/finish_weight_update":
                if not self._active:
                    raise RuntimeError("finish_weight_update called without a matching start_weight_update.")
                self._active = False

    def _join(self, info: InitInfo) -> None:
        store = dist.TCPStore(info.master_address, info.master_port, info.world_size, is_master=False, timeout=PATIENCE, use_libuv=False)
        options = dist.ProcessGroupGloo._Options()
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=info.master_address)]
        options._timeout = PATIENCE
        self._group = dist.ProcessGroupGloo(dist.PrefixStore("gloo", store), info.rank_offset, info.world_size, options)
        self._init = info

    def _receive(self, info: UpdateInfo) -> None:
        if self._group is None or self._init is None:
            raise RuntimeError("NCCL weight transfer not initialized. Call init_transfer_engine() first.")
        assert self._init.packed, "the trainer sends packed chunks"
        left = list(zip(info.names, [getattr(torch, name) for name in info.dtype_names], info.shapes, strict=True))
        while left:
            taken, size = [], 0
            while left and size <= self._init.packed_buffer_size_bytes:
                taken.append(left.pop(0))
                size += math.prod(taken[-1][2]) * taken[-1][1].itemsize
            buffer = torch.empty(size, dtype=torch.uint8)
            from_trainer = dist.BroadcastOptions()
            from_trainer.rootRank = from_trainer.rootTensor = 0
            self._group.broadcast([buffer], from_trainer).wait()
            parts = buffer.split([math.prod(shape) * dtype.itemsize for _, dtype, shape in taken])
            loaded = [(name, part.view(dtype).view(shape)) for (name, dtype, shape), part in zip(taken, parts, strict=True)]
            self._load_weights(loaded)
