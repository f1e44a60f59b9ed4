"""Token ids as text, with the tokenizer that lies beside the run's policy; without one, the ids are shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from webgym.record import layout

BEFORE = 16  # ids that are decoded with each one: more than one character of any alphabet takes
LARGEST = 2**32  # no tokenizer has as many ids


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
        """One text per id; together they are the completion with its special tokens. An id that is no token's is shown as it is."""
        known = [self._tokenizer is not None and 0 <= i < LARGEST and self._tokenizer.id_to_token(i) is not None for i in ids]
        return [self._piece(ids, known, n) if known[n] else f"‹{ids[n]}›" for n in range(len(ids))]

    def _piece(self, ids: Sequence[int], known: Sequence[bool], n: int) -> str:
        """The text that the n-th id adds to that of those shortly before it."""
        before = [i for i, is_token in zip(ids[max(0, n - BEFORE) : n], known[max(0, n - BEFORE) : n], strict=True) if is_token]
        text = self._text([*before, ids[n]])
        return text[_shared(self._text(before), text) :]

    def _text(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)


def _shared(before: str, text: str) -> int:
    """The number of characters that both begin with. A later token can change how the last one is written."""
    return next((i for i, (a, b) in enumerate(zip(before, text, strict=False)) if a != b), min(len(before), len(text)))
