"""Finds (or installs) the browser's executable, and decides whether it may run in Chromium's sandbox.

The headless shell comes first wherever it is: a context with a page costs a quarter of full Chromium's time and memory.
Order: WEBGYM_BROWSER; then a headless shell on PATH, in a distribution's folders, among Playwright's own; then full Chromium or
Chrome in the same places. A candidate counts only when it starts and tells its version. Nothing here imports Playwright.
"""

import functools
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from webgym.errors import BrowserMissingError

Kind = Literal["shell", "full"]
Source = Literal["WEBGYM_BROWSER", "PATH", "system", "playwright"]

VARIABLE = "WEBGYM_BROWSER"
HOW_TO_GET_ONE = f"run `webgym doctor --install`, or set {VARIABLE} to the path of a Chromium"

NAMES: dict[Kind, tuple[str, ...]] = {
    "shell": ("chromium-headless-shell", "chrome-headless-shell", "headless_shell"),
    "full": ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"),
}
SYSTEM_FOLDERS = (
    "/usr/bin",
    "/usr/local/bin",
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/opt/google/chrome",
    "/snap/bin",
    "/Applications/Chromium.app/Contents/MacOS",
    "/Applications/Google Chrome.app/Contents/MacOS",
)
MAC_NAMES = ("Chromium", "Google Chrome")
# Below Playwright's folder: <browser>-<revision>/<platform>/<executable>.
PLAYWRIGHT_PATTERNS: dict[Kind, tuple[str, ...]] = {
    "shell": ("chromium_headless_shell-*/*/headless_shell", "chromium_headless_shell-*/*/chrome-headless-shell"),
    "full": (
        "chromium-*/chrome-linux*/chrome",
        "chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium",
        "chromium-*/chrome-mac*/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
    ),
}


@dataclass(frozen=True, slots=True)
class Browser:
    """An executable that starts. `version` is as it tells it ("156.0.8078.79"), `source` where it was found."""

    path: Path
    kind: Kind
    version: str
    source: Source


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Decision for or against Chromium's sandbox, with the reason in words."""

    enabled: bool
    reason: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments to add to the browser's command line."""
        return () if self.enabled else ("--no-sandbox",)


# --- finding ---------------------------------------------------------------------------------------------------------------


