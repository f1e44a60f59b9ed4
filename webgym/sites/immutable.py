"""Answers that are the same for every episode, kept so that a site is asked for each once, whichever browser context wants it next.

A site says of an answer that it is immutable (`cache-control: ... immutable`), which means here: the same bytes for every episode.
"""

from dataclasses import dataclass, field
from typing import Any

from webgym.task import AsgiApp, Scope

MOST_BYTES = 64 * 2**20  # kept of all sites; what comes after is asked for again
PARTIAL = {b"range", b"if-none-match", b"if-modified-since", b"if-range", b"if-match", b"authorization"}
"""Headers of requests whose answers depend on more than the address."""


@dataclass
class _Recording:
    """One answer as it passes to the page."""

    send: Any
    messages: list[Any] = field(default_factory=list)
    usable: bool = False
    whole: bool = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.usable = _same_for_all(message)
        if self.usable:
            self.messages.append(message)
            self.whole = message["type"] == "http.response.body" and not message.get("more_body")
        await self.send(message)


class Immutables:
    """Whole answers by origin and address."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bytes, str, bytes], list[Any]] = {}
        self._bytes = 0

    def forget(self, found: str) -> None:
        """Drop what the site of this origin has answered, because another one takes its place."""
        self._kept = {key: messages for key, messages in self._kept.items() if key[0] != found}
        self._bytes = sum(map(_size, self._kept.values()))

    async def answer(self, found: str, app: AsgiApp, scope: Scope, receive: Any, send: Any) -> None:
        """Answer from what is kept, or let the site answer."""
        headers = dict(scope["headers"])
        if scope.get("method") != "GET" or PARTIAL & headers.keys():
            return await app(scope, receive, send)
        key = (found, scope.get("query_string", b""), scope["path"], headers.get(b"accept-encoding", b""))
        if key in self._kept:
            for message in self._kept[key]:
                await send(message)
            return
        recording = _Recording(send)
        await app(scope, receive, recording)
        if recording.whole and (size := _size(recording.messages)) + self._bytes <= MOST_BYTES:
            self._bytes += size - _size(self._kept.get(key, ()))
            self._kept[key] = recording.messages


def _same_for_all(start: Any) -> bool:
    headers = [(name.lower(), value.lower()) for name, value in start.get("headers", ())]
    return (
        start["status"] == 200
        and any(name == b"cache-control" and b"immutable" in value for name, value in headers)
        and not any(name == b"set-cookie" or (name == b"vary" and value.strip() != b"accept-encoding") for name, value in headers)
    )


def _size(messages: Any) -> int:
    return sum(len(message.get("body", b"")) for message in messages)
