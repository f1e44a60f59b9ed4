"""One process of an application, under its supervisor (:mod:`webgym.sites.apps.launcher`), with a folder and a log of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from webgym.sites.apps.files import copy_folder, tail
from webgym.sites.apps.leftovers import end_all_of, removed
from webgym.sites.apps.secrets import redacted

LAUNCHER = Path(__file__).with_name("launcher.py")
REMOVAL_S = 2.0  # that a folder may take to go
MOST_KEPT = 100  # logs of applications that failed
MOST_LOG = 8 << 20  # bytes that a log may have when an episode begins; a longer one is emptied
_living: "set[Process]" = set()


@dataclass(eq=False)
class Port:
    """A port of this machine that nothing listens on, and that no other WebGym gives out until it is let go.

    The system may give a port again before its process listens, and then the first one to listen would answer for both.
    """

    number: int
    _claim: socket.socket | None

    @classmethod
    def free(cls) -> "Port":
        """A port that is free on 127.0.0.1 and, where there is IPv6, on ::1."""
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                number: int = probe.getsockname()[1]
            claim = _claimed(number)
            if claim is not None and not _listened_on("::1", number):
                return cls(number, claim)

    def let_go(self) -> None:
        """Let others have it."""
        if self._claim is not None:
            self._claim.close()


def _claimed(port: int) -> socket.socket | None:
    """A name that stands for the port and that one process of this network has at a time; None where another one has it."""
    claim = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux":  # elsewhere such a name would be a file, which a process that is killed leaves behind
        try:
            claim.bind(f"\0webgym-port-{port}")
        except OSError:
            claim.close()
            return None
    return claim


def _listened_on(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:  # also where there is no IPv6
        return False


class Process:
    """Process of an application. `home` is its own folder, which goes with it: `folder`, `born`, `tmp` and `log.txt` are in it."""

    def __init__(self, log: str = "") -> None:
        self.port = Port.free()
        self.home = Path(tempfile.mkdtemp(prefix="webgym-app-"))
        self.folder, self.born, self._output = self.home / "folder", self.home / "born", self.home / "log.txt"
        try:
            self.folder.mkdir()
            (self.home / "tmp").mkdir()  # its TMPDIR: processes of one application must not meet in files of a fixed name
        except OSError:  # a full disk
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        self._log = self.folder / log if log else self._output
        self._popen: subprocess.Popen[bytes] | None = None
        self._starting, self._over = threading.Lock(), False
        self._said = ""

    def start(
        self, source: Path | None, withheld: Collection[Path], command: Sequence[str], cwd: Path | None, environment: Mapping[str, str]
    ) -> None:
        """Copy the source into the folder, and start the command there or in `cwd`. Raises OSError. It may take its time."""
        if source is not None:
            copy_folder(source, self.folder, withheld)
        with self._starting:
            if self._over:  # nobody waits for it any more
                self._remove()
                raise TimeoutError("it was given up while its folder was copied")
            with self._output.open("ab") as output:
                self._popen = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(LAUNCHER), str(self.home), *command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    cwd=cwd or self.folder,
                    env=dict(environment),
                    start_new_session=True,  # Ctrl-C in a terminal is for WebGym, which ends this in order
                )
        assert self._popen.stdout is not None
        os.set_blocking(self._popen.stdout.fileno(), False)
        _living.add(self)

    @property
    def ended(self) -> str:
        """The end of the process, in words; "" while it runs."""
        if self._popen is None or self._popen.stdout is None or self._popen.stdout.closed:
            return self._said or "it was stopped"
        with contextlib.suppress(BlockingIOError):
            self._said += (os.read(self._popen.stdout.fileno(), 4096) or b"").decode("utf-8", "replace")
        if not self._said:
            code = self._popen.poll()
            return "" if code is None else f"its supervisor ended with status {code}"
        for line in self._said.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "cannot":
                return f"it could not be started: {rest}"
            if kind == "ended":
                return f"it ended with signal {rest[1:]}" if rest.startswith("-") else f"it ended with status {rest}"
        return ""

    def log_tail(self) -> str:
        """The last lines of its log, without secrets."""
        return redacted(tail(self._log) or tail(self._output))

    def keep_log(self, folder: Path) -> Path | None:
        """Copy the log to a folder that stays; None where it cannot be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(folder.glob("webgym-app-*.txt"), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
                old.unlink(missing_ok=True)
            kept = folder / f"{self.home.name}.txt"
            kept.write_text(redacted(tail(self._log, 5000, 1 << 19) or tail(self._output, 5000, 1 << 19)) + "\n", "utf-8")
            return kept
        except OSError:
            return None

    def shorten_log(self) -> None:
        """Empty a log that has grown too long."""
        for log in {self._log, self._output}:
            with contextlib.suppress(OSError):
                if log.stat().st_size > MOST_LOG:
                    os.truncate(log, 0)

    def stop(self) -> None:
        """Ask the supervisor to end all of it; its end is awaited elsewhere (:meth:`wait`)."""
        _living.discard(self)
        with self._starting:
            self._over = True
        if self._popen is None:
            self.port.let_go()
            self._remove()
            return
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._popen.send_signal(signal.SIGCONT)  # one that was stopped (SIGSTOP) hears nothing
        threading.Thread(target=self.wait, name="webgym-reap", daemon=True).start()

    def wait(self, timeout_s: float = 10.0) -> None:
        """Wait until the supervisor has ended; one that does not is killed, and its application with it."""
        if self._popen is None:
            return
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            status = self._popen.wait()
        if status:  # it has not ended its application
            end_all_of(self.home)
        self.port.let_go()
        self._remove()

    def _remove(self) -> None:
        """Remove the folder, which a supervisor that was killed has left, and an application that is about to end may write to."""
        until = time.monotonic() + REMOVAL_S
        while not removed(self.home) and time.monotonic() < until:
            time.sleep(0.02)


def _forget() -> None:
    """Let go of the processes of the parent, in a forked child: their end must not depend on it."""
    for process in list(_living):
        if process._popen is not None and process._popen.stdin is not None:
            process._popen.stdin.close()
    _living.clear()


os.register_at_fork(after_in_child=_forget)
