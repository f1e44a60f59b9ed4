"""All tasks by id. Packs are found by their manifest and imported when one of their tasks is first asked for.

A pack is a folder with a `pack.toml` (title, hosts, and a table per task with at least `max_turns`) and a Python module of the same name
that gives `tasks()` and `sites()` (:class:`webgym.task.Pack`). A `pattern` in its table [pack] allows names beyond the listed ones, whose
tasks the module's `make(name)` makes. Ours lie in `tasks/` beside this package, or in it where it is
installed, and are loaded from that path under the private name `webgym_tasks`, so that a user's own `tasks/` never stands in their way.
Others come

- from installed distributions, through the entry-point group `webgym.tasks`: the value names a package with a `pack.toml` beside its
  `__init__.py`, which is read without importing the package,
- from a task file or a pack's folder, by :func:`load`,
- from Python, by :func:`register`.
"""

import dataclasses
import functools
import importlib
import importlib.machinery
import importlib.util
import re
import sys
import tomllib
import types
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from webgym.errors import TaskFileError, UnknownTaskError, WebGymError, did_you_mean
from webgym.task import Pack, PythonTask, Site, Start, Task, hosts_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_PACKAGE = Path(__file__).resolve().parents[1]
PACKS_FOLDER = _PACKAGE / "tasks" if (_PACKAGE / "tasks").is_dir() else _PACKAGE.parent / "tasks"
ENTRY_POINTS = "webgym.tasks"
TASK_FILES = (".yaml", ".yml", ".json", ".jsonl")
C = TypeVar("C", bound=type[PythonTask])
T = TypeVar("T")

_registered: dict[str, Task] = {}
_found_by: dict[str, str] = {}  # what another process finds a registered task by
_registered_sites: dict[str, Site] = {}  # by host
_modules: dict[str, list[str]] = {}  # Python modules, the ids that each registered
_loaded: dict[Path, tuple[tuple[int, int], list[str]]] = {}  # a file's time and size when it was read, the ids in it


@functools.cache
def manifests() -> dict[str, dict[str, Any]]:
    """The parsed `pack.toml` of every pack, by pack name: ours, then those of other distributions. Imports no pack."""
    found = {path.parent.name: _manifest(path) for path in sorted(PACKS_FOLDER.glob("*/pack.toml"))}
    for name, entry in _entry_points().items():
        try:
            if name in found:
                raise TaskFileError(f"there is a pack {name!r} already")
            found[name] = _manifest(_package_folder(entry.module) / "pack.toml")
        except TaskFileError as error:  # of somebody else's distribution: the tasks that are well must stay usable
            warnings.warn(f"the pack {name!r} (entry point {entry.value!r}) is left out: {error}", stacklevel=2)
    return found


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TaskFileError(f"{path}: not valid TOML: {error}") from error
    except OSError as error:
        raise TaskFileError(f"{path}: expected a pack's manifest there: {error.strerror}") from error
    if not isinstance(manifest.get("tasks"), dict):
        raise TaskFileError(f"{path}: expected a table [tasks.NAME] for each task, got none")
    return manifest


