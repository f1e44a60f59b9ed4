"""Cells of a study on disk: one row per finished cell, written in one go, and claims that end with their process.

::

    OUT/
    ├── grid.toml          the grid that was asked for; another one is refused in the same folder
    ├── NAME.json          one row per finished cell; names may have slashes
    └── work/NAME.lock     claims

A process that is killed loses the cell under way and no other. Several processes may work on one folder.
"""

import fcntl
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from trainers.runs.disk import write_atomically
from webgym.errors import ConfigError


class Named(Protocol):
    """A cell, whose row is stored under its name."""

    @property
    def name(self) -> str: ...


C = TypeVar("C", bound=Named)


class CellFolder:
    """The folder of a study. Raises ConfigError where it holds the rows of another grid; `grid` are the grid's bytes, `source` its name."""

    def __init__(self, out: Path, grid: bytes, source: str | Path) -> None:
        self.out = out
        kept = out / "grid.toml"
        if kept.exists() and kept.read_bytes() != grid:
            raise ConfigError(f"{out} holds rows of another grid than {source}: give another --out, or the grid that lies there")
        out.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            write_atomically(kept, grid)

    def rows(self, pattern: str) -> list[dict[str, Any]]:
        """The rows of finished cells whose name fits a glob pattern."""
        return [json.loads(file.read_text("utf-8")) for file in sorted(self.out.glob(f"{pattern}.json"))]

    def file(self, name: str) -> Path:
        """Path of a cell's row."""
        return self.out / f"{name}.json"

    def done(self, name: str) -> bool:
        """True if the cell is finished."""
        return self.file(name).exists()

    def keep(self, name: str, row: dict[str, Any]) -> None:
        """Write the row of a finished cell."""
        self.file(name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file(name), json.dumps(row).encode())

    def play(self, cells: Iterable[C], measure: Callable[[C], dict[str, Any]], most: int | None) -> Iterator[tuple[C, dict[str, Any]]]:
        """Each cell that is played now, at most `most`, with its row, once that is written. Cells of other processes are left out."""
        played = 0
        for cell in cells:
            if played == most:
                return
            with self.claim(cell.name) as mine:
                if not mine or self.done(cell.name):
                    continue
                row = measure(cell)
                self.keep(cell.name, row)
            played += 1
            yield cell, row

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """True if this process may play the cell. The system releases the claim when the process ends, however it ends."""
        file = self.out / "work" / f"{name}.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
