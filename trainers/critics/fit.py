"""Fitting a critic to targets, reading its values, and measuring how well they match.

Targets and values are flat arrays over ids: global turn ids, or, with batches made by :func:`per_token`, global ids of sampled tokens.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from trainers.batches.packing import PackedBatch, idle
from trainers.batches.rows import Row
from trainers.credit.calibration import explained_variance
from trainers.critics.critic import Critic, HeadConfig
from trainers.learning.learner import load_moments
from trainers.learning.masters import Masters, loss_scale, unscale
from trainers.learning.peers import Alone, Peers, computed
from webgym.errors import DivergenceError, UsageError
from webgym.types import Trajectory, seed_from


class FitConfig(BaseModel):
    """Settings of a critic's fit to targets."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=1, ge=0, description="passes over the batches")
    lr: float = Field(default=1e-3, gt=0, description="AdamW's step size")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled decay")
    grad_clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient of a step")
    average: float = Field(
        default=0.98,
        ge=0,
        lt=1,
        description="decay per step of the mean of the weights, which values are read from; 0 reads the newest",
    )
    turns_per_step: int = Field(default=32, ge=1, description="turns of one optimiser step, however many of them a packed batch holds")


@dataclass(frozen=True, slots=True)
class Quality:
    """Match of values and targets over some turns. `explained_variance` is 1 - Var(target - value) / Var(target)."""

    turns: int
    loss: float
    explained_variance: float
    bias: float  # mean of value - target


@dataclass(frozen=True, slots=True)
class FitReport:
    """Effect of a fit: quality before and after on the fitted turns and on the held-out turns, where that was measured.

    `loss` is the mean loss of the turns during the fit, each measured before its own step.
    """

    train_before: Quality | None
    train_after: Quality | None
    held_out_before: Quality | None
    held_out_after: Quality | None
    loss: float
    steps: int
    tokens: int


class CriticOptimizer:
    """The critic's own AdamW, and the running mean of the weights that it goes through (Polyak and Juditsky 1992).

    The newest weights jump, because an episode gives one bit only: one unlucky batch can take away all that they explained. The mean does
    not jump, so values are read :meth:`averaged`, and a checkpoint's folder holds the mean. The newest weights are in :meth:`state_dict`,
    so that a resumed run is the same run. A trunk that belongs to the policy is read without averaging.
    """

    def __init__(self, critic: Critic, config: FitConfig) -> None:
        self.config = config
        self.steps = 0
        self.masters = Masters(critic.trained())
        self.loss_scale = loss_scale(critic.weights())
        moved = iter(self.masters.parameters)
        groups = [{**group, "params": [next(moved) for _ in group["params"]]} for group in critic.parameter_groups(config.lr)]
        self.adamw = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.99))
        self._weights = self.masters.parameters[: len(critic.own())] if config.average else []
        self._mean: list[Tensor] = []  # none before the first step

    @torch.no_grad()
    def step(self) -> None:
        """One step of AdamW; the mean follows. The first steps have equal weight in it, so that the start is forgotten."""
        self.adamw.step()
        self.steps += 1
        if not self._mean:
            self._mean = [x.detach().clone() for x in self._weights]
        else:
            share = max(1 - self.config.average, 1 / self.steps)
            for mean, weight in zip(self._mean, self._weights, strict=True):
                mean.lerp_(weight, share)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The critic with the mean of its weights, for as long as this holds."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, mean in zip(self._weights if self._mean else (), self._mean, strict=True):
            newest = weight.clone()
            weight.copy_(mean)
            mean.copy_(newest)

    def settle(self) -> None:
        """Leaves the critic with the mean of its weights, for good."""
        self._swap()
        self._mean = []

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to go on bitwise, given the averaged critic."""
        newest = [x.detach().clone() for x in self._weights] if self._mean else []
        return {"steps": self.steps, "adamw": self.adamw.state_dict(), "newest": newest}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state, with the settings of this one's config; the critic must hold the mean of its weights, as
        :meth:`averaged` shows it."""
        self.steps = int(state["steps"])
        load_moments(self.adamw, state["adamw"])
        saved = state.get("newest", []) if self.config.average else []  # without an average, the mean is what goes on
        self._mean = [x.detach().clone() for x in self._weights] if saved else []
        for weight, newest in zip(self._weights if saved else (), saved, strict=True):
            weight.copy_(newest)


