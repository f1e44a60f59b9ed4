"""Steps that bring an application back to its first state, and readers of its state: each is called with the instance, in a thread."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from webgym.sites.apps import sqlite
from webgym.sites.apps.files import put_back
from webgym.sites.apps.instance import PlainInstance, Wrong


@dataclass(frozen=True)
class Sqlite:
    """Reset of a SQLite file by its backup, onto the file that the application has open.

    `path` lies in the application's folder. It becomes what `source` is, or else what it was when the process had just started.
    """

    path: str
    source: Path | None = None

    def keep(self, instance: PlainInstance, born: Path) -> None:
        """Keep what the file is when the process has just started."""
        if self.source is None and instance.path(self.path).is_file():
            sqlite.copy_database(instance.path(self.path), born / self.path)

    def put_back(self, instance: PlainInstance, born: Path) -> None:
        """Make the file what it was. Raises Wrong."""
        source = self.source or born / self.path
        if not source.is_file():
            raise Wrong(f"there is no SQLite file {self.path!r} to go back to: expected it in the application's folder once it has started")
        try:
            sqlite.copy_database(source, instance.path(self.path))
        except (sqlite.sqlite3.Error, OSError) as error:
            raise Wrong(f"{self.path} could not be put back: {error}") from error


@dataclass(frozen=True)
class Copy:
    """Reset of a file or a folder by a copy. `path` lies in the application's folder; it becomes what `source` is, or what it was first."""

    path: str
    source: Path | None = None

    def keep(self, instance: PlainInstance, born: Path) -> None:
        """Keep what there is when the process has just started."""
        if self.source is None:
            put_back(instance.path(self.path), born / self.path)

    def put_back(self, instance: PlainInstance, born: Path) -> None:
        """Make it what it was; what was not there is removed. Raises Wrong."""
        try:
            put_back(self.source or born / self.path, instance.path(self.path), ours=self.source is None)
        except OSError as error:
            raise Wrong(f"{self.path} could not be put back: {error}") from error


@dataclass(frozen=True)
class Get:
    """A GET request: as a reset it is sent, as a reader its answer is the state."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, instance: PlainInstance) -> Any:
        return instance.get(self.path, headers=self.headers)

    def state(self, instance: PlainInstance) -> Any:
        """The answer as a state: one that sends the asker on, such as to a page for signing in, is none. Raises Wrong."""
        return instance.get(self.path, headers=self.headers, sent_on=False)


@dataclass(frozen=True)
class Post:
    """A POST request with JSON or a form, whose texts may hold `{seed}`."""

    path: str
    json: Any = None
    form: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, instance: PlainInstance) -> Any:
        seeded = _with_seed((self.json, self.form), instance.seed)
        return instance.post(self.path, json=seeded[0], form=seeded[1], headers=self.headers)


@dataclass(frozen=True)
class Command:
    """A command without a shell, as a list or as a text that is split like a shell's; as a reader, what it prints (data if it is JSON)."""

    arguments: Sequence[str] | str

    def __call__(self, instance: PlainInstance) -> Any:
        arguments = shlex.split(self.arguments) if isinstance(self.arguments, str) else list(self.arguments)
        said = instance.command(arguments)
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            return said.strip()


@dataclass(frozen=True)
class Query:
    """Reader of a SQLite file: the rows that the query finds, as mappings by column."""

    database: str
    query: str

    def __call__(self, instance: PlainInstance) -> Any:
        return instance.sqlite(self.database, self.query)


@dataclass(frozen=True)
class File:
    """Reader of a file: data where its name ends in .json, else text."""

    path: str

    def __call__(self, instance: PlainInstance) -> Any:
        return instance.read(self.path)


restart: Literal["restart"] = "restart"
"""Reset by a fresh process on a fresh copy of its folder."""

Reset = Sqlite | Copy | Callable[[Any], Any] | Literal["restart"]
Reader = Callable[[Any], Any]


def in_words(step: Any) -> str:
    """A step or reader in an error message."""
    return step.__name__ if hasattr(step, "__name__") else repr(step)


def _with_seed(thing: Any, seed: int) -> Any:
    match thing:
        case "{seed}":
            return seed
        case str():
            return thing.replace("{seed}", str(seed))
        case Mapping():
            return {key: _with_seed(value, seed) for key, value in thing.items()}
        case list() | tuple():
            return [_with_seed(value, seed) for value in thing]
    return thing
