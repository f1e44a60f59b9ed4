"""Workers' scripts, which a browser asks for by itself: the hooks of the episode are written before their first line.

A module with imports gets them by an import of its own, because imports run before what stands above them.
"""

import re
from collections.abc import Callable
from typing import Any

from webgym.task import Scope

HOOKS = "/webgym-worker.js"  # the address of the hooks on every host: no site is asked
KINDS = (b"worker", b"sharedworker", b"serviceworker")
CODED = (
    b"content-encoding",
    b"content-length",
    b"etag",
    b"last-modified",
    b"digest",
    b"content-md5",
)  # headers that tell of the text as it was
_IMPORTS = re.compile(rb"(^|[;}\n])\s*import(\s*[{*\"']|\s+\w)")


def asks_for_worker(scope: Scope) -> bool:
    """True if the browser asks for the script of a worker."""
    return scope["type"] == "http" and any(name == b"sec-fetch-dest" and value in KINDS for name, value in scope["headers"])


def is_navigation(scope: Scope) -> bool:
    """True if the browser asks for a document, which it shows. It says so to sites that it takes to be safe, and else by what it wants."""
    headers = dict(scope["headers"])
    mode = headers.get(b"sec-fetch-mode")
    return mode == b"navigate" if mode is not None else headers.get(b"accept", b"").startswith(b"text/html")


def plainly(scope: Scope) -> Scope:
    """The request, for the whole text and without compression."""
    dropped = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in dropped]}


def with_hooks(send: Any, hooks: Callable[[], str]) -> Any:
    """`send`, with the hooks before the text of an answer that is no error."""
    head: list[Any] = []
    body = bytearray()

    async def hooked(message: Any) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
        elif message["type"] == "http.response.body" and head:
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            start = head.pop()
            text = bytes(body)
            if start["status"] == 200 and not any(name.lower() == b"content-encoding" for name, _ in start.get("headers", ())):
                kept = [(name, value) for name, value in start.get("headers", ()) if name.lower() not in CODED]
                first = f'import "{HOOKS}";\n' if _IMPORTS.search(text) else hooks()
                text = first.encode() + text
                start = {**start, "headers": [*kept, (b"content-length", str(len(text)).encode())]}
            await send(start)
            await send({**message, "body": text})
        else:
            await send(message)

    return hooked
