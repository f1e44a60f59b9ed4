"""JSON lines of a file that may be written to while it is read: only what is new is read again, what is damaged is counted."""

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webgym.record.whole import plain

LONGEST = 1 << 28  # bytes of a line; a longer one, and what follows, is left out


class Lines:
    """The whole lines of a file; each is given once. A file that was replaced or cut is read anew (`generation` then rises)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        self._place = 0  # the end of the last whole line
        self._inode = 0

    def fresh(self) -> Iterator[tuple[int, bytes]]:
        """(place in the file, line) of each whole line that was not given yet. A line that is still being written waits."""
        try:
            status = self.path.stat()
        except OSError:
            self._restart(0)
            return
        if status.st_ino != self._inode or status.st_size < self._place:
            self._restart(status.st_ino)
        if status.st_size == self._place or not stat.S_ISREG(status.st_mode):  # a pipe would never end
            return
        with self.path.open("rb") as file:
            file.seek(self._place)
            while line := file.readline(LONGEST):
                if not line.endswith(b"\n"):
                    return
                place, self._place = self._place, self._place + len(line)
                yield place, line

    def _restart(self, inode: int) -> None:
        if self._place:
            self.generation += 1
        self._place, self._inode = 0, inode


class Records:
    """The JSON objects of such a file, all that are there; `problems` names the lines that are none."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._generation = 0
        self._number = 0
        self._lock = threading.Lock()
        self.rows: list[dict[str, Any]] = []
        self.problems: list[str] = []

    def refresh(self) -> list[dict[str, Any]]:
        """The rows, after a look for new ones. May be called from any thread."""
        with self._lock:
            self._read()
        return self.rows

    def _read(self) -> None:
        for _, line in self._lines.fresh():
            if self._lines.generation != self._generation:
                self._generation, self._number = self._lines.generation, 0
                self.rows, self.problems = [], []
            self._number += 1
            try:
                row = plain(json.loads(line, parse_constant=lambda name: None))  # NaN and infinities are no JSON for a browser
            except (ValueError, RecursionError):  # the second for a line of some thousand brackets
                row = None
            if isinstance(row, dict):
                self.rows.append(row)
            elif line.strip():
                self.problems.append(f"{self._lines.path.name}, line {self._number} is damaged and left out")
