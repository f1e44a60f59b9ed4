"""Headers on their way through the proxy: what belongs to one connection stays there, and addresses are those of either side."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Headers = list[tuple[bytes, bytes]]

OF_ONE_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade expect".split()
)
ROUTING = frozenset([b"x-original-url", b"x-rewrite-url", b"x-forwarded-prefix"])  # some servers take their path from these
NOT_FOR_PAGES = frozenset([b"date", b"alt-svc"])  # the real time; another way to the application's own port
OF_CACHES = frozenset([b"cache-control", b"expires", b"pragma", b"age", b"vary", b"set-cookie"])
FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")


@dataclass(frozen=True)
class Sides:
    """Addresses of one application: the origins that pages see, by host, the one that it takes itself for, and its own."""

    public: str  # http://forum.localhost, for the host of this request
    believed: str  # http://127.0.0.1:8000
    own: Sequence[str] = field(default=())  # http://127.0.0.1:PORT, http://localhost:PORT

    def inward(self, text: str) -> str:
        """A text that begins with the pages' origin, as the application expects it."""
        return _moved(text, [self.public], self.believed)

    def outward(self, text: str) -> str:
        """A text that begins with one of the application's own origins, with either scheme or with none, as pages know it."""
        here = dict.fromkeys(origin.partition("://")[2] for origin in (self.believed, *self.own))
        return _moved(text, [f"{scheme}//{place}" for place in here for scheme in ("http:", "https:", "")], self.public)


def origins(urls: Sequence[str]) -> Mapping[str, str]:
    """The origins of some addresses, by host (with its port, if it has one)."""
    return {urlsplit(url).netloc: f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in urls}


def request_headers(headers: Headers, sides: Sides, more: Mapping[str, str]) -> Headers:
    """The headers of a page's request, as the application gets them; `more` are those that the episode adds."""
    dropped = _of_this_connection(headers) | ROUTING | {b"host", b"accept-encoding"} | {name.lower().encode() for name in more}
    kept: Headers = []
    for name, value in headers:
        if name in (b"origin", b"referer"):
            value = sides.inward(value.decode("latin-1")).encode("latin-1")
        if name not in dropped:
            kept.append((name, value))
    kept += [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in more.items()]
    names = {name for name, _ in headers}
    if b"transfer-encoding" in names and b"content-length" not in names:  # a body that comes in parts
        kept.append((b"transfer-encoding", b"chunked"))
    if sides.public.startswith("https:"):
        kept.append((b"x-forwarded-proto", b"https"))
    return [(b"host", urlsplit(sides.believed).netloc.encode("latin-1")), *kept, (b"accept-encoding", b"identity")]


def response_headers(headers: Headers, sides: Sides, *, forever: bool = False) -> Headers:
    """The headers of the application's answer, as the browser gets them; `forever` marks it as the same for every episode."""
    dropped = _of_this_connection(headers) | NOT_FOR_PAGES | (OF_CACHES if forever else frozenset())
    kept: Headers = [FOREVER] if forever else []
    for name, value in headers:
        if name in dropped:
            continue
        text = value.decode("latin-1")
        if name in (b"location", b"content-location", b"access-control-allow-origin"):
            text = sides.outward(text)
        elif name == b"refresh":
            text = re.sub(r"(?i)(url\s*=\s*['\"]?)(\S+)", lambda found: found[1] + sides.outward(found[2]), text)
        elif name == b"set-cookie":
            text = _cookie_outward(text, sides)
        kept.append((name, text.encode("latin-1")))
    return kept


def _cookie_outward(cookie: str, sides: Sides) -> str:
    """A cookie of the domain that the application takes itself for becomes one of the domain that pages see."""
    domains = {(urlsplit(origin).hostname or "").lower() for origin in (sides.believed, *sides.own)}
    public = urlsplit(sides.public).hostname or ""

    def moved(found: re.Match[str]) -> str:
        return f"{found[1]}{public}" if found[2].strip().strip('"').lstrip(".").lower() in domains else found[0]

    return re.sub(r"(?i)(;\s*domain\s*=\s*)([^;]*)", moved, cookie)


def _of_this_connection(headers: Headers) -> frozenset[bytes]:
    named = [value for name, value in headers if name == b"connection"]
    return OF_ONE_CONNECTION | {word.strip().lower() for value in named for word in value.split(b",")}


def _moved(text: str, here: Sequence[str], there: str) -> str:
    for origin in here:
        if text.lower().startswith(origin.lower()) and text[len(origin) : len(origin) + 1] in ("", "/", "?", "#"):
            return there + text[len(origin) :]
    return text
