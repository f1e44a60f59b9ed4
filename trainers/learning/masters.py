"""Master weights: fp32 copies of 16-bit weights, which the optimiser moves (Micikevicius et al. 2018, arXiv 1710.03740, section 3.1).

bfloat16 keeps 8 bits of a number. A step that is smaller than 1/256 of a weight is lost in rounding, and so are most steps at the learning
rates of pretrained models. The optimiser therefore adds its steps to fp32 masters, and the model gets them rounded.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

HALF = (torch.bfloat16, torch.float16)


class Masters:
    """The weights that an optimiser moves: masters of 16-bit parameters, all others themselves.

    After each backward pass call :meth:`gather`, after the optimiser's step :meth:`publish`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._own = list(parameters)
        self.parameters: list[nn.Parameter] = [nn.Parameter(p.detach().float()) if p.dtype in HALF else p for p in self._own]

    def _pairs(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [(own, master) for own, master in zip(self._own, self.parameters, strict=True) if own is not master]

    def gather(self) -> None:
        """Adds the gradients of this backward pass to those of the masters, in fp32."""
        for own, master in self._pairs():
            if own.grad is not None:
                master.grad = own.grad.float() if master.grad is None else master.grad + own.grad
                own.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Gives the model its masters, rounded."""
        for own, master in self._pairs():
            own.copy_(master)

    def state_dict(self) -> list[Tensor]:
        """The masters, which the rounded weights of a checkpoint cannot give back."""
        return [master.detach() for _, master in self._pairs()]

    @torch.no_grad()
    def load_state_dict(self, state: Sequence[Tensor]) -> None:
        """Goes on from saved masters; without any, from the model's own weights. A model that is fp32 by now takes them over itself."""
        kept = [master for own, master in zip(self._own, self.parameters, strict=True) if own is not master] or self.parameters
        for master, saved in zip(kept, state, strict=bool(state)):
            master.copy_(saved)
