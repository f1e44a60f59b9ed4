"""Service of the referee's documents to WebGym: a site per host, whose state of an episode is the documents that it shows."""

from typing import Any

from benchmarks.pages.generator import HOST, OTHER, Documents
from webgym.sites.static import reply
from webgym.task import PENDING, AsgiApp, Scope, Start, Task

AWAY = "<!doctype html><html><head><title>Away</title></head><body><p>Another page</p></body></html>"
TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "json": "application/json",
    "png": "image/png",
}


class DocumentSite:
    """Serves what the episode's `site_state` maps (host, path) to, and :data:`AWAY` below `/to/`."""

    def __init__(self, host: str) -> None:
        self.host = host

    async def lease(self, seed: int, site_state: Any) -> Documents:
        return site_state

    def snapshot(self, state: Documents) -> None:
        return None

    async def release(self, state: Documents) -> None:
        """Do nothing, because no resources are held."""

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        status, kind, body = answer(scope["webgym.state"], self.host, scope["path"])
        await reply(send, status, kind.encode(), body.encode())


def answer(documents: Documents, host: str, path: str) -> tuple[int, str, str]:
    """Status, content type and text of an address, the same for both browsers."""
    if path.startswith("/to/"):
        return 200, "text/html; charset=utf-8", AWAY
    found = documents.get((host, path))
    kind = TYPES.get(path.rpartition(".")[2], "text/html") + "; charset=utf-8"
    return (404, kind, "not found") if found is None else (200, kind, found)


SITES = (DocumentSite(HOST), DocumentSite(OTHER))


def task(documents: Documents, path: str, files: dict[str, str | bytes]) -> Task:
    """A task that shows the documents, beginning with `path`, and that never ends."""
    start = Start(f"http://{HOST}{path}", "Do as the referee says", site_state=documents, files=files)
    return Task("referee.page", start=lambda _: start, check=lambda _: PENDING, hosts=(HOST, OTHER), max_turns=1000)
