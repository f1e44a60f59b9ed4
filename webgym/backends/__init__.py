"""Backends: what shows pages and performs actions. One folder each, and this folder is the registry.

A folder's `__init__.py` defines `BACKEND`, a :class:`webgym.backends.base.Backend`, and loads the machinery only when a pool is opened.
Other distributions offer theirs through the entry-point group `webgym.backends`, whose values name such an object.
"""

import functools
import importlib
import importlib.metadata
import pkgutil

from webgym.backends.base import Backend
from webgym.errors import ConfigError, did_you_mean
from webgym.task import Task

ENTRY_POINTS = "webgym.backends"
PARTS = ("can_play", "pool", "versions")


def names() -> list[str]:
    """The names of all backends, without loading them."""
    folders = {module.name for module in pkgutil.iter_modules(__path__) if module.ispkg}
    return sorted(folders | set(_entry_points()))


def known_backend(name: str) -> str:
    """The name, where a backend has it. Raises ConfigError that lists the known ones."""
    if name not in names():
        raise ConfigError(f"there is no backend {name!r}: expected one of {', '.join(names())}{did_you_mean(name, names())}")
    return name


def get(backend: Backend | str) -> Backend:
    """The backend of this name, or the given one itself. Raises ConfigError where there is none, or where it lacks a method."""
    name, found = (backend, _named(known_backend(backend))) if isinstance(backend, str) else (type(backend).__name__, backend)
    missing = [part for part in PARTS if not callable(getattr(found, part, None))]
    if found is None or missing:
        raise ConfigError(f"the backend {name!r} has no {', '.join(missing)}: expected the methods of webgym.backends.base.Backend")
    return found


def of(task: Task, wanted: Backend | str) -> Backend:
    """The backend that plays a task: the task's own, where it names one, else the wanted one. Raises ConfigError."""
    return get(task.backend or wanted)


def _named(name: str) -> Backend | None:
    entry = _entry_points().get(name)
    if entry is None or name in {module.name for module in pkgutil.iter_modules(__path__)}:
        return getattr(importlib.import_module(f"{__name__}.{name}"), "BACKEND", None)
    try:
        return entry.load()
    except Exception as error:  # another distribution's code can raise anything
        raise ConfigError(f"the backend {name!r} (entry point {entry.value!r}) cannot be loaded: {error!r}") from error


@functools.cache  # reading the metadata of all distributions takes milliseconds, and every session asks
def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    """The backends that other distributions offer, by name."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}
