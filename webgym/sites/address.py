"""Addresses that sites have and that an episode may go to.

A site's host is written as people write it: `shop.localhost`, `localhost:8001`, `https://app.example:8443`. Its *origin* is the one form
that is compared: scheme, host, and the port unless it is the scheme's own. A site without a scheme has http, because most test servers do.

Names below `.localhost`, and `localhost` itself, are secure contexts in browsers: clipboard, service workers and `crypto.subtle` work in
their pages as they do over https. Other names have them over https only, as in the world.
"""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from webgym.errors import ConfigError

SCHEMES = {"http": 80, "https": 443}
"""Schemes that sites are served by, with their own ports."""
SOCKETS = {"ws": "http", "wss": "https"}
MOST = 2048
"""Characters of the longest address that an action may open."""
NOT_HOSTS = ("javascript:", "data:", "about:", "view-source:", "blob:", "file:", "chrome:")
_CONTROLS = {*map(chr, range(0x20)), "\x7f"}


@lru_cache(4096)
def origin(host: str) -> str:
    """The origin of a site's host. Raises ConfigError.

    >>> origin("Shop.localhost"), origin("localhost:8001"), origin("https://app.example:443/")
    ('http://shop.localhost', 'http://localhost:8001', 'https://app.example')
    """
    wrong = ConfigError(f"expected a host such as shop.localhost, localhost:8001 or https://app.example:8443, got {host!r}")
    if not host.isascii() or set(host) & ({"\\", " "} | _CONTROLS):
        raise wrong
    try:
        parts = urlsplit(host if "://" in host else f"http://{host}")
        port = parts.port
    except ValueError:
        raise wrong from None
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in SCHEMES or not parts.hostname or not bare or port == 0:
        raise wrong
    return origin_of(parts.scheme, parts.hostname, port)


def port_of(text: str) -> int | None:
    """The port that a text from outside names; None for what is none, in odd digits or in too many.

    >>> port_of("8001"), port_of("8²"), port_of("99999999")
    (8001, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None


def origin_of(scheme: str, host: str, port: int | None = None) -> str:
    """The origin that these three make; the scheme of a WebSocket is that of the page's requests beside it."""
    scheme, host = SOCKETS.get(scheme, scheme), f"[{host}]" if ":" in host else host.lower()
    return f"{scheme}://{host}" if port in (None, SCHEMES[scheme]) else f"{scheme}://{host}:{port}"


def origin_of_url(url: str) -> str:
    """The origin of an address; "" for one that no site can have, such as about:blank."""
    parts = urlsplit(url)
    return origin_of(parts.scheme, parts.hostname, parts.port) if parts.scheme in SCHEMES and parts.hostname else ""


def allowed_address(url: str, hosts: Sequence[str]) -> str | None:
    """`url` made absolute, or None where it lies outside of the hosts.

    An address that browsers and this function could read differently is refused: with a backslash before its query, with control
    characters, or with a host in other than ASCII letters. A name and password before the host may be given, because a page that asks for
    them (status 401) can be opened in no other way.

    >>> allowed_address("a.localhost/list", ["a.localhost"]), allowed_address("file:///etc/passwd", ["a.localhost"])
    ('http://a.localhost/list', None)
    """
    if "://" not in url.partition("?")[0].partition("#")[0] and not url.lower().startswith(NOT_HOSTS):
        url = f"{_scheme_of(url, hosts)}://{url}"
    before = url.partition("?")[0].partition("#")[0]
    if len(url) > MOST or "\\" in before or set(url) & _CONTROLS:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname or not parts.netloc.isascii():
            return None
        own = parts.port == SCHEMES[parts.scheme]  # a port that goes without saying is not said
        return url if not own and origin_of(parts.scheme, parts.hostname, parts.port) in map(origin, hosts) else None
    except ValueError:  # no address at all, such as http://[ or a port beyond all ports
        return None


def _scheme_of(url: str, hosts: Sequence[str]) -> str:
    """The scheme of an address that was given without one: https where that alone leads to a host of the task."""
    host = url.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2].lower()
    origins = set(map(origin, hosts))
    return "https" if f"https://{host}" in origins and f"http://{host}" not in origins else "http"


def not_allowed(url: str, hosts: Sequence[str]) -> str:
    """The reason why it was not opened, in words for the agent."""
    if len(url) > MOST:
        return f"the address has {len(url):,} characters; expected at most {MOST:,}"
    return f"{url[:200]} is not allowed; this task's hosts are: {', '.join(map(origin, hosts))}"
