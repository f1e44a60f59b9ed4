"""Reading prompts: in pieces that only depend on the prompt, together where that changes no bit, and never twice.

A prompt is read in blocks of a fixed number of tokens and a rest, so that two prompts that begin alike share their first blocks, such as
the turns of a conversation, or all prompts behind one system message. A block's keys and values are a function of the tokens up to its
end alone, whichever request read it first. So neither reuse nor reading in company can change a completion.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainers.models.attention import causal

SMALLEST = 16  # tokens: below it matrix products are done another way, with other last bits, so a shorter piece is read alone

Prefix = tuple[int | str, ...]
"""The ids of a prompt up to the end of a piece, behind the prompt's key where it holds pictures. It names the piece, because it says all
that the piece depends on."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Keys and values of some tokens, [layers, 2, kv_heads, n, d], and at a prompt's end the logits behind it, [vocabulary] fp32."""

    past: Tensor
    logits: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return self.past.nbytes + (0 if self.logits is None else self.logits.nbytes)


def ends(length: int, block: int) -> tuple[int, ...]:
    """Ends of the pieces of a prompt: whole blocks while at least SMALLEST tokens remain, then the rest; `block` 0 is one piece.

    >>> ends(100, 0), ends(100, 40), ends(90, 40), ends(10, 40)
    ((100,), (40, 80, 100), (40, 90), (10,))
    """
    whole = max(0, (length - SMALLEST) // block) if block else 0
    return (*(block * (i + 1) for i in range(whole)), length)


@dataclass(eq=False)
class Reading:
    """A prompt on its way: the pieces that are there, in order."""

    prompt: tuple[int, ...]
    ends: tuple[int, ...]
    pieces: list[Piece] = field(default_factory=list)
    key: str = ""  # of the prompt's pictures

    @property
    def done(self) -> bool:
        return len(self.pieces) == len(self.ends)

    @property
    def start(self) -> int:
        """Position at which the next piece begins."""
        return self.ends[len(self.pieces) - 1] if self.pieces else 0

    @property
    def next(self) -> tuple[int, ...]:
        """The ids up to the end of the piece that is wanted next."""
        return self.prompt[: self.ends[len(self.pieces)]]

    @property
    def name(self) -> Prefix:
        """The name of the piece that is wanted next."""
        return (self.key, *self.next) if self.key else self.next

    def take(self, find: Callable[[Prefix], Piece | None]) -> int:
        """Adds pieces as long as `find` has them; returns their tokens."""
        before = self.start
        while not self.done:
            piece = find(self.name)
            if piece is None or (len(self.pieces) + 1 == len(self.ends) and piece.logits is None):
                break
            self.pieces.append(piece)
        return self.start - before

    def fill(self, keys: Float[Tensor, "layers two kv_heads capacity d"]) -> None:
        """Writes all keys and values to their places."""
        start = 0
        for piece, end in zip(self.pieces, self.ends, strict=True):
            keys[:, :, :, start:end] = piece.past
            start = end


@dataclass(frozen=True, slots=True)
class ReadLayout:
    """Attention while pieces of several prompts are read, laid end to end: causal inside each, over its own past and itself.

    `keys` collects the keys and values of each layer for all of them, [2, kv_heads, n, d].
    """

    lengths: Sequence[int]
    pasts: Sequence[Sequence[Piece]]
    keys: list[Tensor]

    def attend(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Tensor:
        self.keys.append(torch.stack([key[0], value[0]]))
        layer: Any = module.layer_idx
        parts = []
        for q, k, v, past in zip(*(x.split(list(self.lengths), dim=2) for x in (query, key, value)), self.pasts, strict=True):
            if past:
                k = torch.cat([*(piece.past[layer, 0][None] for piece in past), k], dim=2)
                v = torch.cat([*(piece.past[layer, 1][None] for piece in past), v], dim=2)
            parts.append(causal(q, k, v, **settings).transpose(1, 2))
        return torch.cat(parts, dim=1)


def passes(readings: Iterable[Reading], limit: int, together: Callable[[], bool]) -> Iterator[list[Reading]]:
    """The next pieces in groups for one forward pass each: at most `limit` tokens, equal pieces once, short ones alone.

    `together` is called once two pieces could be read at once; where it is false, each is read alone.
    """
    group: list[Reading] = []
    size = 0
    for reading in {reading.name: reading for reading in readings}.values():
        tokens = len(reading.next) - reading.start
        if tokens < SMALLEST:
            yield [reading]
            continue
        if group and (size + tokens > limit or not together()):
            yield group
            group, size = [], 0
        group.append(reading)
        size += tokens
    if group:
        yield group


class Known:
    """Cache of pieces that were read, up to `limit` bytes; the longest unused is dropped first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._pieces: OrderedDict[Prefix, Piece] = OrderedDict()

    def get(self, prefix: Prefix) -> Piece | None:
        if prefix in self._pieces:
            self._pieces.move_to_end(prefix)
        return self._pieces.get(prefix)

    def put(self, prefix: Prefix, piece: Piece) -> None:
        if (old := self._pieces.pop(prefix, None)) is not None:
            self._size -= old.nbytes
        self._pieces[prefix] = piece
        self._size += piece.nbytes
        while self._size > self._limit:
            _, dropped = self._pieces.popitem(last=False)
            self._size -= dropped.nbytes

    def clear(self) -> None:
        self._pieces.clear()
        self._size = 0
