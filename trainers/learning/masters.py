"""Master weights: fp32 copies of 16-bit weights, which the optimiser moves (Micikevicius et al. 2018, arXiv 1710.03740, section 3.1).

bfloat16 keeps 8 bits of a number. A step that is smaller than 1/256 of a weight is lost in rounding, and so are most steps at the learning
rates of pretrained models. The optimiser therefore adds its steps to fp32 masters, and the model gets them rounded.

Of a sharded parameter (:mod:`trainers.learning.shards`) the optimiser moves the part that this process holds, as a plain tensor.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

HALF = (torch.bfloat16, torch.float16)
LOSS_SCALE = 1024.0
"""Factor on a loss above float16 weights, whose small gradients would become 0 on their way; it is taken off again."""


def loss_scale(weights: Iterable[Tensor]) -> float:
    """The factor on a loss that is computed with these weights; see :func:`unscale`."""
    return LOSS_SCALE if any(weight.dtype == torch.float16 for weight in weights) else 1.0


def unscale(parameters: Iterable[nn.Parameter], scale: float) -> None:
    """Takes the factor off the gradients."""
    for parameter in parameters if scale != 1 else ():
        if parameter.grad is not None:
            parameter.grad /= scale


def held(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds, in the same memory; a tensor that is not sharded is held whole."""
    return cast(DTensor, tensor.detach()).to_local() if isinstance(tensor, DTensor) else tensor


def pieces(whole: Tensor, size: int) -> list[Tensor]:
    """The parts of a tensor that so many processes hold: by rows, the last ones shorter or empty; a number goes to all."""
    if not whole.ndim:
        return [whole] * size
    found = [piece.clone() for piece in whole.chunk(size)]
    return found + [whole[:0].clone()] * (size - len(found))


@torch.no_grad()
def assign(parameter: Tensor, whole: Tensor) -> None:
    """Gives a parameter new values; of a sharded one this process has its part only."""
    if isinstance(parameter, DTensor):
        whole = pieces(whole, parameter.device_mesh.size())[parameter.device_mesh.get_local_rank()]
    held(parameter).copy_(whole)


class Masters:
    """The weights that an optimiser moves: masters of 16-bit parameters, the held parts of sharded ones, all others themselves.

    After each backward pass call :meth:`gather`, after the optimiser's step :meth:`publish`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._own = list(parameters)
        self.parameters: list[nn.Parameter] = [_moved(p) for p in self._own]

    def _pairs(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [(own, master) for own, master in zip(self._own, self.parameters, strict=True) if own is not master]

    def _masters(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [(own, master) for own, master in self._pairs() if own.dtype in HALF]

    def gather(self) -> None:
        """Adds the gradients of this backward pass to those of the masters, in fp32, and to those of held parts."""
        for own, master in self._pairs():
            if own.grad is not None:
                gradient = held(own.grad)
                master.grad = gradient.to(master.dtype) if master.grad is None else master.grad + gradient
                own.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Gives the model its masters, rounded."""
        for own, master in self._masters():
            held(own).copy_(master)

    def state_dict(self) -> list[Tensor]:
        """The masters, which the rounded weights of a checkpoint cannot give back."""
        return [master.detach() for _, master in self._masters()]

    @torch.no_grad()
    def load_state_dict(self, state: Sequence[Tensor]) -> None:
        """Goes on from saved masters; without any, from the model's own weights. A model that is fp32 by now takes them over itself."""
        kept = [master for _, master in self._masters()] or self.parameters
        for master, saved in zip(kept, state, strict=bool(state)):
            master.copy_(saved)


def _moved(parameter: nn.Parameter) -> nn.Parameter:
    """The parameter that an optimiser moves in place of this one; one that nothing moves is itself."""
    if not parameter.requires_grad:
        return parameter
    if parameter.dtype in HALF:
        return nn.Parameter(held(parameter).detach().float())
    return nn.Parameter(held(parameter)) if isinstance(parameter, DTensor) else parameter