def find(kind: Kind | None = None, *, environ: Mapping[str, str] | None = None, system_folders: Sequence[str] = SYSTEM_FOLDERS) -> Browser:
    """The first usable browser in the order above; with `kind`, the first of that kind.

    Raises BrowserMissingError, which says what was tried and what to do, when there is none or WEBGYM_BROWSER names none.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(VARIABLE, "").strip()
    if named:
        browser = _named(Path(named).expanduser())
        if kind in (None, browser.kind):
            return browser
    browser, failures = _first_that_starts(kind, environ, system_folders)
    if browser:
        return browser
    what = {None: "browser", "shell": "headless shell", "full": "full Chromium"}[kind]
    tried = f" ({'; '.join(failures)})" if failures else ""
    remedy = f"install a Chromium or Chrome, or set {VARIABLE} to its path" if kind == "full" else HOW_TO_GET_ONE
    raise BrowserMissingError(f"No usable {what} was found{tried}: {remedy}.")


def _first_that_starts(kind: Kind | None, environ: Mapping[str, str], system_folders: Sequence[str]) -> tuple[Browser | None, list[str]]:
    """The first candidate that starts, and what was wrong with those before it."""
    failures: list[str] = []
    for path, candidate_kind, source in candidates(environ, system_folders):
        if kind not in (None, candidate_kind):
            continue
        version, failure = ask_version(path)
        if version:
            return Browser(path, candidate_kind, version, source), failures
        failures.append(f"{path} {failure}")
    return None, failures


def _named(path: Path) -> Browser:
    """The browser that WEBGYM_BROWSER names. A wrong name is an error, never a silent fall back to another browser."""
    if not _executable(path):
        raise BrowserMissingError(
            f"{VARIABLE} names {str(path)!r}, which is no executable file: set it to the path of a Chromium, or unset it."
        )
    version, failure = ask_version(path)
    if not version:
        raise BrowserMissingError(f"{VARIABLE} names {str(path)!r}, which {failure}: set it to a Chromium that starts, or unset it.")
    # Scripts that wrap a shell are named after it; resolve() also sees through a link with a name of its own.
    is_shell = any("headless" in name for name in (path.name, path.resolve().name))
    return Browser(path, "shell" if is_shell else "full", version, VARIABLE)


def candidates(environ: Mapping[str, str], system_folders: Sequence[str] = SYSTEM_FOLDERS) -> Iterator[tuple[Path, Kind, Source]]:
    """Executable files that look like a browser, best first, each once. Starts none of them."""
    seen: set[Path] = set()
    kinds: tuple[Kind, Kind] = ("shell", "full")
    for kind in kinds:
        for path, source in _of_kind(kind, environ, system_folders):
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                yield path, kind, source


def _of_kind(kind: Kind, environ: Mapping[str, str], system_folders: Sequence[str]) -> Iterator[tuple[Path, Source]]:
    for name in NAMES[kind]:
        if on_path := shutil.which(name, path=environ.get("PATH", "")):
            yield Path(on_path), "PATH"
    names = NAMES[kind] + (MAC_NAMES if kind == "full" else ())
    for path in (Path(folder, name) for name in names for folder in system_folders):
        if _executable(path):
            yield path, "system"
    root = playwright_folder(environ)
    found = [path for pattern in PLAYWRIGHT_PATTERNS[kind] for path in root.glob(pattern) if _executable(path)] if root else []
    for path in sorted(found, key=lambda path: _revision(path, root), reverse=True):
        yield path, "playwright"


def playwright_folder(environ: Mapping[str, str], system: str = platform.system()) -> Path | None:
    """The folder in which Playwright keeps the browsers it downloads, by its own rules; None when that cannot be said."""
    named = environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    if named == "0":  # inside the package
        spec = importlib.util.find_spec("playwright")
        return Path(spec.origin).parent / "driver/package/.local-browsers" if spec and spec.origin else None
    if named:
        return Path(named)
    home = environ.get("HOME", "")
    if system == "Darwin":
        return Path(home, "Library/Caches/ms-playwright") if home else None
    cache = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    return Path(cache, "ms-playwright") if cache else None


def _revision(path: Path, root: Path | None) -> int:
    folder = path.relative_to(root).parts[0] if root else path.name
    number = re.search(r"-(\d+)$", folder)
    return int(number[1]) if number else 0


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@functools.cache
def ask_version(path: Path, timeout_s: float = 20.0) -> tuple[str, str]:
    """(version, "") as the executable itself tells it, or ("", why it is not usable). Takes 50 ms and more, so asked once."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "", f"did not tell its version within {timeout_s:g} s"
    except OSError as error:
        return "", f"does not start ({error.strerror})"
    if answer.returncode == 0 and (found := re.search(r"\d+(?:\.\d+)+", answer.stdout)):
        return found[0], ""
    words = (answer.stderr.strip() or answer.stdout.strip() or f"exit code {answer.returncode}").splitlines()[-1]
    return "", f"does not start ({words[:200]})"


# --- installing ------------------------------------------------------------------------------------------------------------


def install(*, environ: Mapping[str, str] | None = None, system_folders: Sequence[str] = SYSTEM_FOLDERS) -> Browser:
    """The browser that `find` finds, installed first where there is none: by Playwright, then, as root, by apt.

    Prints the installers' output. Raises BrowserMissingError in one sentence when both ways are closed, or WEBGYM_BROWSER is wrong.
    """
    environ = os.environ if environ is None else environ
    if environ.get(VARIABLE, "").strip():
        return find(environ=environ, system_folders=system_folders)
    browser, unusable = _first_that_starts(None, environ, system_folders)
    installers = [[playwright_command()], apt_commands(environ)]
    failures: list[str] = []
    while browser is None and installers:
        failures += _run_all(installers.pop(0), environ)
        ask_version.cache_clear()  # a library that was missing may be there now
        browser, unusable = _first_that_starts(None, environ, system_folders)
    if browser is None:
        raise BrowserMissingError(
            f"No browser could be installed ({'; '.join(failures + unusable)}): install Debian's package chromium-headless-shell, "
            f"or any Chromium, and set {VARIABLE} to its path."
        )
    return browser


