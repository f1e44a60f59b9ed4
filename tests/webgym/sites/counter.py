"""A site for tests of the gateway and the listener, and a way to ask an episode in this process."""

import asyncio
from typing import Any

from webgym.errors import SiteFault


class Counter:
    """Counts the requests of each episode; notes what it was asked; `/broken` raises, `/hang` waits until the page leaves."""

    def __init__(self, host="count.localhost"):
        self.host = host
        self.scopes, self.closed, self.cancelled = [], [], 0

    async def lease(self, seed, site_state):
        if seed == 13:
            raise ValueError("unlucky")
        if seed == 14:
            raise SiteFault("down")
        return {"seed": seed, "given": site_state, "count": 0}

    def snapshot(self, state):
        if state["seed"] == 15:
            raise KeyError("count")
        return state["count"]

    async def release(self, state):
        self.closed.append(state["seed"])

    async def app(self, scope, receive, send):
        self.scopes.append(scope)
        if scope["path"] == "/broken":
            raise RuntimeError("no")
        scope["webgym.state"]["count"] += 1
        if scope["type"] == "websocket":
            return await self._talk(receive, send)
        if scope["path"] == "/hang":
            try:
                while (await receive())["type"] != "http.disconnect":
                    pass
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return
        body = f"{scope['webgym.state']['seed']} {scope['webgym.state']['given']}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        if scope["path"] == "/same":
            headers.append((b"cache-control", b"max-age=9, immutable"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _talk(self, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "break":
                raise RuntimeError("no")
            await send({"type": "websocket.send", "text": message["text"].upper()})


async def ask(episode: Any, path="/", host="count.localhost", method="GET", scheme="http", headers=()) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a request to an episode, without a socket."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "scheme": scheme, "path": path, "query_string": query.encode(),
        "headers": [(b"host", host.encode()), *headers],
    }  # fmt: skip
    status, given, body = 0, {}, b""

    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return next(asked, None) or await asyncio.Future()

    async def send(message):
        nonlocal status, given, body
        if message["type"] == "http.response.start":
            status, given = message["status"], {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            body += message.get("body", b"")

    await episode(scope, receive, send)
    return status, given, body.decode()
