"""V(s_t): a copy of the policy's backbone with a scalar head, read at the last prompt token of each turn.

The head starts at zero weights and the bias that the caller sets (the mean success), so an untrained critic says the same of every
state. Three losses, all of them on targets in [0, 1] but mse, which takes any:

- mse: (V - G)² (ArCHer, arXiv 2402.19446);
- bce: cross-entropy with the soft target G; V is the sigmoid of the head;
- hl-gauss: cross-entropy over bins with the target smeared by a Gaussian (Farebrother et al. 2024, arXiv 2403.03950, eq. 5);
  V is the mean of the bins' centres.
"""

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from trainers.credit import explained_variance
from trainers.model import packed_hidden, prepare
from trainers.rows import PackedBatch
from webgym.errors import CheckpointError, UsageError
from webgym.types import seed_from

Loss = Literal["mse", "bce", "hl-gauss"]

HEAD_FILE = "value_head.safetensors"
HEAD_CONFIG = "value_head.json"


class HeadConfig(BaseModel):
    """How the scalar head reads and what it is trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Loss = Field(
        default="bce", description="mse (published ArCHer), bce with soft targets, or hl-gauss; the last two want targets in [0, 1]"
    )
    bins: int = Field(default=21, ge=3, description="hl-gauss: bins over [0, 1]")
    smear: float = Field(default=0.75, gt=0, description="hl-gauss: width of the Gaussian in bins")


class FitConfig(BaseModel):
    """How a critic is fitted to targets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=1, ge=0, description="passes over the batches")
    lr: float = Field(default=1e-3, gt=0, description="AdamW's step size")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled decay")
    grad_clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient of a step")
    batches_per_step: int = Field(
        default=1, ge=1, description="packed batches of one optimiser step; the divisor counts the turns of all of them"
    )


class Critic(nn.Module):
    """A value model over packed rows. `backbone` is a decoder without a language-model head."""

    def __init__(self, backbone: PreTrainedModel, config: HeadConfig | None = None) -> None:
        super().__init__()
        self.config = config or HeadConfig()
        self.backbone = backbone
        self.head = nn.Linear(cast(Any, backbone).config.get_text_config().hidden_size, self._outputs, bias=True)
        self.head.to(device=backbone.device)  # the head stays fp32 whatever the backbone is
        nn.init.zeros_(self.head.weight)
        self.set_bias(0.5)

    @classmethod
    def of(cls, policy: nn.Module, config: HeadConfig | None = None) -> "Critic":
        """A critic that starts from a copy of the policy's backbone."""
        return cls(prepare(deepcopy(cast(Any, policy).get_decoder())), config)

    @property
    def _outputs(self) -> int:
        return self.config.bins if self.config.loss == "hl-gauss" else 1

    @torch.no_grad()
    def set_bias(self, value: float) -> None:
        """Makes a critic with a zero head answer `value` everywhere.

        bce and hl-gauss keep off the ends of [0, 1], by 0.01 and by 1.5 bins.
        """
        margin = 1.5 / self.config.bins if self.config.loss == "hl-gauss" else 0.01
        inside = min(max(value, margin), 1 - margin)
        if self.config.loss == "mse":
            self.head.bias.fill_(value)
        elif self.config.loss == "bce":
            self.head.bias.fill_(math.log(inside / (1 - inside)))
        else:
            self.head.bias.copy_(_tilted(self._centres(), inside))

    def get_decoder(self) -> PreTrainedModel:
        """The backbone, under the name that transformers' models have for it."""
        return self.backbone

    def forward(self, batch: PackedBatch) -> Float[Tensor, "v outputs"]:
        """What the head says at `batch.value_index`: values (mse) or logits (bce, hl-gauss), fp32."""
        return self.head(packed_hidden(self, batch)[batch.value_index].float())

    def values(self, batch: PackedBatch) -> Float[Tensor, " v"]:
        """V of each turn of the batch, in the order of `batch.value_index`."""
        return self.read(self(batch))

    def read(self, outputs: Float[Tensor, "v outputs"]) -> Float[Tensor, " v"]:
        """Values from what the head said."""
        if self.config.loss == "mse":
            return outputs[:, 0]
        if self.config.loss == "bce":
            return outputs[:, 0].sigmoid()
        return torch.softmax(outputs, -1) @ self._centres()

    def losses(self, outputs: Float[Tensor, "v outputs"], targets: Float[Tensor, " v"]) -> Float[Tensor, " v"]:
        """The loss of each turn, without a mean."""
        if self.config.loss == "mse":
            return (outputs[:, 0] - targets) ** 2
        if self.config.loss == "bce":
            return F.binary_cross_entropy_with_logits(outputs[:, 0], targets, reduction="none")
        return -(self.smeared(targets) * torch.log_softmax(outputs, -1)).sum(-1)

    def smeared(self, targets: Float[Tensor, " v"]) -> Float[Tensor, "v bins"]:
        """hl-gauss targets: the mass of N(target, smear · width) in each bin, cut to [0, 1] and normalised."""
        width = 1.0 / self.config.bins
        edges = torch.linspace(0.0, 1.0, self.config.bins + 1, device=targets.device)
        reached = torch.special.ndtr((edges - targets[:, None]) / (self.config.smear * width))
        return (reached[:, 1:] - reached[:, :-1]) / (reached[:, -1:] - reached[:, :1])

    def _centres(self) -> Tensor:
        return (torch.arange(self.config.bins, device=self.head.weight.device) + 0.5) / self.config.bins

    # --- disk --------------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes a folder in Hugging Face format (the backbone, which AutoModel loads) with the head beside it."""
        folder = Path(folder)
        self.backbone.save_pretrained(folder)
        save_file({name: t.detach().cpu().contiguous() for name, t in self.head.state_dict().items()}, folder / HEAD_FILE)
        (folder / HEAD_CONFIG).write_text(self.config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "cpu") -> "Critic":
        """The critic that :meth:`save_pretrained` wrote. Raises CheckpointError where the folder holds none."""
        folder = Path(folder)
        missing = [name for name in ("config.json", "model.safetensors", HEAD_FILE, HEAD_CONFIG) if not (folder / name).is_file()]
        if missing and not (missing == ["model.safetensors"] and list(folder.glob("model-*.safetensors"))):
            raise CheckpointError(f"{folder} is no critic: {', '.join(missing)} missing")
        config = HeadConfig.model_validate(json.loads((folder / HEAD_CONFIG).read_text(encoding="utf-8")))
        critic = cls(prepare(AutoModel.from_pretrained(folder, dtype="auto")), config)
        critic.head.load_state_dict(load_file(folder / HEAD_FILE))
        return critic.to(device)


