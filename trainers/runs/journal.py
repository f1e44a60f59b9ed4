"""Rows on disk, each of one iteration: metrics.jsonl and values.jsonl of a run."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers.runs.disk import disk_errors, write_atomically
from webgym.errors import CheckpointError
from webgym.record.whole import json_of


class Journal:
    """A JSONL file of rows. A row has left the process when `append` returns; a torn last line is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, iteration: int, row: Mapping[str, Any]) -> None:
        """Add a row. NaN and infinities, which JSON lacks, become null."""
        line = json.dumps({"iteration": iteration, **finite(row)}, allow_nan=False, separators=(",", ":")) + "\n"
        with disk_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number, line, torn in self._lines():
            try:
                row = json_of(line)
                if not isinstance(row, dict) or type(row.get("iteration")) is not int:
                    raise ValueError("it is no row with an iteration")
            except ValueError as error:
                if not torn:
                    raise CheckpointError(f"{self.path}, line {number} cannot be read: {error}; delete that line to go on.") from error
                continue
            yield row

    def truncate(self, iteration: int) -> None:
        """Keep the rows up to this iteration, in their order."""
        if self.path.exists():
            kept = [json.dumps(row, separators=(",", ":")) + "\n" for row in self if row["iteration"] <= iteration]
            write_atomically(self.path, "".join(kept).encode())

    def _lines(self) -> Iterator[tuple[int, str, bool]]:
        """(number from 1, line, whether its writer was stopped in the middle of it)."""
        if self.path.exists():
            for number, line in enumerate(self.path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True), 1):
                yield number, line, not line.endswith("\n")


def finite(value: Any) -> Any:
    """`value` as plain data of JSON, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a scalar of numpy or torch
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
