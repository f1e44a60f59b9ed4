"""Versions of what decides an episode's course, as digests of files: of a task's pack, and of the environment's own code."""

import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from webgym.errors import TaskFileError
from webgym.packs import registry

ELSEWHERE = ("view", "commands", "nodes", "trust")  # folders of webgym/ that no episode goes through
SIZE = 12  # bytes of a digest


def pack_of(task_id: str) -> str:
    """The name of a task's pack."""
    return registry.task(task_id).id.partition(".")[0]


def packs_of(task_ids: Iterable[str]) -> dict[str, str]:
    """The digest of each pack that these tasks belong to, by its name. Raises UnknownTaskError, TaskFileError."""
    first = {pack_of(task_id): task_id for task_id in reversed(list(task_ids))}
    return {pack: _pack(pack, registry.file_of(registry.task(task_id).id)) for pack, task_id in first.items()}


def known(packs: Iterable[str]) -> dict[str, str]:
    """The digest of each of these packs that is known here, by its name."""
    first = {task_id.partition(".")[0]: task_id for task_id in reversed(registry.task_ids())}
    return {pack: _pack(pack, registry.file_of(first[pack])) for pack in packs if pack in first}


@functools.cache
def _pack(pack: str, source: str) -> str:
    """The digest of a pack's folder, or of the file that registered its tasks, as it was when this process first asked."""
    if not source:
        return _digest(registry.folder_of(pack))
    if source.endswith(":"):  # a module, as registry.file_of names it
        spec = importlib.util.find_spec(source.removesuffix(":"))
        source = (spec and spec.origin) or ""
    file = Path(source)
    if not file.is_file():
        raise TaskFileError(f"the tasks of {pack!r} were registered by Python that has no file, so no other machine can have them")
    return _digest(file.parent if file.name == "__init__.py" else file)


@functools.cache
def code() -> str:
    """The digest of the environment's code: two machines with the same one play the same episodes."""
    folder = Path(__file__).resolve().parents[1]
    return _digest(folder, tuple(folder / name for name in ELSEWHERE))


def _digest(path: Path, without: tuple[Path, ...] = ()) -> str:
    """The digest of a file, or of the names and contents of all files in a folder."""
    total = hashlib.blake2b(digest_size=SIZE)
    files = [path] if path.is_file() else sorted(x for x in path.rglob("*") if x.is_file() and "__pycache__" not in x.parts)
    for file in files:
        if any(file.is_relative_to(folder) for folder in without):
            continue
        name = file.name if file == path else file.relative_to(path).as_posix()
        content = file.read_bytes()
        total.update(f"{len(name.encode())} {name} {len(content)} ".encode())
        total.update(content)
    return total.hexdigest()
