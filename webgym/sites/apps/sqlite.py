"""SQLite files that an application has open: put back and read while it runs."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

BUSY_S = 10.0  # that a file may be locked by its application
QUERY_S = 20.0  # that a query may take
READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
TELLS = (
    "data_version", "foreign_key_list", "index_info", "index_list", "index_xinfo", "page_size", "table_info", "table_list", "table_xinfo",
)  # fmt: skip
"""Pragmas that change nothing; full-text search needs the first and the page size."""


def _opened(path: Path, *modes: str) -> sqlite3.Connection:
    """A connection in the first mode that works."""
    if "rwc" not in modes and not path.is_file():
        raise FileNotFoundError(f"there is no SQLite file {path.name}")
    for mode in modes:
        live = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=BUSY_S)
        try:
            live.execute("pragma schema_version")
            return live
        except sqlite3.OperationalError:
            live.close()
            if mode == modes[-1]:
                raise
    raise AssertionError("no mode was given")


def _to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. A write-ahead log can be read only by who may open it for writing, where nobody else has it open."""
    live = _opened(path, "rw", "ro")
    live.execute("pragma query_only = 1")
    return live


def copy_database(source: Path, target: Path) -> None:
    """Make the target's content that of the source, by SQLite's own backup: both may be open elsewhere, with any journal.

    Raises TimeoutError where the target stays locked, FileNotFoundError, sqlite3.Error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + BUSY_S

    def watch(status: int, remaining: int, total: int) -> None:
        if remaining and time.monotonic() > until:
            raise TimeoutError(f"{target.name} stayed locked for {BUSY_S:g} s: a transaction is open")

    with closing(_to_read(source)) as good, closing(_opened(target, "rwc")) as live:
        good.backup(live, pages=4096, progress=watch, sleep=0.005)


class _Asked:
    """The parts of a query, asked of one by one: reading this file is allowed, and nothing else. `refused` tells whether one was not."""

    def __init__(self) -> None:
        self.refused = False

    def __call__(self, deed: int, first: str | None, second: str | None, database: str | None, inner: str | None) -> int:
        telling = deed == sqlite3.SQLITE_PRAGMA and first in TELLS
        # How a virtual table (full text, JSON) is declared. SQLite itself refuses a query that writes there.
        declaring = deed == sqlite3.SQLITE_UPDATE and first == "sqlite_master"
        if deed in READS or telling or declaring:
            return sqlite3.SQLITE_OK
        self.refused = True
        return sqlite3.SQLITE_DENY


def rows(path: Path, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows that a query finds, as mappings by column. Raises sqlite3.Error, FileNotFoundError.

    Nothing can be written, and no other file opened or made. A query that does not end is interrupted after QUERY_S, because nothing else
    would end the thread in which it runs.
    """
    until, asked = time.monotonic() + QUERY_S, _Asked()
    with closing(_to_read(path)) as live:
        live.set_progress_handler(lambda: time.monotonic() > until, 100_000)
        live.set_authorizer(asked)
        try:
            found = live.execute(query, tuple(values))
        except sqlite3.DatabaseError as error:
            if asked.refused:
                raise sqlite3.DatabaseError("expected a query that only reads this file, got one that does more: write a select") from error
            raise
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in found]


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
