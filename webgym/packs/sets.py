"""Named sets of tasks, from `tasks/sets.toml`, and the choice of tasks by set, pack, id, pattern or file."""

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from webgym.errors import TaskFileError, UnknownTaskError, did_you_mean
from webgym.packs.registry import PACKS_FOLDER, TASK_FILES, is_module_name, load, load_module, manifests, select, task
from webgym.task import SEEDS, Split

SETS_FILE = PACKS_FOLDER / "sets.toml"


@dataclass(frozen=True)
class TaskSet:
    """Tasks that are trained or evaluated together. Those of a set that is `held_out` belong to no set for training."""

    name: str
    description: str
    patterns: tuple[str, ...]  # ids, "<pack>.<task>", or patterns of them

    @property
    def held_out(self) -> bool:
        return self.name.startswith("test-")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The ids. Raises TaskFileError where a pattern fits none."""
        try:
            return tuple(select(self.patterns))
        except UnknownTaskError as error:
            raise TaskFileError(f"{SETS_FILE}: in the set {self.name!r}, {error}") from error


@functools.cache
def _content() -> dict[str, Any]:
    try:
        return tomllib.loads(SETS_FILE.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TaskFileError(f"{SETS_FILE}: expected the task sets as TOML: {error}") from error


@functools.cache
def task_sets() -> dict[str, TaskSet]:
    """All sets by name. Raises TaskFileError when the file is malformed."""
    try:
        return {name: TaskSet(name, entry["description"], tuple(entry["tasks"])) for name, entry in _content()["sets"].items()}
    except (KeyError, TypeError) as error:
        raise TaskFileError(f"{SETS_FILE}: expected [sets.NAME] with description and tasks: {error!r}") from error


def seeds_of(split: Split) -> range:
    """The seeds of a split, the same for every task."""
    return SEEDS[split]


def is_path(name: str) -> bool:
    """True if a name is that of a task file or pack folder (`./mine`, `packs/mine/tasks.yaml`), rather than of a set or task.

    >>> is_path("mine/tasks.yaml"), is_path("./mine"), is_path("miniwob.click-*"), is_path("webgym/miniwob.click-test-v0")
    (True, True, False, False)
    """
    return name.startswith((".", "/", "~")) or Path(name).suffix in (*TASK_FILES, ".py") or ("/" in name and Path(name).is_dir())


def choose(names: Iterable[str]) -> list[str]:
    """Task ids for what a user names, in order, each once.

    A name is that of a set, a pack (all its tasks), an id, a pattern such as `miniwob.click-*`, a task file, pack folder or Python file
    (loaded here), FILE#ID, or MODULE:ID, where ID may be a pattern, for tasks that a Python module registers.
    Raises UnknownTaskError (did you mean), TaskFileError.
    """
    chosen: dict[str, None] = {}
    for name in (names,) if isinstance(names, str) else names:
        if name in task_sets():
            chosen.update(dict.fromkeys(task_sets()[name].tasks))
        elif name in manifests():
            chosen.update(dict.fromkeys(select([f"{name}.*"])))
        elif "#" in name:
            chosen[task(name).id] = None
        elif is_module_name(name):
            module, _, pattern = name.partition(":")
            own = load_module(module)
            found = [task_id for task_id in own if fnmatchcase(task_id, pattern)]
            if not found:
                raise UnknownTaskError(f"no task of {module} matches {pattern!r}{did_you_mean(pattern, own)} (it has {', '.join(own)})")
            chosen.update(dict.fromkeys(found))
        elif "," in name and not is_path(name):
            shown = f"{name[:60]}..." if len(name) > 60 else name
            raise UnknownTaskError(f"expected one name of tasks, got {shown!r}: give each its own option, as in --tasks A --tasks B")
        elif is_path(name):
            chosen.update(dict.fromkeys(load(Path(name))))
        elif "." in name or "*" in name:
            chosen.update(dict.fromkeys(select([name])))
        else:
            known = [*task_sets(), *manifests()]
            sets, packs = ", ".join(task_sets()), ", ".join(manifests())
            raise UnknownTaskError(
                f"no task set is called {name!r}{did_you_mean(name, known)} (sets: {sets}; packs: {packs}; an id is pack.task)"
            )
    return list(chosen)
