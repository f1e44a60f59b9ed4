"""A language model with its tokenizer and the prompts it reads, and how the three lie on disk."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainers.models.layered_folder import write_layers
from trainers.models.lora import LoraSettings, add_lora, has_lora, restore_exactly
from trainers.models.model import Dtype, folder_of, load
from webgym.errors import CheckpointError, WebGymError
from webgym.prompts.settings import PromptSettings

SETTINGS_FILE = "webgym_prompt.json"
"""Beside the weights: the prompts that the model was trained on (:class:`webgym.prompts.settings.PromptSettings`)."""


@dataclass(frozen=True)
class PolicyModel:
    """A causal language model with its tokenizer and the prompts it reads."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptSettings

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        device: str = "cpu",
        dtype: Dtype = "float32",
        lora: LoraSettings = LoraSettings(),  # noqa: B008
        seed: int = 0,
        gradient_checkpointing: bool = False,
    ) -> "PolicyModel":
        """A model folder, built-in name or hub name; one without our prompt settings is prompted in the chat style.

        `lora` with a rank puts an adapter on it, drawn by `seed`; a folder that holds an adapter brings its own, which is then all that
        is trained. `gradient_checkpointing` computes activations again in the backward pass instead of keeping them.
        Raises UsageError where there is no such model, CheckpointError where its prompt settings cannot be read.
        """
        model, tokenizer = load(name_or_path, device=device, dtype=dtype)
        folder = Path(folder_of(name_or_path))
        if lora.rank or has_lora(model):
            add_lora(model, lora, seed)
            restore_exactly(model, folder)
        if gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        return cls(model, tokenizer, read_settings(folder))

    @property
    def read_in_blocks_of(self) -> int:
        """The size of the pieces in which a sampler should read prompts: small where prompts begin alike, 0 (in one) where they do not.

        The short prompts of the compact window differ from their second line on.
        """
        return 0 if self.prompts.style == "compact" and self.prompts.context == "window" else 128

    def save(self, folder: Path) -> None:
        """Write an HF folder that `from_pretrained` loads, with the prompt settings beside the weights."""
        self.model.save_pretrained(folder)
        self._save_settings(folder)

    def save_layers(self, layers: Iterable[Mapping[str, Tensor]], folder: Path) -> None:
        """Write the same folder with weights that come by name, layer after layer; of a model with an adapter, the adapter's."""
        if has_lora(self.model):
            adapter = {name: tensor for layer in layers for name, tensor in layer.items()}
            self.model.save_pretrained(folder, state_dict=adapter)
        else:
            write_layers(self.model, layers, folder)
        self._save_settings(folder)

    def _save_settings(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        (folder / SETTINGS_FILE).write_text(json.dumps(self.prompts.to_json(), indent=2) + "\n", "utf-8")


def read_settings(folder: Path) -> PromptSettings:
    """The prompt settings in a model folder; the defaults where it has none. Raises CheckpointError where they are damaged."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return PromptSettings()
    try:
        return PromptSettings.from_json(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, WebGymError) as error:
        raise CheckpointError(f"{path}: expected the prompt settings of a WebGym model: {error}") from error
