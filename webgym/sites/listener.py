"""A session's own proxy: one loopback port through which its browser context sends every request, whatever the scheme, host and port.

The listener is the session, and what it serves is the session's episode: a page sees ordinary addresses and no header of ours, and an
episode is ended by aborting every connection. While no episode is served, each request is refused and noted; while the first page of an
episode is on the way and the last page of another may live on, a gate (:mod:`webgym.sites.gate`) stops all else.

A request to http comes in absolute form (`GET http://shop.localhost/cart HTTP/1.1`). WebSockets and https come in a tunnel
(`CONNECT app.example:443`), which leads to the site of that host and port: with TLS where the site has https, plainly where it has http.
For any other address the connection is refused, and the page finds that it cannot be reached.

No other program of the machine gets in, although it may find the port: a listener has a password (`proxy-authorization`), which the
context is given once, at :data:`DOOR`, and shows with every request and tunnel from then on. No page and no site ever sees it.
"""

import asyncio
import base64
import logging
import secrets
import ssl
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any
from urllib.parse import unquote

import uvicorn
from uvicorn.server import ServerState

from webgym.errors import SiteFault
from webgym.sites.address import SCHEMES, origin_of, port_of
from webgym.sites.certificates import Certificate
from webgym.sites.episode import BLANK, Episode, reply
from webgym.sites.gate import Gate, address
from webgym.sites.patience import WAITING, PatientProtocol

log = logging.getLogger(__name__)

MOST_NOTED = 100  # addresses that no site has
MOST_HEAD = 65_536  # bytes of a CONNECT
TLS_S = 30.0  # that a browser may take to shake hands
CONNECTED = b"HTTP/1.1 200 connected\r\n\r\n"
DOOR = "http://door.webgym/"  # an address that the listener itself answers who knows its password
USER = "webgym"
ASKS = b'Basic realm="webgym"'
UNKNOWN = b"HTTP/1.1 407 who is there\r\nproxy-authenticate: " + ASKS + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
REFUSED = b"HTTP/1.1 403 no site of this episode\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Requests of all connections, as uvicorn's protocols call it."""
    connection: Connection = scope["state"].pop("webgym.connection")
    await connection.answer(scope, receive, send)


class _Protocol(PatientProtocol):
    """The browser keeps its connections, and a page's bodies come when the page has them."""

    idle_counts, body_s = False, None


@cache
def _config() -> uvicorn.Config:
    """The configuration of uvicorn's protocols."""
    config = uvicorn.Config(
        _app,
        http=_Protocol,  # h11 takes addresses in absolute form
        ws="wsproto",  # the same one, whatever else is installed
        interface="asgi3",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_level="critical",  # a site's failure is logged by its episode and becomes a fault
        timeout_keep_alive=600,
        ws_ping_interval=None,  # pings would come by real time
    )
    config.load()
    return config


