"""One file, one algorithm; this folder is the registry. A new algorithm is a new file here with

- a docstring: the paper and the equation, and where the default differs;
- `Config`: frozen pydantic, a default and a doc line per field, among them `loss: LossSpec`;
- `needs_values(config)`: "" for no critic, "turn" for V(s_t) at each turn, "token" for one at each sampled token, "action" for
  Q(s_t, a_t) beside V(s_t), from a critic that `config.q` (:class:`trainers.critics.q_critic.QSpec`) describes;
- `credit(groups, values, config) -> Credit`;
- with a critic of states, `targets(groups, config)`: what it is fitted to, one array per trajectory, before credit is given;
- with `bootstrap_at_limit: bool` in its Config: `values.final`, V(s_T) of the episodes that the turn limit ended;
- off-policy, or with episodes of its own choice, `practice(config) -> Practice`: which episodes, and whose actions, the credit is given to.
"""

import importlib
import pkgutil
from types import ModuleType

from trainers.credit.algorithm import Algorithm, Practice
from webgym.errors import ConfigError, did_you_mean


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