@functools.cache
def _entry_points() -> "dict[str, EntryPoint]":
    """The entry points of packs in other distributions, by pack name."""
    import importlib.metadata

    return {entry.name: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def _package_folder(module: str) -> Path:
    """The folder of a package that is not imported. Raises TaskFileError."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    for location in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(location, *rest)).is_dir():
            return folder
    raise TaskFileError(f"there is no package {module!r} (a folder with __init__.py and pack.toml)")


def folder_of(pack: str) -> Path:
    """The folder of a pack that has a manifest. Raises TaskFileError."""
    entry = _entry_points().get(pack)
    return PACKS_FOLDER / pack if entry is None or (PACKS_FOLDER / pack).is_dir() else _package_folder(entry.module)


def task_ids() -> list[str]:
    """The ids of all known tasks, as "<pack>.<task>"."""
    return [f"{pack}.{name}" for pack, manifest in manifests().items() for name in manifest["tasks"]] + list(_registered)


def task(task_id: str) -> Task:
    """The task with this id: "<pack>.<task>", the Gym id "webgym/<pack>.<task>-v0", or "FILE#<pack>.<task>" for one of a task file.

    Raises UnknownTaskError, TaskFileError.
    """
    if not isinstance(task_id, str):
        raise UnknownTaskError(f"a task is named by its id, such as 'miniwob.click-test', got {task_id!r:.100}")
    file, hash_, plain = task_id.rpartition("#")
    if hash_:
        load_module(file.removesuffix(":")) if file.endswith(":") else load(Path(file))
    elif is_module_name(task_id):
        file, _, plain = task_id.partition(":")
        load_module(file)
    plain = plain.removeprefix("webgym/").removesuffix("-v0")
    if plain in _registered:
        return _registered[plain]
    pack, _, name = plain.partition(".")
    if not _is_listed(plain):
        raise UnknownTaskError(f"there is no task {task_id!r}{did_you_mean(plain, task_ids())} (`webgym tasks list` shows all)")
    found = _pack(pack).tasks().get(name) if name in manifests()[pack]["tasks"] else _made(pack, name)
    if found is None:
        raise TaskFileError(f"the manifest of the pack {pack!r} has a task {name!r}, but the tasks() of its module do not")
    if found.id != plain:
        raise TaskFileError(f"the pack {pack!r} gives its task {name!r} the id {found.id!r}: expected {plain!r}")
    return found


def known_task(task_id: str) -> Task:
    """The task with this id out of a message: no file is read and no module imported for it. Raises UnknownTaskError, TaskFileError."""
    if isinstance(task_id, str) and ("#" in task_id or is_module_name(task_id)):
        raise UnknownTaskError(f"expected a task's plain id such as wizard.h3, got {task_id!r:.100}: start the server with --tasks")
    return task(task_id)


def code_of(name: str, *, path: bool) -> str:
    """The Python file, or the module with a colon, that a name of tasks would load; "" for tasks of packs, for a file that is data, and for
    what this process has loaded. `path` says that the name is a path.
    """
    file, hash_, _ = name.rpartition("#")
    if not hash_:
        file = name if path else f"{name.partition(':')[0]}:" if is_module_name(name) else ""
    if not file or file.endswith(":"):
        return "" if file.removesuffix(":") in sys.modules else file
    try:
        source = _source(Path(file))
    except (TaskFileError, OSError, ValueError, RuntimeError):  # no file, and no name of one
        return ""
    return str(source) if source.suffix == ".py" and source not in _loaded else ""


def is_module_name(name: str) -> bool:
    """True for a task of a Python module, as module:pack.task.

    >>> is_module_name("my.pack:forum.reply"), is_module_name("forum.reply"), is_module_name("./pack.py#forum.reply")
    (True, False, False)
    """
    module, colon, rest = name.partition(":")
    return bool(colon and rest) and all(part.isidentifier() for part in module.split("."))


def file_of(task_id: str) -> str:
    """The task file or pack that another process loads first to know this task; "" for one that every process knows, or none does."""
    return _found_by.get(task_id, "").rpartition("#")[0]


def twins(task_ids: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of a task and its twin of which both are among these tasks, each once."""
    ids = dict.fromkeys(task_ids)
    found = {tuple(sorted((task_id, twin))): None for task_id in ids if (twin := task(task_id).twin) in ids}
    return [(first, second) for first, second in found]


def _is_listed(task_id: str) -> bool:
    """True if a pack has this task: listed in its manifest, or of a name that the manifest's `pattern` allows."""
    pack, _, name = task_id.partition(".")
    if pack not in manifests():
        return False
    pattern = manifests()[pack].get("pack", {}).get("pattern")
    return name in manifests()[pack]["tasks"] or (pattern is not None and re.fullmatch(pattern, name) is not None)


def _made(pack: str, name: str) -> Task:
    """A task that its pack makes from its name."""
    make = getattr(_pack(pack), "make", None)
    if make is None:
        raise TaskFileError(f"the manifest of the pack {pack!r} has a pattern for names of tasks, but its module has no make(name)")
    return make(name)


def sites_of(found: Task) -> Sequence[Site]:
    """The sites that serve the task's hosts: its own pack's, registered ones, or those of a pack whose manifest names the host."""
    own = found.id.partition(".")[0]
    served: dict[str, Site] = {}
    for host in found.hosts:
        if any(host in hosts_of(site) for site in served.values()):
            continue
        packs = [own] if own in manifests() else []
        packs += [name for name, manifest in manifests().items() if host in _hosts(manifest) and name != own]
        candidates = [_registered_sites[host]] if host in _registered_sites else [site for pack in packs for site in _pack(pack).sites()]
        if site := next((site for site in candidates if host in hosts_of(site)), None):
            served[host] = site
    return list(served.values())


def _hosts(manifest: Mapping[str, Any]) -> Sequence[str]:
    return manifest.get("pack", {}).get("hosts", ())


def select(patterns: Iterable[str]) -> list[str]:
    """Task ids that match the patterns (`miniwob.click-*`), in registry order, each once. Raises UnknownTaskError where none does."""
    ids, chosen = task_ids(), {}
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        plain = pattern.removeprefix("webgym/").removesuffix("-v0")
        matches = [i for i in ids if fnmatchcase(i, plain)] or ([plain] if _is_listed(plain) else [])
        if not matches:
            raise UnknownTaskError(f"no task matches {pattern!r}{did_you_mean(plain, ids)}")
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


@overload
def register(new: Task, sites: Iterable[Site] = ()) -> Task: ...
@overload
def register(new: str, sites: Iterable[Site] = (), **options: Any) -> Callable[[C], C]: ...
def register(new: Task | str, sites: Iterable[Site] = (), **options: Any) -> Any:
    """Make a task known by its id and to Gymnasium as `webgym/<id>-v0`: a :class:`Task`, or, as a decorator, a class with three methods.

    As a decorator it takes the id and the options of :class:`Task`; `hosts` are those of the sites unless given. The class has
    `start(self, seed)`, `check(self, evidence)` and, if it likes, `oracle(self, page)`; it is made anew, without arguments, for every
    oracle's episode, so that an oracle may remember things in `self`::

        @webgym.register("mine.greet", sites=[SITE], max_turns=4)
        class Greet:
            def start(self, seed): return Start("http://mine.localhost/", "Greet Ann.")
            def check(self, evidence): return SUCCESS if evidence.site_state["greeted"] == "Ann" else PENDING
            def oracle(self, page): ...

    Raises TaskFileError when the id or a host is taken, the id has no pack name, or an option is unknown.
    """
    sites = tuple(sites)
    if isinstance(new, Task):
        if options:
            raise TaskFileError(f"expected no options beside a Task, which has its own, got {', '.join(options)}")
        _add(new, sites, new.id)
        return new

    def decorate(cls: C) -> C:
        _add(_python_task(cls, new, sites, options), sites, new)
        return cls

    return decorate


def _python_task(cls: type[PythonTask], task_id: str, sites: Sequence[Site], options: dict[str, Any]) -> Task:
    known = ["clock", *(f.name for f in dataclasses.fields(Task) if f.name not in ("id", "start", "check", "oracle"))]
    for name in options:
        if name not in known:
            expected = f"expected one of {', '.join(known)}"
            raise TaskFileError(f"task {task_id!r}: there is no option {name!r}{did_you_mean(name, known)} ({expected})")
    for name in ("start", "check"):
        if not callable(getattr(cls, name, None)):
            raise TaskFileError(f"task {task_id!r}: expected the class {cls.__name__} to have a method {name!r}, it has none")
    hosts = tuple(host for site in sites for host in hosts_of(site))
    written = cls()
    oracle = (lambda: cast(Any, cls()).oracle) if hasattr(cls, "oracle") else None
    given: dict[str, Any] = {"id": task_id, "hosts": hosts, "oracle": oracle, **_clock(task_id, sites, options)}
    return Task(**given, start=_rooted(written.start, sites), check=written.check)


def _clock(task_id: str, sites: Sequence[Site], options: dict[str, Any]) -> dict[str, Any]:
    """The options with the clock as Unix time: that of the task, which its applications get too, or that of an application."""
    options = dict(options)
    clock = options.pop("clock", None)
    if clock is not None:
        try:
            moment = datetime.fromisoformat(clock)
        except ValueError:
            raise TaskFileError(f"task {task_id!r}: expected clock to be a date and time such as 2026-03-05T09:00, got {clock!r}") from None
        options["clock_s"] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    for site in sites:
        if hasattr(site, "clock_s") and "clock_s" in options:
            cast(Any, site).set_clock(options["clock_s"])
        elif (clock_s := getattr(site, "clock_s", None)) is not None:
            options["clock_s"] = clock_s
    return options


def _rooted(start: Callable[[int], Start], sites: Sequence[Site]) -> Callable[[int], Start]:
    """`start`, where a path stands for the address on the first site."""
    if not sites:
        return start
    root = sites[0].host if "://" in sites[0].host else f"http://{sites[0].host}"

    @functools.wraps(start)
    def rooted(seed: int) -> Start:
        begun = start(seed)
        return dataclasses.replace(begun, url=root + begun.url) if begun.url.startswith("/") else begun

    return rooted


def load(path: str | Path, *, trust: bool = False) -> list[str]:
    """The ids of the tasks in a task file or a pack's folder, which become known by them and to Gymnasium.

    A folder holds a task file (`tasks.yaml`, or .yml, .json, .jsonl) or a Python package with `tasks()` and `sites()`. A Python file has
    tasks that it registers. A file that has changed since it was loaded is loaded anew. A task file that runs programs is refused unless
    its folder is trusted: `trust` says so, now and until one of its programs changes. Raises TaskFileError.
    """
    if str(path).endswith(":"):  # as file_of names a module
        return load_module(str(path).removesuffix(":"))
    source = _source(Path(path))
    stat = source.stat()
    stamp = (stat.st_mtime_ns, stat.st_size)
    if source in _loaded and _loaded[source][0] == stamp:
        return list(_loaded[source][1])
    if source.suffix == ".py" and source.name != "__init__.py":
        return _load_program(source, stamp)
    tasks, sites = _from_folder(source.parent) if source.name == "__init__.py" else _from_file(source, trust)
    for old in _loaded.pop(source, ((), []))[1]:
        _remove(old)
    for new in tasks:
        _add(new, sites, f"{source}#{new.id}")
    _loaded[source] = (stamp, [new.id for new in tasks])
    return list(_loaded[source][1])


def _load_program(source: Path, stamp: tuple[int, int]) -> list[str]:
    """The ids of the tasks that a Python file registers."""
    for old in _loaded.pop(source, ((), []))[1]:
        _remove(old)
    name = f"webgym_program_{source.stem}"
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    found = _registered_by(source, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    for task_id in found:
        _found_by[task_id] = f"{source}#{task_id}"
    _loaded[source] = (stamp, found)
    return list(found)


def load_module(name: str) -> list[str]:
    """The ids of the tasks that a Python module registers, which is looked for in the current folder too. Raises TaskFileError."""
    if name in _modules:
        return list(_modules[name])
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found = _registered_by(name, lambda: importlib.import_module(name))
    for task_id in found:
        _found_by[task_id] = f"{name}:#{task_id}"
    _modules[name] = found
    return list(found)


def _registered_by(what: Path | str, call: Callable[[], object]) -> list[str]:
    """The ids that a program registers. Raises TaskFileError for any error of it, and where it registers none."""
    before = set(_registered)
    try:
        call()
    except WebGymError:
        raise
    except Exception as error:
        raise TaskFileError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    if not (found := [task_id for task_id in _registered if task_id not in before]):
        raise TaskFileError(f"{what} registers no tasks: expected @webgym.register('pack.task', sites=[...]) above a class")
    return found


def _source(path: Path) -> Path:
    """The file that a path of a user means."""
    given = path.expanduser().resolve()
    candidates = [given / f"tasks{ending}" for ending in TASK_FILES] + [given / "__init__.py"] if given.is_dir() else [given]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        lacks = "that folder has neither" if given.is_dir() else "there is nothing"
        raise TaskFileError(f"{path}: expected a task file, or a folder with tasks.yaml or a Python pack's __init__.py; {lacks}")
    if found.suffix not in (*TASK_FILES, ".py"):
        endings = ", ".join((*TASK_FILES, ".py"))
        raise TaskFileError(f"{path}: expected a task file, whose name ends in {endings}, got {found.suffix or 'no ending'}")
    return found


def _from_file(file: Path, trust: bool) -> tuple[list[Task], Sequence[Site]]:
    from webgym.authoring import suites, task_file  # brings pydantic along

    if suites.is_suite(file):
        found = suites.read(file, trust=trust)
        return found.tasks, found.sites
    tasks, sites = task_file.read(file, trust=trust)
    hosts = {host for site in sites for host in hosts_of(site)} | {host for manifest in manifests().values() for host in _hosts(manifest)}
    for new in tasks:
        for host in set(new.hosts) - hosts:
            raise TaskFileError(
                f"{file}: task {new.id!r} starts at the host {host!r}, which nothing serves: give a path of the file's own site, or one of "
                f"{', '.join(sorted(hosts))}{did_you_mean(host, hosts)}"
            )
    return list(tasks), sites


def _from_folder(folder: Path) -> tuple[list[Task], Sequence[Site]]:
    name = f"webgym_pack_{folder.name}"
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    for old in [known for known in sys.modules if known.startswith(f"{name}.")]:
        del sys.modules[old]  # of an earlier state of this pack, or of another one of this name
    sys.modules[name] = module
    _programs_of(folder, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    for needed in ("tasks", "sites"):
        if not callable(getattr(module, needed, None)):
            raise TaskFileError(f"{folder}: expected its __init__.py to have a function {needed}(), it has none")
    pack = cast(Pack, module)
    tasks = _programs_of(folder, pack.tasks)
    for task_name, new in tasks.items():
        if new.id != f"{folder.name}.{task_name}":
            raise TaskFileError(f"{folder}: expected the task {task_name!r} to have the id '{folder.name}.{task_name}', got {new.id!r}")
    return list(tasks.values()), _programs_of(folder, pack.sites)


def _programs_of(folder: Path, call: Callable[[], T]) -> T:
    """The result of a program of a pack's author. Raises TaskFileError for any error of that program."""
    try:
        return call()
    except WebGymError:
        raise
    except Exception as error:
        raise TaskFileError(f"the pack {folder.name!r} in {folder} cannot be loaded: {type(error).__name__}: {error}") from error


def _add(new: Task, sites: Iterable[Site], name: str) -> None:
    """Add a task, which another process finds by `name`."""
    if "." not in new.id:
        raise TaskFileError(f"task id {new.id!r} has no pack name: expected '<pack>.<task>'")
    if new.id in _registered or _is_listed(new.id):
        again = "give the new one another id"
        if new.id in _registered:
            again += f", or let the old one go first: webgym.packs.registry.forget({new.id!r})"
        raise TaskFileError(f"there is a task {new.id!r} already: {again}")
    taken = {host for manifest in manifests().values() for host in _hosts(manifest)}
    served = {host: site for site in sites for host in hosts_of(site)}
    for host, site in served.items():
        if host in taken or _registered_sites.setdefault(host, site) is not site:
            raise TaskFileError(f"task {new.id!r}: another site has the host {host!r} already: give this one another")
    _registered[new.id], _found_by[new.id] = new, name
    if "gymnasium" in sys.modules:
        _register_gym(new.id)


def forget(task_id: str) -> None:
    """Let a registered task be unknown again, and end what its sites run. Its file can be loaded anew."""
    _remove(task_id)
    for source, (_, ids) in list(_loaded.items()):
        if task_id in ids:
            _loaded[source] = ((0, 0), [other for other in ids if other != task_id])


def _remove(task_id: str) -> None:
    for host in _registered.pop(task_id).hosts:
        site = _registered_sites.pop(host, None)
        if site is not None and (stop := getattr(site, "stop", None)) is not None:
            stop()  # what it runs is of an earlier state of the file
    del _found_by[task_id]
    if "gymnasium" in sys.modules:
        import gymnasium as gym

        del gym.registry[f"webgym/{task_id}-v0"]


def register_all() -> None:
    """Make all tasks known to Gymnasium; called by `import webgym`.

    Where Gymnasium is not imported yet, this waits until it is, because it costs more than all of `import webgym`, and looking at runs
    or asking for help never needs it.
    """
    if "gymnasium" not in sys.modules:
        sys.meta_path.insert(0, _WhenGymnasiumIsImported())
        return
    for task_id in task_ids():
        _register_gym(task_id)


class _WhenGymnasiumIsImported:
    """Finds Gymnasium as ever, and registers the tasks right after it has been executed. Only looking for it changes nothing."""

    def __init__(self) -> None:
        self._looking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "gymnasium" or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: types.ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                    register_all()

            spec.loader.exec_module = execute_and_register
        return spec


def _register_gym(task_id: str) -> None:
    import gymnasium as gym

    gym.register(
        f"webgym/{task_id}-v0",
        entry_point="webgym.env.gym:WebEnv",
        vector_entry_point="webgym.env.vector:WebVectorEnv",
        order_enforce=False,  # it says so itself when a step comes out of order, and without wrappers a notebook shows it
        disable_env_checker=True,  # the tests run it
        kwargs={"task_id": _found_by.get(task_id, task_id)},
    )


@functools.cache
def _pack(name: str) -> Pack:
    entry = _entry_points().get(name)
    if entry is not None and not (PACKS_FOLDER / name).is_dir():
        try:
            return entry.load()
        except Exception as error:  # any error of another package means that its tasks cannot be had
            raise TaskFileError(f"the pack {name!r} (entry point {entry.value!r}) cannot be loaded: {error!r}") from error
    if "webgym_tasks" not in sys.modules:
        package = types.ModuleType("webgym_tasks", "The packs beside webgym.")
        package.__path__ = [str(PACKS_FOLDER)]
        sys.modules["webgym_tasks"] = package
    return importlib.import_module(f"webgym_tasks.{name}")  # type: ignore[return-value]
