"""Reader of what an episode changed in a SQLite database: all of it, so that a check sees what else was done, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webgym.sites.apps import sqlite
from webgym.sites.apps.instance import PlainInstance, Wrong


@dataclass(frozen=True)
class Changes:
    """Reader of the differences between a database and its first state, `source`.

    Each of `queries` has a column `key`, by which its rows are told apart. The state has, for each query that finds a difference,
    `changed` (by key: the columns that differ, with their new values), `added` (rows without their key) and `removed` (keys)::

        Changes("db/trac.db", snapshot / "db/trac.db", {"tickets": "select id as key, summary, status from ticket"})
        # {"tickets": {"changed": {"7": {"status": "closed"}}, "added": [{"summary": "New one", "status": "new"}]}}
    """

    database: str
    source: Path
    queries: Mapping[str, str]

    def __call__(self, instance: PlainInstance) -> dict[str, Any]:
        """The differences. Raises Wrong."""
        found = {}
        for name, query in self.queries.items():
            try:
                before = sqlite.rows(self.source, query)
            except (sqlite.sqlite3.Error, OSError) as error:
                raise Wrong(f"the query {query!r} of {self.source.name} failed: {error}") from error
            if difference := between(before, instance.sqlite(self.database, query)):
                found[name] = difference
        return found


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if two states of :class:`Changes` are the same; rows that were added have no order, and a price of 490 is one of 490.0.

    >>> alike({"orders": {"added": [{"total": 490}, {"total": 9.5}]}}, {"orders": {"added": [{"total": 9.5}, {"total": 490.0}]}})
    True
    """
    return _unordered(one) == _unordered(other)


def _unordered(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**parts, "added": sorted(map(repr, map(_in_order, parts.get("added", ()))))} for name, parts in changes.items()}


def _in_order(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, int(value) if isinstance(value, bool | float) and value == value // 1 else value) for name, value in row.items())


def between(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, Any]:
    """The differences between two lists of rows with a column `key`, as :class:`Changes` gives them.

    >>> between([{"key": 1, "a": "x", "b": 0}, {"key": 2, "a": "y", "b": 0}], [{"key": 1, "a": "z", "b": 0}, {"key": 3, "a": "w", "b": 1}])
    {'changed': {'1': {'a': 'z'}}, 'added': [{'a': 'w', 'b': 1}], 'removed': ['2']}
    """
    old, new = (
        {str(row["key"]): {name: value for name, value in row.items() if name != "key"} for row in rows} for rows in (before, after)
    )
    changed = {
        key: {name: value for name, value in row.items() if value != old[key][name]}
        for key, row in new.items()
        if key in old and row != old[key]
    }
    added = [row for key, row in new.items() if key not in old]
    removed = [key for key in old if key not in new]
    return {name: part for name, part in (("changed", changed), ("added", added), ("removed", removed)) if part}
