"""Writing that survives a stop at any moment, and a plain error for a full disk."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webgym.errors import CheckpointError


@contextmanager
def disk_errors(path: Path, then: str = "go on with --resume") -> Iterator[None]:
    """Turns the error of any library about a full disk into a CheckpointError that says so, and what to do then."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # torch and safetensors report a full disk as errors of their own
        if not _is_full(error):
            raise
        raise CheckpointError(
            f"The disk that holds {path} is full ({_free_mib(path)} MiB free): nothing saved before is lost; free some space and {then}."
        ) from error


def _is_full(error: BaseException | None) -> bool:
    """True if this error, or one behind it, is a full disk; torch raises its own error over the system's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(error):  # safetensors passes on the words only
            return True
        error = error.__cause__ or error.__context__
    return False


def _free_mib(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free >> 20


def write_atomically(path: Path, data: bytes) -> None:
    """Make `path` hold `data`: it holds the old or the new content whenever the process or the machine stops."""
    fresh = path.with_name(f".{path.name}.tmp")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Makes what was written to this file outlive a power cut."""
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Makes renames in this folder outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
