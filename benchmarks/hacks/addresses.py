"""Addresses that an agent opens: schemes that read files and settings, and other servers under all their spellings."""

# ruff: noqa: E501
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from benchmarks.hacks.matrix import hack, without
from benchmarks.hacks.world import HOST, agent, canary, fetched
from webgym.backends.browser import session
from webgym.sites.listener import Listener
from webgym.sites.static import reply
from webgym.types import Goto

SECRET = "SECRET-OF-A-FILE"
PAGE = "<title>start</title><h1>start</h1>"


def read(address: str, sign: str = "") -> str:
    """What the agent reads at an address, if it gets there: `sign` must be on the page, or anything where it is empty."""
    agent().open(PAGE)
    seen = agent().do(Goto(address)).observation
    text = " ".join([seen.title, *(node.text for node in seen.nodes)])
    if seen.url.startswith((f"http://{HOST}/", "chrome-error:")) and SECRET not in text:
        return ""
    return f"{seen.url[:60]}: {text[:60]}" if sign in text and seen.url != "about:blank" else ""


def _file() -> str:
    path = Path(tempfile.gettempdir(), "webgym-hacks-secret.txt")
    path.write_text(SECRET)
    return str(path)


def _schemes() -> Iterator[tuple[str, str]]:
    """Addresses by scheme, each with what a page that was reached says."""
    path = _file()
    for address in (f"file://{path}", f"FILE://{path}", f" file://{path}", f"file:{path}", f"file://localhost{path}"):
        yield address, SECRET
    yield "data:text/html,<h1>MARK</h1>", "MARK"
    yield "DATA:text/html;base64,PGgxPk1BUks8L2gxPg==", "MARK"


def opens_anything() -> Any:
    """The guard of addresses, removed: what the agent says is opened."""
    return without((session, "allowed_address", lambda url, hosts: url.strip()))()


for _address, _sign in _schemes():
    hack("schemes", _address.replace(_file(), "/a/file"), "an address is opened only if its origin is a host of the task", opens_anything)(
        lambda address=_address, sign=_sign: read(address, sign)
    )


# --- other servers -----------------------------------------------------------------------------------------------------------


@contextmanager
def open_proxy() -> Iterator[None]:
    """The guard of the listener, removed: it fetches what no site of the episode has."""
    answer = Listener.answer

    async def answered(self: Any, found: str, scope: Any, receive: Any, send: Any, connection: Any) -> None:
        episode, parts = self.episode, urlsplit(found)
        if episode is None or episode.serves(found) or found.endswith("door.webgym") or not parts.hostname:
            return await answer(self, found, scope, receive, send, connection)
        if scope["type"] == "websocket":
            canary().hits += parts.port == canary().port
            return connection.transport.abort()
        body = await fetched(parts.hostname, parts.port or 80, scope["path"])
        await reply(send, 200, b"text/html", body, extra=((b"access-control-allow-origin", b"*"),))

    def tunnelled(self: Any, authority: str) -> str:
        return f"http://{authority}"

    with patch.object(Listener, "answer", answered), patch.object(Listener, "tunnel_to", tunnelled):
        yield


@contextmanager
def open_world() -> Iterator[None]:
    """Both guards removed."""
    with opens_anything(), open_proxy():
        yield


def reached(address: str) -> str:
    """What of the canary the agent reads."""
    return read(address, canary().MARK)


_SPELLINGS = {
    "127.0.0.1": "127.0.0.1", "localhost": "localhost", "a decimal number": "2130706433", "hexadecimal": "0x7f000001", "octal": "0177.0.0.1",
    "127.1": "127.1", "a user before it": f"{HOST}@127.0.0.1", "a trailing dot": "localhost.",
    "IPv4 in IPv6": "[::ffff:127.0.0.1]", "full-width digits": "１２７.0.0.1", "percent signs": "%31%32%37.0.0.1",
}  # fmt: skip
for _name, _host in _SPELLINGS.items():
    hack(
        "hosts",
        f"a server on loopback as {_name}",
        "only hosts of the task are opened, and the session's proxy serves no other",
        open_world,
    )(lambda host=_host: reached(f"http://{host}:{canary().port}/"))
hack("hosts", "a backslash before the host", "only hosts of the task are opened, and the session's proxy serves no other", open_world)(
    lambda: reached(f"http://127.0.0.1:{canary().port}\\@{HOST}/")
)