Packer = Callable[[Sequence[Row]], Sequence[PackedBatch]]
"""Packs rows to the size that the device holds at a time."""


def fit(
    critic: Critic,
    rows: Sequence[Row],
    targets: Float[np.ndarray, " turns"],
    optimizer: CriticOptimizer,
    packed: Packer,
    *,
    seed: int = 0,
    held_out: Sequence[Row] = (),
    measured: bool = True,
    weights: Float[np.ndarray, " turns"] | None = None,
    peers: Peers = Alone(),  # noqa: B008
) -> FitReport:
    """Fits the critic to `targets`, one per global turn id; turns whose target is NaN are ignored.

    The report is of the newest weights. Of a sharded critic, `peers` share out the batches of each step.
    `weights` is how often each turn counts (default 1), for a turn that stands for many alike, with
    their mean target.

    In each epoch the rows are dealt anew by `seed` to steps of `turns_per_step` turns (rows are whole, so a row of more turns is a step).
    A step's loss is divided by its turns, so `packed` affects the cost and not the result. `held_out` rows are only measured;
    their targets are in the same array. Without `measured`, `rows` are not read before and after, which saves two forward passes.
    """
    config = optimizer.config
    table = torch.as_tensor(np.asarray(targets), dtype=torch.float32)
    counts = torch.ones_like(table) if weights is None else torch.as_tensor(np.asarray(weights), dtype=torch.float32)
    again, apart = packed(rows) if measured else (), packed(held_out) if held_out else ()
    before, held_before = _measured(critic, again, table), _measured(critic, apart, table)
    tokens, losses, turns = 0, 0.0, 0.0
    critic.train()
    for epoch in range(config.epochs):
        order = sorted(range(len(rows)), key=lambda i: seed_from(seed, "critic", epoch, i))
        for chosen in dealt([rows[i] for i in order], config.turns_per_step):
            batches = packed(chosen)
            loss, known = _step(critic, batches, table, counts, optimizer, peers)
            losses, turns = losses + loss, turns + known
            tokens += sum(batch.tokens for batch in batches)
    after, held_after = _measured(critic, again, table), _measured(critic, apart, table)
    return FitReport(before, after, held_before, held_after, losses / turns if turns else math.nan, optimizer.steps, tokens)


def dealt(rows: Sequence[Row], turns: int) -> Iterator[list[Row]]:
    """The rows in order, in chunks of at most this number of turns; a longer row is a chunk of its own."""
    chosen: list[Row] = []
    for row in rows:
        if chosen and sum(len(x.spans) for x in chosen) + len(row.spans) > turns:
            yield chosen
            chosen = []
        chosen.append(row)
    if chosen:
        yield chosen


def _step(
    critic: Critic, batches: Sequence[PackedBatch], table: Tensor, counts: Tensor, optimizer: CriticOptimizer, peers: Peers
) -> tuple[float, float]:
    """The summed loss and the number of turns of one optimiser step."""
    turns = sum(float(counts[ids][~table[ids].isnan()].sum()) for ids in (batch.value_turn.cpu() for batch in batches))
    if turns == 0:
        return 0.0, 0.0
    total = 0.0
    optimizer.adamw.zero_grad(set_to_none=True)
    live = [batch for batch in batches if not table[batch.value_turn.cpu()].isnan().all()]
    for batch in peers.share(live):
        if batch is None:
            loss = 0 * critic(idle().to(live[0].ids.device)).sum()
        else:
            target = table.to(batch.value_turn.device)[batch.value_turn]
            known = ~target.isnan()
            count = counts.to(target.device)[batch.value_turn][known]
            loss = (count * critic.losses(critic(batch)[known], target[known])).sum()
        (loss / turns * optimizer.loss_scale).backward()
        optimizer.masters.gather()
        total += float(loss.detach())
    total = sum(peers.gather(total))
    unscale(optimizer.masters.parameters, optimizer.loss_scale)
    norm = peers.clip(optimizer.masters.parameters, optimizer.config.grad_clip)
    if not torch.isfinite(norm):
        raise DivergenceError(
            f"the gradient of the critic has no finite norm ({float(norm)}); its weights were left as they are, and the episodes are in "
            "the run folder: resume from the last checkpoint with a smaller critic.fit.lr"
        )
    optimizer.step()
    return total, turns


