"""One file, one algorithm; this folder is the registry. An algorithm is a Python file with

- a docstring: the paper and the equation, and where the default differs; its first line is the summary;
- `Config(AlgorithmConfig)`: a default and a doc line per field (:mod:`trainers.credit.algorithm` has the bases);
- `needs_values(config)`: "" for no critic, "turn" for V(s_t) at each turn, "token" for one at each sampled token, "action" for
  Q(s_t, a_t) beside V(s_t), from a critic that `config.q` (:class:`trainers.critics.q_critic.ActionValueConfig`) describes;
- `credit(groups, values, config) -> Credit`;
- with a critic of states, `targets(groups, config)`: the targets of its fit, one array per trajectory, computed before credit is given;
- off-policy, or with demands on the episodes, `practice(config) -> Practice`: which episodes, how many of them at least, and whose actions
  the credit is given to;
- with metrics of its own in the Credit's stats, `METRICS`: the meaning of each.

A file in this folder is found by its name. So is one of an installed distribution that has an entry point in the group
`webgym.algorithms`, whose value names the module. Any other file is given by its path (`webgym train --algo ./mine.py`). All of the
contract is checked when the file is read.
"""

import ast
import functools
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from webgym.errors import ConfigError, did_you_mean

if TYPE_CHECKING:  # torch comes with it, and a list of algorithms needs none
    from importlib.metadata import EntryPoint

    from trainers.credit.algorithm import Algorithm, AlgorithmConfig

ENTRY_POINTS = "webgym.algorithms"

_loaded: "dict[str, tuple[tuple[int, int], Algorithm]]" = {}  # by path: a file's time and size when it was read, and what it defines


@dataclass(frozen=True, slots=True)
class Listed:
    """An algorithm as a list shows it, without importing it."""

    name: str
    summary: str  # first line of its docstring; "" where the file cannot be read
    entry_point: str  # of another distribution; "" for a file of this folder


def names() -> list[str]:
    """Names of all algorithms, without importing them."""
    return sorted({*_files(), *_entry_points()})


def listed() -> list[Listed]:
    """All algorithms by name, without importing them."""
    ours = [Listed(name, _summary(file), "") for name, file in _files().items()]
    others = [Listed(name, _summary(_file_of(entry.module)), entry.value) for name, entry in _entry_points().items()]
    return sorted((*ours, *others), key=lambda found: found.name)


def get(name: str) -> "Algorithm":
    """The algorithm of this name, or in the file at this path.

    Raises ConfigError, with the nearest names, where there is none, and where its file lacks a part or cannot be imported.
    """
    from trainers.algorithms import _contract

    if is_path(name):
        return _at(absolute(name))
    if name in _files():
        where = f"algorithm file {name}.py"
        module = _imported(lambda: importlib.import_module(f"{__name__}.{name}"), where, _files()[name])
    elif entry := _entry_points().get(name):
        where = f"algorithm {name} (entry point {entry.value!r})"
        module = _imported(lambda: importlib.import_module(entry.module), where, _file_of(entry.module))
    else:
        raise ConfigError(
            f"no algorithm is called {name!r}{did_you_mean(name, names())} (there are {', '.join(names())}; "
            "a file elsewhere is given by its path, such as ./mine.py)"
        )
    return _contract.read(module, name, name, where)


def discover() -> "dict[str, Algorithm]":
    """All algorithms by name. One of another distribution that cannot be read is left out with a warning."""
    found = {name: get(name) for name in _files()}
    for name in _entry_points():
        try:
            found[name] = get(name)
        except ConfigError as error:
            warnings.warn(f"{error}; it is left out", stacklevel=2)
    return dict(sorted(found.items()))


def check(algorithm: "Algorithm", config: "AlgorithmConfig") -> None:
    """Raises ConfigError where the algorithm's file lacks what this configuration of it asks for."""
    from trainers.algorithms import _contract

    _contract.check(algorithm, config)


def is_path(name: str) -> bool:
    """True for the path of a file, False for a name."""
    return name.endswith(".py") or "/" in name or os.sep in name


def absolute(name: str) -> str:
    """Name for a configuration: a name unchanged, a path made absolute, because a run may be resumed from another folder."""
    return os.path.abspath(Path(name).expanduser()) if is_path(name) else name


# --- files in this folder, of other distributions, and elsewhere ---------------------------------------------------------


def _files() -> dict[str, Path]:
    """The files of this folder by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            found[module.name] = Path(module.module_finder.path, f"{module.name}.py")  # type: ignore[union-attr]
    return found


@functools.cache
def _entry_points() -> "dict[str, EntryPoint]":
    """The algorithms that other distributions offer, by name; none takes the name of a file in this folder."""
    import importlib.metadata

    found = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.name in _files():
            warnings.warn(f"the algorithm {entry.name!r} (entry point {entry.value!r}) is left out: there is one already", stacklevel=2)
        else:
            found[entry.name] = entry
    return found


def _file_of(module: str) -> Path | None:
    """The source file of a module that is not imported; None where it is not found."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if not rest:
        return Path(spec.origin) if spec and spec.origin else None
    for location in (spec and spec.submodule_search_locations) or ():
        inside = Path(location, *rest)
        for file in (inside.with_name(f"{inside.name}.py"), inside / "__init__.py"):
            if file.is_file():
                return file
    return None


def _summary(file: Path | None) -> str:
    try:
        tree = ast.parse(file.read_text("utf-8")) if file else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return ""
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _at(path: str) -> "Algorithm":
    """The algorithm in the file at an absolute path; a file that has changed since it was read is read anew."""
    from trainers.algorithms import _contract

    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        what = "that is no Python file (.py)" if file.exists() else "there is no such file; a run finds it where it was when it was started"
        raise ConfigError(f"algorithm file {path}: {what}")
    stat = file.stat()
    stamp = (stat.st_mtime_ns, stat.st_size)
    if path not in _loaded or _loaded[path][0] != stamp:
        where = f"algorithm file {path}"
        _loaded[path] = stamp, _contract.read(_imported(lambda: _execute(file), where, file), file.stem, path, where)
    return _loaded[path][1]


def _execute(file: Path) -> ModuleType:
    """The module in a file, under a private name, so that it hides no other module."""
    name = f"webgym_algorithm_{file.stem}_{zlib.crc32(os.fsencode(file)):08x}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _imported(load: Callable[[], ModuleType], where: str, file: Path | None) -> ModuleType:
    """Import a module by `load`. Raises ConfigError with the line of `file` at which the import failed."""
    try:
        return load()
    except ConfigError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if file and Path(frame.filename) == file]
        if isinstance(error, SyntaxError) and file and error.filename == str(file):
            lines.append(error.lineno)
        line = f" at line {lines[-1]}" if lines else ""
        words = error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]
        raise ConfigError(f"{where} cannot be imported{line}: {type(error).__name__}: {words}") from error
