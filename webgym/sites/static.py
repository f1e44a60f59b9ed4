"""A site that is a folder of files: no state, the same bytes for every episode."""

import base64
import hashlib
import mimetypes
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from webgym.errors import SiteFault
from webgym.sites.synchronous import SynchronousMethods
from webgym.task import AsgiApp, Scope

Headers = tuple[tuple[bytes, bytes], ...]


class StaticSite(SynchronousMethods):
    """Serves the files under `directory` as `http://<host>/...`; implements :class:`webgym.task.Site`.

    The files are taken to be immutable: they are kept in memory once read and sent with a cache life of a year, so that a browser
    asks once. Text is declared as UTF-8. A folder's address serves its `index.html`. The files `withheld` are not served. A page under
    the folder `sealed` runs the scripts that its file names and no others, and has no frames, whatever is written into it later.
    """

    def __init__(self, host: str, directory: Path, withheld: Iterable[Path] = (), sealed: str | None = None) -> None:
        self.host = host
        self._sealed = None if sealed is None else (directory / sealed).resolve()
        self.directory = directory.resolve()
        self._withheld = frozenset(_identity(path) for path in withheld if path.exists())
        self._files: dict[Path, tuple[bytes, bytes, Headers]] = {}  # content type, body, more headers; by file: it has endless addresses

    async def lease(self, seed: int, site_state: Any) -> Any:
        """No state; raises SiteFault when the folder is gone."""
        if not self.directory.is_dir():
            raise SiteFault(f"the files of {self.host} are missing: no folder {self.directory}")
        return None

    def snapshot(self, state: Any) -> Any:
        """No state."""
        return None

    async def release(self, state: Any) -> None:
        """Do nothing, because no resources are held."""

    @property
    def app(self) -> AsgiApp:
        """The ASGI application that answers the browser."""
        return self._serve

    async def _serve(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            return await reply(send, 405, b"text/plain; charset=utf-8", b"method not allowed", extra=((b"allow", b"GET, HEAD"),))
        found = self._read(scope["path"])
        if found is None:
            return await reply(send, 404, b"text/plain; charset=utf-8", b"not found", cut=method == "HEAD")
        kind, body, others = found
        forever = ((b"cache-control", b"public, max-age=31536000, immutable"),)
        await reply(send, 200, kind, body, extra=forever + others, cut=method == "HEAD")

    def _read(self, path: str) -> tuple[bytes, bytes, Headers] | None:
        """Content type, body and more headers of the file at this address, or None; nothing outside the folder is ever read."""
        if "\0" in path:
            return None
        try:
            file = (self.directory / path.lstrip("/")).resolve()
            if file.is_dir():
                file = file / "index.html"
            if not file.is_relative_to(self.directory):
                return None
            if file not in self._files:
                if not file.is_file() or _identity(file) in self._withheld:
                    return None
                kind, body = _content_type(file), file.read_bytes()
                self._files[file] = (kind, body, self._policy(file, kind, body))
        except (OSError, ValueError):  # no file has such a name: too long, a loop of links, half a character
            return None
        return self._files[file]

    def _policy(self, file: Path, kind: bytes, body: bytes) -> Headers:
        if self._sealed is None or not kind.startswith(b"text/html") or not file.is_relative_to(self._sealed):
            return ()
        address = f"http://{self.host}/{file.relative_to(self.directory).as_posix()}"
        return ((b"content-security-policy", _own_scripts(body.decode("utf-8", "replace"), address).encode()),)


class _Scripts(HTMLParser):
    """The scripts that a page names: `sources` of its policy."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self._address, self._inline = address, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and (source := dict(attrs).get("src")):
            self.sources.append(urljoin(self._address, source))
        self._inline = ""

    def handle_data(self, data: str) -> None:
        self._inline += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._inline:
            digest = hashlib.sha256(self._inline.replace("\r\n", "\n").encode()).digest()
            self.sources.append(f"'sha256-{base64.b64encode(digest).decode()}'")
        self._inline = ""


def _own_scripts(page: str, address: str) -> str:
    """The Content-Security-Policy by which the page runs its own scripts alone. They may evaluate what they make themselves."""
    scripts = _Scripts(address)
    scripts.feed(page)
    scripts.close()
    allowed = " ".join(dict.fromkeys(scripts.sources))
    return f"script-src 'unsafe-eval' {allowed}; frame-src 'none'; object-src 'none'; base-uri 'none'"


def _identity(file: Path) -> tuple[int, int]:
    """The file itself, whatever name led to it: another case, a second link."""
    status = file.stat()
    return status.st_dev, status.st_ino


def _content_type(file: Path) -> bytes:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind in ("application/javascript", "application/json", "image/svg+xml")
    return (f"{kind}; charset=utf-8" if is_text else kind).encode()


async def reply(send: Any, status: int, kind: bytes, body: bytes, extra: tuple[tuple[bytes, bytes], ...] = (), cut: bool = False) -> None:
    """One whole response; `cut` sends its head only."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if cut else body})
