"""Fava as a WSGI application on the ledger of the current folder.

Pages show paths, and addresses of entries depend on the ledger's. So that all processes show the same pages, the ledger has a path that is
the same for each of them, and where Fava has followed it to the process's own folder, answers get it back.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from fava.application import create_app

from .guard import guard_ledgers, guard_queries

OWN = os.getcwd()
FOLDER = "/proc/self/cwd" if os.path.isdir("/proc/self/cwd") else OWN
guard_ledgers()
guard_queries()
fava = create_app([f"{FOLDER}/ledger.beancount"], load=True, poll_watcher=True)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Fava, whose answers name the folder by its path for all processes."""
    begun: list[Any] = []
    parts = fava(environ, lambda *answer: begun.extend(answer))
    status, headers = begun[:2]
    if not dict(headers).get("Content-Type", "").startswith(("application/json", "text/html")):
        start_response(status, headers)
        return parts
    body = b"".join(parts).replace(OWN.encode(), FOLDER.encode())
    if hasattr(parts, "close"):
        parts.close()
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    start_response(status, [*kept, ("Content-Length", str(len(body)))])
    return [body]
