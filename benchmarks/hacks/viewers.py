"""Servers against other users of the machine, rebound names, pages of the user's browser, half requests, and what a record holds."""

import http.client
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.hacks.matrix import hack, without
from webgym.commands import play
from webgym.nodes.listening import Listening
from webgym.packs import registry
from webgym.prompts.settings import COMPACT
from webgym.record import episodes, layout
from webgym.record.store import TrajectoryStore
from webgym.serve.server import Server as TaskServer
from webgym.sites import patience
from webgym.types import Completion, EpisodeKey, Outcome, Trajectory, Turn
from webgym.view import app, export
from webgym.view.runs import Library
from webgym.view.server import Server

TOKEN = "the-token-of-a-row"
EVIL = "</script><script>document.title='PWNED'</script><img src=x onerror=\"document.title='PWNED'\">"
OUTSIDE = b"\x89PNG OUTSIDE"


@contextmanager
def run_folder() -> Iterator[Path]:
    """A run whose one episode holds markup everywhere, with a picture that lies outside of it."""
    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        path = Path(top, "run")
        (path / layout.TRAJECTORIES).mkdir(parents=True)
        (path / layout.ABOUT).write_text(json.dumps({"algo": EVIL, "seed": 0, "started": EVIL}))
        Path(top, "outside.png").write_bytes(OUTSIDE)
        (path / layout.TRAJECTORIES / "link.png").symlink_to(Path(top, "outside.png"))
        completion = Completion(EVIL, EVIL)
        turn = Turn(completion, "click('0')", EVIL, 0.0, True, False, "h", "s", url="javascript:document.title='PWNED'", page=EVIL)
        with TrajectoryStore(layout.trajectory_file(path, 1)) as store:
            store.append(Trajectory(EpisodeKey("a.b", 0), EVIL, (turn,), Outcome("failure", 0.0, message=EVIL)))
        yield path


