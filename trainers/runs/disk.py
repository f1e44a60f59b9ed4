"""Writing that survives a stop at any moment, and a plain error for a full disk."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from webgym.errors import CheckpointError
from webgym.record.whole import opened_fresh


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
        files = (e.filename for e in _behind(error) if isinstance(e, OSError) and _full(e))
        where = next((Path(name) for name in files if isinstance(name, str)), path)
        raise CheckpointError(
            f"The disk that holds {where} is full ({_free_mib(where)} MiB free): nothing saved before is lost; free some space and {then}."
        ) from error


def _is_full(error: BaseException) -> bool:
    """True if this error, or one behind it, is a full disk; torch raises its own error over the system's."""
    return any(map(_full, _behind(error)))


def _full(error: BaseException) -> bool:
    """True if this error is that of a full disk; safetensors passes on the words only."""
    return (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left on device" in str(error)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _free_mib(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free >> 20


def write_atomically(path: Path, data: bytes) -> None:
    """Make `path` hold `data`: it holds the old or the new content whenever the process or the machine stops."""
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        with opened_fresh(fresh) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()  # half a file on a full disk
        raise
    sync_folder(path.parent)


def replace_files(folder: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write files, and put them into `folder` once all are written: on a full disk, those of before stay. Raises OSError."""
    fresh = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        save(fresh)
        folder.mkdir(exist_ok=True)
        for path in sorted(fresh.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


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
