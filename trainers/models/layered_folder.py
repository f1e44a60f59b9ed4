"""A model folder that is written a layer at a time, so that no process holds a whole sharded model to save it.

Each layer is a safetensors file of its own, and an index names the file of each weight. `from_pretrained` reads such a folder as any other.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

INDEX = "model.safetensors.index.json"


def write_layers(model: PreTrainedModel, layers: Iterable[Mapping[str, Tensor]], folder: Path) -> None:
    """Writes the folder of a model whose weights come by name, layer after layer; `model` gives its configuration only."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_config(model, folder)
    places: dict[str, str] = {}
    total = 0
    for number, layer in enumerate(layer for layer in layers if layer):
        file = f"model-{number:05d}.safetensors"
        kept = {name: x.contiguous() for name, x in revert_weight_conversion(model, dict(layer)).items()}  # experts by their own names
        save_file(kept, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(kept, file)
        total += sum(x.nbytes for x in kept.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf-8")


def _write_config(model: PreTrainedModel, folder: Path) -> None:
    """Writes what `save_pretrained` writes beside the weights; sharding has put FSDP before the name of the class."""
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [type(model).__name__.removeprefix("FSDP")]
    model.config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
