"""Q(s_t, a_t) and V(s_t) of whole actions, twice each, with slow target copies.

One backbone reads prompt and action; V is read at the last prompt token, which cannot see the action, and Q at the action's last
token, which sees both. Two heads of each kind are fitted on the same turns. The smaller of two is used, because the larger one of a
pair is more likely to err upwards (double Q-learning; van Hasselt et al. 2016, Fujimoto et al. 2018).

There are two ways to look one turn ahead, with a' from the current policy, not from the record:

    expectation   Q_i → r_t + γ V̄_i(s_{t+1}),                     V_i → mean over a' of Q̄_i(s_t, a')     (ArCHer, arXiv 2402.19446)
    optimality    Q_i → r_t + γ max over a' of min_j Q̄_j(s_{t+1}, a'),   V_i → the same maximum at s_t    (Bellman optimality)

A bar is the target copy: θ̄ ← (1 − τ) θ̄ + τ θ after every pass.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from trainers.batches.packing import PackedBatch, idle
from trainers.batches.rows import Row
from trainers.credit.algorithm import AlgorithmConfig
from trainers.critics import backbone as backbones
from trainers.critics.fit import Packer, dealt
from trainers.learning.masters import Masters, assign, held, loss_scale, unscale
from trainers.learning.peers import Alone, Peers, computed
from trainers.models.model import hidden_width, packed_hidden
from webgym.errors import CheckpointError, DivergenceError
from webgym.types import seed_from

HEADS_FILE = "q_heads.safetensors"


class QSpec(BaseModel):
    """Settings of the targets of a critic of actions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    backup: Literal["expectation", "optimality"] = "expectation"
    """Look ahead by the policy's mean, or by the best of the candidates."""
    gamma: float = Field(default=0.95, gt=0, le=1)
    """Discount per turn."""
    candidates: int = Field(default=1, ge=1)
    """Actions drawn anew from the policy in every turn of the batch."""
    epochs: int = Field(default=4, ge=1)
    """Passes over the batch per iteration, in steps of `critic.fit.turns_per_step`; the target copy moves after each."""
    tau: float = Field(default=0.1, gt=0, le=1)
    """Share of the critic that the target copy takes over after a pass."""


class ActionValueConfig(AlgorithmConfig):
    """Options of an algorithm with a critic of actions."""

    q: QSpec = QSpec()
    """The critic."""


class QCritic(nn.Module):
    """Two Q and two V over packed rows; starts from a copy of the policy's backbone and answers `set_bias` everywhere."""

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        hidden = hidden_width(backbone)
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, 2).to(backbone.device) for name in ("q", "v")})
        for head in self.heads.values():
            nn.init.zeros_(cast(nn.Linear, head).weight)
        self.set_bias(0.5)

    @classmethod
    def of(cls, policy: nn.Module) -> "QCritic":
        """A critic that starts from a copy of the policy's backbone."""
        return cls(backbones.copy_of(policy))

    @torch.no_grad()
    def set_bias(self, value: float) -> None:
        """Makes a critic with zero heads answer `value` everywhere; the two of a pair lie 0.02 apart, so that they learn apart."""
        for head in self.heads.values():
            bias = cast(nn.Linear, head).bias
            assign(bias, torch.tensor([value - 0.01, value + 0.01], device=bias.device))

    def get_decoder(self) -> PreTrainedModel:
        """The backbone, under the name that transformers' models have for it."""
        return self.backbone

    def forward(self, batch: PackedBatch) -> tuple[Float[Tensor, "v 2"], Float[Tensor, "v 2"]]:
        """(Q, V) of each turn of the batch, both heads, fp32."""
        at = torch.stack([batch.value_index, batch.action_end], dim=1).flatten()  # in rising order
        state, action = packed_hidden(self, batch, at).float().unflatten(0, (-1, 2)).unbind(1)
        return self.heads["q"](action), self.heads["v"](state)

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes the backbone (:mod:`trainers.critics.backbone`) with the heads beside it."""
        backbones.save(self.backbone, Path(folder))
        save_file({k: t.detach().cpu().contiguous() for k, t in self.heads.state_dict().items()}, Path(folder) / HEADS_FILE)

    def save_layers(self, layers: Iterable[Mapping[str, Tensor]], folder: Path) -> None:
        """Writes the same from weights that come by name, layer after layer."""
        heads: dict[str, Tensor] = {}

        def backbone() -> Iterator[dict[str, Tensor]]:
            for layer in layers:
                heads.update(backbones.below("heads.", layer))
                yield backbones.below("backbone.", layer)

        folder.mkdir(parents=True, exist_ok=True)
        backbones.save_layers(self.backbone, backbone(), folder)
        save_file(heads, folder / HEADS_FILE)

    @classmethod
    def load(cls, folder: Path | str, *, policy: nn.Module | None = None, device: str = "cpu") -> "QCritic":
        """The critic that :meth:`save_pretrained` wrote. Raises CheckpointError where the folder holds none."""
        if not (Path(folder) / HEADS_FILE).is_file():
            raise CheckpointError(f"{folder} is no critic of actions: {HEADS_FILE} missing")
        with backbones.reading(folder):
            critic = cls(backbones.load(Path(folder), policy))
            critic.heads.load_state_dict(load_file(Path(folder) / HEADS_FILE))
        return critic.to(device)


# --- targets: pure functions over flat arrays of turns -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Transitions:
    """Turns of many trajectories, one after the other. `last` turns have no next state; `known` is false where an episode faulted."""

    reward: Float[np.ndarray, " turns"]
    last: np.ndarray  # [turns] bool
    known: np.ndarray  # [turns] bool


def state_targets(candidates: Float[np.ndarray, "turns n 2"], backup: Literal["expectation", "optimality"]) -> Float[np.ndarray, "turns 2"]:
    """Targets of V_i(s_t), from the target copy's Q̄_i(s_t, a') of the candidates: their mean, or the best of their smaller Q̄."""
    if backup == "expectation":
        return candidates.mean(1)
    return np.repeat(candidates.min(2).max(1)[:, None], 2, axis=1)


def action_targets(
    turns: Transitions, state: Float[np.ndarray, "turns 2"], best: Float[np.ndarray, "turns 2"], spec: QSpec
) -> Float[np.ndarray, "turns 2"]:
    """Targets of Q_i(s_t, a_t): r_t + γ V̄_i(s_{t+1}) (`state` is V̄) or r_t + γ times `best`, the optimality target of s_{t+1}.

    The value after the last turn is 0, at the turn limit too, because the limit is part of the task.
    """
    ahead = state if spec.backup == "expectation" else best
    after = np.where(turns.last[:, None], 0.0, np.roll(ahead, -1, axis=0))
    return turns.reward[:, None] + spec.gamma * after


# --- fitting -------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def read(
    critic: QCritic,
    batches: Sequence[PackedBatch],
    turns: int,
    peers: Peers = Alone(),  # noqa: B008
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, V) of every turn by its global id, [turns, 2] float64 each; NaN for a turn in none of the batches."""
    critic.eval()
    q, v = np.full((turns, 2), np.nan), np.full((turns, 2), np.nan)
    found = computed(lambda batch: [x.double().cpu().numpy() for x in critic(batch)], batches, peers)
    for batch, (found_q, found_v) in zip(batches, found, strict=True):
        place = batch.value_turn.cpu().numpy()
        q[place], v[place] = found_q, found_v
    return q, v


