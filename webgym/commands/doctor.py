"""Looks at this machine and says, one sentence for each problem, what keeps WebGym from running well and what to do about it."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webgym.backends.browser import executable
from webgym.backends.browser.executable import Browser
from webgym.commands.console import PlainConsole
from webgym.errors import BrowserFault, BrowserMissingError

Status = Literal["ok", "warn", "fail"]

DISTRIBUTION = "webgym-rl"
MIB = 1 << 20
STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check: its subject, its state, the finding, and, unless it is ok, one sentence on what to do.

    warn: it runs, but slower or with less; fail: it does not run.
    """

    name: str
    status: Status
    message: str
    fix: str = ""


def diagnose(environ: Mapping[str, str] | None = None) -> list[Check]:
    """All checks of this machine, in the order in which problems should be mended. Starts the browser; takes a few seconds."""
    environ = os.environ if environ is None else environ
    checks = [check_python(sys.version_info[:3]), check_packages(), *check_browser(environ)]
    checks += [check_shared_memory(), check_cores(), check_memory(), *check_torch(), check_display(environ)]
    return checks


def failed(checks: Iterable[Check]) -> bool:
    """True if something keeps WebGym from running."""
    return any(check.status == "fail" for check in checks)


def table(checks: Iterable[Check]) -> Table:
    """The checks for a terminal."""
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        rows.add_row(check.name, Text(check.status, STYLES[check.status]), check.message)
        if check.fix:
            rows.add_row("", "", Text.assemble(("→", "bold"), f" {check.fix}"))
    return rows


# --- Python and packages ---------------------------------------------------------------------------------------------------


def check_python(version: tuple[int, int, int]) -> Check:
    """Check that Python is 3.11 or newer."""
    words = ".".join(map(str, version))
    if version < (3, 11):
        return Check("python", "fail", words, "Install Python 3.11 or newer and make the virtual environment with it.")
    return Check("python", "ok", f"{words} in {sys.prefix}")


