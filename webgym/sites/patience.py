"""Patience of our servers with who connects: a request comes whole within some time, and only so many connections say nothing.

Somebody who opens connections and sends half a request, or nothing, would else hold a file of the process for each, until the browser
and the run beside it find none left (the attack is known as Slowloris).
"""

import asyncio
import resource
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""Seconds from a connection, or from the first byte of a later request, until the request's head is whole."""
BODY_S = 120.0
"""Seconds from a request's head until its body is whole."""
YOUNG_S = 1.0
"""Seconds in which a connection is not ended for others, so that many that come at once can speak."""


class Waiting:
    """The connections of this process that owe a request, the one that has owed it longest first.

    Above `most` of them the first is ended. A client in order sends its request at once, or connects again for its next one.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._since: dict[Any, float] = {}  # by connection, which has a `transport`

    def __len__(self) -> int:
        return len(self._since)

    def add(self, connection: Any) -> None:
        """From now on the connection owes a request."""
        self.remove(connection)
        now = self._since[connection] = time.monotonic()
        while len(self._since) > self.most:
            first, since = next(iter(self._since.items()))
            if now - since < YOUNG_S:
                return
            del self._since[first]
            first.transport.abort()

    def remove(self, connection: Any) -> None:
        """The connection has sent its request, or has ended."""
        self._since.pop(connection, None)


def _most() -> int:
    """A quarter of the files that the process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1024 if files == resource.RLIM_INFINITY else max(64, min(1024, files // 4))


WAITING = Waiting(_most())


class PatientProtocol(H11Protocol):
    """uvicorn's protocol of HTTP/1.1 with this patience; `http=PatientProtocol` of its configuration."""

    idle_counts = True  # whether a connection between two requests is one that waits
    body_s: float | None = BODY_S

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._owes = ""  # "head", "body", "next" (nothing of it yet), or nothing
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._now_owes("head")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.transport.is_closing() and self.transport.get_protocol() is self:
            self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._now_owes("")
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._now_owes("")
        super().handle_websocket_upgrade(event)

    def _look(self) -> None:
        """See what the client owes now."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._now_owes("body" if self.cycle.more_body else "")
        elif self.conn.trailing_data[0]:
            self._now_owes("head")
        elif self.cycle is not None:  # uvicorn's own time for kept connections runs
            self._now_owes("next")

    def _now_owes(self, what: str) -> None:
        if what == self._owes:
            return
        self._owes = what
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        patience_s = {"head": HEAD_S, "body": self.body_s}.get(what)
        if patience_s is not None:
            self._timer = self.loop.call_later(patience_s, self.transport.abort)
        if what == "head" or (what == "next" and self.idle_counts):
            WAITING.add(self)
        else:
            WAITING.remove(self)
