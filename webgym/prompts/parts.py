"""Prompts as messages of parts: what a model is shown, as data. Frozen, picklable, free of tokenizers.

A prompt is a sequence of messages, a message a sequence of parts, a part a text or a picture. Models of text read `Prompt.text`, or the
messages through their chat template. `Prompt.key` says what the text does not: which pictures stand in it. A cache that names what it keeps
by (token ids, key) never takes two prompts that differ by a picture for the same.

>>> words = Prompt((Message("user", (TextPart("Press OK."),)),))
>>> words.text, words.key
('Press OK.', '')
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from webgym.types import digest

if TYPE_CHECKING:  # half of what a short command costs, and only pictures need it
    import numpy as np

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text inside a message."""

    text: str


@dataclass(frozen=True)
class PicturePart:
    """A picture inside a message: `width` by `height` pixels, row by row from the top left, three bytes (red, green, blue) each.

    Raises ValueError where the bytes are not as many as the pixels need.
    """

    width: int
    height: int
    rgb: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.rgb) != 3 * self.width * self.height:
            raise ValueError(
                f"expected {3 * self.width * self.height} bytes for a picture of {self.width} by {self.height} pixels, got {len(self.rgb)}"
            )

    @classmethod
    def of(cls, pixels: "np.ndarray") -> "PicturePart":
        """The picture of pixels [height, width, 3] uint8. Raises ValueError for other shapes and types."""
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.name != "uint8":
            raise ValueError(f"expected pixels [height, width, 3] of uint8, got {list(pixels.shape)} of {pixels.dtype}")
        return cls(pixels.shape[1], pixels.shape[0], pixels.tobytes())

    @property
    def pixels(self) -> "np.ndarray":
        """The pixels [height, width, 3] uint8, which cannot be written to."""
        import numpy as np

        return np.frombuffer(self.rgb, np.uint8).reshape(self.height, self.width, 3)

    @cached_property
    def hash(self) -> str:
        """32 hex digits of blake2b over size and pixels; equal in every process."""
        found = hashlib.blake2b(f"{self.width}x{self.height} ".encode(), digest_size=16)
        found.update(self.rgb)
        return found.hexdigest()


Part = TextPart | PicturePart


@dataclass(frozen=True, slots=True)
class Message:
    """One speaker's parts, in the order in which they are read."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The texts, an empty line between two of them."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True)
class Prompt:
    """All that a model is shown at a turn; behind the first turn of a conversation, the new message only.

    `cue` ends the text for a model without a chat template.
    """

    messages: tuple[Message, ...]
    cue: str = ""

    @property
    def text(self) -> str:
        """The prompt as one text, without its pictures: what is recorded, and what a model without a chat template reads."""
        texts = [part.text for message in self.messages for part in message.parts if isinstance(part, TextPart)]
        return "\n\n".join(texts) + self.cue

    @property
    def pictures(self) -> tuple[PicturePart, ...]:
        """The pictures in their order."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, PicturePart))

    @cached_property
    def key(self) -> str:
        """The identity of a prompt with pictures, "" of one without.

        Two prompts with pictures have equal keys only where all messages and parts are equal, pictures by their content. One without
        pictures needs no key, because its token ids say all that it holds.
        """
        if not self.pictures:
            return ""
        return digest([self.cue, [[message.role, [_name(part) for part in message.parts]] for message in self.messages]])


def _name(part: Part) -> list[str]:
    return ["text", part.text] if isinstance(part, TextPart) else ["picture", part.hash]


def continued_key(before: str, key: str) -> str:
    """The key of a conversation whose key was `before` until a message with this key was added: it still holds the earlier pictures.

    >>> continued_key("", ""), continued_key("5e1f", ""), continued_key("", "5e1f")
    ('', '5e1f', '5e1f')
    >>> continued_key("5e1f", "07aa") not in ("5e1f", "07aa", continued_key("07aa", "5e1f"))
    True
    """
    return digest([before, key]) if before and key else before or key
