"""Small files that are read and replaced as a whole: nobody reads half of one, and a hostile one is damaged, not an end."""

import contextlib
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from webgym.errors import UsageError, WebGymError

T = TypeVar("T")


def replace_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8, half a surrogate pair as a question mark) in place of what `path` holds, which stays on an error.

    Raises OSError.
    """
    replace_bytes(path, text.encode("utf-8", "replace"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write `content` in place of what `path` holds, which stays on an error. Raises OSError."""
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        with opened_fresh(fresh) as file:
            file.write(content)
        os.replace(fresh, path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()  # half a file on a full disk
        raise


def opened_fresh(path: Path) -> BinaryIO:
    """A file that is written from its beginning; a link of that name is removed and never followed. Raises OSError."""
    if path.is_symlink():
        path.unlink()
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666), "wb")


def append_line(path: Path, text: str) -> None:
    """Add a line to a file, made where there is none. A last line that its writer could not end is ended first. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        file.write((text + "\n").encode("utf-8", "replace"))


MOST = 64 << 20  # bytes of a small file


def read_small(path: Path) -> bytes:
    """The content of a small file. Raises OSError, ValueError for one that is too large, or is no file (a pipe, which would never end)."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MOST:
        raise ValueError(f"{path.name} is no file of at most {MOST >> 20} MiB")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """The value that a JSON file holds. Raises OSError, or ValueError for a file that is none or is nested too deeply to be read."""
    return json_of(read_small(path))


def json_of(content: bytes | str) -> Any:
    """The value of a JSON text (UTF-8). Raises ValueError, also for one that is nested too deeply to be read.

    >>> json_of('[' * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: no JSON that can be read: nested too deeply
    """
    try:
        return json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    except RecursionError:
        raise ValueError("no JSON that can be read: nested too deeply") from None


def read_as(path: Path, kind: Callable[[Any], T], what: str) -> T:
    """The value of a JSON file as `kind` makes it. Raises UsageError, which names the file, where it holds no `what`."""
    try:
        return kind(read_json(path))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, WebGymError) as error:
        raise UsageError(f"{path} holds no {what} ({error}): delete it, or take another folder") from None


DEEPEST = 50  # tables and lists in each other of a file that is shown


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON knows it: numbers without NaN and infinities (None), texts for all that JSON has no word for, and no deeper than
    :data:`DEEPEST`.

    >>> import datetime
    >>> plain({"a": [float("nan"), 1.5], "b": datetime.date(2026, 1, 5)})
    {'a': [None, 1.5], 'b': '2026-01-05'}
    """
    if isinstance(value, Mapping | list | tuple):
        if depth == DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {str(key): plain(item, depth + 1) for key, item in value.items()}
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
