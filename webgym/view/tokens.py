"""Token ids as text, with the tokenizer that lies beside the run's policy; without one, the ids are shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webgym.record import layout


class Tokens:
    """Writes token ids as the pieces of text that they stand for."""

    def __init__(self, tokenizer: Any = None) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def of(cls, folder: Path) -> "Tokens":
        """The tokenizer of the newest checkpoint in a run folder."""
        for path in sorted(folder.glob(f"{layout.CHECKPOINTS}/{layout.ITERATIONS}/{layout.POLICY}/tokenizer.json"), reverse=True):
            from tokenizers import Tokenizer

            try:
                return cls(Tokenizer.from_file(str(path)))
            except Exception:  # the library raises nothing narrower; a damaged file is shown as ids
                continue
        return cls()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One text per id; together they are the completion with its special tokens."""
        if self._tokenizer is None:
            return [f"‹{i}›" for i in ids]
        texts = [self._tokenizer.decode(list(ids[: n + 1]), skip_special_tokens=False) for n in range(len(ids))]
        return [text[_shared(before, text) :] for before, text in zip(["", *texts], texts, strict=False)]


def _shared(before: str, text: str) -> int:
    """The number of characters that both begin with. A later token can change how the last one is written."""
    return next((i for i, (a, b) in enumerate(zip(before, text, strict=False)) if a != b), min(len(before), len(text)))
