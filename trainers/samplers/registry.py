"""Samplers by name; one file, one sampler.

A file is found in this folder by its name, in an installed distribution by the entry-point group `webgym.samplers` (whose value names a
module), and anywhere by its path (`--set sampler.kind=./mine.py`). It defines

- a docstring, whose first line is the summary;
- `Config`: frozen pydantic that forbids other keys, a default and a doc line per field. Its keys stand in the configuration's table
  `sampler`, see :class:`trainers.samplers.settings.SamplerConfig`;
- `open_sampler(config, source, *, folder, version) -> Sampler`: a :class:`trainers.samplers.sampler.Sampler` that generates with the
  weights of `source`, a :class:`trainers.models.policy_model.PolicyModel`, as this version. `folder` is for weights that it publishes;
  no other code writes there, and it does not exist yet;
- `check_here(config)`, where this machine may lack something, such as a server's address: it raises ConfigError, before the folder of a
  run is written;
- `HOLDS_GRAMMAR = True`, where it can hold completions to a grammar (`Sampling.grammar`);
- `AS_LEARNER = True`, where log-probabilities of a float32 model are those of a forward pass by the learner, up to rounding. Of any other
  sampler the learner scores the tokens anew before it learns from them (:mod:`trainers.training.update`).
"""

import functools
import importlib
import importlib.util
import inspect
import re
import sys
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from pydantic import BaseModel

from trainers.models.policy_model import PolicyModel
from trainers.samplers.sampler import Counters, Sampler
from trainers.samplers.settings import SHARED_KEYS, SamplerConfig
from webgym.errors import ConfigError, did_you_mean

FOLDER = Path(__file__).parent
ENTRY_POINTS = "webgym.samplers"
FACTORY = "open_sampler"
PROTOCOL = ("submit", "generate", "set_weights", "close", "__enter__", "__exit__")


class Factory(Protocol):
    """Opens a sampler that generates with the weights of `source`; it may publish weights in `folder`."""

    def __call__(self, config: BaseModel, source: PolicyModel, *, folder: Path, version: int) -> Sampler: ...


@dataclass(frozen=True)
class SamplerKind:
    """The contents of a sampler's file. `name` is the value of `sampler.kind`, a name or a file's absolute path."""

    name: str
    summary: str  # first line of its docstring
    Config: type[BaseModel]
    factory: Factory
    holds_grammar: bool
    as_learner: bool
    check_here: Callable[[BaseModel], None]

    def keys(self, config: SamplerConfig) -> dict[str, Any]:
        """The keys of the configuration that are for this sampler's Config."""
        shared = {name: getattr(config, name) for name in SHARED_KEYS if name in self.Config.model_fields}
        return {**{name: value for name, value in shared.items() if value is not None}, **config.options}

    def own(self, config: SamplerConfig) -> BaseModel:
        """This sampler's Config, of a configuration that :func:`trainers.config.resolve_sampler` has completed."""
        return self.Config.model_validate(self.keys(config))

    def resolved(self, config: SamplerConfig, own: BaseModel) -> SamplerConfig:
        """The configuration with all keys of `own`, which is this sampler's Config."""
        options = own.model_dump(mode="json")
        shared = {name: options.pop(name) for name in SHARED_KEYS if name in options}
        return config.model_copy(update={"kind": self.name, **shared, "options": options})


def names() -> list[str]:
    """Names of all samplers of this folder and of installed distributions; imports none."""
    return [*_files(), *_entry_points()]


def get(kind: str) -> SamplerKind:
    """The sampler of this name, or in the file at this path. Raises ConfigError with the parts that a file lacks or the nearest names."""
    if kind.endswith(".py"):
        path = Path(absolute(kind))
        if not path.is_file():
            raise ConfigError(f"sampler.kind={kind}: expected a Python file there, found none; or give a name ({', '.join(names())})")
        stat = path.stat()
        return _from_path(path, (stat.st_mtime_ns, stat.st_size))
    if kind in _files():
        return _read(importlib.import_module(f"{__package__}.{kind}"), kind, f"sampler file {kind}.py")
    if kind in _entry_points():
        entry = _entry_points()[kind]
        where = f"the sampler {kind!r} (entry point {entry.value!r})"
        try:
            module = entry.load()
        except Exception as error:  # it is another's code, and its user must learn why it fails
            raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
        return _read(module, kind, where)
    near = did_you_mean(kind, names())
    raise ConfigError(f"no sampler is called {kind!r}{near} (there are {', '.join(names())}; or give the path of a file, ./mine.py)")


def absolute(kind: str) -> str:
    """A name as it is, the path of a file made absolute, because a run may be resumed from another folder."""
    return str(Path(kind).expanduser().resolve()) if kind.endswith(".py") else kind


def holding_grammar() -> list[str]:
    """Names of those samplers of this folder that can hold completions to a grammar."""
    return [name for name in _files() if get(name).holds_grammar]


