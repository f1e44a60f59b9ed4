"""vLLM's own side of a transfer of weights, on the CPU: its engine for NCCL with gloo in NCCL's place.

    python -m vllm.entrypoints.openai.api_server ... --weight-transfer-config '{"backend": "gloo"}' \\
      --worker-extension-cls benchmarks.gloo_in_vllm.Extension

Runs in vLLM's worker. The server's endpoints, its requests' types, its meeting at the store, its cutting of a request into broadcasts and
its loading of weights are vLLM's. Stood in for are the communicator and CUDA's streams, of which a CPU has none.
"""

import contextlib
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from vllm.distributed.utils import StatelessProcessGroup  # type: ignore[import-not-found]
from vllm.distributed.weight_transfer import packed_tensor  # type: ignore[import-not-found]
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory  # type: ignore[import-not-found]
from vllm.distributed.weight_transfer.nccl_engine import NCCLWeightTransferEngine  # type: ignore[import-not-found]

PATIENCE = timedelta(seconds=120)
dist: Any = torch.distributed


class _Stream:
    """Stands in for a stream of CUDA."""

    def synchronize(self) -> None:
        """Nothing is under way."""


class _Gloo:
    """A communicator over the members of a StatelessProcessGroup."""

    def __init__(self, members: StatelessProcessGroup, host: str) -> None:
        options = dist.ProcessGroupGloo._Options()
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=host)]
        options._timeout = PATIENCE
        store = dist.PrefixStore("gloo", members.store)
        self._members = members
        self._group = dist.ProcessGroupGloo(store, members.rank, members.world_size, options)

    def broadcast(self, tensor: torch.Tensor, src: int, stream: Any = None) -> None:
        """Receive a tensor from a rank."""
        options = dist.BroadcastOptions()
        options.rootRank, options.rootTensor = src, 0
        self._group.broadcast([tensor], options).wait()

    def destroy(self) -> None:
        """Leave the group."""
        self._group.abort()


class GlooEngine(NCCLWeightTransferEngine):
    """vLLM's engine for NCCL over gloo."""

    def init_transfer_engine(self, init_info: Any) -> None:
        """Join the trainer's group."""
        parallel = self.parallel_config
        self.packed, self.packed_buffer_size_bytes = init_info.packed, init_info.packed_buffer_size_bytes
        self.packed_num_buffers = init_info.packed_num_buffers
        rank = parallel.data_parallel_index * parallel.world_size + parallel.rank + init_info.rank_offset
        members = StatelessProcessGroup.create(init_info.master_address, init_info.master_port, rank, init_info.world_size)
        self.model_update_group: Any = _Gloo(members, init_info.master_address)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Receive a chunk, without waiting for a GPU."""
        kept = packed_tensor._get_streams, torch.cuda.stream, torch.accelerator.current_device_index
        packed_tensor._get_streams = lambda device, count: tuple(_Stream() for _ in range(count))  # type: ignore[assignment]
        torch.cuda.stream = lambda stream: contextlib.nullcontext()  # type: ignore[assignment]
        torch.accelerator.current_device_index = lambda: 0
        try:
            self.receive_weights(self.parse_update_info(update_info))
        finally:
            packed_tensor._get_streams, torch.cuda.stream, torch.accelerator.current_device_index = kept


WeightTransferEngineFactory.register_engine("gloo", GlooEngine)


class Extension:
    """Nothing: vLLM imports the module that a worker's extension stands in, which registers the engine."""
