"""Applications that others wrote: each has an environment of its own and a snapshot of its data, both made once and kept.

A recipe is a folder with `requirements.txt`, which pins every package, and `prepare.py`, which the environment's Python runs in an empty
folder: what it leaves there is the snapshot, in which the application runs. What is made lies in `WEBGYM_APPLICATIONS`, or else in the
user's cache folder, under a hash of what it was made from. So a recipe that changes is prepared anew, and an old one stays usable.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webgym.errors import UsageError
from webgym.sites.apps.logs import without_escapes
from webgym.sites.apps.secrets import public
from webgym.sites.apps.server import Lease, Server

STARTER = Path(__file__).with_name("serve_wsgi.py")
CLOCK = "clock.txt"
INSTALL_S, PREPARE_S = 1800.0, 600.0
SAID = 1500  # characters of a failed command's output that are shown


def applications_folder() -> Path:
    """The folder of installed applications."""
    if own := os.environ.get("WEBGYM_APPLICATIONS"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "webgym" / "applications"


@dataclass(frozen=True)
class Recipe:
    """Recipe of an application, by name, in its folder."""

    name: str
    folder: Path

    @property
    def environment(self) -> Path:
        """The virtual environment, which depends on the requirements and on this Python alone."""
        version = "{}.{}".format(*sys.version_info)
        return applications_folder() / f"{self.name}-{_hash([self.folder / 'requirements.txt'], version)}" / "environment"

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.environment / "bin" / "python"

    @property
    def snapshot(self) -> Path:
        """The folder in which the application begins; it depends on all files of the recipe."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return self.environment.parent / f"snapshot-{_hash(files)}"

    @property
    def missing(self) -> str:
        """The reason in one sentence why it cannot run, "" where it can."""
        if _stamp(self.environment).is_file() and self.snapshot.is_dir():
            return ""
        return f"the application {self.name} is not installed: run `webgym sites install {self.name}`"

    @property
    def figures(self) -> dict[str, Any]:
        """Seconds and bytes of the installation, empty where there is none."""
        return {} if self.missing else json.loads(_stamp(self.environment).read_text("utf-8"))

    def install(self, say: Callable[[str], None] = lambda words: None) -> None:
        """Make what is missing. Raises UsageError with the end of what the failing command said."""
        with _alone(self.environment.parent):
            if not _stamp(self.environment).is_file():
                say(f"{self.name}: installs its packages into {self.environment}")
                self._make_environment()
            if not self.snapshot.is_dir():
                say(f"{self.name}: prepares its data in {self.snapshot}")
                self._prepare()

    def _make_environment(self) -> None:
        begun = time.monotonic()
        shutil.rmtree(self.environment, ignore_errors=True)
        own = importlib.util.find_spec("pip") is not None  # an environment without a pip of its own is made much faster
        made = [sys.executable, "-m", "venv", *(["--without-pip"] if own else []), str(self.environment)]
        _run(made, self.environment.parent, INSTALL_S)
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)] if own else [str(self.python), "-m", "pip"]
        pip.append("--disable-pip-version-check")
        # Every package is pinned, those that others need as well, so that nothing is left to choose.
        _run([*pip, "install", "-q", "--no-deps", "-r", str(self.folder / "requirements.txt")], self.environment.parent, INSTALL_S)
        _run([*pip, "check"], self.environment.parent, INSTALL_S)
        size = sum(path.lstat().st_size for path in self.environment.rglob("*"))
        _stamp(self.environment).write_text(json.dumps({"install_s": round(time.monotonic() - begun, 1), "bytes": size}) + "\n", "utf-8")

    def _prepare(self) -> None:
        begun = time.monotonic()
        fresh = self.snapshot.with_name("snapshot.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        _run([str(self.python), str(self.folder / "prepare.py")], fresh, PREPARE_S)
        figures = json.loads(_stamp(self.environment).read_text("utf-8"))
        figures |= {"prepare_s": round(time.monotonic() - begun, 1)}
        _stamp(self.environment).write_text(json.dumps(figures) + "\n", "utf-8")
        fresh.rename(self.snapshot)

    def site(self, url: str, command: Sequence[str], **options: Any) -> "InstalledServer":
        """The site of this application. `{python}` in the command is the environment's Python, `{bin}` the folder of its programs, and
        `{wsgi}` a program that serves a WSGI application (:mod:`webgym.sites.apps.serve_wsgi`). `options` are those of :class:`Server`.
        """
        names = {"{python}": str(self.python), "{bin}": str(self.python.parent), "{wsgi}": str(STARTER)}
        plain = {"PYTHONPATH": "", "PYTHONHOME": "", **options.pop("environment", {})}  # those of this process are for its own packages
        return InstalledServer(self, url, [_filled(word, names) for word in command], environment=plain, **options)


class InstalledServer(Server):
    """An application that a recipe installs. Without it, a lease raises UsageError with the command that installs it."""

    def __init__(self, recipe: Recipe, url: str, command: Sequence[str], **options: Any) -> None:
        super().__init__(url, command=command, folder=recipe.snapshot, **options)
        self.recipe = recipe

    async def lease(self, seed: int, site_state: Any) -> Lease:
        """An application in its first state. Raises SiteFault, UsageError."""
        if words := self.recipe.missing:
            raise UsageError(words)
        return await super().lease(seed, site_state)


def _filled(word: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        word = word.replace(name, value)
    return word


def _stamp(environment: Path) -> Path:
    return environment / "webgym.json"


def _hash(files: Sequence[Path], more: str = "") -> str:
    whole = hashlib.blake2b(more.encode(), digest_size=6)
    for path in files:
        content = hashlib.blake2b(path.read_bytes(), digest_size=20).digest()
        whole.update(path.name.encode() + b"\0" + content)
    return whole.hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else on this machine installs the same meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str], folder: Path, timeout_s: float) -> None:
    """Run a command of a recipe. Raises UsageError."""
    own = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")}  # pip's way out
    kept = {name: value for name, value in public(os.environ).items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**kept, **own, "TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"`{' '.join(command)}` did not end within {timeout_s:g} s") from error
    if done.returncode:
        said = without_escapes((done.stdout + done.stderr).decode("utf-8", "replace")).strip()[-SAID:]
        raise UsageError(f"`{' '.join(command)}` ended with status {done.returncode}; it said last:\n{said}")
