"""Requests of an episode's pages, as the proxy before an application sees them: what a verifier may ask about the way that was taken."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

MOST, MOST_BODY = 5_000, 1 << 16  # requests of an episode, bytes of one's body that are kept
FORM = "application/x-www-form-urlencoded"

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


@dataclass
class Request:
    """A request of a page. `status` is 0 until it is answered; `document` is true where a page, or a frame, was opened by it."""

    method: str
    url: str
    kind: str = ""
    status: int = 0
    body: bytes = b""
    document: bool = False

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form that was sent, the last of each name."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)) if self.kind.startswith(FORM) else {}


def kept(scope: Any, receive: Receive, send: Send, requests: list[Request]) -> tuple[Receive, Send]:
    """`receive` and `send` of an HTTP request that is added to `requests` meanwhile."""
    if scope["type"] != "http" or len(requests) >= MOST:
        return receive, send
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    query = scope.get("query_string", b"").decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    url = f"{scope.get('scheme', 'http')}://{headers.get(b'host', '')}{path}" + (f"?{query}" if query else "")
    document = headers.get(b"sec-fetch-dest") in ("document", "iframe")
    request = Request(scope["method"], url, headers.get(b"content-type", ""), document=document)
    requests.append(request)

    async def received() -> Any:
        message = await receive()
        if message["type"] == "http.request" and len(request.body) < MOST_BODY:
            request.body += message.get("body", b"")[: MOST_BODY - len(request.body)]
        return message

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            request.status = message["status"]
        await send(message)

    return received, sent
