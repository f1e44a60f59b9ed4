"""Consent to run what a task file names: commands, Python functions, requests beyond this machine.

A task file with such a key is code. It is refused until the user trusts its folder, which is remembered by the content of its programs:
when any of them changes, the user is asked again.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from webgym.errors import TaskFileError, UsageError
from webgym.sites.apps.files import LEFT_OUT, is_linked

MOST_FILES = 50_000  # of a folder that is trusted as a whole
PROGRAMS = {
    ".astro", ".awk", ".bash", ".bat", ".cfg", ".cgi", ".cjs", ".class", ".clj", ".cmd", ".conf", ".cs", ".cts", ".dll", ".dylib",
    ".ejs", ".env", ".erb", ".ex", ".exs", ".fcgi", ".fish", ".go", ".gradle", ".hbs", ".htm", ".html", ".ini", ".j2", ".jar", ".java",
    ".jinja", ".jinja2", ".js", ".json", ".jsx", ".kt", ".kts", ".lua", ".mjs", ".mk", ".mts", ".mustache", ".node", ".php", ".pl",
    ".pm", ".properties", ".ps1", ".psgi", ".pth", ".pug", ".py", ".pyc", ".pyd", ".pyw", ".pyz", ".rb", ".rs", ".ru", ".scala", ".sh",
    ".so", ".sql", ".svelte", ".tcl", ".toml", ".tpl", ".ts", ".tsx", ".twig", ".vue", ".war", ".wasm", ".wsgi", ".xml", ".yaml",
    ".yml", ".zsh",
}  # fmt: skip
"""Endings of files that decide what a folder's programs do. Executable files count whatever their ending, and so do files without one,
such as Makefile, Procfile, .env or a script, unless they are databases or large."""
LARGEST_UNNAMED = 1 << 20  # bytes of a file without an ending that counts
NAMED = "named "
"""Begins the lines of what the user has given by name: a file, a module, an address."""
DATABASE = b"SQLite format 3\0"


def require(file: Path, reasons: Sequence[str], *, trust: bool) -> None:
    """Raises TaskFileError unless the user trusts the folder of this file, now (`trust`) or, with the same programs, before."""
    folder = file.resolve().parent
    if not reasons:
        return
    if file.suffix == ".jsonl":
        raise TaskFileError(f"{file}: a .jsonl file cannot run programs, and this one has {_listed(reasons)}: write it as .yaml")
    if trust:
        remember(folder)
    elif fingerprint(folder) not in _known():
        raise TaskFileError(
            f"{file}: this file runs programs ({_listed(reasons)}) and its folder is not trusted: read them, then say --trust {folder} "
            f"(in Python webgym.load({str(file)!r}, trust=True))"
        )


def remember(folder: Path) -> None:
    """Trust the programs that lie in the folder now. Raises UsageError where that cannot be kept."""
    _keep({fingerprint(folder): str(folder.resolve())})


def remember_named(names: Iterable[str]) -> None:
    """Keep files, modules and addresses as ones that this user has given. Raises UsageError where that cannot be kept."""
    _keep({NAMED + name: "" for name in names})


def unnamed(names: Iterable[str], folder: Path) -> list[str]:
    """Those of the names in `folder` that this user has never given; none where the folder is trusted as it is, and they are kept then."""
    known = _known()
    strange = [name for name in names if NAMED + name not in known]
    if strange and fingerprint(folder) in known:
        remember_named(strange)
        return []
    return strange


def _keep(new: Mapping[str, str]) -> None:
    known = _known()
    if new.keys() <= known.keys():
        return
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps({**known, **new}, indent=1) + "\n", "utf-8")
        os.replace(fresh, path)
    except OSError as error:
        raise UsageError(
            f"what you trust could not be kept in {path}: {error.strerror}; set XDG_CONFIG_HOME to a folder of yours"
        ) from error


def fingerprint(folder: Path) -> str:
    """The programs of a folder as one hash: names and contents."""
    whole = hashlib.blake2b(digest_size=20)
    for path in _programs(folder.resolve()):
        said = os.readlink(path).encode("utf-8", "surrogateescape") if path.is_symlink() else b""
        content = hashlib.blake2b(said + (path.read_bytes() if path.is_file() else b""), digest_size=20).digest()
        whole.update(path.relative_to(folder.resolve()).as_posix().encode("utf-8", "surrogateescape") + b"\0" + content)
    return whole.hexdigest()


def _programs(folder: Path, seen: list[int] | None = None) -> Iterator[Path]:
    """The programs below a folder. Raises UsageError where there are too many files to be one pack."""
    seen = [0] if seen is None else seen
    for entry in sorted(folder.iterdir()):
        seen[0] += 1
        if seen[0] > MOST_FILES:
            raise UsageError(f"{folder} and its neighbours have more than {MOST_FILES:,} files: put the task file into a folder of its own")
        if entry.name in LEFT_OUT or is_linked(entry):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _programs(entry, seen)
        elif entry.is_symlink() or (entry.is_file() and _decides(entry)):  # a link counts by where it leads, too
            yield entry


def _decides(file: Path) -> bool:
    """True if a file may decide what programs do."""
    if file.suffix:
        return file.suffix.lower() in PROGRAMS or os.access(file, os.X_OK)
    if file.stat().st_size > LARGEST_UNNAMED:
        return os.access(file, os.X_OK)
    with file.open("rb") as opened:
        return opened.read(len(DATABASE)) != DATABASE


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "webgym" / "trusted.json"


def _known() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _listed(reasons: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(reasons))
