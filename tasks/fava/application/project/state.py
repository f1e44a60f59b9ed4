"""State of the books as data: `python -m project.state` prints every entry of the ledger, and the files beside it."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from .guard import FOLDERS, guard_ledgers

LEDGER = Path("ledger.beancount")
MOST = 2_000  # characters of a file's content


def state() -> dict[str, Any]:
    """The rows `entries`, `files` and `errors`, each with a column `key`."""
    os.environ["BEANCOUNT_DISABLE_LOAD_CACHE"] = "1"
    from beancount import loader

    guard_ledgers()
    try:
        entries, errors, options = loader.load_file(str(LEDGER.absolute()))
        rows = [_row(entry) for entry in entries if not _found_by_folder(entry)]
        rows += [{"type": "Option", "name": name, "value": str(options[name])} for name in ("title", "operating_currency")]
        told = [{"message": error.message} for error in errors]
    except Exception as error:  # what was written is no ledger, and the episode is lost by it
        rows, told = [], [{"message": f"the ledger cannot be read: {error!r}"}]
    return {"entries": _keyed(rows), "files": _files(), "errors": _keyed(told)}


def _row(entry: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"type": type(entry).__name__, "date": str(entry.date)}
    fields = entry._asdict()
    for name in ("payee", "narration", "flag", "account", "comment", "name", "description"):
        if name in fields:
            row[name] = fields[name] or ""
    if fields.get("amount") is not None:
        row["amount"] = _amount(fields["amount"])
    if "postings" in fields:
        row["postings"] = sorted(f"{posting.account} {_amount(posting.units)}{_price(posting)}" for posting in fields["postings"])
        row["labels"] = sorted([*(entry.tags or ()), *(entry.links or ())])
    row["meta"] = {key: str(value) for key, value in entry.meta.items() if key not in ("filename", "lineno") and not key.startswith("__")}
    if row["type"] not in ("Transaction", "Note", "Balance"):
        row["more"] = str([value for name, value in fields.items() if name not in ("meta", "date")])
    return row


def _amount(amount: Any) -> str:
    return f"{amount.number.normalize():f} {amount.currency}"


def _price(posting: Any) -> str:
    return "".join(f" {mark} {value}" for mark, value in (("@", posting.price), ("{}", posting.cost)) if value is not None)


def _found_by_folder(entry: Any) -> bool:
    """True for documents that the ledger finds in its folder: they are among the files."""
    return type(entry).__name__ == "Document" and entry.meta.get("lineno", 0) == 0


def _files() -> list[dict[str, Any]]:
    found = [path for folder in FOLDERS for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return [{"key": str(path), "path": str(path), "text": path.read_text("utf-8", "replace")[:MOST]} for path in found]


def _keyed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with all that they say as their key, and a number where several are the same."""
    counts: Counter[str] = Counter()
    for row in rows:
        key = json.dumps(row, sort_keys=True)
        counts[key] += 1
        row["key"] = key if counts[key] == 1 else f"{key} {counts[key]}"
    return rows


if __name__ == "__main__":
    print(json.dumps(state()))