def _tilted(centres: Tensor, mean: float) -> Tensor:
    """Logits k · centre whose softmax has this mean, by bisection in k."""
    low, high = -1e4, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(torch.softmax(middle * centres.double(), -1) @ centres.double()) < mean else (low, middle)
    return (low * centres.double()).to(centres.dtype)


# --- fitting -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quality:
    """How well values match targets over some turns. `explained_variance` is 1 - Var(target - value) / Var(target)."""

    turns: int
    loss: float
    explained_variance: float
    bias: float  # mean of value - target


@dataclass(frozen=True, slots=True)
class FitReport:
    """What fitting did: before and after on the turns that were fitted, and on those held out."""

    train_before: Quality
    train_after: Quality
    held_out_before: Quality | None
    held_out_after: Quality | None
    steps: int
    tokens: int


class CriticOptimizer:
    """The critic's own AdamW; its state goes into checkpoints, so that a resumed run is the same run."""

    def __init__(self, critic: Critic, config: FitConfig) -> None:
        self.config = config
        self.steps = 0
        self.adamw = torch.optim.AdamW(critic.parameters(), lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.99))

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to go on bitwise."""
        return {"steps": self.steps, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state."""
        self.steps = int(state["steps"])
        self.adamw.load_state_dict(state["adamw"])


def fit(
    critic: Critic,
    batches: Sequence[PackedBatch],
    targets: Float[np.ndarray, " turns"],
    optimizer: CriticOptimizer,
    *,
    seed: int = 0,
    held_out: Sequence[PackedBatch] = (),
) -> FitReport:
    """Fits the critic to `targets`, one per global turn id; turns whose target is NaN count for nothing.

    The order of the batches in each epoch comes from `seed`. A step's loss is divided by its turns: packing does not matter.
    `held_out` batches are only measured; their targets are in the same array.
    """
    config = optimizer.config
    table = torch.as_tensor(np.asarray(targets), dtype=torch.float32)
    before, held_before = measure(critic, batches, table), _measured(critic, held_out, table)
    tokens = 0
    critic.train()
    for epoch in range(config.epochs):
        order = sorted(range(len(batches)), key=lambda i: seed_from(seed, "critic", epoch, i))
        for start in range(0, len(order), config.batches_per_step):
            chosen = [batches[i] for i in order[start : start + config.batches_per_step]]
            _step(critic, chosen, table, optimizer)
            tokens += sum(batch.tokens for batch in chosen)
    after, held_after = measure(critic, batches, table), _measured(critic, held_out, table)
    return FitReport(before, after, held_before, held_after, optimizer.steps, tokens)


def _step(critic: Critic, batches: Sequence[PackedBatch], table: Tensor, optimizer: CriticOptimizer) -> None:
    turns = sum(int((~table[batch.value_turn.cpu()].isnan()).sum()) for batch in batches)
    if turns == 0:
        return
    optimizer.adamw.zero_grad(set_to_none=True)
    for batch in batches:
        target = table.to(batch.value_turn.device)[batch.value_turn]
        known = ~target.isnan()
        if known.any():
            (critic.losses(critic(batch)[known], target[known]).sum() / turns).backward()
    norm = nn.utils.clip_grad_norm_(critic.parameters(), optimizer.config.grad_clip)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the critic's gradient is {float(norm)}; its weights were left as they are")
    optimizer.adamw.step()
    optimizer.steps += 1


@torch.no_grad()
def predict(critic: Critic, batches: Sequence[PackedBatch], turns: int) -> Float[np.ndarray, " turns"]:
    """V of every turn by its global id, float64; NaN for a turn in none of the batches."""
    critic.eval()
    values = np.full(turns, np.nan)
    for batch in batches:
        values[batch.value_turn.cpu().numpy()] = critic.values(batch).double().cpu().numpy()
    return values


@torch.no_grad()
def measure(critic: Critic, batches: Sequence[PackedBatch], targets: Float[Tensor, " turns"]) -> Quality:
    """How well the critic matches `targets` (by global turn id) over the turns of these batches."""
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
