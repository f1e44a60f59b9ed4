"""V(s_t): a backbone with a scalar head, read at the last prompt token of each turn.

The backbone is one of four:

- copy: a model of its own that starts from the policy's weights (ArCHer, arXiv 2402.19446): twice the memory, no interference. Under LoRA
  it has an adapter of its own on the policy's frozen base, and that adapter is what it learns (:mod:`trainers.critics.backbone`);
- adapter: the policy's own, with the critic's low-rank matrices beside every linear layer (LoRA, arXiv 2106.09685), which only the
  critic trains and the policy never sees. The base has the policy's current weights;
- trunk: the policy's own, unchanged. With `trunk_lr` above 0 the value loss trains it too (a shared trunk), at 0 only the head learns;
- bigrams: no model. The head is linear in which pairs of neighbouring tokens the turn's prompt holds, hashed to `buckets` weights
  (the wide half of Cheng et al. 2016, arXiv 1606.07792; hashing as in Weinberger et al. 2009, arXiv 0902.2206). It costs next to
  nothing, and reads at once features that a small model has not learned to use, such as the page's number (docs/credit-assignment.md).

The head starts at zero weights and the bias that the caller sets (the mean success), so an untrained critic gives every state the same
value. There are three losses; their targets are in [0, 1], except that mse takes any:

- mse: (V - G)² (ArCHer, arXiv 2402.19446);
- bce: cross-entropy with the soft target G; V is the sigmoid of the head;
- hl-gauss: cross-entropy over bins with the target smeared by a Gaussian (Farebrother et al. 2024, arXiv 2403.03950, eq. 5);
  V is the mean of the bins' centres.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from trainers.batches.packing import PackedBatch
from trainers.critics import backbone as backbones
from trainers.critics.backbone import below
from trainers.learning.masters import assign
from trainers.models.model import hidden_width, packed_hidden
from webgym.errors import CheckpointError, ConfigError

Loss = Literal["mse", "bce", "hl-gauss"]

HEAD_FILE = "value_head.safetensors"
HEAD_CONFIG = "value_head.json"
ADAPTER_FILE = "value_adapter.safetensors"


class HeadConfig(BaseModel):
    """Backbone of the critic, position that the scalar head reads, and loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backbone: Literal["copy", "adapter", "trunk", "bigrams"] = Field(
        default="copy",
        description="a copy of the policy's, low-rank matrices of its own on the policy's, the policy's as it is, or none: a linear "
        "function of the pairs of neighbouring tokens in the prompt, which likes fit.lr = 2e-3",
    )
    buckets: int = Field(default=1 << 14, ge=1, description="bigrams: weights that the pairs are hashed to")
    rank: int = Field(default=16, ge=1, description="adapter: rank of its matrices")
    trunk_lr: float = Field(default=0.0, ge=0, description="trunk: its learning rate as a share of the head's; 0 trains the head only")
    readout: Literal["prompt", "observation", "mean", "action"] = Field(
        default="prompt",
        description="last prompt token; last token of the observation, before what ends every prompt; mean over the turn's prompt; "
        "last sampled token of the turn, which sees the action and so is no baseline (for comparison)",
    )
    tail: int = Field(default=0, ge=0, description="observation: tokens that every prompt ends with; a run finds them out itself")
    loss: Loss = Field(
        default="bce", description="mse (published ArCHer), bce with soft targets, or hl-gauss; the last two want targets in [0, 1]"
    )
    bins: int = Field(default=21, ge=3, description="hl-gauss: bins over [0, 1]")
    smear: float = Field(default=0.75, gt=0, description="hl-gauss: width of the Gaussian in bins")

    @model_validator(mode="after")
    def _reads_whole_prompts(self) -> Self:
        if self.backbone == "bigrams" and self.readout != "prompt":
            raise ValueError(f"backbone = 'bigrams' reads the whole prompt of a turn: leave out readout = {self.readout!r}")
        return self


