"""A gate before an episode whose first page is still on the way, while the last page of the episode before may live on."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin


class Gate:
    """Lets the navigation to the address `url` pass, with its redirects, and nothing else.

    A browser says in `sec-fetch-site` that a person opened an address, as a session does; a page's own requests never say so. Where it says
    nothing, which is on hosts that are no secure contexts, the address decides. A request is stopped, too, that has cookies besides
    those which the episode was given (`cookies`, as name=value) and which the answers so far have set.
    """

    def __init__(self, url: str, cookies: Iterable[str] = ()) -> None:
        self._wanted = url.partition("#")[0]
        self.cookies = set(cookies)

    def passes(self, found: str, scope: Any) -> bool:
        """True if a request to the origin `found` may pass."""
        headers = dict(scope["headers"])
        opened_by = headers.get(b"sec-fetch-site", b"")
        opened = opened_by == b"none" or (not opened_by and address(found, scope) == self._wanted)
        carried = headers.get(b"cookie", b"").decode("latin-1").split(";")
        clean = {pair.strip() for pair in carried if pair.strip()} <= self.cookies
        return scope["type"] == "http" and scope["method"] == "GET" and opened and clean

    def watch(self, asked: str, send: Any) -> Any:
        """`send`, with the cookies that an answer sets and the address that it leads on to noted."""

        async def watched(message: Any) -> None:
            for name, value in message.get("headers", ()) if message["type"] == "http.response.start" else ():
                if name.lower() == b"set-cookie":
                    self.cookies.add(value.decode("latin-1").partition(";")[0].strip())
                elif name.lower() == b"location" and 300 <= message["status"] < 400:
                    self._wanted = urljoin(asked, value.decode("latin-1")).partition("#")[0]
            await send(message)

        return watched


def address(found: str, scope: Any) -> str:
    """The address of a request to the origin `found`, as it was sent."""
    query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
    return f"{found}{scope['raw_path'].decode('latin-1')}{query}"