def fit_pass(
    critic: QCritic,
    rows: Sequence[Row],
    targets: tuple[np.ndarray, np.ndarray],
    optimizer: torch.optim.Optimizer,
    packed: Packer,
    *,
    turns_per_step: int,
    grad_clip: float,
    seed: int,
    masters: Masters | None = None,
    peers: Peers = Alone(),  # noqa: B008
) -> float:
    """One pass over the rows in optimiser steps of `turns_per_step` turns: Σ_i MSE(Q_i) + MSE(V_i), the mean over a step's turns.

    Returns the mean loss. Of a sharded critic the optimiser moves `masters`, and `peers` share out the batches of each step.
    NaN targets are ignored. Rows are whole, so a row of more turns is a step; `packed` affects the cost and not
    the result.
    """
    critic.train()
    losses, turns = 0.0, 0
    order = sorted(range(len(rows)), key=lambda i: seed_from(seed, "q", i))
    for chosen in dealt([rows[i] for i in order], turns_per_step):
        batches = packed(chosen)
        known = sum(int((~np.isnan(targets[0][batch.value_turn.cpu().numpy()]).any(1)).sum()) for batch in batches)
        if not known:
            continue
        optimizer.zero_grad(set_to_none=True)
        found, scale = [], loss_scale(critic.parameters())
        for batch in peers.share(batches):
            if batch is None:
                loss = 0 * torch.cat(critic(idle().to(batches[0].ids.device))).sum()
            else:
                loss = _squared_errors(critic, batch, targets)
            (loss / known * scale).backward()
            if masters is not None:
                masters.gather()
            found.append(float(loss.detach()))
        for own in peers.gather(found):
            for loss in own:
                losses += loss
        moved = masters.parameters if masters is not None else list(critic.parameters())
        unscale(moved, scale)
        norm = peers.clip(moved, grad_clip)
        if not torch.isfinite(norm):
            raise DivergenceError(
                f"the gradient of the critic has no finite norm ({float(norm)}); its weights were left as they are, and the episodes are "
                "in the run folder: resume from the last checkpoint with a smaller critic.fit.lr"
            )
        optimizer.step()
        turns += known
    return losses / turns if turns else float("nan")


def _squared_errors(critic: QCritic, batch: PackedBatch, targets: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """The sum of (Q_i − target)² + (V_i − target)² over the turns of a batch whose targets are known."""
    place = batch.value_turn.cpu().numpy()
    wanted = [torch.as_tensor(target[place], dtype=torch.float32, device=batch.ids.device) for target in targets]
    known = ~wanted[0].isnan().any(1)
    return torch.stack([((found - target)[known] ** 2).sum() for found, target in zip(critic(batch), wanted, strict=True)]).sum()


@torch.no_grad()
def move_target(target: QCritic, critic: QCritic, tau: float) -> None:
    """θ̄ ← (1 − τ) θ̄ + τ θ."""
    for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
        if slow is not fast:  # a base that both stand on
            held(slow).lerp_(held(fast), tau)
