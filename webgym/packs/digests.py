"""Versions of what decides an episode's course, as digests of files: of a task's pack, the environment's own code, and a policy's."""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from webgym.errors import TaskFileError
from webgym.packs import registry

ELSEWHERE = ("view", "commands", "nodes", "trust")  # folders of webgym/ that no episode goes through
LIBRARIES = ("jinja2", "tokenizers", "transformers")  # by which a page becomes prompt ids
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


@functools.cache
def policy_of(factory: str) -> dict[str, str]:
    """Versions of what a policy's factory (`module:function`) runs beside WebGym's own code, by name; nothing of it is imported.

    They are the digest of its module and of all that this one imports of its own package, at any time, and LIBRARIES where any of these
    modules imports one. Without a file of the module there are none. Modules that are imported by computed names are not seen.
    """
    module = factory.partition(":")[0]
    package = module.partition(".")[0]
    if package == __name__.partition(".")[0]:
        return {}
    files, others = _modules(module)
    if not files:
        return {}
    return {package: _digest_of(sorted(files.items()))} | ({name: _installed(name) for name in LIBRARIES} if others & {*LIBRARIES} else {})


def _modules(module: str) -> tuple[dict[str, Path], set[str]]:
    """The files of a module and of what it imports of its own package, by the modules' names; and the other packages that they import."""
    package = module.partition(".")[0]
    found: dict[str, Path] = {}
    others: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (file := _file_of(name)) is None:
            continue
        found[name] = file
        for imported in (*_imports(name, file), name.rpartition(".")[0]):
            first = imported.partition(".")[0]
            waiting += [imported] if first == package else []
            others |= {first} - {package}
    return found, others


def _file_of(module: str) -> Path | None:
    """The file of a module; None where there is none. A package is not imported for it."""
    package, *parts = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # as for a module that is made while the program runs
        return None
    places = [Path(place, *parts) for place in (spec and spec.submodule_search_locations) or ()]
    files = [file for place in places for file in (place / "__init__.py", place.with_name(f"{place.name}.py"))]
    if spec and spec.origin and not parts:
        files.append(Path(spec.origin))
    return next((file for file in files if file.suffix == ".py" and file.is_file()), None)


def _imports(module: str, file: Path) -> Iterator[str]:
    """The names in a file's import statements, those of modules and of what may be modules."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except SyntaxError:  # the import of it says so
        return
    parents = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _digest(path: Path, without: tuple[Path, ...] = ()) -> str:
    """The digest of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return _digest_of([(path.name, path)])
    files = sorted(x for x in path.rglob("*") if x.is_file() and "__pycache__" not in x.parts)
    kept = [file for file in files if not any(file.is_relative_to(folder) for folder in without)]
    return _digest_of((file.relative_to(path).as_posix(), file) for file in kept)


def _digest_of(files: Iterable[tuple[str, Path]]) -> str:
    """The digest of files by their names and contents."""
    total = hashlib.blake2b(digest_size=SIZE)
    for name, file in files:
        content = file.read_bytes()
        total.update(f"{len(name.encode())} {name} {len(content)} ".encode())
        total.update(content)
    return total.hexdigest()
