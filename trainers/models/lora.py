"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) by peft: few weights are learned, the model's own stay as they are.

    y = W x + (α / r) B A x,   A [r, in] at random, B [out, r] zero at the start, so that the first step begins at the model itself

A model with an adapter is still the transformers model that it was. Saved, it is a small folder that `from_pretrained` puts on its base.
Code that only reads it (the sampler, a server) gets :func:`plain_state`, the weights with the adapter added in.
"""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from webgym.errors import UsageError, did_you_mean

MORE = ("use_dora", "modules_to_save", "trainable_token_indices", "lora_bias", "layer_replication")
"""Options of peft that make more of an adapter than W + BA; transformers loads some of them without their weights."""


OF_EXPERTS = {"gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"}
"""Names of layers that peft takes for the experts of a mixture, wherever it meets them in one."""


NAME = re.compile(r"[\w-]+(\.[\w-]+)*")  # of a layer, or the end of one


class LoraSettings(BaseModel):
    """An adapter's size and place."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    rank: int = Field(default=0, ge=0)
    """r above; 0 trains all weights of the model. 8 to 32 is usual."""
    alpha: float | None = Field(default=None, gt=0)
    """α above; twice the rank unless given."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get an adapter, or all-linear for every one but the head; experts of a mixture are no linear layers. Text
    that is no name is a regular expression for whole names, such as model.layers.[01].mlp.up_proj.
    """


