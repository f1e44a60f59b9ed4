"""All tasks by id. Packs are found by their manifest and imported when one of their tasks is first asked for.

A pack is a folder with a `pack.toml` (title, and a table per task with at least `max_turns`) and a Python module of the same name
that gives `tasks()` and `sites()` (:class:`webgym.task.Pack`). Ours lie in `tasks/` beside this package and are loaded from that path
under the private name `webgym_tasks`, so that a user's own `tasks/` or `cli.py` never stands in their way. Others
come through the entry-point group `webgym.tasks` (a value that names a module with `tasks()` and `sites()`) or :func:`register`.
"""

import functools
import importlib
import importlib.metadata
import sys
import tomllib
import types
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import gymnasium as gym

from webgym.errors import TaskFileError, UnknownTaskError, did_you_mean
from webgym.task import Pack, Site, Task

PACKS_FOLDER = Path(__file__).resolve().parent.parent / "tasks"
ENTRY_POINTS = "webgym.tasks"
_registered: dict[str, Task] = {}
_registered_sites: list[Site] = []


@functools.cache
def manifests() -> dict[str, dict[str, Any]]:
    """The parsed `pack.toml` of every pack beside this package, by pack name. Imports no pack."""
    found = {}
    for path in sorted(PACKS_FOLDER.glob("*/pack.toml")):
        try:
            found[path.parent.name] = tomllib.loads(path.read_text("utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise TaskFileError(f"{path}: not valid TOML: {error}") from error
    return found


def task_ids() -> list[str]:
    """The ids of all known tasks, as "<pack>.<task>"."""
    own = [f"{pack}.{name}" for pack, manifest in manifests().items() for name in manifest["tasks"]]
    return own + [f"{name}.{task}" for name, pack in _foreign_packs().items() for task in pack.tasks()] + list(_registered)


def task(task_id: str) -> Task:
    """The task with this id ("<pack>.<task>", or the Gym id "webgym/<pack>.<task>-v0"). Raises UnknownTaskError."""
    plain = task_id.removeprefix("webgym/").removesuffix("-v0")
    if plain in _registered:
        return _registered[plain]
    pack, _, name = plain.partition(".")
    found = _pack(pack).tasks().get(name) if pack in manifests() or pack in _foreign_packs() else None
    if found is None:
        raise UnknownTaskError(f"there is no task {task_id!r}{did_you_mean(plain, task_ids())} (`webgym tasks list` shows all)")
    return found


def sites_of(found: Task) -> Sequence[Site]:
    """The sites that serve the task's hosts."""
    pack = found.id.partition(".")[0]
    known = [*_registered_sites, *(_pack(pack).sites() if pack in manifests() or pack in _foreign_packs() else ())]
    return [site for site in known if site.host in found.hosts]


def select(patterns: Iterable[str]) -> list[str]:
    """Task ids that match the patterns (`miniwob.click-*`), in registry order, each once. Raises UnknownTaskError where none does."""
    ids, chosen = task_ids(), {}
    for pattern in patterns:
        plain = pattern.removeprefix("webgym/").removesuffix("-v0")
        matches = [i for i in ids if fnmatchcase(i, plain)]
        if not matches:
            raise UnknownTaskError(f"no task matches {pattern!r}{did_you_mean(plain, ids)}")
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def register(new: Task, sites: Iterable[Site] = ()) -> Task:
    """Make a task known by its id and to Gymnasium as `webgym/<id>-v0`. Raises TaskFileError when the id is taken or has no pack name."""
    if "." not in new.id:
        raise TaskFileError(f"task id {new.id!r} has no pack name: expected '<pack>.<task>'")
    if new.id in _registered or new.id in task_ids():
        raise TaskFileError(f"there is a task {new.id!r} already: give the new one another id")
    _registered[new.id] = new
    _registered_sites.extend(site for site in sites if site not in _registered_sites)
    _register_gym(new.id)
    return new


def register_all() -> None:
    """Make the packs beside this package known to Gymnasium; called by `import webgym`."""
    for pack, manifest in manifests().items():
        for name in manifest["tasks"]:
            _register_gym(f"{pack}.{name}")


def _register_gym(task_id: str) -> None:
    gym.register(f"webgym/{task_id}-v0", entry_point="webgym.env:WebEnv", kwargs={"task_id": task_id})


@functools.cache
def _pack(name: str) -> Pack:
    if name in _foreign_packs():
        return _foreign_packs()[name]
    if "webgym_tasks" not in sys.modules:
        package = types.ModuleType("webgym_tasks", "The packs beside webgym.")
        package.__path__ = [str(PACKS_FOLDER)]
        sys.modules["webgym_tasks"] = package
    return importlib.import_module(f"webgym_tasks.{name}")  # type: ignore[return-value]


@functools.cache
def _foreign_packs() -> dict[str, Pack]:
    """Packs of other distributions, by entry-point name."""
    return {entry.name: entry.load() for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}
