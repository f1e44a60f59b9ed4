"""Server of a WSGI application, whose clock stands still: `python serve_wsgi.py MODULE:NAME PORT`.

It is a program of its own, run by the Python of an application's environment in the application's folder; it needs waitress, and
time-machine for the clock. Where the folder has a file `clock.txt` with a Unix time, that is the time of each request, and a request that
may write lets one second pass first. So the same requests always see the same times, and putting the file back puts the clock back.
"""

import os
import sys

sys.path[0] = os.getcwd()  # the application's modules, and not the neighbours of this file

import importlib  # noqa: E402
import threading  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

CLOCK = Path("clock.txt")
READS = ("GET", "HEAD", "OPTIONS")


class Clocked:
    """The application, with the file's time as the time."""

    def __init__(self, application: Any, travel: Any, moment: float) -> None:
        self._application, self._coordinates, self._lock = application, travel(moment, tick=False).start(), threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with self._lock:
            now = float(CLOCK.read_text("ascii"))
            if environ["REQUEST_METHOD"] not in READS:
                now += 1
                fresh = CLOCK.with_suffix(".new")
                fresh.write_text(f"{now:.0f}\n", "ascii")
                fresh.replace(CLOCK)
            self._coordinates.move_to(now)
        return self._application(environ, start_response)


def main(name: str, port: int) -> None:
    """Serve the application until the process ends."""
    if CLOCK.is_file():
        from time_machine import travel  # pyright: ignore[reportMissingImports]

        moment = float(CLOCK.read_text("ascii"))
        with travel(moment, tick=False):  # what it asks while it is loaded, too
            application = _loaded(name)
        application = Clocked(application, travel, moment)
    else:
        application = _loaded(name)
    from waitress import serve  # pyright: ignore[reportMissingImports]

    serve(application, host="127.0.0.1", port=port, threads=4, clear_untrusted_proxy_headers=False)


def _loaded(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