def add_lora(model: PreTrainedModel, settings: LoraSettings, seed: int = 0) -> None:
    """Puts an adapter on the model and freezes everything else; an adapter that is there already goes on being trained.

    Adapter weights are fp32 for a model of any dtype. Raises UsageError where peft is missing or no layer has one of the names.
    """
    if not has_lora(model):
        if importlib.util.find_spec("peft") is None:
            raise UsageError("an adapter needs peft, which is not installed: pip install 'webgym-rl[lora]', or set lora.rank=0")
        from peft import LoraConfig

        targets = _all_linear(model) if settings.targets == "all-linear" else _names(settings.targets)
        _check_names(model, targets)
        _check_rank(model, settings.rank)
        config = LoraConfig(r=settings.rank, lora_alpha=cast(int, settings.alpha or 2 * settings.rank), target_modules=targets)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                model.add_adapter(config)
            except ValueError as error:  # no such layer, or a peft that is too old for transformers
                words = " ".join(str(error).split())
                raise UsageError(f"no adapter for lora.targets {settings.targets!r} on {type(model).__name__}: {words}") from error
    else:
        _check_own(model, settings)
    check_kind(model)
    if strange := sorted({name.rpartition(".")[2] for name, layer in _layers(model) if not hasattr(layer.base_layer, "weight")}):
        raise UsageError(
            f"{type(model).__name__} keeps {', '.join(strange)} as parameters and not as linear layers, which an adapter cannot be added "
            'into: set lora.targets to linear layers, such as ["q_proj", "v_proj"]'
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_" in name:
            parameter.data = parameter.data.float()


def _names(targets: str | tuple[str, ...]) -> str | list[str]:
    """The targets as peft takes them: a list of names, a regular expression, or all-linear."""
    if isinstance(targets, tuple):
        return list(targets)
    return [targets] if NAME.fullmatch(targets) and targets != "all-linear" else targets


def _check_names(model: PreTrainedModel, targets: str | list[str]) -> None:
    """Raises UsageError for a name that no layer has, which peft would leave out without a word, and for an expression that fits none."""
    layers = {name: module for name, module in model.named_modules() if name}
    known = list(dict.fromkeys(layer.rpartition(".")[2] for layer, module in layers.items() if isinstance(module, nn.Linear)))
    there = f"(there: {', '.join(known)})"
    for name in [] if isinstance(targets, str) else targets:
        if not any(f".{layer}".endswith(f".{name}") for layer in layers):
            raise UsageError(f"lora.targets: no layer of {type(model).__name__} is called {name!r}{did_you_mean(name, known)} {there}")
    if isinstance(targets, str) and targets != "all-linear":
        try:
            expression = re.compile(targets)
        except re.error as error:
            raise UsageError(f"lora.targets: expected names of layers or a regular expression, got {targets!r}: {error}") from error
        if not any(map(expression.fullmatch, layers)):
            raise UsageError(f"lora.targets: {targets!r} fits no whole name such as {next(reversed(layers))!r} {there}")


def _check_rank(model: PreTrainedModel, rank: int) -> None:
    """Raises UsageError for a rank that no layer between the embeddings and the head can have."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    weights = [getattr(module, "weight", None) for module in model.modules() if not any(module is end for end in ends)]
    widths = [min(weight.shape) for weight in weights if isinstance(weight, Tensor) and weight.ndim == 2]
    if widths and rank > max(widths):
        raise UsageError(
            f"lora.rank={rank}: expected at most {max(widths)}, the rank that the widest layer of {type(model).__name__} can have; "
            "8 to 32 is usual, and 0 trains all weights"
        )


def check_kind(model: PreTrainedModel) -> None:
    """Raises UsageError for an adapter that a model brings along and that cannot go on here: another kind than LoRA, or more than LoRA."""
    kinds: dict[str, Any] = getattr(model, "peft_config", None) or {}
    for own in kinds.values():
        more = {name: getattr(own, name, None) for name in MORE}
        more["bias"] = getattr(own, "bias", "none") != "none" and own.bias
        found = [f"{name}={value}" for name, value in more.items() if value]
        if str(getattr(own.peft_type, "value", own.peft_type)) != "LORA":
            found = [f"peft_type={getattr(own.peft_type, 'value', own.peft_type)}"]
        if len(kinds) > 1:
            found = [f"{len(kinds)} adapters"]
        if found:
            raise UsageError(
                f"the model brings an adapter with {', '.join(found)}, and only one LoRA adapter of linear layers can go on being trained: "
                "merge it into its base first (peft's merge_and_unload)"
            )
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if on_ends := [name for name, layer in _layers(model) if any(layer is end for end in ends)]:
        raise UsageError(
            f"an adapter on {on_ends[0]} of {type(model).__name__} cannot be trained here: expected one on linear layers between the "
            "embeddings and the head (lora.targets)"
        )


def _check_own(model: PreTrainedModel, settings: LoraSettings) -> None:
    """Raises UsageError where settings ask for another adapter than the model brings along."""
    own = cast(Any, model).peft_config["default"]
    targets = own.target_modules if isinstance(own.target_modules, str) else set(own.target_modules)
    wanted = names if isinstance(names := _names(settings.targets), str) else set(names)
    asked = {"rank": (settings.rank or own.r, own.r), "alpha": (settings.alpha or own.lora_alpha, own.lora_alpha)}
    asked["targets"] = (targets if wanted == "all-linear" else wanted, targets)
    for name, (want, found) in asked.items():
        if want != found:
            raise UsageError(
                f"lora.{name}={getattr(settings, name)} asks for another adapter than the model brings along, whose {name} is {found}: "
                "leave the keys of lora out, so that it goes on being trained, or merge it into its base first (peft's merge_and_unload)"
            )


def restore_exactly(model: nn.Module, folder: Path) -> None:
    """Gives an adapter the fp32 weights that lie in its folder; loading rounds them to the precision of the base."""
    file = folder / "adapter_model.safetensors"
    saved = load_file(file) if file.is_file() else {}
    for name, parameter in model.named_parameters():
        if (exact := saved.get(f"base_model.model.{name.replace('.default', '')}")) is not None:
            parameter.data = exact.to(device=parameter.device, dtype=torch.float32)


def _all_linear(model: PreTrainedModel) -> str | list[str]:
    """The layers that `all-linear` means: peft's own choice, or for a mixture of experts its linear layers, because experts are none."""
    if all(p.ndim < 3 for p in model.parameters()):
        return "all-linear"
    head = model.get_output_embeddings()
    linear = [(name, x) for name, x in model.named_modules() if type(x).forward is nn.Linear.forward]  # a router may give something else
    return sorted({name.rpartition(".")[2] for name, x in linear if x is not head} - OF_EXPERTS)


def has_lora(model: nn.Module) -> bool:
    """True if the model has an adapter."""
    return next(_layers(model), None) is not None


def plain_state(model: nn.Module, weights: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The model's weights by the names that they have without an adapter, which is added in.

    Where `weights` are given, only they are in the result, merged.
    """
    own = model.state_dict() if weights is None else weights
    state = {name.replace(".base_layer.", "."): x for name, x in own.items() if "lora_" not in name}
    with torch.no_grad():
        for name, layer in _layers(model):
            if f"{name}.base_layer.weight" in own:
                weight = layer.base_layer.weight
                state[f"{name}.weight"] = weight + layer.get_delta_weight("default").to(weight.dtype)
    return state


def plain_copy(model: nn.Module) -> Any:
    """A copy of the model with its adapter added in: the same outputs, and no trace of the adapter."""
    copied = deepcopy(model)
    state = plain_state(model) if has_lora(model) else None
    for name, layer in list(_layers(copied)):
        parent, _, child = name.rpartition(".")
        setattr(copied.get_submodule(parent), child, layer.base_layer)
    if state is not None:
        copied.load_state_dict(state)
        cast(Any, copied)._hf_peft_config_loaded = False  # so that saving it writes a whole model
    return copied


def sharing_copy(module: Any) -> Any:
    """A copy of a module with an adapter: the frozen base is shared, what learns is its own. A module without one is copied whole."""
    return deepcopy(module, {id(p): p for p in module.parameters() if not p.requires_grad} if has_lora(module) else {})


def served_copy(model: Any) -> Any:
    """A copy of the model for a sampler of this process, which computes what the learner computes.

    In fp32 the adapter is added in. A base of 16 bits would round it away, so that the first updates were not sampled from: there it stays
    beside the base, which is shared.
    """
    return sharing_copy(model) if stays_beside(model) else plain_copy(model)


def served_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights that :func:`served_copy` of the model takes over: all, or those of the adapter alone."""
    if not stays_beside(model):
        return plain_state(model)
    return {name: x for name, x in model.state_dict().items() if "lora_" in name}


def take_over(served: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Gives a served copy new weights. Raises RuntimeError where they are of another model, or merged where the adapter stays beside."""
    beside = {name for name in served.state_dict() if "lora_" in name}
    if beside and beside != set(state):
        raise RuntimeError(f"expected the {len(beside)} weights of the adapter, got {len(state)} others")
    served.load_state_dict(state, strict=not beside)


def stays_beside(model: nn.Module) -> bool:
    """True for an adapter on a base of 16 bits, which would round it away."""
    return any(layer.base_layer.weight.dtype in (torch.bfloat16, torch.float16) for _, layer in _layers(model))


def _layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in model.named_modules() if hasattr(module, "lora_A") and hasattr(module, "base_layer"))
