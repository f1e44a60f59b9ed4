"""Supervisor of one application: starts it, reports its end, and lets nothing of it outlive the process that asked for it.

It is run as a program of its own: `python launcher.py FOLDER COMMAND...`. Its standard input is a pipe that only WebGym's process holds:
the pipe's end means that the process is gone, however it went, and then the application is ended with all its children, and FOLDER is
removed. Its standard output says how the application ended. Its standard error is the application's log.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

GRACE_S = 1.0  # that an application gets to end by itself
LOOK_S = 0.5  # between two looks at the parent, for the case that somebody else holds the pipe too
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(folder: str, command: list[str]) -> None:
    """Run the command until it is asked to end, or until its asker is gone."""
    parent = os.getppid()
    ends = [False]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for asked in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, lambda *_: ends.__setitem__(0, True))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _control(PR_SET_CHILD_SUBREAPER, 1)  # what the application leaves behind becomes a child of this process
    child = os.fork()
    if child == 0:
        _become(command)
    running = True
    while not ends[0] and os.getppid() == parent:
        ready, _, _ = select.select([0, woken], [], [], LOOK_S)
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        if running and (status := _reaped(child)) is not None:
            running = False
            _kill(child, signal.SIGKILL)
            _say(f"ended {status}")
        if 0 in ready and not os.read(0, 64):
            break
    if running:
        _end(child)
    _kill(child, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _become(command: list[str]) -> None:
    """Turn this child into the application, in a session of its own; never returns."""
    report = os.dup(1)  # it closes when the application begins
    try:
        os.setsid()
        _control(PR_SET_PDEATHSIG, signal.SIGKILL)
        for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(asked, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(report, f"cannot {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _reaped(child: int) -> int | None:
    """The exit status of the application once it has ended, negative for a signal; its stray children are reaped too."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = os.waitstatus_to_exitcode(status)
    return found


def _end(child: int) -> None:
    """Ask the application to end, and wait a moment for it."""
    _kill(child, signal.SIGTERM)
    until = time.monotonic() + GRACE_S
    while time.monotonic() < until:
        if _reaped(child) is not None:
            return
        time.sleep(0.01)


def _kill(child: int, how: signal.Signals) -> None:
    """Send the signal to the application's group, and to all descendants of this process; after SIGKILL, wait until they are gone."""
    until = time.monotonic() + GRACE_S
    while True:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, how)
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, how)
        if how is not signal.SIGKILL:
            return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # none is left
            return
        if time.monotonic() > until:
            return
        time.sleep(0.01)


def _descendants() -> list[int]:
    """The children of this process and theirs, on Linux; elsewhere none, where the group must do."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(entry.parent.name)] = int(entry.read_text("latin-1").rpartition(")")[2].split()[1])
    found, fresh = [], [os.getpid()]
    while fresh:
        fresh = [pid for pid, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def _control(option: int, value: int) -> None:
    """Set an option of this process with prctl, on Linux."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


def _say(words: str) -> None:
    with contextlib.suppress(OSError):
        os.write(1, f"{words}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
