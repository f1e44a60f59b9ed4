"""Text spaces: any Unicode text up to a length, and the text of actions. They work in shared memory, which Gymnasium's `Text` does not
for characters outside its set.
"""

from collections.abc import Sequence
from multiprocessing import Array
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces.utils import flatten_space
from gymnasium.vector.utils import (
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.wrappers.utils import create_zero_array

from webgym.actions import render
from webgym.errors import ConfigError
from webgym.types import Action, Back, Click, Fill, Press, Scroll, Wait

MAX_BYTES = 1 << 19
"""Longest text in UTF-8 bytes; longer pages are cut by the snapshot long before."""


class UnicodeText(gym.Space[str]):
    """Any text of at most `max_bytes` bytes in UTF-8. Samples are short words."""

    def __init__(self, max_bytes: int = MAX_BYTES, seed: int | None = None) -> None:
        super().__init__((), str, seed)
        self.max_bytes = max_bytes

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        length = int(self.np_random.integers(1, 12))
        return "".join(chr(int(c)) for c in self.np_random.integers(0x61, 0x7B, length))

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x.encode("utf-8", "surrogatepass")) <= self.max_bytes

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.max_bytes == other.max_bytes  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self.max_bytes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_bytes})"


class ActionText(UnicodeText):
    """Text that an agent may write. Samples are actions of the dialect that parse, on refs that may or may not be on the page."""

    def __init__(self, dialect: str = "call", seed: int | None = None) -> None:
        super().__init__(1 << 21, seed)
        self.dialect = dialect

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        rng = self.np_random
        ref = int(rng.integers(0, 20))
        choices: list[Action] = [Click(ref), Fill(ref, "text"), Press("Enter"), Scroll(0, 200), Back(), Wait()]
        return render(choices[int(rng.integers(len(choices)))], self.dialect)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionText) and self.dialect == other.dialect

    def __hash__(self) -> int:
        return hash((type(self), self.dialect))


# --- vector environments: how such texts are batched and shared between processes ------------------------------------------


@flatten_space.register(UnicodeText)
def _flat(space: UnicodeText) -> gym.spaces.Box:
    raise ConfigError(
        "texts are no numbers, so that these observations cannot be flattened: take from them what you need with "
        "gymnasium.wrappers.TransformObservation"
    )


@batch_space.register(UnicodeText)
def _batch(space: UnicodeText, n: int = 1) -> gym.spaces.Tuple:
    return gym.spaces.Tuple(tuple(space for _ in range(n)))


@create_empty_array.register(UnicodeText)
def _empty(space: UnicodeText, n: int = 1, fn: Any = None) -> tuple[str, ...]:
    return ("",) * n


@create_zero_array.register(UnicodeText)  # type: ignore[arg-type]  # as FrameStackObservation and DelayObservation begin
def _zero(space: UnicodeText) -> str:
    return ""


@concatenate.register(UnicodeText)
def _concatenate(space: UnicodeText, items: Any, out: Any) -> tuple[str, ...]:
    return tuple(items)


@iterate.register(UnicodeText)
def _iterate(space: UnicodeText, items: Any) -> Any:
    return iter(items)


@create_shared_memory.register(UnicodeText)
def _create(space: UnicodeText, n: int = 1, ctx: Any = None) -> tuple[Any, Any]:
    make = Array if ctx is None else ctx.Array
    return make("i", n), make("B", n * space.max_bytes)


@write_to_shared_memory.register(UnicodeText)
def _write(space: UnicodeText, index: int, value: str, shared_memory: Any) -> None:
    lengths, data = shared_memory
    encoded = value.encode("utf-8", "surrogatepass")
    if len(encoded) > space.max_bytes:  # the next one's place begins there
        encoded = encoded[: space.max_bytes].decode("utf-8", "ignore").encode()
    start = index * space.max_bytes
    view = np.frombuffer(data.get_obj(), np.uint8)
    view[start : start + len(encoded)] = np.frombuffer(encoded, np.uint8)
    with lengths.get_lock():
        lengths[index] = len(encoded)


class SharedTexts(Sequence[str]):
    """The texts that stand in shared memory now. A copy is a tuple of what stood there.

    Gymnasium's vector environment reads the memory once, when it is made, and returns copies of what it read, so this must stay live.
    """

    def __init__(self, max_bytes: int, shared_memory: Any, n: int) -> None:
        self._max_bytes, self._n = max_bytes, n
        self._lengths, data = shared_memory
        self._bytes = np.frombuffer(data.get_obj(), np.uint8)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        index = range(self._n)[index]
        start = index * self._max_bytes
        return self._bytes[start : start + self._lengths[index]].tobytes().decode("utf-8", "surrogatepass")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: Any) -> tuple[str, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


@read_from_shared_memory.register(UnicodeText)  # type: ignore[arg-type]  # Gymnasium's annotation forgets texts, its code does not
def _read(space: UnicodeText, shared_memory: Any, n: int = 1) -> SharedTexts:
    return SharedTexts(space.max_bytes, shared_memory, n)
