"""The server: one process, one browser and one event loop for all sessions of all tasks."""

import contextlib
import logging
import math
import secrets
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette

from webgym.errors import UsageError
from webgym.loop_thread import loop_thread
from webgym.serve import http, openenv
from webgym.serve.guard import LONGEST_BODY, Guard, is_loopback
from webgym.serve.sessions import Limits, Sessions
from webgym.sites.patience import PatientProtocol

log = logging.getLogger(__name__)

Protocol = Literal["http", "openenv"]
PROTOCOLS: dict[str, Any] = {"http": http.routes, "openenv": openenv.routes}
PING_S = 20.0  # between pings of a WebSocket, and that its answer may take
KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # a client whose machine is gone is known to be after 50 s


def app(sessions: Sessions, protocol: Protocol, *, token: str = "", hosts: Iterable[str] = ()) -> Any:
    """The ASGI application that serves these sessions. It must run on the browser's event loop."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await sessions.close()

    return Guard(Starlette(routes=PROTOCOLS[protocol](sessions), lifespan=lifespan), token=token, hosts=hosts)


class Server:
    """A server of all tasks on `host`:`port` (0: a free one); a context manager that is ready once it is entered.

    On a host that other machines reach it needs a `token`, unless it is meant to be `open_to_all` that reach the port. `url` is
    its address, the token as first part of its path where there is one.
    """

    def __init__(
        self,
        protocol: Protocol = "http",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        open_to_all: bool = False,
        hosts: Iterable[str] = (),
        backend: str = "browser",
        limits: Limits = Limits(),
    ) -> None:
        if not is_loopback(host) and not token and not open_to_all:
            raise UsageError(f"a server on {host} can be reached by other machines: expected a token beside it, got none")
        self.sessions = Sessions(backend=backend, limits=limits)
        self._socket = _listening(host, port)
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}" + (f"/{token}" if token else "")
        config = uvicorn.Config(
            app(self.sessions, protocol, token=token, hosts=hosts),
            http=PatientProtocol,
            lifespan="on",
            access_log=False,
            log_level="warning",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws_max_size=LONGEST_BODY,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            timeout_keep_alive=math.ceil(limits.idle_s),  # as long as a session: a model may think for minutes between two turns
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._served: Future[None] | None = None

    def __enter__(self) -> "Server":
        self._served = loop_thread().submit(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._served.done():
            threading.Event().wait(0.005)
        if self._served.done():
            self._served.result()
            raise UsageError("the server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        if self._served is not None:
            self._served.result()

    def wait(self) -> None:
        """Wait until Ctrl-C or SIGTERM, or until the server fails."""
        ended = threading.Event()
        before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
        try:
            while not ended.is_set() and self._served is not None and not self._served.done():
                ended.wait(0.5)
        except KeyboardInterrupt:
            log.debug("stopped by Ctrl-C")
        finally:
            signal.signal(signal.SIGTERM, before)


def serve(server: Server, say: Callable[[str], None] = print) -> None:
    """Serve until Ctrl-C."""
    with server:
        say(f"{server.url}  ({server.sessions.limits.sessions} sessions at most; Ctrl-C ends it)")
        server.wait()


def new_token() -> str:
    """A secret for a server that other machines reach."""
    return secrets.token_urlsafe(24)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens; connections of it are probed, so that those of a machine that is gone end."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be used ({error.strerror}): give another --host or --port") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
