"""Requests to a site's ASGI application, as the gateway makes them."""

import asyncio
import sys
from pathlib import Path

from webgym.sites import Server, Sqlite
from webgym.sites.apps.process import Port

SHELF = Path(__file__).with_name("shelf.py")
HOST = "shelf.localhost"
COMMAND = [sys.executable, str(SHELF), "{port}", "{folder}"]


def free_port():
    """A port that nothing listens on."""
    port = Port.free()
    port.let_go()
    return port.number


def shelf(url=f"http://{HOST}/", **options):
    """The application in a process of its own."""
    return Server(url, **{"command": COMMAND, "ready": "/login", "reset": [Sqlite("books.db")], **options})


class Answer:
    """Everything that a site sent."""

    def __init__(self):
        self.status, self.headers, self.body, self.done, self.sent = 0, [], b"", asyncio.Event(), []

    async def send(self, message):
        self.sent.append(message)
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                self.done.set()

    def header(self, name):
        return [value.decode() for key, value in self.headers if key == name.encode()]


def scope(site, lease, path, method="GET", headers=(), host=None, kind="http", query=b"", **more):
    pairs = [(b"host", (host or site.host).encode()), *((name.encode(), value.encode()) for name, value in dict(headers).items())]
    return {
        "type": kind, "http_version": "1.1", "method": method, "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query, "headers": pairs, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "webgym.state": lease, **more,
    }  # fmt: skip


async def ask(site, lease, path, method="GET", body=b"", headers=(), **more):
    """The answer to one request."""
    answer, parts = Answer(), [body] if isinstance(body, bytes) else list(body)
    sent = dict(headers) | ({"content-length": str(sum(map(len, parts)))} if method == "POST" else {})

    async def receive():
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}
        await answer.done.wait()
        return {"type": "http.disconnect"}

    await site.app(scope(site, lease, path, method, sent, **more), receive, answer.send)
    return answer


def playing(test, site, *, leases=1):
    """Run `test(site, *leases)` with so many leases, and end all processes after it."""

    async def main():
        try:
            async with asyncio.timeout(100):
                held = await asyncio.gather(*(site.lease(seed, None) for seed in range(leases)))
                return await test(site, *held)
        finally:
            site.stop()

    return asyncio.run(main())
