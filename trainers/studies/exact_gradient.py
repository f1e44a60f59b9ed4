"""Gradients of log π and of success itself, small enough to compare: sketches.

A *sketch* of a gradient is a random projection (count sketch, Charikar et al. 2002): every parameter is added, with a random sign, to one
of `size` numbers. Inner products are kept in expectation, with a standard error of about |x||y|/√size.

The exact policy gradient of a task whose values are known, for a policy without memory (Sutton et al. 2000, theorem 1, undiscounted):

    ∇J = Σ_t Σ_s P(s_t = s) Σ_a Q(s, a) ∇π(a | o(s))

where o(s) is the observation at s. All texts that are no action share one Q(s, ""), and π("") = 1 − Σ_a π(a), so each action counts with
Q(s, a) − Q(s, "").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from trainers.models.policy_model import PolicyModel
from trainers.models.shared_prompt import Ids, SharedPrompt, batches, shared_prompt_logprobs
from trainers.studies.truth import Asked, shared_prompts_of
from webgym.actions import render
from webgym.task import ExactValues


class Sketch:
    """The projection of one model's gradients, fixed by `seed`."""

    def __init__(self, model: torch.nn.Module, size: int = 16384, seed: int = 0) -> None:
        self.size = size
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        generator = torch.Generator().manual_seed(seed)
        count = sum(p.numel() for p in self.parameters)
        self._bucket = torch.randint(size, (count,), generator=generator)
        self._sign = torch.randint(2, (count,), generator=generator).float() * 2 - 1

    def of(self, loss: Tensor, *, keep_graph: bool = False) -> Float[Tensor, " size"]:
        """The sketch of the gradient of `loss`."""
        found = torch.autograd.grad(loss, self.parameters, retain_graph=keep_graph, allow_unused=True)
        flat = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(self.parameters, found, strict=True)])
        return torch.zeros(self.size).index_add_(0, self._bucket, self._sign * flat.float().cpu())


def scores(
    source: PolicyModel, shared_prompts: Sequence[SharedPrompt], temperature: float, sketch: Sketch
) -> list[Float[Tensor, "texts size"]]:
    """∇log π(text | prompt) of every text of every shared prompt."""
    cast(Any, source.model).eval()
    found = []
    for shared_prompt in shared_prompts:
        (logprobs,) = shared_prompt_logprobs(source.model, [shared_prompt], temperature)
        found.append(torch.stack([sketch.of(x, keep_graph=n + 1 < len(logprobs)) for n, x in enumerate(logprobs)]))
    return found


@dataclass(frozen=True)
class Exact:
    """Exact knowledge of a policy on one seed of a task: `values` by state and turn, and the questions `asked` of the policy."""

    values: ExactValues
    asked: Asked

    def question_of(self, state: str, turn: int) -> int:
        """Index of the question that was asked about this state; -1 where it is unknown."""
        here = self.values.get((state, turn))
        return here.question if here else -1

    def seen(self) -> dict[int, float]:
        """The best possible values of a critic, by question: E[V | observation], over the policy's episodes."""
        mass, worth = {}, {}
        for here in self.values.values():
            mass[here.question] = mass.get(here.question, 0.0) + here.visits
            worth[here.question] = worth.get(here.question, 0.0) + here.visits * here.v
        return {question: worth[question] / m for question, m in mass.items() if m > 0}


def exact_gradient(source: PolicyModel, exact: Exact, temperature: float, sketch: Sketch, least_visits: float = 1e-5) -> Tensor:
    """∇J on this seed, [size]. States that fewer episodes than `least_visits` reach are left out. `exact` must be undiscounted."""
    weight = _weights(exact)
    kept = [q for q, mass in _mass(exact).items() if mass >= least_visits]
    shared_prompts, owners = shared_prompts_of([exact.asked[q] for q in kept], source)
    owner_of: dict[tuple[Ids, int], list[float]] = {}
    for question, shared_prompt, owner in zip(kept, shared_prompts, owners, strict=True):
        owner_of[shared_prompt.prompt, len(shared_prompt.texts)] = [weight[question][action] for action in owner]
    found = torch.zeros(sketch.size)
    for batch in batches(shared_prompts, 2048):
        logprobs = shared_prompt_logprobs(source.model, batch, temperature)
        terms = [
            torch.tensor(owner_of[shared_prompt.prompt, len(shared_prompt.texts)]) @ logprob.exp().cpu()
            for shared_prompt, logprob in zip(batch, logprobs, strict=True)
        ]
        found += sketch.of(torch.stack(terms).sum())
    return found


def _mass(exact: Exact) -> dict[int, float]:
    mass: dict[int, float] = {}
    for here in exact.values.values():
        mass[here.question] = mass.get(here.question, 0.0) + here.visits
    return mass


def _weights(exact: Exact) -> list[list[float]]:
    """Σ over the states that look alike of P(s) (Q(s, a) − Q(s, "")), by question and action."""
    weight = [[0.0] * len(actions) for _, actions in exact.asked]
    for here in exact.values.values():
        for number, action in enumerate(exact.asked[here.question][1]):
            weight[here.question][number] += here.visits * (here.q[render(action, "call")] - here.q[""])
    return weight
