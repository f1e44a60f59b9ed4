"""One file, one algorithm; this folder is the registry. A new algorithm is a new file here with

- a docstring: the paper and the equation, and where the default differs;
- `Config`: frozen pydantic, a default and a doc line per field, among them `loss: LossSpec`;
- `needs_values(config)`: "" for no critic, "turn" for V(s_t) at each turn, "token" for one at each sampled token, "action" for
  Q(s_t, a_t) beside V(s_t), from a critic that `config.q` (:class:`trainers.q_critic.QSpec`) describes;
- `credit(groups, values, config) -> Credit`;
- with a critic of states, `targets(groups, config)`: what it is fitted to, one array per trajectory, before credit is given;
- with `bootstrap_at_limit: bool` in its Config: `values.final`, V(s_T) of the episodes that the turn limit ended;
- off-policy, or with episodes of its own choice, `practice(config) -> Practice`: which episodes, and whose actions, the credit is given to.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from trainers.credit import Credit, Values
from webgym.errors import ConfigError, did_you_mean
from webgym.types import Group

NeedsValues = Literal["", "turn", "token", "action"]


@dataclass(frozen=True, slots=True)
class Practice:
    """What an algorithm asks of the loop besides; the default is on-policy."""

    replay: int = 1  # iterations whose episodes a batch holds, the newest included
    fresh: bool = False  # credit is given to actions drawn anew in every turn of the batch (of several, the best by Q), not to the recorded
    best_of: int = 1  # actions drawn in every turn of a training episode, of which the one with the highest Q is performed
    resample: int = 0  # rounds in which further groups are played, one for each group of the round before whose episodes all did the same


@dataclass(frozen=True)
class Algorithm:
    """What an algorithm's file defines. `targets` is None where no configuration of it has a critic of states."""

    name: str
    summary: str  # first line of its docstring
    Config: type[BaseModel]
    needs_values: Callable[[Any], NeedsValues]
    credit: Callable[[Sequence[Group], Values | None, Any], Credit]
    targets: Callable[[Sequence[Group], Any], list[np.ndarray]] | None
    practice: Callable[[Any], Practice]


def bootstraps(own: Any) -> bool:
    """Whether this Config of an algorithm asks for V(s_T) at the turn limit."""
    return bool(getattr(own, "bootstrap_at_limit", False))


def names() -> list[str]:
    """Names of all algorithms, without importing them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> Algorithm:
    """The algorithm of this name. Raises ConfigError, with the nearest names, where there is none."""
    if name not in names():
        raise ConfigError(f"no algorithm is called {name!r}{did_you_mean(name, names())} (there are {', '.join(names())})")
    return _read(importlib.import_module(f"{__name__}.{name}"))


def discover() -> dict[str, Algorithm]:
    """All algorithms by name."""
    return {name: get(name) for name in names()}


def _read(module: ModuleType) -> Algorithm:
    name = module.__name__.rpartition(".")[2]
    if missing := [part for part in ("Config", "needs_values", "credit") if not hasattr(module, part)]:
        raise ConfigError(f"algorithm file {name}.py: expected it to define {', '.join(missing)}")
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    practice = getattr(module, "practice", lambda config: Practice())
    return Algorithm(name, summary, module.Config, module.needs_values, module.credit, getattr(module, "targets", None), practice)
