"""Groups of keys that pydantic models describe: read from TOML, laid over defaults, listed, refused in one sentence."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, ValidationError

from webgym.errors import ConfigError, did_you_mean

M = TypeVar("M", bound=BaseModel)

KEPT = "kept"
"""Key of pydantic's context that says whether settings were kept with a run."""


def was_kept(context: Mapping[str, Any] | None) -> bool:
    """True in pydantic's context of settings that were kept with a run: what a later version refuses was no problem then."""
    return bool(context and context.get(KEPT))


def validated(model: type[M], data: Mapping[str, Any], where: str = "", *, kept: bool = False) -> M:
    """`data` as a `model`. Raises ConfigError with the first problem in one sentence, `where` before it.

    Settings that were `kept` with a run are taken as they are, also where they contradict each other or do nothing.

    A group of keys that `data` gives in part keeps the model's own defaults for the others, not those of the group's class.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}expected keys with their values, got {data!r}")
    defaults = {name: field.default for name, field in model.model_fields.items() if isinstance(field.default, BaseModel)}
    try:
        given = merged({name: _behind(x, data[name]) for name, x in defaults.items() if name in data}, data)
        return model.model_validate(given, context={KEPT: kept})
    except ValidationError as error:
        raise ConfigError(_explain(error, model, where)) from None


def _behind(defaults: BaseModel, given: Any) -> dict[str, Any]:
    """The `defaults` of a group but those of keys that are `given` by another of their names."""
    model, keys = type(defaults), given if isinstance(given, Mapping) else ()
    return defaults.model_dump(exclude={name for name in model.model_fields if any(x in keys for x in _other_names(model, name))})


def _other_names(model: type[BaseModel], field: str) -> list[str]:
    """Names beside its own by which a `field` of a model is given."""
    also = model.model_fields[field].validation_alias
    return [str(name) for name in also.choices if name != field] if isinstance(also, AliasChoices) else []


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, which go into nested groups of keys instead of taking their place.

    >>> merged({"optim": {"lr": 1.0, "eps": 2.0}, "seed": 0}, {"optim": {"lr": 3.0}, "model": "m"})
    {'optim': {'lr': 3.0, 'eps': 2.0}, 'seed': 0, 'model': 'm'}
    """
    found = dict(base)
    for key, value in changes.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found


def options(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Key, value and doc line of each option; keys of groups have dots."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from options(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, field.description or ""


def read(path: Path, what: str = "configuration") -> dict[str, Any]:
    """A TOML file; `what` it is stands in errors. Raises ConfigError with the line where it is no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the {what} {path}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _explain(error: ValidationError, model: type[BaseModel], where: str = "") -> str:
    """The first problem of a validation in one sentence."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *groups, name = map(str, problem["loc"])
        group = _group(model, groups)
        known = list(group.model_fields)
        if first := next((field for field in known if name in _other_names(group, field)), ""):
            return f"{where}{key} is another name of {'.'.join([*groups, first])}, which stands there too: leave one of the two out"
        nested = [] if groups else [f"{group}.{key}" for group in known for key in _group(model, [group]).model_fields if key not in known]
        same = [key for key in nested if key.rpartition(".")[2] == name]
        near = did_you_mean(name, same or [*known, *nested]) or (f"; did you mean {same[0]!r}?" if same else "")
        return f"{where}unknown key {key!r}{near} (known{' in ' + '.'.join(groups) if groups else ''}: {', '.join(known)})"
    if not key or (problem["type"] == "value_error" and isinstance(problem["input"], Mapping)):  # a rule over several keys says what to do
        return f"{where}{problem['msg'].removeprefix('Value error, ')}"
    if problem["type"] == "model_type":
        first = next(iter(_group(model, map(str, problem["loc"])).model_fields))
        return f"{where}{key}: expected a group of keys, such as {key}.{first}, got {problem['input']!r}"
    expected = "expected a list" if problem["type"] == "tuple_type" else problem["msg"].removeprefix("Value error, ").lower()
    return f"{where}{key}: {expected}, got {problem['input']!r}"


def _group(model: type[BaseModel], names: Iterable[str]) -> type[BaseModel]:
    """The model of a group of keys inside `model`; the outermost one that is known where a name leads to none."""
    for name in names:
        field = model.model_fields.get(name)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return model
