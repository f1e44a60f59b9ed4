"""The decoder under a critic: a copy of the policy's, and how it lies on disk.

A copy of a policy without an adapter is a model of its own in fp32, all of whose weights the critic trains, whatever precision the policy
has: running means and target copies move by less than 16 bits can tell. It is saved as a whole in Hugging Face format.

A copy of a policy with an adapter (LoRA) shares the frozen base and has an adapter of its own, which begins as the policy's. Only that is
trained and saved; the base is found again under the policy that it belongs to, or loaded from where the adapter says.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import MODEL_MAPPING, AutoModel, PreTrainedModel

from trainers.models.layered_folder import write_layers
from trainers.models.lora import has_lora, sharing_copy
from trainers.models.model import check_whole, in_words, prepare
from webgym.errors import CheckpointError, UsageError, WebGymError

ADAPTER, ADAPTER_CONFIG = "backbone_adapter.safetensors", "backbone_adapter.json"


def check_copy(policy: nn.Module) -> None:
    """Raises UsageError for a decoder that is no model of its own on disk (OPT): no run could go on from a checkpoint of its copy."""
    decoder = cast(Any, policy).get_decoder()
    if not has_lora(decoder) and not isinstance(decoder, cast(Any, MODEL_MAPPING.get(type(decoder.config), nn.Module))):
        raise UsageError(
            f"{type(policy).__name__} has a decoder that is no model of its own on disk, so a critic that is a copy of it could not be "
            "loaded again: set critic.head.backbone=adapter"
        )


def copy_of(policy: nn.Module) -> PreTrainedModel:
    """A copy of the policy's decoder for a critic: fp32, or an adapter of its own on the shared base. Raises UsageError (`check_copy`)."""
    check_copy(policy)
    decoder = cast(Any, policy).get_decoder()
    if not has_lora(decoder):
        return prepare(deepcopy(decoder).float())
    copied = sharing_copy(decoder)
    copied.peft_config = deepcopy(cast(Any, policy).peft_config)
    return prepare(copied)


def save(decoder: PreTrainedModel, folder: Path) -> None:
    """Writes the whole decoder in Hugging Face format, or its adapter with what it stands on."""
    if not has_lora(decoder):
        decoder.save_pretrained(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ADAPTER_CONFIG).write_text(json.dumps(_about(decoder, decoder), indent=2) + "\n", "utf-8")
    save_file(_adapter(decoder), folder / ADAPTER)


def save_layers(decoder: PreTrainedModel, layers: Iterable[Mapping[str, torch.Tensor]], folder: Path) -> None:
    """Writes the same from weights that come by name, layer after layer."""
    if not has_lora(decoder):
        write_layers(decoder, layers, folder)
        return
    (folder / ADAPTER_CONFIG).write_text(json.dumps(_about(decoder, decoder), indent=2) + "\n", "utf-8")
    save_file({name: x.contiguous() for layer in layers for name, x in layer.items() if "lora_" in name}, folder / ADAPTER)


def below(prefix: str, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): x for name, x in weights.items() if name.startswith(prefix)}


@contextmanager
def reading(folder: Path | str) -> Iterator[None]:
    """Turns what a damaged folder of a critic makes of its readers into a CheckpointError: they are of many packages."""
    try:
        yield
    except (WebGymError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # cut or foreign weights, a configuration that is none, other names or sizes
        raise CheckpointError(
            f"the critic in {folder} cannot be read, or is one of another model ({in_words(error)}): take an earlier checkpoint"
        ) from error


def load(folder: Path, policy: nn.Module | None = None) -> PreTrainedModel:
    """The decoder that :func:`save` wrote; one with an adapter stands on the base of `policy` where that is the same, else on a loaded one.

    Raises CheckpointError where the base cannot be had.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        loaded: Any = AutoModel.from_pretrained(
            folder, output_loading_info=True, dtype="auto", trust_remote_code=False, use_safetensors=True
        )
        decoder, info = loaded
        check_whole(info, folder)
        return prepare(decoder)
    about = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    saved = load_file(folder / ADAPTER)
    decoder = _beside(policy, about, saved) if policy is not None else None
    if decoder is None:
        decoder = _on_loaded_base(folder, about)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            parameter.requires_grad_("lora_" in name)
            if "lora_" in name:
                parameter.data = saved[name].to(parameter.device)
    return prepare(decoder)


def lacks(folder: Path) -> list[str]:
    """Files that are missing where a decoder should lie."""
    if (folder / ADAPTER_CONFIG).is_file():
        return [] if (folder / ADAPTER).is_file() else [ADAPTER]
    if not list(folder.glob("model*.safetensors")):
        return ["model.safetensors"]
    return [] if (folder / "config.json").is_file() else ["config.json"]


def _adapter(decoder: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().cpu().contiguous() for name, p in decoder.named_parameters() if "lora_" in name}


def _beside(policy: nn.Module, about: dict[str, Any], saved: dict[str, torch.Tensor]) -> PreTrainedModel | None:
    """A copy on the policy's base, if the policy has an adapter of the same form on the same base."""
    decoder = cast(Any, policy).get_decoder()
    if not has_lora(decoder):
        return None
    shapes = {name: x.shape for name, x in _adapter(decoder).items()} == {name: x.shape for name, x in saved.items()}
    now = _about(policy, decoder)
    return copy_of(policy) if shapes and all(now.get(key) == value for key, value in about.items()) else None


def _about(adapted: nn.Module, decoder: nn.Module) -> dict[str, Any]:
    """The adapter of a decoder, and what it stands on; `adapted` is the model that knows its settings."""
    settings = cast(Any, adapted).peft_config["default"]
    layers = {name: module for name, module in decoder.named_modules() if hasattr(module, "lora_A")}
    ranks, alphas = ({name: getattr(layer, key)["default"] for name, layer in layers.items()} for key in ("r", "lora_alpha"))
    return {
        "base": settings.base_model_name_or_path or "",
        "dtype": str(cast(Any, decoder).dtype).removeprefix("torch."),
        "rank": settings.r,
        "alpha": settings.lora_alpha,
        "rslora": settings.use_rslora,
        "ranks": {name: r for name, r in ranks.items() if r != settings.r},
        "alphas": {name: alpha for name, alpha in alphas.items() if alpha != settings.lora_alpha},
        "targets": list(layers),
    }


def _on_loaded_base(folder: Path, about: dict[str, Any]) -> PreTrainedModel:
    from peft import LoraConfig, inject_adapter_in_model

    dtype = getattr(torch, about["dtype"])
    try:
        base = AutoModel.from_pretrained(about["base"], dtype=dtype, trust_remote_code=False, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the critic in {folder} is an adapter on {about['base']!r}, which cannot be loaded: {error}") from error
    settings = LoraConfig(
        r=about["rank"],
        lora_alpha=about["alpha"],
        use_rslora=about["rslora"],
        rank_pattern=about.get("ranks", {}),
        alpha_pattern=about.get("alphas", {}),
        target_modules=about["targets"],
    )
    settings.base_model_name_or_path = about["base"]
    inject_adapter_in_model(settings, base, "default")
    base.peft_config = {"default": settings}
    return base
