"""Everything but the weights that turns a page into a model's prompt ids: for a policy whose model lies on another machine."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from trainers.models.model import context_of, end_ids
from trainers.models.policy_model import PolicyModel
from webgym.errors import UsageError, WebGymError
from webgym.prompts.settings import PromptSettings


@dataclass(frozen=True)
class Reader:
    """A tokenizer, the prompts, the ids that `ends` a completion, and the most tokens that the model reads (`context`)."""

    tokenizer: PreTrainedTokenizerBase
    prompts: PromptSettings
    ends: tuple[int, ...]
    context: int

    @classmethod
    def of(cls, source: PolicyModel) -> Self:
        """The reader of a model."""
        return cls(source.tokenizer, source.prompts, end_ids(source.model, source.tokenizer), context_of(source.model))

    def packed(self) -> bytes:
        """The reader as data: JSON with the tokenizer's files. Equal readers of one process give equal bytes."""
        with tempfile.TemporaryDirectory() as folder:
            self.tokenizer.save_pretrained(folder)
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): base64.b64encode(path.read_bytes()).decode() for path in paths}
        data = {"files": files, "prompts": self.prompts.to_json(), "ends": list(self.ends), "context": self.context}
        return json.dumps(data, sort_keys=True).encode()

    @classmethod
    def unpacked(cls, content: bytes) -> Self:
        """The reader of these bytes. A tokenizer that needs code of its own is refused. Raises UsageError."""
        try:
            data: Mapping[str, Any] = json.loads(content)
            with tempfile.TemporaryDirectory() as folder:
                for name, encoded in data["files"].items():
                    path = (Path(folder) / name).resolve()
                    if not path.is_relative_to(Path(folder).resolve()):
                        raise UsageError(f"a tokenizer's file would lie outside of its folder: {name!r}")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(encoded))
                tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            prompts = PromptSettings.from_json(data["prompts"])
            return cls(tokenizer, prompts, tuple(map(int, data["ends"])), int(data["context"]))
        except (ValueError, KeyError, TypeError, AttributeError, OSError, WebGymError) as error:
            raise UsageError(f"the trainer gave no tokenizer that can be read here: {type(error).__name__}: {error}") from error


def name_of(content: bytes) -> str:
    """The name of a packed reader: its hash."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
