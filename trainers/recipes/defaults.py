"""Defaults that follow the model: a pretrained model is not trained like a small one that was made here.

TrainConfig's own defaults are those of webgym-tiny: all weights at a learning rate of 1e-3, answers of 16 tokens. They destroy a pretrained
model within its first steps. :func:`chosen` gives the settings that take their place where the configuration is silent, and says them in
one line.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from trainers import algorithms
from trainers.config import TrainConfig, policy_stays
from trainers.models.lora import LoraSettings
from trainers.models.model import check_hub, folder_of, in_words
from trainers.models.policy_model import SETTINGS_FILE
from trainers.runs.keys import merged, validated
from webgym.errors import UsageError

SMALL = 20_000_000
"""Parameters up to which a model that was made here is trained as webgym-tiny is."""
LARGE = 1_000_000_000
"""Parameters from which on a full fine-tuning takes smaller steps, and activations are computed again in the backward pass."""
RANK = 16
"""`lora.rank` of a pretrained model."""
FIRST_STEP_KL = 0.1
"""`optim.first_step_kl` of a pretrained model."""


@dataclass(frozen=True)
class About:
    """A model as its configuration describes it, without its weights. `made_here`: it was saved with WebGym's prompt settings."""

    parameters: int
    made_here: bool
    adapter: bool

    @property
    def pretrained(self) -> bool:
        """True for a model that brings more than was learned here."""
        return not self.made_here or self.parameters > SMALL


def about(model: str) -> About:
    """The model of this name or folder. Raises UsageError where there is none."""
    source = folder_of(model)
    if isinstance(source, str):
        check_hub(source)
    folder = Path(source)
    made_here, adapter = (folder / SETTINGS_FILE).is_file(), (folder / "adapter_config.json").is_file()
    try:
        base = json.loads((folder / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"] if adapter else source
        if adapter and not Path(base).is_dir():
            check_hub(str(base))
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
        with torch.device("meta"):
            shape = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # of many packages, or of a file that is another one
        raise UsageError(
            f"cannot read what kind of model {model!r} is: expected a causal language model of transformers ({in_words(error)})"
        ) from error
    return About(sum(p.numel() for p in shape.parameters()), made_here, adapter)


def chosen(data: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Settings of a training configuration that follow from its model where `data` is silent, and a line that says so; ({}, "") for none.

    `data` holds keys by their present names, as :func:`trainers.config.read_train` and `with_settings` give them.
    """
    given = validated(TrainConfig, data)
    model = given.model
    if model == "webgym-tiny":
        return {}, ""
    found = about(model)
    if not found.pretrained:
        return {}, ""
    return _where_silent(model, found, _settings(found, given, data), data)


def imitation(model: str, data: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The same for `webgym sft`: settings of imitation where `data` is silent, and a line that says so."""
    if not model or model == "webgym-tiny" or not (found := about(model)).pretrained:
        return {}, ""
    adapts = found.adapter or _rank(validated(LoraSettings, data.get("lora", {}), "lora: "), data)
    wanted = {**({} if found.adapter else {"lora": {"rank": RANK}}), "optimizer": "adamw", "lr": 5e-4 if adapts else 2e-5}
    return _where_silent(model, found, wanted, data)


def _where_silent(model: str, found: About, wanted: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The wanted settings that `data` does not give, and a line that says them; ({}, "") for none."""
    settings = {key: value for key, value in _flat(wanted).items() if key not in _flat(data)}
    if not settings:
        return {}, ""
    shown = ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
    return _nested(settings), f"{model} is a pretrained model ({_count(found.parameters)} parameters): {shown}; --set changes any of them"


def _settings(found: About, given: TrainConfig, data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for a pretrained model: an adapter at 1e-4, or all weights at 1e-5, from 1 B parameters on at 2e-6."""
    adapts = found.adapter or _rank(given.lora, data)
    full = 2e-6 if found.parameters >= LARGE else 1e-5
    thinks = given.prompts.get("thinking", "off") != "off"
    algorithm = algorithms.get(given.algo)
    own = validated(algorithm.Config, given.algorithm, f"algorithm {algorithm.name}: ")
    settings: dict[str, Any] = {}
    if not policy_stays(own):
        settings["optim"] = {"lr": 1e-4 if adapts else full, "first_step_kl": FIRST_STEP_KL}
    settings["rollout"] = {"max_tokens": 1024 if thinks else 64}
    if algorithm.needs_values(own):
        settings["critic"] = {"fit": {"lr": 1e-4 if adapts else full}}
    if adapts and not found.adapter:
        settings["lora"] = {"rank": RANK}
    if given.machine.device.startswith("cuda"):
        settings["machine"] = {"dtype": "bfloat16", **({"gradient_checkpointing": True} if found.parameters >= LARGE else {})}
    return settings


def _rank(lora: LoraSettings, data: Mapping[str, Any]) -> int:
    """The rank of the adapter that `data` asks for, as `lora` has read it; RANK where it does not say."""
    return lora.rank if "lora.rank" in _flat(data) else RANK


def _count(parameters: int) -> str:
    """The number in millions or billions.

    >>> _count(134_515_008), _count(1_543_714_304)
    ('134.5 M', '1.5 B')
    """
    return f"{parameters / 1e6:.1f} M" if parameters < 1e9 else f"{parameters / 1e9:.1f} B"


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys with dots.

    >>> _flat({"optim": {"lr": 1.0}, "seed": 0})
    {'optim.lr': 1.0, 'seed': 0}
    """
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Groups of keys in place of keys with dots."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        inner: dict[str, Any] = {name: value}
        for group in reversed(groups):
            inner = {group: inner}
        found = merged(found, inner)
    return found