def playwright_command() -> list[str]:
    """Playwright's own download of the headless shell, without full Chromium beside it."""
    return [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]


def apt_commands(environ: Mapping[str, str], uid: int | None = None) -> list[list[str]]:
    """Debian's headless shell; nothing unless we are root and apt-get is there."""
    uid = os.geteuid() if uid is None else uid
    apt = shutil.which("apt-get", path=environ.get("PATH", ""))
    if uid != 0 or not apt:
        return []
    return [[apt, "update", "-qq"], [apt, "install", "-y", "-qq", "--no-install-recommends", "chromium-headless-shell"]]


def _run_all(commands: Iterable[Sequence[str]], environ: Mapping[str, str], timeout_s: float = 900.0) -> list[str]:
    """Runs an installer's commands up to the first that fails; what went wrong, in words."""
    for command in commands:
        try:
            done = subprocess.run(
                command, env={**environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL, timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            return [f"`{' '.join(command)}` did not end within {timeout_s:g} s"]
        except OSError as error:
            return [f"`{' '.join(command)}` did not start: {error.strerror}"]
        if done.returncode:
            return [f"`{' '.join(command)}` failed with exit code {done.returncode}"]
    return []


# --- sandbox ---------------------------------------------------------------------------------------------------------------

# What Chromium's sandbox does first: a new user namespace with an identity in it. Container runtimes refuse the first step,
# Ubuntu's AppArmor rule the second, so only a try tells.
_TRY_NAMESPACE = """
import ctypes, os, sys
uid = os.geteuid()
CLONE_NEWUSER = 0x10000000
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
    sys.exit(1)
with open("/proc/self/uid_map", "w") as file:
    file.write(f"{uid} {uid} 1")
"""


def user_namespaces_work() -> bool:
    """True if this user may make a user namespace here. To find out, one is made in a child process."""
    child = subprocess.run([sys.executable, "-I", "-S", "-c", _TRY_NAMESPACE], capture_output=True, stdin=subprocess.DEVNULL)
    return child.returncode == 0


def decide_sandbox(*, system: str, uid: int, helper: bool, namespaces: bool) -> Sandbox:
    """The decision alone. `helper`: a setuid `chrome-sandbox` beside the browser, which serves where namespaces do not."""
    if system != "Linux":
        return Sandbox(True, "the system's own sandbox is used")
    if uid == 0:
        return Sandbox(False, "Chromium refuses its sandbox when started by root")
    if namespaces:
        return Sandbox(True, "user namespaces work")
    if helper:
        return Sandbox(True, "the setuid helper chrome-sandbox is installed")
    return Sandbox(False, "this user may not make user namespaces here (a container's or AppArmor's rule)")


@functools.cache
def sandbox(path: Path | None = None) -> Sandbox:
    """The decision on the browser's sandbox, made once per process. With `path`, a setuid helper beside it counts too."""
    system, uid = platform.system(), os.geteuid()
    decides = system == "Linux" and uid != 0
    helper = path is not None and _setuid_helper(path)
    return decide_sandbox(system=system, uid=uid, helper=helper, namespaces=decides and user_namespaces_work())


def _setuid_helper(path: Path) -> bool:
    """True if a setuid `chrome-sandbox` lies beside the real executable (Debian starts it by a script in /usr/bin)."""
    folders = [path.resolve().parent]
    if folders[0] == Path("/usr/bin"):
        folders.append(Path("/usr/lib/chromium"))
    for helper in (folder / "chrome-sandbox" for folder in folders):
        if helper.is_file():
            status = helper.stat()
            if status.st_uid == 0 and status.st_mode & 0o4000:
                return True
    return False
