"""Addresses that an episode may go to."""

from collections.abc import Sequence
from urllib.parse import urlsplit

SCHEMES = ("http", "https")
MOST = 2048
"""Characters of the longest address that an action may open."""
NOT_HOSTS = ("javascript:", "data:", "about:", "view-source:", "blob:", "file:", "chrome:")


def allowed_address(url: str, hosts: Sequence[str]) -> str | None:
    """`url` made absolute, or None where it lies outside of the hosts.

    >>> allowed_address("a.localhost/list", ["a.localhost"]), allowed_address("file:///etc/passwd", ["a.localhost"])
    ('http://a.localhost/list', None)
    """
    if "://" not in url and not url.lower().startswith(NOT_HOSTS):
        url = f"http://{url}"
    if len(url) > MOST:
        return None
    try:
        parts = urlsplit(url)
        return url if parts.scheme in SCHEMES and parts.hostname in hosts and parts.port is None else None
    except ValueError:  # no address at all, such as http://[ or a port beyond all ports
        return None


def not_allowed(url: str, hosts: Sequence[str]) -> str:
    """The reason why it was not opened, in words for the agent."""
    if len(url) > MOST:
        return f"the address has {len(url):,} characters; expected at most {MOST:,}"
    return f"{url[:200]} is not allowed; this task's hosts are: {', '.join(f'http://{host}' for host in hosts)}"
