"""Recipes: training configurations that fit a size of model and a machine, each a TOML file in `runs/`.

A file holds `about` and `machine` (a sentence each), `start` (commands to run first, such as a server's), `shape` (the model's sizes, which
the estimate is computed from) and `config` (keys of a training configuration). `webgym train --recipe NAME` begins with `config`; a
configuration file, flags and `--set` change it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.config import resolve
from trainers.recipes.estimate import Estimate, Shape, estimate
from webgym.errors import ConfigError, did_you_mean

FOLDER = Path(__file__).with_name("runs")


@dataclass(frozen=True)
class Recipe:
    """A configuration with what it is for. `config` is what the file says, without defaults."""

    name: str
    about: str
    machine: str
    start: tuple[str, ...]
    shape: Shape
    config: dict[str, Any]

    @property
    def estimate(self) -> Estimate:
        """Memory and time, by the formula of :mod:`trainers.recipes.estimate`."""
        return estimate(resolve(self.config)[0], self.shape)


def names() -> list[str]:
    """Names of all recipes, small models first."""
    return sorted((path.stem for path in FOLDER.glob("*.toml")), key=lambda name: (get(name).shape.parameters, name))


def get(name: str) -> Recipe:
    """The recipe of this name. Raises ConfigError with the nearest names."""
    path = FOLDER / f"{name}.toml"
    known = sorted(other.stem for other in FOLDER.glob("*.toml"))
    if name not in known:
        raise ConfigError(f"no recipe is called {name!r}{did_you_mean(name, known)} (there are {', '.join(known)})")
    data = tomllib.loads(path.read_text("utf-8"))
    return Recipe(name, data["about"], data["machine"], tuple(data.get("start", ())), Shape(**data["shape"]), data["config"])
