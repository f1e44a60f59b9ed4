"""Sharded models (FSDP2, torch's `fully_shard`): each process holds a part of every weight, and layers are gathered where they compute.

    held by process p of P       rows p · n/P to (p + 1) · n/P of a parameter of n rows, and of its gradient and its moments
    forward and backward pass    gather a layer, compute, free it; in the backward pass the gradient is summed where each part is held

A transformer block is one layer here; embeddings, the last norm and the head are another, gathered beside the blocks as long as a pass
lasts. The optimiser moves plain tensors, the held parts (:mod:`trainers.learning.masters`). All that gathers is a collective call, so that
every process must make the same calls in the same order; :class:`trainers.learning.peers.Shards` shares out the passes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from trainers.batches.packing import PackedBatch
from trainers.learning.learner import Forward
from trainers.learning.masters import HALF, held, pieces
from trainers.learning.peers import Shards, lost
from webgym.errors import ConfigError

T = TypeVar("T")

State = dict[str, Any]


class _AllGather:
    """A gathered layer; Fault where a process is gone."""

    def allocate(self, size: Sequence[int | torch.SymInt], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, group: dist.ProcessGroup, async_op: bool = False) -> dist.Work | None:
        with lost():
            waits = output_tensor.device.type == "cpu"  # where an error is raised by the call that waits
            return dist.all_gather_single(output_tensor, input_tensor, group=group, async_op=async_op and not waits)


class _ReduceScatter:
    """The sum of a layer's gradients, a part in each process; Fault where one is gone."""

    def allocate(self, size: Sequence[int | torch.SymInt], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: dist.ProcessGroup, op: Any, async_op: bool = False
    ) -> dist.Work | None:
        with lost():
            waits = output_tensor.device.type == "cpu"
            return dist.reduce_scatter_single(output_tensor, input_tensor, op=op, group=group, async_op=async_op and not waits)


def shard(root: nn.Module, peers: Shards, device: str) -> None:
    """Leaves each process its part of the weights, which become those of rank 0; `root` is called as before, by all together.

    The whole model lies in the CPU's memory until then. Raises ConfigError for a model that cannot be sharded.
    """
    blocks = blocks_of(root)
    for tensor in (*root.parameters(), *root.buffers()):
        with lost():
            dist.broadcast(tensor.data, src=0)
    half = any(p.dtype in HALF for p in root.parameters() if p.requires_grad)
    precision = MixedPrecisionPolicy(reduce_dtype=torch.float32 if half else None)
    mesh = init_device_mesh(torch.device(device).type, (peers.size,))
    for module in (*blocks, root):
        layer = cast(Any, fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=precision))
        layer.set_gradient_divide_factor(1.0)  # a sum, not a mean
        layer.set_force_sum_reduction_for_comms(True)  # gloo knows no other
        layer.set_reduce_scatter_unused_params(True)  # experts that only one process asked
        layer.set_custom_all_gather(_AllGather())
        layer.set_custom_reduce_scatter(_ReduceScatter())
    cast(Any, root).compute_sharded = _compute
    register_fsdp_forward_method(root, "compute_sharded")


def is_sharded(root: nn.Module) -> bool:
    """True behind :func:`shard`."""
    return isinstance(root, FSDPModule)


def _compute(function: Callable[[], T]) -> T:
    return function()


def through(root: nn.Module) -> Callable[[Callable[[], T]], T]:
    """Calls a function that computes with parts of a sharded model, such as its decoder and then its head, as one forward pass of it."""
    return cast(Any, root).compute_sharded


def passes_of(root: nn.Module, forward: Forward) -> Forward:
    """The forward pass of a sharded policy, from one that computes with whole weights."""

    def gathering(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, Tensor | None]:
        return through(root)(lambda: forward(batch, entropy=entropy))

    return gathering