class Listener:
    """A loopback port for one browser context. Use :meth:`open`."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.port = 0
        self.password = secrets.token_urlsafe(16)
        self._shown = b"Basic " + base64.b64encode(f"{USER}:{self.password}".encode())  # by who knows it
        self.refused = asyncio.Event()  # set by a request since the last episode ended, until the next one is let through
        self.state = ServerState()
        self._episode: Episode | None = None
        self._gate: Gate | None = None
        self._barrier = ""  # the address of a request that is waited for
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, certificate: Certificate) -> "Listener":
        """A listener on a free port, which refuses everything until it is told what to serve."""
        self = cls(certificate)
        self._server = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def episode(self) -> Episode | None:
        """The episode that is served; None where it has ended, or there was none."""
        return self._episode if self._episode is not None and not self._episode.over else None

    def serve(self, episode: Episode, gate: Gate | None = None) -> None:
        """Let requests through to the sites of this episode from now on, or those only that pass the gate. Raises SiteFault."""
        self.must_serve()
        self._episode, self._gate = episode, gate
        if gate is None:
            self.refused.clear()

    def must_serve(self) -> None:
        """Raises SiteFault where the port was closed: then a page that could not be opened is no fault of the agent's."""
        if self._server is None or not self._server.is_serving() or any(socket.fileno() < 0 for socket in self._server.sockets):
            raise SiteFault("the session's listener has stopped: no page can be served any more")

    def barrier(self, found: str) -> str:
        """An address below the origin `found` that is answered here, and which :meth:`passed` then says."""
        self._barrier = f"{found}/webgym-barrier-{secrets.token_hex(8)}"
        return self._barrier

    @property
    def passed(self) -> bool:
        """True if the last barrier was asked for."""
        return not self._barrier

    def knows(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """True if the headers of a request or a tunnel hold the password."""
        return any(secrets.compare_digest(value, self._shown) for name, value in headers if name == b"proxy-authorization")

    async def answer(self, found: str, scope: Any, receive: Any, send: Any, connection: "Connection") -> None:
        """Let the episode answer a request to the origin `found`, or refuse it."""
        episode, gate = self.episode, self._gate
        if f"{found}/" == DOOR:
            return await reply(send, 204, {"cache-control": "no-store"})
        if self._barrier and scope["type"] == "http" and address(found, scope) == self._barrier:
            self._barrier = ""
            return await reply(send, 404, {"cache-control": "no-store"})
        if episode is None or (gate is not None and scope["path"] != BLANK and not gate.passes(found, scope)):
            self.refused.set()
            return connection.transport.abort()
        if not episode.serves(found):
            self.note(found)
            return connection.transport.abort()
        send = send if gate is None else gate.watch(address(found, scope), send)
        await episode.answer(found, scope, receive, send, connection.transport.is_closing)

    def tunnel_to(self, authority: str) -> str:
        """The origin of the site with this host and port, over https or else over http; "" where the episode has none."""
        if self.episode is None or self._gate is not None:
            self.refused.set()
            return ""
        schemes = () if port_of(authority.rpartition(":")[2]) is None else ("https", "http")
        found = (_origin(scheme, authority) for scheme in schemes)
        return next((one for one in found if self.episode is not None and self.episode.serves(one)), "")

    def refuse(self) -> None:
        """Abort all connections, and refuse everything from now on."""
        self._episode, self._gate, self._barrier = None, None, ""
        for connection in list(self.state.connections):
            connection.transport.abort()

    def note(self, asked: str) -> None:
        """Note an address that a page asked for and no site of the episode has."""
        if self.episode is not None and len(self.episode.elsewhere) < MOST_NOTED:
            self.episode.elsewhere.add(asked)

    async def close(self) -> None:
        """Abort all connections and give the port back."""
        self.refuse()
        if self._server is not None:
            self._server.close()
            self._server = None


class Connection(asyncio.Protocol):
    """A connection of the browser, until it is known how it speaks; then one of uvicorn's protocols takes over."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.transport: Any = None
        self._received = b""
        self._tunnel = ""  # the origin that it leads to
        self._shaking_hands: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._listener.state.connections.add(self)  # type: ignore[arg-type]
        WAITING.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        WAITING.remove(self)
        self._listener.state.connections.discard(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._shaking_hands is not None:
            return
        if not self._tunnel and (self._received.startswith(b"CONNECT ") or b"CONNECT ".startswith(self._received)):
            if b"\r\n\r\n" in self._received:
                self._connect()
            elif len(self._received) > MOST_HEAD:
                self.transport.abort()
        else:
            self._hand_over()

    def _connect(self) -> None:
        """Open the tunnel that the first line asks for, if it leads to a site."""
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        pairs = (line.partition(b":") for line in lines)
        if not self._listener.knows((name.strip().lower(), value.strip()) for name, _, value in pairs):
            self.transport.write(UNKNOWN)
            self.transport.close()
            return
        authority = first.split(b" ")[1].decode("latin-1")
        found = self._listener.tunnel_to(authority)
        if not found:
            self._listener.note(authority)
            self.transport.write(REFUSED)
            self.transport.close()
            return
        self._tunnel = found
        if found.startswith("https:"):
            self.transport.pause_reading()
            self.transport.write(CONNECTED)
            self._shaking_hands = asyncio.get_running_loop().create_task(self._shake_hands())
        else:
            self.transport.write(CONNECTED)

    async def _shake_hands(self) -> None:
        """Speak TLS from now on."""
        loop, context = asyncio.get_running_loop(), self._listener.certificate.context
        try:
            secured = await loop.start_tls(self.transport, self, context, server_side=True, ssl_handshake_timeout=TLS_S)
        except (OSError, ssl.SSLError) as error:
            log.debug("a browser did not take up TLS with %s: %s", self._tunnel, error)
            self.transport.abort()
            return
        if secured is None:
            return self.transport.abort()
        self.transport, self._shaking_hands = secured, None
        if self._received:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let uvicorn's protocol for HTTP and WebSockets take the connection, from its first byte."""
        listener = self._listener
        listener.state.connections.discard(self)  # type: ignore[arg-type]
        WAITING.remove(self)
        config, loop = _config(), asyncio.get_running_loop()
        kind: Any = config.http_protocol_class
        protocol = kind(config=config, server_state=listener.state, app_state={"webgym.connection": self}, _loop=loop)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(self._received)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the episode answer a request of this connection."""
        if scope["type"] not in ("http", "websocket"):
            return
        found = self._tunnel
        if not found and not self._listener.knows(scope["headers"]):
            return await reply(send, 407, {"proxy-authenticate": ASKS.decode(), "connection": "close"})
        if not found:
            found, path = _absolute(scope["raw_path"])
            scope = {**scope, "path": unquote(path.decode("ascii")), "raw_path": path}
        await self._listener.answer(found, scope, receive, send, self)


def _absolute(target: bytes) -> tuple[str, bytes]:
    """The origin and the path of a target in absolute form; an empty origin where it is none."""
    scheme, _, rest = target.partition(b"://")
    authority, _, path = rest.partition(b"/")
    return _origin(scheme.decode("latin-1"), authority.decode("latin-1")), b"/" + path


@lru_cache(4096)
def _origin(scheme: str, authority: str) -> str:
    """The origin of a scheme and of what stands before the path; "" for what is no address of a site."""
    name, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = authority, str(SCHEMES.get(scheme, 0))
    number = port_of(port)
    return origin_of(scheme, name.strip("[]"), number) if scheme in SCHEMES and name and number is not None else ""