def check_packages(distribution: str = DISTRIBUTION) -> Check:
    """Check that everything that the distribution requires is installed in a version that it accepts."""
    try:
        required = [Requirement(text) for text in metadata.requires(distribution) or ()]
    except metadata.PackageNotFoundError:
        return Check("packages", "warn", f"{distribution} is not installed here", "Run `pip install -e .` where pyproject.toml is.")
    required = [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [problem for problem in map(_package_problem, required) if problem]
    if wrong:
        return Check("packages", "fail", "; ".join(wrong), f"Run `pip install {distribution}` (or `pip install -e .`) again.")
    return Check("packages", "ok", f"{distribution} {metadata.version(distribution)} with its {len(required)} requirements")


def _package_problem(required: Requirement) -> str:
    try:
        version = metadata.version(required.name)
    except metadata.PackageNotFoundError:
        return f"{required.name} is missing"
    return "" if required.specifier.contains(version, prereleases=True) else f"{required.name} is {version}, wanted {required.specifier}"


# --- browser ---------------------------------------------------------------------------------------------------------------


def check_browser(environ: Mapping[str, str]) -> list[Check]:
    """Check that a browser is found, its sandbox, that it starts and answers, and a page through Playwright. Stops at the first failure."""
    try:
        browser = executable.find(environ=environ)
    except BrowserMissingError as error:
        return [Check("browser", "fail", str(error), "Run `webgym doctor --install`.")]
    checks = [_found(browser), _sandbox_mode(browser)]
    for name, trial in (("browser starts", _start), ("page loads", _load)):
        checks.append(_timed(name, trial, browser))
        if checks[-1].status == "fail":
            break
    return checks


def _found(browser: Browser) -> Check:
    where = f"{browser.version} at {browser.path} (found by {browser.source})"
    if browser.kind == "shell":
        return Check("browser", "ok", f"headless shell {where}")
    fix = "Install a headless shell (`python -m playwright install --only-shell chromium`), four times as fast and small."
    return Check("browser", "warn", f"full Chromium {where}", fix)


def _sandbox_mode(browser: Browser) -> Check:
    sandbox = executable.sandbox(browser.path)
    if sandbox.enabled:
        return Check("sandbox", "ok", f"on: {sandbox.reason}")
    fix = "Fine for WebGym's own pages; before you open pages of the live web, run as a user who may make user namespaces."
    return Check("sandbox", "warn", f"off: {sandbox.reason}", fix)


def _timed(name: str, trial: Callable[[Browser], None], browser: Browser) -> Check:
    started = time.monotonic()
    try:
        trial(browser)
    except BrowserFault as error:
        fix = f"Start `{browser.path} --dump-dom about:blank` to see what it lacks, or set {executable.VARIABLE} to another browser."
        return Check(name, "fail", str(error), fix)
    return Check(name, "ok", f"in {time.monotonic() - started:.2f} s")


def _start(browser: Browser, timeout_s: float = 30.0) -> None:
    """Starts the browser without Playwright and has it print a page."""
    arguments = [
        "--headless",
        "--disable-gpu",
        *executable.sandbox(browser.path).arguments,
        "--dump-dom",
        "data:text/html,<p>it works",
    ]
    try:
        answer = subprocess.run([browser.path, *arguments], capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise BrowserFault(f"the browser started but did not answer within {timeout_s:g} s") from error
    if "<p>it works" not in answer.stdout:
        words = (answer.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise BrowserFault(f"the browser ended with exit code {answer.returncode}: {words[:300]}")


def _load(browser: Browser) -> None:
    from webgym.backends.browser import trial  # imports Playwright, which the other checks do not need

    trial.load_a_page(browser, executable.sandbox(browser.path))


# --- the machine -----------------------------------------------------------------------------------------------------------


def check_shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    """Check the size of /dev/shm, because Chromium passes pages' pixels and data through it; containers often have 64 MiB of it."""
    if not folder.is_dir():
        return Check("shared memory", "ok", "this system has no /dev/shm and needs none")
    return judge_shared_memory(shutil.disk_usage(folder).free // MIB)


def judge_shared_memory(free_mib: int) -> Check:
    """Judge the shared memory: 256 MiB serve the text observations of 32 sessions; less makes pages crash."""
    if free_mib < 256:
        return Check(
            "shared memory",
            "warn",
            f"{free_mib} MiB free in /dev/shm",
            "Start the container with `--shm-size=1g`, or pages may crash.",
        )
    return Check("shared memory", "ok", f"{free_mib} MiB free in /dev/shm")


def check_cores() -> Check:
    """The cores that this process may use, a container's limit included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return judge_cores(cores, cpu_quota(_read("/sys/fs/cgroup/cpu.max")))


def judge_cores(cores: int, quota: float | None) -> Check:
    """Judge the number of cores. The default run is made for two: one for the browser, one for the model."""
    usable = min(cores, quota) if quota else cores
    words = f"{cores} cores" + (f", of which the container grants {quota:g}" if quota and quota < cores else "")
    if usable < 2:
        return Check("cores", "warn", words, "Give it two cores or more: browser and model take turns on one.")
    return Check("cores", "ok", words)


def cpu_quota(cpu_max: str) -> float | None:
    """Cores granted by a cgroup's cpu.max ("200000 100000" is 2.0); None where there is no limit."""
    parts = cpu_max.split()
    return int(parts[0]) / int(parts[1]) if len(parts) == 2 and parts[0].isdigit() else None


def check_memory() -> Check:
    """Memory that is available now, a container's limit included."""
    return judge_memory(available_mib(_read("/proc/meminfo"), _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")))


def judge_memory(free_mib: int | None) -> Check:
    """Judge the memory: 2 GiB hold torch, webgym-tiny, its critic and optimisers (about 1 GiB) and a browser with 16 sessions."""
    if free_mib is None:
        return Check("memory", "ok", "this system does not tell how much is available")
    if free_mib < 2048:
        return Check(
            "memory",
            "warn",
            f"{free_mib} MiB available",
            "Close other programs, or lower the number of sessions: training wants 2 GiB.",
        )
    return Check("memory", "ok", f"{free_mib / 1024:.1f} GiB available")


def available_mib(meminfo: str, limit: str = "", used: str = "") -> int | None:
    """MiB that a new process can have: MemAvailable of /proc/meminfo, or what a cgroup's limit leaves, if that is less."""
    kib = next((line.split()[1] for line in meminfo.splitlines() if line.startswith("MemAvailable:")), None)
    machine = int(kib) // 1024 if kib else None
    if machine is None or not limit.strip().isdigit() or not used.strip().isdigit():
        return machine
    return min(machine, max(0, (int(limit) - int(used)) // MIB))


def check_torch() -> list[Check]:
    """Check that the trainers' torch is there and fits the GPU, if there is one. Imports nothing."""
    version = metadata.version("torch") if importlib.util.find_spec("torch") else ""
    return judge_torch(version, gpus())


def judge_torch(version: str, found: Sequence[str] | None) -> list[Check]:
    """Judge torch. `version` is "" when it is missing; `found` names the GPUs, None when the driver does not answer."""
    if not version:
        torch = Check("torch", "fail", "torch is missing; environments run, training does not", f"Run `pip install {DISTRIBUTION}` again.")
    elif found and "+cpu" in version:
        torch = Check("torch", "warn", f"{version} is a CPU build", "Install a CUDA build of the same torch version to use the GPU.")
    else:
        torch = Check("torch", "ok", version)
    if found is None:
        return [
            torch,
            Check("gpu", "warn", "nvidia-smi is there but does not answer", "Check the NVIDIA driver with `nvidia-smi`."),
        ]
    return [torch, Check("gpu", "ok", ", ".join(found) if found else "none: training runs on the CPU")]


def gpus() -> list[str] | None:
    """Name and memory of each NVIDIA GPU; [] without one, None when the driver does not answer."""
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else None


def check_display(environ: Mapping[str, str], system: str = platform.system()) -> Check:
    """Check if a window could be shown; nothing needs one."""
    if system == "Darwin":
        return Check("display", "ok", "the screen of this Mac")
    display = environ.get("WAYLAND_DISPLAY") or environ.get("DISPLAY")
    return Check("display", "ok", display if display else "none: the browser runs headless, which is all that WebGym needs")


def _read(path: str) -> str:
    """The text of a file of the system, "" where there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


# --- python -m webgym.commands.doctor -----------------------------------------------------------------------------------------------


def run(*, install: bool = False, browser_only: bool = False, console: Console | None = None) -> int:
    """Run `webgym doctor`: install a browser where asked and missing, check, print. Returns the exit code: 1 if something fails.

    `browser_only` stops after the browser is found or installed, for `make`.
    """
    console = console or PlainConsole()
    if install or browser_only:
        try:
            browser = executable.install()
        except BrowserMissingError as error:
            console.print(Text.assemble(("fail", "bold red"), f" {error}"), soft_wrap=True)
            return 1
        if browser_only:
            console.print(f"browser: {browser.version} at {browser.path}", soft_wrap=True)
            return 0
    with console.status("looking at this machine"):
        checks = diagnose()
    console.print(table(checks))
    return int(failed(checks))


if __name__ == "__main__":
    sys.exit(run(install="--install" in sys.argv[1:], browser_only="--browser" in sys.argv[1:]))
