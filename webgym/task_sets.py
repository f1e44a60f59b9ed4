"""Named sets of tasks with their seeds for training, validation and test, from `tasks/sets.toml`.

The splits never share a seed: what is learned on one is measured on instances that it never saw.
"""

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from webgym.errors import TaskFileError, UnknownTaskError, did_you_mean
from webgym.registry import PACKS_FOLDER, select

Split = Literal["train", "valid", "test"]
SETS_FILE = PACKS_FOLDER / "sets.toml"


@dataclass(frozen=True)
class TaskSet:
    """Tasks that are trained and evaluated together."""

    name: str
    description: str
    tasks: tuple[str, ...]  # ids, "<pack>.<task>"


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
    """The seeds of a split, the same for every task. Raises TaskFileError when the file is malformed."""
    try:
        return range(*_content()["seeds"][split])
    except (KeyError, TypeError) as error:
        raise TaskFileError(f"{SETS_FILE}: expected [seeds] with train, valid and test = [first, end]: {error!r}") from error


def choose(names: Iterable[str]) -> list[str]:
    """Task ids for set names, ids and patterns such as `miniwob.click-*`, in order, each once. Raises UnknownTaskError (did you mean)."""
    chosen: dict[str, None] = {}
    for name in names:
        if name in task_sets():
            chosen.update(dict.fromkeys(task_sets()[name].tasks))
        elif "." in name or "*" in name:
            chosen.update(dict.fromkeys(select([name])))
        else:
            known = ", ".join(task_sets())
            raise UnknownTaskError(f"no task set is called {name!r}{did_you_mean(name, task_sets())} (sets: {known}; an id is pack.task)")
    return list(chosen)
