"""Processes that share an update: each takes some of a step's micro-batches, and the gradient is the sum of all.

    one process     ∇L = Σ_b ∇L_b                      L_b: the loss of micro-batch b over the step's one divisor
    P processes     ∇L = Σ_p Σ_{b mod P = p} ∇L_b      the same sum in another order

The divisor counts the whole step (:class:`trainers.batches.packing.Counts`), so that the sum is no mean and nothing depends on P but
rounding. The first process (rank 0) leads: it collects, plans, writes checkpoints, and tells the others what to do. What goes between them
is pickled: they are one program, started together by torchrun.

A process that fails in the middle of a step tells nobody: the others stand in a call that all make together, and hear nothing else. It
closes its connections when it ends, and that ends them. One that stands still closes none: then the others end after STEP.

A :class:`Group` holds the same weights and the same optimiser in each process, and takes the same step. :class:`Shards` hold a part of each
weight, and a forward pass gathers them (:mod:`trainers.learning.shards`), so that all processes need the same number of passes.
"""

import contextlib
import datetime
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainers.batches.packing import PackedBatch, idle
from webgym.errors import ConfigError, Fault

T = TypeVar("T")

LONGEST = datetime.timedelta(days=7)
"""How long the others wait for rank 0 to collect a batch."""
STEP = datetime.timedelta(minutes=30)
"""How long a process waits for another one in a call that all make together."""
TOGETHER = "start all processes together with torchrun, or unset WORLD_SIZE for one"


class Peers(Protocol):
    """The processes of an update, as one of them sees them. `rank` counts from 0 to `size` − 1."""

    rank: int
    size: int

    def share(self, batches: Sequence[T]) -> Sequence[T | None]:
        """The micro-batches of this process; None for a pass that it makes only because the others do."""
        ...

    def stopped(self, stop: bool) -> bool:
        """True where this process must not go on to the backward pass: it wants to `stop`, or one that it cannot go without does."""
        ...

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        """The norm of the whole gradient, which is scaled down to `most` where it is longer."""
        ...

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put the sum over all processes in place of each gradient; one that a process lacks counts as 0."""
        ...

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank; each must call this."""
        ...

    def in_step(self) -> AbstractContextManager[None]:
        """Around calls that all processes make together. One that fails there leaves the others in the middle of them."""
        ...

    def tell(self, message: Any) -> None:
        """Rank 0: send a message to all others."""
        ...


class Alone(Peers):
    """The only process."""

    rank, size = 0, 1

    def share(self, batches: Sequence[T]) -> Sequence[T | None]:
        """All of them."""
        return batches

    def stopped(self, stop: bool) -> bool:
        """Its own wish."""
        return stop

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        """The norm of its gradient."""
        return torch.nn.utils.clip_grad_norm_(parameters, most)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing."""

    def gather(self, value: T) -> list[T]:
        """The one value."""
        return [value]

    def in_step(self) -> AbstractContextManager[None]:
        """Nothing: it leaves nobody."""
        return contextlib.nullcontext()

    def tell(self, message: Any) -> None:
        """Nothing."""


class Group(Peers):
    """The processes of torch's default process group. In the group `waiting` the others wait for rank 0's next message."""

    def __init__(self, waiting: dist.ProcessGroup) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._waiting, self._left = waiting, False

    def sharded(self) -> "Shards":
        """The same processes, for a model of which each holds a part."""
        return Shards(self._waiting)

    def share(self, batches: Sequence[T]) -> Sequence[T | None]:
        """Every P-th, from this process's rank on."""
        return batches[self.rank :: self.size]

    def stopped(self, stop: bool) -> bool:
        """Its own wish: the others hear of it when all passes are made."""
        return stop

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        """The norm of its gradient, which is the sum of all by now."""
        return torch.nn.utils.clip_grad_norm_(parameters, most)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """One message for all parameters of a dtype and device."""
        kinds: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
        for parameter in parameters:
            kinds.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        for members in kinds.values():
            flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in members])
            with lost():
                dist.all_reduce(flat)
            for parameter, part in zip(members, flat.split([p.numel() for p in members]), strict=True):
                parameter.grad = part.view_as(parameter)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        found: list[Any] = [None] * self.size
        with lost():
            dist.all_gather_object(found, value)
        return found

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """A call that all processes make together. One that fails here leaves the others in the middle of it."""
        try:
            yield
        except BaseException:
            self._left = True
            raise

    def tell(self, message: Any) -> None:
        """Send a message to all others, unless they were left in the middle of a call: they end when this process does."""
        if self._left:
            return
        with self.in_step(), lost():  # one message is two calls and more
            dist.broadcast(torch.zeros(1), src=0, group=self._waiting)
            dist.broadcast_object_list([message], src=0)

    def hear(self) -> Any:
        """The next message of rank 0."""
        found: list[Any] = [None]
        with lost():
            dist.broadcast(torch.zeros(1), src=0, group=self._waiting)  # it may take as long as a batch; what follows may not
            dist.broadcast_object_list(found, src=0)
        return found[0]


