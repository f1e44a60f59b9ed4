"""Files of applications: copies of their folders, and paths that stay inside of a folder."""

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from webgym.sites.apps.logs import without_escapes

LINKED = ("node_modules", ".venv", "venv")  # what an application is built on is the same for all its processes
NEWER_NS = 1_000_000  # by which a file that was put back is newer
LEFT_OUT = (".git", ".hg", "__pycache__", ".pytest_cache")


def is_linked(entry: Path) -> bool:
    """True for what an application is built on: packages of npm, and a virtual environment of Python by whatever name."""
    return entry.name in LINKED or (entry / "pyvenv.cfg").is_file()


def inside(folder: Path, path: str) -> Path:
    """The path below the folder. Raises ValueError where it would leave the folder, by name or by a link.

    >>> inside(Path("/srv/app"), "data/db.sqlite3").as_posix()
    '/srv/app/data/db.sqlite3'
    """
    found = folder / path
    if not path or os.path.isabs(path) or ".." in Path(path).parts:
        raise ValueError(f"expected a path inside of the folder, got {path!r}")
    if not found.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"expected a path inside of the folder, got {path!r}, which leads to {found.resolve()}")
    return found


def copy_folder(source: Path, target: Path, withheld: Collection[Path] = ()) -> None:
    """Copy an application's folder. What it is built on is linked; caches, histories and what is `withheld` are left out.

    A link to something in the folder leads to the copy of it, so that what a process writes there is its own.
    """
    _copy_folder(source, target, withheld, (source.resolve(), target))


def _copy_folder(source: Path, target: Path, withheld: Collection[Path], roots: tuple[Path, Path]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.name in LEFT_OUT or entry in withheld:
            continue
        if is_linked(entry) and entry.is_dir():
            (target / entry.name).symlink_to(entry.resolve(), target_is_directory=True)
        elif entry.is_dir() and not entry.is_symlink():
            _copy_folder(entry, target / entry.name, withheld, roots)
        elif entry.is_symlink():
            (target / entry.name).symlink_to(_leads_to(entry, *roots))
        elif entry.is_file():  # no sockets and pipes
            shutil.copy2(entry, target / entry.name, follow_symlinks=False)


def _leads_to(link: Path, source: Path, target: Path) -> str | Path:
    """The place that the copy of a link leads to: the copy of what it leads to in the source, and whatever lies elsewhere as it is."""
    said = os.readlink(link)
    place = Path(os.path.normpath(link.parent.resolve() / said))
    if place.is_relative_to(source):
        return target / place.relative_to(source) if os.path.isabs(said) else said
    return place


def put_back(source: Path, target: Path, *, ours: bool = False) -> None:
    """Make a file or folder what it was: the source's content, and nothing where there is no source.

    A file that differs, by size or time of change, becomes newer than it was, because many programs read a file again only then. Where the
    source is `ours`, its time follows, so that the file does not differ the next time.
    """
    if source.is_dir():
        _put_back_folder(source, target, ours)
    elif source.is_file():
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        _put_back_file(source, target, ours)
    elif target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _put_back_file(source: Path, target: Path, ours: bool) -> None:
    there = target.is_file() and not target.is_symlink()
    if there and _stamp(source) == _stamp(target):
        return
    newer = max(source.stat().st_mtime_ns, target.stat().st_mtime_ns + NEWER_NS) if there else source.stat().st_mtime_ns
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.webgym")
    shutil.copy2(source, fresh)
    for file in (fresh, source) if ours else (fresh,):
        os.utime(file, ns=(newer, newer))
    os.replace(fresh, target)  # at once, so that nobody reads half of it


def _put_back_folder(source: Path, target: Path, ours: bool) -> None:
    """Change what differs, because most of a folder is as it was."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    target.mkdir(parents=True, exist_ok=True)
    wanted = {entry.name: entry for entry in source.iterdir()}
    for entry in target.iterdir():
        if entry.name not in wanted:
            put_back(source / entry.name, entry)
    for name, entry in wanted.items():
        put_back(entry, target / name, ours=ours)


def _stamp(path: Path) -> Sequence[int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def tail(path: Path, lines: int = 20, characters: int = 2000) -> str:
    """The last lines of a log, without a terminal's commands; "" where there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4 * characters))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(without_escapes(text).strip().splitlines()[-lines:])[-characters:]
