"""Processes that share an update: each takes some of a step's micro-batches, and the gradient is the sum of all.

    one process     ∇L = Σ_b ∇L_b                      L_b: the loss of micro-batch b over the step's one divisor
    P processes     ∇L = Σ_p Σ_{b mod P = p} ∇L_b      the same sum in another order

The divisor counts the whole step (:class:`trainers.batches.packing.Counts`), so that the sum is no mean and nothing depends on P but
rounding. All processes hold the same weights and the same optimiser, and take the same step. The first one (rank 0) leads: it collects,
plans, writes checkpoints, and tells the others what to do. What goes between them is pickled: they are one program, started together by
torchrun.
"""

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from webgym.errors import Fault

T = TypeVar("T")

LONGEST = datetime.timedelta(days=7)  # that the others wait for rank 0 to collect a batch


class Peers(Protocol):
    """The processes of an update, as one of them sees them. `rank` counts from 0 to `size` − 1."""

    rank: int
    size: int

    def share(self, batches: Sequence[T]) -> Sequence[T]:
        """The micro-batches of this process."""
        ...

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put the sum over all processes in place of each gradient; one that a process lacks counts as 0."""
        ...

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank; each must call this."""
        ...

    def tell(self, message: Any) -> None:
        """Rank 0: send a message to all others."""
        ...


class Alone(Peers):
    """The only process."""

    rank, size = 0, 1

    def share(self, batches: Sequence[T]) -> Sequence[T]:
        """All of them."""
        return batches

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing."""

    def gather(self, value: T) -> list[T]:
        """The one value."""
        return [value]

    def tell(self, message: Any) -> None:
        """Nothing."""


class Group(Peers):
    """The processes of torch's default process group."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def share(self, batches: Sequence[T]) -> Sequence[T]:
        """Every P-th, from this process's rank on."""
        return batches[self.rank :: self.size]

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """One message for all parameters of a dtype and device."""
        kinds: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
        for parameter in parameters:
            kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        for members in kinds.values():
            flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in members])
            with _lost():
                dist.all_reduce(flat)
            for parameter, part in zip(members, flat.split([p.numel() for p in members]), strict=True):
                parameter.grad = part.view_as(parameter)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        found: list[Any] = [None] * self.size
        with _lost():
            dist.all_gather_object(found, value)
        return found

    def tell(self, message: Any) -> None:
        """Send a message to all others."""
        with _lost():
            dist.broadcast_object_list([message], src=0)

    def hear(self) -> Any:
        """The next message of rank 0."""
        found: list[Any] = [None]
        with _lost():
            dist.broadcast_object_list(found, src=0)
        return found[0]


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # as torch says that a connection broke
        raise Fault(f"another process of the update was lost ({str(error)[:200]}): go on from the last checkpoint with --resume") from error


@contextmanager
def peers(environ: Mapping[str, str] | None = None) -> Iterator[Alone | Group]:
    """The processes that torchrun started together with this one (WORLD_SIZE), else this process alone."""
    environ = os.environ if environ is None else environ
    if int(environ.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST)
    try:
        yield Group()
    finally:
        dist.destroy_process_group()


def summed(found: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The sums by name, over processes of which some have none."""
    names = dict.fromkeys(name for each in found for name in each)
    return {name: sum((each[name].cpu() for each in found if name in each), torch.zeros((), dtype=torch.float64)) for name in names}