class Shards(Group):
    """The same processes where each holds a part of every weight, gradient and moment."""

    def share(self, batches: Sequence[T]) -> Sequence[T | None]:
        """Every P-th, and a pass without a batch where others have one more."""
        own: list[T | None] = list(batches[self.rank :: self.size])
        return own + [None] * (-(-len(batches) // self.size) - len(own))

    def stopped(self, stop: bool) -> bool:
        """True where any process wants to stop: no other can go on without it."""
        return any(self.gather(stop))

    def clip(self, parameters: Sequence[nn.Parameter], most: float) -> Tensor:
        """The norm of all parts: the root of the sum of their squares."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        own = torch.nn.utils.get_total_norm(gradients)
        norm = own.new_tensor(math.sqrt(sum(x * x for x in self.gather(float(own)))))
        torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)
        return norm

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing: each backward pass has summed them where they are held."""

    def collect(self, value: T) -> list[T] | None:
        """The values of all processes for rank 0, None for the others; each must call this."""
        found: list[Any] | None = [None] * self.size if self.rank == 0 else None
        with lost():
            dist.gather_object(value, found)
        return found

    def alike(self, value: T) -> T:
        """The value of rank 0; each must call this."""
        return self.deal([value] * self.size)

    def deal(self, values: Sequence[T] | None) -> T:
        """The value of this process among those that rank 0 has for each; each must call this. Values of the others are not read."""
        found: list[Any] = [None]
        with lost():
            dist.scatter_object_list(found, list(values) if values and self.rank == 0 else None)
        return found[0]


@contextmanager
def lost() -> Iterator[None]:
    """Raises Fault where a message between the processes fails, because then one of them is gone."""
    try:
        yield
    except torch.OutOfMemoryError:  # of this process
        raise
    except RuntimeError as error:  # as torch says that a connection broke
        raise Fault(f"another process of the update was lost ({_said(error)}): go on from the last checkpoint with --resume") from error


@contextmanager
def peers(environ: Mapping[str, str] | None = None) -> Iterator[Alone | Group]:
    """The processes that torchrun started together with this one (WORLD_SIZE), else this process alone.

    Raises ConfigError where torchrun's variables say no place among them, and Fault where they do not meet.
    """
    environ = os.environ if environ is None else environ
    size = _number(environ, "WORLD_SIZE", "1", range(1, 1 << 16))
    if size == 1:
        yield Alone()
        return
    _number(environ, "RANK", "", range(size))
    address, port = environ.get("MASTER_ADDR", ""), _number(environ, "MASTER_PORT", "", range(1 << 16))
    if not address:
        raise ConfigError(f"expected MASTER_ADDR to be the address of the first process, got {address!r}: {TOGETHER}")
    if torch.cuda.is_available():
        torch.cuda.set_device(_number(environ, "LOCAL_RANK", "0", range(torch.cuda.device_count())))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=STEP)
        waiting = dist.new_group(backend="gloo", timeout=LONGEST)
    except RuntimeError as error:
        raise Fault(f"the {size} processes of the update did not meet at {address}:{port} ({_said(error)}): {TOGETHER}") from error
    assert isinstance(waiting, dist.ProcessGroup)  # all processes are members
    try:
        yield Group(waiting)
    finally:
        dist.destroy_process_group()


def _number(environ: Mapping[str, str], name: str, default: str, allowed: range) -> int:
    """The number in one of torchrun's variables. Raises ConfigError for none, or one that is not allowed."""
    given = environ.get(name, default)
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given) in allowed):
        raise ConfigError(f"expected {name} to be a number from {allowed[0]} to {allowed[-1]}, got {given!r}: {TOGETHER}")
    return int(given)


def _said(error: RuntimeError) -> str:
    return str(error).strip().partition("\n")[0][:200]


def summed(found: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The sums by name, over processes of which some have none."""
    names = dict.fromkeys(name for each in found for name in each)
    return {name: sum((each[name].cpu() for each in found if name in each), torch.zeros((), dtype=torch.float64)) for name in names}


@torch.no_grad()
def computed(compute: Callable[[PackedBatch], T], batches: Sequence[PackedBatch], peers: Peers) -> list[T]:
    """The result for each batch; the processes compute some each, and all get all."""
    own = []
    for batch in peers.share(batches):
        result = compute(batch or idle().to(batches[0].ids.device))
        if batch is not None:
            own.append(result)
    by_rank = peers.gather(own)
    return [by_rank[i % peers.size][i // peers.size] for i in range(len(batches))]