def asked(port: int, path: str, method: str = "GET", host: str = "", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Status and body of a request to this port."""
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    wire.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"host": host or f"127.0.0.1:{port}", "content-length": str(len(body)), **headers}.items():
        wire.putheader(name, value)
    wire.endheaders(body)
    answer = wire.getresponse()
    found = answer.status, answer.read()
    wire.close()
    return found


def _open(guarded: Any = None) -> Any:
    """The guard of hosts and methods, removed."""
    return patch.object(app, "guarded", lambda inner, methods=(): inner)


def _read(path: str, host: str = "", method: str = "GET") -> str:
    with run_folder() as folder, Server(app.create_app(Library.open(folder), TOKEN)) as server:
        status, body = asked(server.port, path.replace("TOKEN", TOKEN), method, host.replace("PORT", str(server.port)))
        return f"{status}: {body[:30]!r}" if status == 200 and body else ""


_HOSTS = (
    "evil.com",
    "evil.com:80",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "0.0.0.0",
    "evil.com#127.0.0.1",
    "127.0.0.1@evil.com",
    "[::1].evil.com",
)
for _host in _HOSTS:
    hack("viewer", f"DNS rebinding: host {_host}", "the viewer answers to loopback names only", _open, quick=True)(
        lambda host=_host: _read("/TOKEN/api/library", host)
    )
for _method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):

    @contextmanager
    def _any_method() -> Iterator[None]:
        def routed(path: str, endpoint: Any, **named: Any) -> Any:
            return Route(path, endpoint, methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])

        Route = app.Route
        with _open(), patch.object(app, "Route", routed):
            yield

    hack("viewer", f"the method {_method}", "the viewer only reads", _any_method, quick=True)(
        lambda method=_method: _read("/TOKEN/api/library", method=method)
    )


@contextmanager
def _no_token() -> Iterator[None]:
    """The token, removed: every prefix is good."""
    make = app.create_app

    def made(library: Any, token: str) -> Any:
        inner = make(library, token)

        async def any_prefix(scope: Any, receive: Any, send: Any) -> None:
            rest = "/".join(scope.get("path", "").split("/")[2:]) if scope.get("path", "").count("/") > 1 else scope.get("path", "")[1:]
            await inner({**scope, "path": f"/{token}/{rest or 'api/library'}"}, receive, send)

        return any_prefix

    with patch.object(app, "create_app", made):
        yield


for _path in ("/x/api/library", f"/{TOKEN[:-1]}/api/library", f"/{TOKEN.upper()}/api/library", "//api/library", "/%2e%2e/api/library"):
    hack("viewer", f"another token: {_path}", "an address holds a token", _no_token, quick=True)(lambda path=_path: _read(path))


@contextmanager
def _any_file() -> Iterator[None]:
    """The fence around pictures, removed."""

    def picture(self: Any, name: str) -> Path | None:
        folder = self.path.parent if self.path.is_file() else self.path
        path = folder / name
        return path if path.is_file() else None

    with patch.object(episodes.Episodes, "picture", picture):
        yield


for _name in ("../../outside.png", "..%2f..%2foutside.png", "link.png"):
    hack("viewer", f"a picture at {_name}", "pictures lie in the folder of their trajectories", _any_file, quick=True)(
        lambda name=_name: _read(f"/TOKEN/api/run/run/shot/{name}")
    )


def _raw_report() -> Any:
    """The packing of a report's data, removed: it stands in the page as it is."""
    return patch.object(export, "page", lambda data: f"<script>{json.dumps(data, ensure_ascii=False)}</script>".encode())


# --- play --------------------------------------------------------------------------------------------------------------------


def _played(path: str, host: str = "", **headers: str) -> str:
    """True if a request makes `webgym play` go on to the next episode."""
    go_on = threading.Event()
    with Server(play.create_app(play.Person(COMPACT), go_on, TOKEN)) as server:
        asked(server.port, path.replace("TOKEN", TOKEN), "POST", host, b"{}", **headers)
    return "the next episode was begun" if go_on.is_set() else ""


@contextmanager
def _play_open() -> Iterator[None]:
    """Token and hosts of play, removed."""
    make = play.create_app

    def made(person: Any, go_on: Any, token: str) -> Any:
        with patch.object(play, "guarded", lambda inner, methods=(): inner):
            inner = make(person, go_on, token)

        async def any_prefix(scope: Any, receive: Any, send: Any) -> None:
            last = scope.get("path", "").rstrip("/").rpartition("/")[2]
            await inner({**scope, "path": f"/{token}/{last}"}, receive, send)

        return any_prefix

    with patch.object(play, "create_app", made):
        yield


_FORGED = {
    "without a token": ("/next", "", {}), "with another token": ("/xxxxxxxxxxxxxxxx/next", "", {}),
    "with the token, by a rebound name": ("/TOKEN/next", "evil.com", {}),
    "with the token, from another origin": ("/TOKEN/next", "", {"origin": "http://evil.com"}),
    "with the token, from a page without an origin": ("/TOKEN/next", "", {"origin": "null"}),
    "with the token, from another site's form": ("/TOKEN/next", "", {"sec-fetch-site": "cross-site"}),
}  # fmt: skip
for _name, (_path, _host, _headers) in _FORGED.items():
    hack("play", f"a forged request {_name}", "play takes deeds of its own page only", _play_open, quick=True)(
        lambda path=_path, host=_host, headers=_headers: _played(path, host, **headers)
    )


# --- markup in a record ------------------------------------------------------------------------------------------------------


@hack("viewer", "the end of a script in a page's text, in an exported report", "a report holds its data packed", _raw_report, quick=True)
def marked_up() -> str:
    """Markup of a page in the file of an exported report."""
    with run_folder() as folder:
        out = folder.parent / "report.html"
        export.export(folder, out)
        return "a script of the page's" if EVIL[:17] in out.read_text() else ""


# --- webgym serve ------------------------------------------------------------------------------------------------------------

_tried = count()


def _served(name: Callable[[Path, str], str]) -> str:
    """Names a task by what would have a server run a stranger's code."""
    with tempfile.TemporaryDirectory(prefix="webgym-hacks-") as top:
        module = f"stranger_{next(_tried)}"
        folder, mark = Path(top, module), Path(top, "ran")
        folder.mkdir()
        (folder / "pack.toml").write_text("[tasks.x]\nmax_turns = 3\n")
        (folder / "__init__.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n")
        with patch.object(sys, "path", [*sys.path, top]), TaskServer("http", backend="text") as server:
            wanted = json.dumps({"task": name(folder, module)}).encode()
            asked(server.port, "/sessions", "POST", body=wanted, **{"content-type": "application/json"})
        return "code that ran" if mark.exists() else ""


for _name, _of in {
    "a folder": lambda folder, module: f"{folder}#{module}.x",
    "a file": lambda folder, module: f"{folder}/__init__.py#{module}.x",
    "a module": lambda folder, module: f"{module}:webgym/{module}.x-v0",
}.items():
    hack("serve", f"a client's task of {_name} of its own", "a message's id never has a file read or a module imported",
         without((registry, "known_task", registry.task)), quick=True)(lambda of=_of: _served(of))  # fmt: skip


# --- half requests ---------------------------------------------------------------------------------------------------------


def _held(served: Callable[[], Any]) -> str:
    """Sends a part of a request and waits."""
    with patch.object(patience, "HEAD_S", 0.2), served() as server, socket.create_connection(("127.0.0.1", server.port)) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\n")
        wire.settimeout(1.0)
        try:
            wire.recv(1)
        except TimeoutError:
            return "a file of the process, without end"
        except ConnectionResetError:
            return ""
    return ""


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that never answers."""


for _name, _servers in {
    "viewer": lambda: Server(_nothing),
    "serve": lambda: TaskServer("http", backend="text"),
    "collector": lambda: Listening(_nothing, "127.0.0.1", 0),
}.items():
    hack(_name, "half a request that never ends", "a request's head comes within 20 seconds",
         without((patience.PatientProtocol, "_now_owes", lambda self, what: None)), quick=True)(lambda of=_servers: _held(of))  # fmt: skip
