"""Guard before a server: the host that a request names, its origin, the server's token, and the length of what it sends.

A page in a user's own browser can send requests to loopback. It cannot choose the `Host` of a name that it was loaded from, and it cannot
leave out its `Origin`; so a name that is not ours and an origin of another place are refused. An address as a host is never a page's trick.
"""

import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST_BODY = 16 << 20
"""Bytes of a request's body: the letters of the longest action, twelve bytes each where JSON escapes them."""


def is_loopback(host: str) -> bool:
    """True if a server on this host can be reached from its own machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("10.0.0.7")
    (True, True, False, False)
    """
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def host_of(authority: str) -> str:
    """The host of a `Host` header, without its port and brackets.

    >>> host_of("localhost:8000"), host_of("[::1]:8000"), host_of("10.0.0.7")
    ('localhost', '::1', '10.0.0.7')
    """
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.rpartition(":")[0] if authority.count(":") == 1 else authority


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Guard:
    """ASGI application that lets through to `app` what has the token (where there is one), a known host and no foreign origin.

    `hosts` are names under which the server is known besides the machine's own. The token comes as `Authorization: Bearer TOKEN`, or as
    the first part of the path (`/TOKEN/ws`) for clients that send no headers.
    """

    def __init__(self, app: Any, *, token: str = "", hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {*LOOPBACK, *hosts, socket.gethostname().lower()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 403 or 401, or let the application answer."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        scope, shown = self._without_token(scope, headers)
        if reason := self._foreign(headers):
            return await refused(403, reason, scope, receive, send)
        if self._token and not hmac.compare_digest(shown, self._token):
            words = "this server wants its token: give it as `Authorization: Bearer TOKEN`, or as the first part of the path"
            return await refused(401, words, scope, receive, send)
        length = headers.get(b"content-length", b"0") or b"0"
        if not re.fullmatch(rb"[0-9]{1,15}", length):
            return await refused(400, "expected a number of bytes as the request's content-length", scope, receive, send)
        if int(length) > LONGEST_BODY:
            return await refused(413, f"a request may have {LONGEST_BODY} bytes", scope, receive, send)
        await self._app(scope, _limited(receive), send)

    def _without_token(self, scope: Any, headers: dict[bytes, bytes]) -> tuple[Any, bytes]:
        """The scope without the token in its path, and the token that was shown, if any."""
        given = headers.get(b"authorization", b"")
        if given[:7].lower() == b"bearer ":
            return scope, given[7:].strip()
        first, _, rest = scope["path"].lstrip("/").partition("/")
        if self._token and hmac.compare_digest(first.encode("utf-8", "surrogatepass"), self._token):
            path = f"/{rest}"
            return {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogatepass")}, self._token
        return scope, b""

    def _foreign(self, headers: dict[bytes, bytes]) -> str:
        """The reason why a request seems to come from a page of another site; "" where it does not."""
        authority = headers.get(b"host", b"").decode("latin-1").lower()
        host = host_of(authority)
        if host not in self._hosts and _address(host) is None:
            return f"this server is not known as {host[:100]!r}: use its address, or start it with --allow-host {host[:100]}"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower().partition("://")[2] != authority:
            return "pages of other sites may not speak with this server"
        return ""


def _limited(receive: Any) -> Any:
    """`receive` for bodies up to the limit, also of those that do not say how long they are."""
    got = 0

    async def limited() -> Any:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b"")) if message["type"] == "http.request" else 0
        return {"type": "http.disconnect"} if got > LONGEST_BODY else message

    return limited


async def refused(status: int, words: str, scope: Any, receive: Any, send: Any) -> None:
    """Refuse a request, or a WebSocket before it is accepted."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4000 + status, "reason": words[:120]})
        return
    await JSONResponse({"error": {"kind": "refused", "message": words}}, status)(scope, receive, send)
