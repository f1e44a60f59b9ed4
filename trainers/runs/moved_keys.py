"""Configuration keys that have moved into groups: configurations written before are read by their old names for one release."""

import warnings
from collections.abc import Mapping
from typing import Any

from webgym.errors import ConfigError

MOVED: Mapping[str, str] = {
    "iterations": "length.iterations",
    "minutes": "length.minutes",
    "steps": "length.steps",
    "groups": "rollout.groups",
    "group_size": "rollout.group_size",
    "temperature": "rollout.temperature",
    "max_tokens": "rollout.max_tokens",
    "grammar": "rollout.grammar",
    "overlap": "rollout.overlap",
    "async": "rollout.overlap",
    "screenshots": "rollout.screenshots",
    "epochs": "update.epochs",
    "minibatches": "update.minibatches",
    "token_budget": "update.token_budget",
    "eval_seeds": "evaluation.seeds",
    "eval_every": "evaluation.every",
    "eval_temperature": "evaluation.temperature",
    "checkpoint_every": "checkpoints.every",
    "keep_checkpoints": "checkpoints.keep",
    "backend": "machine.backend",
    "sessions": "machine.sessions",
    "device": "machine.device",
    "dtype": "machine.dtype",
    "gradient_checkpointing": "machine.gradient_checkpointing",
    "threads": "machine.threads",
}
"""Old name → group and new name."""


def moved(config: Mapping[str, Any], *, warn: bool = False) -> dict[str, Any]:
    """The configuration with old keys in their groups. Raises ConfigError where a key stands there by both names with two values.

    >>> moved({"iterations": 3, "length": {"minutes": 5}, "seed": 1})
    {'length': {'minutes': 5, 'iterations': 3}, 'seed': 1}
    """
    old = {name: config[name] for name in config if name in MOVED and not isinstance(config[name], Mapping)}
    new = {name: dict(x) if isinstance(x, Mapping) else x for name, x in config.items() if name not in old}
    for name, value in old.items():
        group, _, key = MOVED[name].partition(".")
        place = new.setdefault(group, {})
        if place.setdefault(key, value) != value:
            raise ConfigError(f"{MOVED[name]} is {place[key]!r} and by its old name {name} {value!r}: leave {name} out")
    if old and warn:
        names = ", ".join(f"{name} is now {MOVED[name]}" for name in old)
        warnings.warn(
            f"configuration keys have moved into groups ({names}); the old names are read for one release", FutureWarning, stacklevel=3
        )
    return new