class Adapter(nn.Module):
    """y + B(Ax) for every linear layer of a decoder, while :meth:`on` holds; B starts at 0, so it begins as nothing."""

    def __init__(self, decoder: nn.Module, rank: int) -> None:
        super().__init__()
        layers = _linears(decoder)
        sizes = [(x.weight.shape if isinstance(x, Conv1D) else x.weight.shape[::-1]) for x in layers]  # (in, out)
        self.down = nn.ParameterList(_normal(rank, n, x.weight) for x, (n, _) in zip(layers, sizes, strict=True))
        self.up = nn.ParameterList(torch.zeros(n, rank, device=x.weight.device) for x, (_, n) in zip(layers, sizes, strict=True))

    @contextmanager
    def on(self, decoder: nn.Module) -> Iterator[None]:
        """The decoder with the adapter in it."""

        def add(down: Tensor, up: Tensor) -> Callable[..., Tensor]:
            return lambda _, inputs, output: output + F.linear(F.linear(inputs[0], down.to(output.dtype)), up.to(output.dtype))

        parts = zip(_linears(decoder), self.down, self.up, strict=True)
        handles = [layer.register_forward_hook(add(down, up)) for layer, down, up in parts]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class Bigrams(nn.Module):
    """A linear function of the set of pairs of neighbouring tokens in each turn's prompt, for a vocabulary of this size."""

    def __init__(self, buckets: int, outputs: int, vocabulary: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(buckets, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.vocabulary: Tensor
        self.register_buffer("vocabulary", torch.tensor(vocabulary))

    def forward(self, batch: PackedBatch) -> Float[Tensor, "v outputs"]:
        """Sum of the weights of the pairs in each turn's prompt, each counted once."""
        turn, place = _prompts(batch)
        behind = place > batch.prompt_start[turn]
        turn, second = turn[behind], place[behind]
        bucket = (batch.ids[second - 1] * 1_000_003 + batch.ids[second] * 104_729) % len(self.weight)
        held = torch.unique(turn * len(self.weight) + bucket)  # sorted, so turn by turn
        sizes = torch.bincount(held // len(self.weight), minlength=len(batch.value_index))
        sums = F.embedding_bag(held % len(self.weight), self.weight, sizes.cumsum(0) - sizes, mode="sum")
        return sums + self.bias


def _linears(decoder: nn.Module) -> list[nn.Linear | Conv1D]:
    """Its linear layers (GPT-2's, with weights [in, out], too), a policy's own adapters left out."""
    plain = (nn.Linear.forward, Conv1D.forward)  # a router that adds to what its class computes is none
    return [cast(Any, x) for name, x in decoder.named_modules() if type(x).forward in plain and "lora_" not in name]


def _normal(rows: int, columns: int, like: Tensor) -> Tensor:
    """Seeded initialisation of the adapter, N(0, 1/columns), so that equal runs begin equal."""
    generator = torch.Generator().manual_seed(rows * columns)
    return (torch.randn(rows, columns, generator=generator) / columns**0.5).to(like.device)


class Critic(nn.Module):
    """A value model over packed rows. `decoder` is a decoder without a language-model head.

    A copy is part of this module. A borrowed decoder (adapter, trunk) is not, because it belongs to the policy and is saved with it. Its
    parameters are not parameters of this module.
    """

    def __init__(self, decoder: PreTrainedModel, config: HeadConfig | None = None) -> None:
        super().__init__()
        self.config = config or HeadConfig()
        borrows = self.config.backbone in ("adapter", "trunk")
        self._borrowed: tuple[PreTrainedModel, ...] = (decoder,) if borrows else ()  # a tuple hides it from nn.Module
        self.through: Callable[[Callable[[], Tensor]], Tensor] = _directly  # computes with a borrowed decoder
        self.backbone = decoder if self.config.backbone == "copy" else None
        self.adapter = Adapter(decoder, self.config.rank) if self.config.backbone == "adapter" else None
        if self.config.backbone == "bigrams":
            vocabulary = cast(nn.Embedding, decoder.get_input_embeddings()).num_embeddings
            self.head: nn.Linear | Bigrams = Bigrams(self.config.buckets, self._outputs, vocabulary)
        else:
            self.head = nn.Linear(hidden_width(decoder), self._outputs, bias=True)
        self.head.to(device=decoder.device)  # the head stays fp32 whatever the backbone is
        nn.init.zeros_(self.head.weight)
        self.set_bias(0.5)

    @classmethod
    def of(cls, policy: nn.Module, config: HeadConfig | None = None) -> "Critic":
        """A critic that starts from the policy's backbone: from a copy of it unless the configuration says otherwise."""
        cls.check(policy, config or HeadConfig())
        borrowed = config is not None and config.backbone != "copy"
        return cls(cast(Any, policy).get_decoder() if borrowed else backbones.copy_of(policy), config)

    @staticmethod
    def check(policy: nn.Module, config: HeadConfig) -> None:
        """Raises UsageError or ConfigError where the policy can have no critic of this kind."""
        if config.backbone == "copy":
            backbones.check_copy(policy)
        if config.trunk_lr > 0 and config.backbone == "trunk" and cast(Any, policy).get_decoder().dtype != torch.float32:
            raise ConfigError("critic.head.trunk_lr above 0 trains the policy's weights, which takes machine.dtype=float32: set it to 0")

    def clone(self) -> "Critic":
        """A critic of its own with the same weights, for a fit that must not be seen elsewhere; a base that is not fitted is shared."""
        if self.config.backbone == "adapter":
            twin = Critic(self._borrowed[0], self.config)
            twin.load_state_dict(self.state_dict())
            return twin
        return deepcopy(self, {id(p): p for p in self.parameters() if not p.requires_grad})

    def weights(self) -> list[nn.Parameter]:
        """All parameters that it computes with, those of a borrowed decoder too."""
        return [*self.parameters(), *(p for decoder in self._borrowed for p in decoder.parameters())]

    def trained(self) -> list[nn.Parameter]:
        """The parameters that a fit may move."""
        own = self.own()
        return own + [p for d in self._borrowed for p in d.parameters() if p.requires_grad] if self._trains_trunk else own

    def own(self) -> list[nn.Parameter]:
        """The critic's own parameters that a fit moves; the base below an adapter is not among them."""
        return [p for p in self.parameters() if p.requires_grad]

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """The same as groups of an optimiser, a shared trunk with its own learning rate."""
        own = self.own()
        trunk = self.trained()[len(own) :]
        return [{"params": own}, *([{"params": trunk, "lr": lr * self.config.trunk_lr}] if trunk else [])]

    @property
    def _trains_trunk(self) -> bool:
        return self.config.backbone == "trunk" and self.config.trunk_lr > 0

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
            assign(self.head.bias, _tilted(self._centres(), inside))

    @property
    def vocabulary(self) -> int:
        """Number of tokens that it tells apart."""
        if isinstance(self.head, Bigrams):
            return int(self.head.vocabulary)
        return cast(nn.Embedding, self.get_decoder().get_input_embeddings()).num_embeddings

    def get_decoder(self) -> PreTrainedModel:
        """The backbone, under the name that transformers' models have for it; bigrams have none."""
        return self.backbone if self.backbone is not None else self._borrowed[0]

    def forward(self, batch: PackedBatch) -> Float[Tensor, "v outputs"]:
        """Outputs of the head for each turn of the batch: values (mse) or logits (bce, hl-gauss), fp32."""
        if isinstance(self.head, Bigrams):
            return self.head(batch)
        at = self._places(batch)
        hidden = self._hidden(batch, at)
        seen = hidden if at is not None else _prompt_means(hidden, batch)
        return self.head(seen.to(self.head.weight.dtype))

    def _hidden(self, batch: PackedBatch, at: Int[Tensor, " v"] | None) -> Float[Tensor, "n d"]:
        if self.backbone is not None:
            return packed_hidden(self, batch, at)
        decoder = self._borrowed[0]
        training = decoder.training
        decoder.eval()  # another model's dropout is no business of this one
        try:
            if self._trains_trunk:
                return self.through(lambda: packed_hidden(self, batch, at))
            if self.adapter is None:
                with torch.no_grad():
                    return self.through(lambda: packed_hidden(self, batch, at))
            with self.adapter.on(decoder):
                return packed_hidden(cast(nn.Module, _Detached(decoder)), batch, at)
        finally:
            decoder.train(training)

    def _places(self, batch: PackedBatch) -> Int[Tensor, " v"] | None:
        """The one token of each turn that the head reads, in rising order; None where it reads the mean of many."""
        match self.config.readout:
            case "prompt":
                return batch.value_index
            case "observation":
                return torch.maximum(batch.value_index - self.config.tail, batch.prompt_start)
            case "action":
                return batch.action_end
            case "mean":
                return None

    def values(self, batch: PackedBatch) -> Float[Tensor, " v"]:
        """V of each turn of the batch, in the order of `batch.value_index`."""
        return self.read(self(batch))

    def read(self, outputs: Float[Tensor, "v outputs"]) -> Float[Tensor, " v"]:
        """Values from the head's outputs."""
        if self.config.loss == "mse":
            return outputs[:, 0]
        if self.config.loss == "bce":
            return outputs[:, 0].sigmoid()
        return torch.softmax(outputs, -1) @ self._centres().to(outputs.dtype)

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
        """Writes a copy's backbone (:mod:`trainers.critics.backbone`), and the head (and adapter) beside it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.backbone is not None:
            backbones.save(self.backbone, folder)
        _save(self.head, folder / HEAD_FILE)
        if self.adapter is not None:
            _save(self.adapter, folder / ADAPTER_FILE)
        (folder / HEAD_CONFIG).write_text(self.config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def save_layers(self, layers: Iterable[Mapping[str, Tensor]], folder: Path) -> None:
        """Writes the same from weights that come by name, layer after layer."""
        head: dict[str, Tensor] = {}

        def backbone() -> Iterator[dict[str, Tensor]]:
            for layer in layers:
                head.update(below("head.", layer))
                yield below("backbone.", layer)

        folder.mkdir(parents=True, exist_ok=True)
        if self.backbone is not None:
            backbones.save_layers(self.backbone, backbone(), folder)
        else:
            list(backbone())
        save_file(head, folder / HEAD_FILE)
        (folder / HEAD_CONFIG).write_text(self.config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str, *, policy: nn.Module | None = None, device: str = "cpu") -> "Critic":
        """The critic that :meth:`save_pretrained` wrote; one on the policy's backbone needs that policy.

        Raises CheckpointError where the folder holds none.
        """
        folder = Path(folder)
        with backbones.reading(folder):
            if missing := _missing(folder):
                raise CheckpointError(f"{folder} is no critic: {', '.join(missing)} missing")
            config = HeadConfig.model_validate(json.loads((folder / HEAD_CONFIG).read_text(encoding="utf-8")))
            if config.backbone == "copy":
                critic = cls(backbones.load(folder, policy), config)
            elif policy is not None:
                critic = cls.of(policy, config)
            else:
                raise CheckpointError(
                    f"the critic in {folder} stands on the policy's backbone ({config.backbone}): load it with that policy"
                )
            critic.head.load_state_dict(load_file(folder / HEAD_FILE))
            if critic.adapter is not None:
                critic.adapter.load_state_dict(load_file(folder / ADAPTER_FILE))
        return critic.to(device)


def _prompts(batch: PackedBatch) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """The tokens of each turn's own prompt, turn by turn: to which of the batch's turns each belongs, and its place in the batch."""
    sizes = batch.value_index + 1 - batch.prompt_start
    turn = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    within = torch.arange(len(turn), device=sizes.device) - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return turn, batch.prompt_start[turn] + within


def _prompt_means(hidden: Float[Tensor, "n d"], batch: PackedBatch) -> Float[Tensor, "v d"]:
    """The mean of the hidden states of each turn's own prompt, fp32."""
    turn, place = _prompts(batch)
    sizes = batch.value_index + 1 - batch.prompt_start
    zeros = torch.zeros(len(sizes), hidden.shape[1], dtype=torch.float32, device=hidden.device)
    return zeros.index_add(0, turn, hidden[place].float()) / sizes[:, None]


class _Detached:
    """A decoder whose own parameters get no gradient, under the name that :func:`packed_hidden` calls it by."""

    def __init__(self, decoder: nn.Module) -> None:
        self._decoder = decoder
        self._parameters = {name: p.detach() for name, p in decoder.named_parameters()}

    def get_decoder(self) -> "_Detached":
        return self

    def __call__(self, **inputs: Any) -> Any:
        return functional_call(self._decoder, self._parameters, (), inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


def _directly(compute: Callable[[], Tensor]) -> Tensor:
    return compute()


def _save(module: nn.Module, path: Path) -> None:
    save_file({name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}, path)


def _missing(folder: Path) -> list[str]:
    """Files that a critic's folder lacks."""
    missing = [name for name in (HEAD_FILE, HEAD_CONFIG) if not (folder / name).is_file()]
    if missing:
        return missing
    backbone = json.loads((folder / HEAD_CONFIG).read_text(encoding="utf-8")).get("backbone", "copy")
    if backbone == "copy":
        return backbones.lacks(folder)
    wanted = {"adapter": (ADAPTER_FILE,), "trunk": (), "bigrams": ()}[backbone]
    return [name for name in wanted if not (folder / name).is_file()]


def _tilted(centres: Tensor, mean: float) -> Tensor:
    """Logits k · centre whose softmax has this mean, by bisection in k."""
    low, high = -1e4, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(torch.softmax(middle * centres.double(), -1) @ centres.double()) < mean else (low, middle)
    return (low * centres.double()).to(centres.dtype)
