"""The seam between the environment and what shows pages and performs actions."""

from typing import Literal, get_args

from webgym.errors import ConfigError

Backend = Literal["browser", "text"]
"""Where episodes are played: in Chromium, or on the text twin that packs with plain pages have (:mod:`webgym.backends.text`)."""


def known_backend(backend: str) -> Backend:
    """The backend, or a ConfigError that names the known ones."""
    if backend not in get_args(Backend):
        raise ConfigError(f"there is no backend {backend!r}: expected one of {', '.join(get_args(Backend))}")
    return backend  # type: ignore[return-value]