def blocks_of(root: nn.Module) -> list[nn.Module]:
    """The transformer blocks of a module; none for one without a language model (a head alone).

    Raises ConfigError where the model does not name its blocks, or has parameters without rows.
    """
    if scalars := [name for name, p in root.named_parameters() if p.ndim == 0]:
        raise ConfigError(f"machine.shard=true shards parameters by rows, and {scalars[0]} of {type(root).__name__} has none")
    names = {name for module in root.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    found = [module for module in root.modules() if type(module).__name__ in names and not hasattr(module, "_no_split_modules")]
    if not found and any(hasattr(module, "get_input_embeddings") for module in root.modules()):
        raise ConfigError(f"machine.shard=true gathers a block at a time, and {type(root).__name__} does not say which its blocks are")
    return found


# --- from parts to the whole, a layer at a time --------------------------------------------------------------------------


def gathered(root: nn.Module, peers: Shards, read: Callable[[nn.Module], Mapping[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """The weights of a sharded module on the CPU, one layer after the other; empty dictionaries in all processes but the first.

    `read` gives the weights of a module by name, while the layer's own are whole; those of other layers are left out.
    """
    prefixes = {module: name and f"{name}." for name, module in root.named_modules()}
    for layer in [module for module in root.modules() if isinstance(module, FSDPModule)]:
        layer.unshard()
        whole = {}
        if peers.rank == 0:
            own = {name: tensor for name, tensor in read(layer).items() if not isinstance(tensor, DTensor)}
            whole = {prefixes[layer] + name: tensor.detach().cpu().clone() for name, tensor in own.items()}
        layer.reshard()
        yield whole


def gathered_adapter(root: nn.Module, peers: Shards) -> dict[str, Tensor]:
    """The weights of a sharded module's adapter on the CPU, without its base, gathered one after the other; {} in all other processes."""
    named = {name: p for name, p in root.named_parameters() if "lora_" in name}
    whole = whole_tensors([held(p) for p in named.values()], peers)
    return dict(zip(named, whole, strict=True)) if peers.rank == 0 else {}


def weights_of(module: nn.Module, *, tied: bool = True) -> dict[str, Tensor]:
    """Parameters, `tied` ones by all their names, and saved buffers. Unlike `state_dict` this leaves a gathered layer whole."""
    found: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=not tied))
    for prefix, part in module.named_modules(remove_duplicate=False):
        unsaved = part._non_persistent_buffers_set
        found |= {f"{prefix}.{name}".lstrip("."): x for name, x in part.named_buffers(recurse=False) if name not in unsaved}
    return found


def whole_state(state: State, peers: Shards) -> State:
    """The state of an optimiser (AdamW's `state_dict`) of which each process gives its parts; of use in the first process only.

    One parameter after the other is gathered.
    """
    found = {}
    for place, entry in state["state"].items():
        parts = peers.collect({name: x.cpu() for name, x in entry.items()})
        found[place] = {name: _joined([part[name] for part in parts]) for name in entry} if parts else {}
    return {**state, "state": found}


def whole_tensors(tensors: Sequence[Tensor], peers: Shards) -> list[Tensor]:
    """Tensors of which each process gives its parts, gathered one after the other; empty ones in all processes but the first."""
    parts = (peers.collect(tensor.cpu()) for tensor in tensors)
    return [torch.empty(0) if found is None else _joined(found) for found in parts]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if parts[0].ndim else parts[0]


def dealt_state(state: State, peers: Shards) -> State:
    """Each process's part of the state of an optimiser that rank 0 has whole."""
    outline = {**state, "state": {place: None for place in state["state"]}}
    outline = peers.alike(outline)
    for place in outline["state"]:
        entries = None
        if peers.rank == 0:
            cut = {name: pieces(x, peers.size) for name, x in state["state"][place].items()}
            entries = [{name: parts[rank] for name, parts in cut.items()} for rank in range(peers.size)]
        outline["state"][place] = peers.deal(entries)
    return outline


def dealt_tensors(tensors: Sequence[Tensor], peers: Shards) -> list[Tensor]:
    """Each process's parts of tensors that rank 0 has whole."""
    count = peers.alike(len(tensors))
    return [peers.deal(pieces(tensors[i], peers.size) if peers.rank == 0 else None) for i in range(count)]
