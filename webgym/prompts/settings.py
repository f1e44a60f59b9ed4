"""Settings of prompts, which a model's checkpoint keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from webgym.actions import DIALECTS
from webgym.errors import ConfigError, did_you_mean
from webgym.types import Turn


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """Settings of prompts. They are part of a model's checkpoint, because a model reads only the prompts that it was trained on.

    `history` is how many of the last actions are listed (window only); `max_nodes` how many lines of the page are shown (a cut is
    announced); `marks` whether page texts are marked against the goal (compact only); `errors` whether the last action's error and
    notices are told. `page_tokens` is the most tokens of the page by the model's own tokenizer (0: as many as fit in its context).
    `thinking` asks the chat template for a block of thinking before each answer, which a conversation keeps (on) or leaves out of later
    prompts (forget). Without history and errors, a prompt is a function of the page and the turns left: the policy has no memory.
    """

    style: Literal["chat", "compact"] = "chat"
    dialect: Literal["call", "compact", "json"] = "call"
    history: int = 5
    max_nodes: int = 400
    marks: bool = False
    context: Literal["window", "conversation"] = "window"
    errors: bool = True
    page_tokens: int = 0
    thinking: Literal["off", "on", "forget"] = "off"

    @property
    def memoryless(self) -> bool:
        """True if a prompt tells nothing of the turns before."""
        return self.history == 0 and not self.errors and self.context == "window"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PromptSettings":
        """The settings of a checkpoint or a configuration. Raises ConfigError for an unknown key or a value that is none of its key's."""
        if not isinstance(data, Mapping):
            raise ConfigError(f"expected prompt settings, a table of keys and values; got {type(data).__name__}")
        known = {f.name: type(f.default) for f in fields(cls)}
        for key, value in data.items():
            if key not in known:
                raise ConfigError(f"unknown prompt setting {key!r}{did_you_mean(key, known)}; expected one of {', '.join(known)}")
            if type(value) is not known[key]:
                expected = {bool: "true or false", int: "a whole number", str: "a word"}[known[key]]
                raise ConfigError(f"prompt setting {key}: expected {expected}, got {value!r}")
        settings = cls(**data)
        if settings.dialect not in DIALECTS or settings.style not in ("chat", "compact"):
            raise ConfigError(f"prompt style {settings.style!r} with dialect {settings.dialect!r} is not known")
        if settings.context not in ("window", "conversation"):
            near = did_you_mean(str(settings.context), ("window", "conversation"))
            raise ConfigError(f"prompt context {settings.context!r}: expected window or conversation{near}")
        if settings.thinking not in ("off", "on", "forget"):
            near = did_you_mean(str(settings.thinking), ("off", "on", "forget"))
            raise ConfigError(f"prompt thinking {settings.thinking!r}: expected off, on or forget{near}")
        if settings.history < 0 or settings.max_nodes < 1 or settings.page_tokens < 0:
            raise ConfigError(
                f"expected history >= 0, max_nodes >= 1 and page_tokens >= 0, got {settings.history}, {settings.max_nodes} and "
                f"{settings.page_tokens}"
            )
        return settings


COMPACT = PromptSettings(style="compact", dialect="compact", history=4, max_nodes=120, marks=True)
"""The settings of webgym-tiny."""


def continues(history: Sequence[Turn], settings: PromptSettings) -> bool:
    """True if a prompt goes on with a conversation, which holds the goal and all past actions already."""
    return settings.context == "conversation" and len(history) > 0


def recent_turns(history: Sequence[Turn], settings: PromptSettings) -> Sequence[Turn]:
    """The past turns that a prompt lists."""
    return history[-settings.history :] if settings.history and settings.context == "window" else ()
