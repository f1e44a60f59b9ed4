"""The check of an algorithm's file against the whole contract when the file is read; one sentence says what is missing or wrong."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from trainers.credit.algorithm import Algorithm, AlgorithmConfig, Bootstrapped, Discounted, NeedsValues, Practice
from trainers.critics.q_critic import ActionValueConfig
from trainers.learning.losses import LossSpec
from webgym.errors import ConfigError

PARAMETERS = {
    "needs_values": ("config",),
    "credit": ("groups", "values", "config"),
    "targets": ("groups", "config"),
    "practice": ("config",),
}
OPTIONAL = ("targets", "practice")
BASES: Mapping[str, type[AlgorithmConfig]] = {"gamma": Discounted, "bootstrap_at_limit": Bootstrapped, "q": ActionValueConfig}
"""Options that the loop reads, and the base that has them."""
METRIC_GROUPS = ("rollout/", "loss/", "critic/", "optim/", "time/")


@functools.cache
def read(module: ModuleType, name: str, key: str, where: str) -> Algorithm:
    """The algorithm that a module defines. Raises ConfigError, which begins with `where` the module is."""
    doc = (module.__doc__ or "").strip()
    defined = {"a docstring": doc, **{part: hasattr(module, part) for part in ("Config", *PARAMETERS)}}
    if missing := [part for part, there in defined.items() if not there and part not in OPTIONAL]:
        raise ConfigError(f"{where}: expected it to define {', '.join(missing)}")
    _check_config(module.Config, where)
    functions = {part: getattr(module, part) for part in PARAMETERS if hasattr(module, part)}
    for part, function in functions.items():
        _check_parameters(part, function, where)
    metrics = getattr(module, "METRICS", {})
    _check_metrics(metrics, where)
    found = Algorithm(
        name=name,
        key=key,
        summary=doc.partition("\n")[0],
        Config=module.Config,
        needs_values=module.needs_values,
        credit=module.credit,
        targets=functions.get("targets"),
        practice=functions.get("practice", lambda config: Practice()),
        metrics=metrics,
    )
    for needs in _stated_needs(module.needs_values):
        _check_needs(found, needs, where)
    try:
        config = module.Config()
    except ValidationError as error:
        raise ConfigError(f"{where}: the defaults of Config are refused: {error.errors()[0]['msg']}") from None
    check(found, config, where)
    return found


def check(algorithm: Algorithm, config: AlgorithmConfig, where: str = "") -> None:
    """Raises ConfigError where the file lacks what this configuration of it asks for."""
    where = where or f"algorithm {algorithm.name}"
    if not isinstance(config.loss, LossSpec):
        raise ConfigError(f"{where}: expected Config.loss to be a LossSpec, got {config.loss!r}")
    needs, practice = algorithm.needs_values(config), algorithm.practice(config)
    _check_needs(algorithm, needs, where)
    if not isinstance(practice, Practice):
        raise ConfigError(f"{where}: expected practice(config) to return a Practice, got {practice!r}")
    if needs != "action" and (practice.best_of > 1 or practice.fresh):
        asked = f"best_of={practice.best_of}" if practice.best_of > 1 else "fresh=True"
        raise ConfigError(
            f"{where}: practice(config) asks for {asked}, which needs a critic of actions, but needs_values(config) is {needs!r}"
        )


def _check_config(config: object, where: str) -> None:
    if not (isinstance(config, type) and issubclass(config, AlgorithmConfig)):
        got = config.__mro__[1].__name__ if isinstance(config, type) else type(config).__name__
        raise ConfigError(f"{where}: expected Config to derive from AlgorithmConfig (trainers/credit/algorithm.py), got a {got}")
    if not config.model_config.get("frozen") or config.model_config.get("extra") != "forbid":
        raise ConfigError(f"{where}: expected Config to stay frozen with extra='forbid', so that no option is misspelt unseen")
    for name, field in config.model_fields.items():
        if field.is_required():
            raise ConfigError(f"{where}: expected each option of Config to have a default, {name} has none")
        if name in BASES and not issubclass(config, BASES[name]):
            base = BASES[name]
            raise ConfigError(
                f"{where}: Config has an option {name}, which the loop reads: derive Config from {base.__name__} ({base.__module__})"
            )


def _check_parameters(part: str, function: object, where: str) -> None:
    expected = f"{part}({', '.join(PARAMETERS[part])})"
    if not callable(function):
        raise ConfigError(f"{where}: expected a function {expected}, got {function!r}")
    got = tuple(map(str, (p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values())))
    if got != PARAMETERS[part]:
        raise ConfigError(f"{where}: expected {expected}, got {part}({', '.join(got)})")


def _check_metrics(metrics: object, where: str) -> None:
    if not isinstance(metrics, Mapping):
        raise ConfigError(f"{where}: expected METRICS to be a dict of names and what they mean, got {metrics!r}")
    for name, words in metrics.items():
        if not isinstance(name, str) or not name.startswith(METRIC_GROUPS):
            raise ConfigError(f"{where}: expected names in METRICS that begin with {', '.join(METRIC_GROUPS)}, got {name!r}")
        if not isinstance(words, str) or not words.strip():
            raise ConfigError(f"{where}: expected METRICS to say in words what {name} means, got {words!r}")


def _stated_needs(needs_values: Callable[..., object]) -> tuple[Any, ...]:
    """Values of the Literal in the function's return annotation; empty where that is no Literal."""
    try:
        returned = get_type_hints(needs_values).get("return")
    except (NameError, TypeError):  # an annotation for readers only
        return ()
    return get_args(returned) if get_origin(returned) is Literal else ()


def _check_needs(algorithm: Algorithm, needs: object, where: str) -> None:
    known = get_args(NeedsValues)
    if needs not in known:
        raise ConfigError(f"{where}: expected needs_values(config) to be one of {', '.join(map(repr, known))}, got {needs!r}")
    if needs in ("turn", "token") and algorithm.targets is None:
        raise ConfigError(f"{where}: expected it to define targets(groups, config), because needs_values(config) can be {needs!r}")
    if needs == "action" and not issubclass(algorithm.Config, ActionValueConfig):
        base = f"ActionValueConfig ({ActionValueConfig.__module__})"
        raise ConfigError(f"{where}: expected Config to derive from {base}, because needs_values(config) can be 'action'")
