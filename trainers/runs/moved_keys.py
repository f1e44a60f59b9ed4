"""Configurations that were written before: keys by their old names, and algorithms whose name has another meaning now.

The key `format` of a configuration file, of a study's grid and of a run folder says which meaning its names have:

    1   (or none)   `grpo` learns from members better than their group only, which is `grpo_positive` now
    2               `grpo` learns from all members
"""

import warnings
from collections.abc import Mapping
from typing import Any

from webgym.errors import ConfigError

FORMAT = 2
"""Format of the configurations that are written now."""

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
        if not isinstance(place, dict):
            raise ConfigError(f"{group} is {place!r}: expected the keys of a group, such as {MOVED[name]} = {value!r}")
        if place.setdefault(key, value) != value:
            raise ConfigError(f"{MOVED[name]} is {place[key]!r} and by its old name {name} {value!r}: leave {name} out")
    if old and warn:
        names = ", ".join(f"{name} is now {MOVED[name]}" for name in old)
        warnings.warn(
            f"configuration keys have moved into groups ({names}); the old names are read for one release", FutureWarning, stacklevel=3
        )
    return new


def as_meant(config: Mapping[str, Any], where: object, *, warn: bool = False) -> dict[str, Any]:
    """A configuration from a file, `where` it was found, with its algorithm by the present name.

    >>> as_meant({"algo": "grpo"}, "mine.toml")
    {'algo': 'grpo_positive'}
    >>> as_meant({"algo": "grpo", "algorithm": {"negative": 1.0}}, "mine.toml")["algo"]
    'grpo'
    """
    options = config.get("algorithm", {})
    negative = isinstance(options, Mapping) and options.get("negative") == 1
    written = config.get("format", 1)
    if config.get("algo") != "grpo" or negative or not isinstance(written, int) or written >= FORMAT:
        return dict(config)
    if warn:
        warnings.warn(
            f"{where}: `grpo` was written when it learned from positive advantages only, and goes on as `grpo_positive`, its name now. "
            f"To learn from negative ones too, write format = {FORMAT} into a configuration file, or start a new run",
            FutureWarning,
            stacklevel=3,
        )
    return {**config, "algo": "grpo_positive"}