def check_here(config: SamplerConfig) -> None:
    """Raises ConfigError where this machine lacks what the sampler of a configuration needs, as far as is known without opening it."""
    kind = get(config.kind)
    kind.check_here(kind.own(config))


def open_sampler(config: SamplerConfig, source: PolicyModel, *, folder: Path, version: int = 0) -> Sampler:
    """The sampler of a configuration that :func:`trainers.config.resolve_sampler` has completed, with the weights of `source`.

    It may publish weights in `folder`, which is made where it is needed. Raises ConfigError where the opened object is no sampler.
    """
    kind = get(config.kind)
    sampler = kind.factory(kind.own(config), source, folder=folder, version=version)
    lacking = _lacking(type(sampler))
    if not isinstance(getattr(sampler, "counters", None), Counters):
        lacking.append("counters (trainers.samplers.sampler.Counters)")
    if lacking:
        got = f"a {type(sampler).__name__} that has no {' and no '.join(lacking)}"
        raise ConfigError(f"sampler {kind.name}: expected {FACTORY} to return a Sampler, got {got}")
    return sampler


@functools.cache
def _files() -> tuple[str, ...]:
    """Names of the files in this folder that define a sampler."""
    found = sorted(path for path in FOLDER.glob("*.py") if path.stem != Path(__file__).stem)
    return tuple(path.stem for path in found if re.search(rf"^def {FACTORY}\b", path.read_text("utf-8"), re.MULTILINE))


@functools.cache
def _entry_points() -> Mapping[str, EntryPoint]:
    """The samplers of other distributions, by name; one with the name of a file in this folder is left out with a warning."""
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    for name in found.keys() & set(_files()):
        warnings.warn(f"the sampler {name!r} (entry point {found.pop(name).value!r}) is left out: there is one of this name", stacklevel=2)
    return found


@functools.cache
def _from_path(path: Path, state: tuple[int, int]) -> SamplerKind:
    """The sampler in the present version of a file; `state` is its time and size, so that a changed file is read anew."""
    spec = importlib.util.spec_from_file_location(f"webgym_sampler_{path.stem}_{abs(hash((path, state))):x}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pydantic look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is another's code, and its user must learn why it fails
        del sys.modules[spec.name]
        raise ConfigError(f"sampler file {path} cannot be loaded: {type(error).__name__}: {error}") from error
    return _read(module, str(path), f"sampler file {path}")


def _read(module: ModuleType, name: str, where: str) -> SamplerKind:
    """The sampler that a module defines. Raises ConfigError with all that its contract lacks, `where` before it."""
    problems = [*_config_problems(module), *_factory_problems(module)]
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    if not summary:
        problems.append("a docstring whose first line says what it is")
    flags = {flag: getattr(module, flag, False) for flag in ("HOLDS_GRAMMAR", "AS_LEARNER")}
    problems += [f"{flag} to be True or False, got {value!r}" for flag, value in flags.items() if not isinstance(value, bool)]
    if problems:
        raise ConfigError(f"{where}: expected {'; '.join(problems)}")
    check = getattr(module, "check_here", lambda config: None)
    return SamplerKind(name, summary, module.Config, module.open_sampler, flags["HOLDS_GRAMMAR"], flags["AS_LEARNER"], check)


def _config_problems(module: ModuleType) -> list[str]:
    config = getattr(module, "Config", None)
    if config is None:
        return [f"a class Config of its settings, it has none{did_you_mean('Config', _public(module))}"]
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        return [f"Config to be a pydantic BaseModel, got {config!r}"]
    if config.model_config.get("frozen") is not True or config.model_config.get("extra") != "forbid":
        return ['Config to have model_config = ConfigDict(frozen=True, extra="forbid")']
    return []


def _factory_problems(module: ModuleType) -> list[str]:
    factory = getattr(module, FACTORY, None)
    if not callable(factory):
        return [f"a function {FACTORY}(config, source, *, folder, version), it has none{did_you_mean(FACTORY, _public(module))}"]
    signature = inspect.signature(factory)
    try:
        signature.bind("config", "source", folder="folder", version=0)
    except TypeError as error:
        return [f"{FACTORY} to take (config, source, *, folder, version), it takes {signature} ({error})"]
    try:
        returned = typing.get_type_hints(factory).get("return")
    except (NameError, AttributeError, TypeError):  # names that exist for type checkers only; the opened object is checked later
        return []
    if isinstance(returned, type) and returned is not Sampler and (lacking := _lacking(returned)):
        return [f"{FACTORY} to return a Sampler, but a {returned.__name__} has no {' and no '.join(lacking)}"]
    return []


def _lacking(kind: type) -> list[str]:
    """The methods of the protocol that a class does not have, with the nearest of its own."""
    abstract = getattr(kind, "__abstractmethods__", ())
    own = [name for name in vars(kind) if name not in PROTOCOL and not name.startswith("_")]
    return [f"{name}{did_you_mean(name, own)}" for name in PROTOCOL if name in abstract or not callable(getattr(kind, name, None))]


def _public(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]