@torch.no_grad()
def predict(
    critic: Critic,
    batches: Sequence[PackedBatch],
    turns: int,
    peers: Peers = Alone(),  # noqa: B008
) -> Float[np.ndarray, " turns"]:
    """V of every turn by its global id, float64; NaN for a turn in none of the batches."""
    critic.eval()
    values = np.full(turns, np.nan)
    found = computed(lambda batch: critic.values(batch).double().cpu().numpy(), batches, peers)
    for batch, value in zip(batches, found, strict=True):
        values[batch.value_turn.cpu().numpy()] = value
    return values


@torch.no_grad()
def measure(critic: Critic, batches: Sequence[PackedBatch], targets: Float[Tensor, " turns"]) -> Quality:
    """Match of the critic's values and `targets` (by global turn id) over the turns of these batches."""
    critic.eval()
    values, wanted, losses = [], [], []
    for batch in batches:
        target = targets.to(batch.value_turn.device)[batch.value_turn]
        known = ~target.isnan()
        outputs = critic(batch)[known]
        values.append(critic.read(outputs).double().cpu())
        wanted.append(target[known].double().cpu())
        losses.append(critic.losses(outputs, target[known]).double().cpu())
    v, g, loss = (torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64) for parts in (values, wanted, losses))
    if len(g) == 0:
        return Quality(0, math.nan, math.nan, math.nan)
    return Quality(len(g), float(loss.mean()), explained_variance(g.numpy(), v.numpy()), float((v - g).mean()))


def _measured(critic: Critic, batches: Sequence[PackedBatch], targets: Tensor) -> Quality | None:
    return measure(critic, batches, targets) if batches else None


def check_targets(config: HeadConfig, targets: Float[np.ndarray, " turns"]) -> None:
    """Raises UsageError where the loss wants targets in [0, 1] and some lie outside."""
    known = targets[~np.isnan(targets)]
    if config.loss != "mse" and len(known) and (known.min() < 0 or known.max() > 1):
        raise UsageError(f"{config.loss} wants targets in [0, 1], got {known.min():.3g} to {known.max():.3g}; use loss = 'mse'")


def first_tokens(trajectories: Sequence[Trajectory]) -> np.ndarray:
    """The global id of each turn's first sampled token, [turns + 1]; the last number counts all sampled tokens."""
    sizes = [len(turn.completion.action_ids) for x in trajectories for turn in x.turns]
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def per_token(batch: PackedBatch, first_token: np.ndarray) -> PackedBatch:
    """The batch with a value read before each sampled token in place of one per turn; `first_token` comes from :func:`first_tokens`.

    The state of a turn's first token is the last prompt token, the state of the next ones the token before.
    """
    turn = batch.turn_of_action
    begins = torch.ones_like(turn, dtype=torch.bool)
    begins[1:] = turn[1:] != turn[:-1]  # tokens of one turn lie together
    place = torch.arange(len(turn), device=turn.device)
    start = torch.where(begins, place, 0).cummax(0).values
    ids = torch.as_tensor(first_token, device=turn.device)[turn] + place - start
    return replace(batch, value_index=batch.action_index, value_turn=ids, prompt_start=batch.action_index, action_end=batch.action_index)
