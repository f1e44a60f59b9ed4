"""The clock of a process: libfaketime, where it is installed, shows it the time that the pages see."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

PLACES = (
    "/usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib*/faketime/libfaketimeMT.so.1",
    "/opt/homebrew/lib/faketime/libfaketime.1.dylib",
    "/usr/local/lib/faketime/libfaketime.1.dylib",
)
MISSING = (
    "libfaketime is not installed, so the application sees the real time: install it (apt install libfaketime) or give it a clock itself"
)


def library() -> Path | None:
    """The library of libfaketime, if it is installed."""
    for pattern in PLACES:
        path = Path(pattern)
        root = Path(path.anchor)
        if found := next(iter(sorted(root.glob(str(path.relative_to(root))))), None):
            return found
    return None


def environment(file: Path, found: Path | None = None) -> Mapping[str, str]:
    """The variables of a process whose time a file says (:func:`set_clock`), by the library `found`; none without libfaketime."""
    found = found or library()
    if found is None:
        return {}
    preload = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"
    return {
        preload: str(found),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",  # the file is read at each look at the clock, since every episode sets it anew
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # waiting takes its real time
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def set_clock(file: Path, clock_s: float) -> None:
    """Let the process's clock show this Unix time now, and go on from there."""
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{clock_s - time.time():+.3f}\n", "ascii")
    fresh.replace(file)
