"""WebSockets through the proxy: one of the page and one of the application, message by message in both directions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import wsproto
from wsproto import events as ws
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from webgym.sites.apps.exchange import CHUNK, Address, Refused, connect
from webgym.sites.apps.headers import Headers, Sides, request_headers, response_headers

OF_THE_HANDSHAKE = (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-protocol", b"host")
POLICY, GONE_WRONG = 1008, 1011


class Upstream:
    """Connection to the application that becomes a WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    async def open(self, host: str, target: str, protocols: list[str], headers: Headers) -> ws.AcceptConnection | None:
        """The application's acceptance, None where it refuses."""
        self._send(ws.Request(host=host, target=target, subprotocols=protocols, extra_headers=headers))
        async for event in self.events():
            return event if isinstance(event, ws.AcceptConnection) else None
        return None

    async def events(self) -> AsyncIterator[ws.Event]:
        """The messages of the application, until its end."""
        while True:
            try:
                for event in self._ws.events():
                    if isinstance(event, ws.Ping):
                        self._send(event.response())
                    yield event
                data = await self._reader.read(CHUNK)
                self._ws.receive_data(data or None)
            except (OSError, RemoteProtocolError, LocalProtocolError):
                return
            if not data:
                for event in self._ws.events():
                    yield event
                return

    async def tell(self, event: ws.Event) -> None:
        """Send a message; one to an application that is gone is dropped."""
        try:
            self._send(event)
            await self._writer.drain()
        except (OSError, LocalProtocolError):
            return

    def _send(self, event: ws.Event) -> None:
        self._writer.write(self._ws.send(event))

    def close(self) -> None:
        """Close the connection."""
        self._writer.transport.abort()


async def bridge(address: Address, sides: Sides, more: dict[str, str], scope: Any, target: str, receive: Any, send: Any) -> None:
    """Carry messages until either side closes. Raises Refused."""
    upstream = Upstream(*await connect(address))
    try:
        await receive()  # websocket.connect
        headers = request_headers([h for h in scope["headers"] if h[0] not in OF_THE_HANDSHAKE], sides, more)
        host = headers[0][1].decode("latin-1")
        kept = [header for header in headers[1:] if header[0] != b"accept-encoding"]
        accepted = await upstream.open(host, target, list(scope.get("subprotocols", ())), kept)
        if accepted is None:
            return await send({"type": "websocket.close", "code": POLICY})
        known = [h for h in accepted.extra_headers if h[0] in (b"set-cookie",)]
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": accepted.subprotocol,
                "headers": response_headers([(n, v) for n, v in known], sides),
            }
        )
        await _carry(upstream, receive, send)
    finally:
        upstream.close()


async def _carry(upstream: Upstream, receive: Any, send: Any) -> None:
    out, back = asyncio.create_task(_from_page(upstream, receive)), asyncio.create_task(_from_application(upstream, send))
    try:
        await asyncio.wait({out, back}, return_when=asyncio.FIRST_COMPLETED)
        if not back.done():  # the page closed: the application may hear of it before the connection ends
            await asyncio.wait({back}, timeout=0.2)
        for ended in (out, back):
            if ended.done() and not ended.cancelled() and (error := ended.exception()):
                raise error
    finally:
        for task in (out, back):
            task.cancel()
        await asyncio.gather(out, back, return_exceptions=True)


async def _from_page(upstream: Upstream, receive: Any) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await upstream.tell(ws.TextMessage(data=message["text"]))
        else:
            await upstream.tell(ws.BytesMessage(data=message.get("bytes") or b""))
    code = message.get("code") or 1000
    await upstream.tell(ws.CloseConnection(code=1000 if code in (1005, 1006) else code, reason=message.get("reason")))


async def _from_application(upstream: Upstream, send: Any) -> None:
    with contextlib.suppress(OSError):  # the page is gone
        await _all_from_application(upstream, send)


async def _all_from_application(upstream: Upstream, send: Any) -> None:
    parts: list[Any] = []
    async for event in upstream.events():
        if isinstance(event, (ws.TextMessage, ws.BytesMessage)):
            parts.append(event.data)
            if event.message_finished:
                whole = type(parts[0])().join(parts) if len(parts) > 1 else parts[0]
                kind = "text" if isinstance(event, ws.TextMessage) else "bytes"
                await send({"type": "websocket.send", kind: whole if kind == "text" else bytes(whole)})
                parts = []
        elif isinstance(event, ws.CloseConnection):
            code = 1000 if event.code in (1005, 1006) else event.code
            return await send({"type": "websocket.close", "code": code, "reason": event.reason or ""})
    await send({"type": "websocket.close", "code": GONE_WRONG})


__all__ = ["Refused", "bridge"]
