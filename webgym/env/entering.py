"""The way into an episode: what the browser holds before the first page, and how the episode signs in. Nothing of it is recorded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from webgym import types as t
from webgym.backends.base import Session
from webgym.errors import ConfigError, SiteFault
from webgym.sites.sign_in import plain, plain_cookies, sign_in
from webgym.task import Site, Start, Task, hosts_of

MOST_STEPS = 50  # of signing in
Walk = Callable[[t.Observation], t.Action | None]


@dataclass(frozen=True)
class Entry:
    """The page on which a session begins, what it is given there, and the steps that lead to the start."""

    url: str
    cookies: Sequence[Mapping[str, Any]] = field(repr=False)
    storage: Mapping[str, str] = field(repr=False)
    steps: Walk | None = None


async def enter(sites: Sequence[Site], leases: Mapping[str, Any], start: Start) -> Entry:
    """The entry into the episode, with the cookies of its form sent. Raises SiteFault, ConfigError."""
    way = start.signed_in
    if start.headers:
        _add_headers(leases, start.headers)
    cookies = plain_cookies(start.url, start.cookies)
    if way is not None and way.path:
        site, state = _site_of(sites, leases, start.url)
        cookies += await sign_in(site.app, state, start.url, way)
    steps = way.steps() if way is not None and way.steps is not None else None
    url = urljoin(start.url, way.page) if way is not None and steps is not None else start.url
    return Entry(url, cookies, start.storage, steps)


async def walk_in(session: Session, steps: Walk, url: str, task: Task) -> None:
    """Take the steps of signing in, and open the start. Raises SiteFault where one does not work; no message has what it types."""
    asked: set[tuple[str, str]] = set()  # password fields on the way, with the addresses of their pages
    for number in range(1, MOST_STEPS + 1):
        view = await session.view()
        asks = {(view.url.partition("?")[0], node.text) for node in view.nodes if "password" in node.states}
        page = t.Observation("", view.url, view.title, view.nodes, view.tabs, view.focus, 0, 0, "", (), "")
        try:
            action = steps(page)
        except LookupError as error:
            raise SiteFault(f"task {task.id}: signing in: step {number}: {error}") from error
        if action is None:
            if asks & asked:
                raise SiteFault(
                    f"task {task.id}: signing in: the page {plain(view.url)} still asks for a password: are name and password right?"
                )
            break
        asked |= asks
        if await session.act(action):
            raise SiteFault(
                f"task {task.id}: signing in: step {number}, {type(action).__name__.lower()}, did not work on the page {view.url}"
            )
    await session.act(t.Goto(url))
    await session.start_here()


def instance(leases: Mapping[str, Any]) -> Any:
    """The application of an episode that runs in another process, None where there is none."""
    return next((lease.instance for lease in leases.values() if hasattr(lease, "instance")), None)


def refused(session: Session, url: str, nodes: Sequence[t.Node], least: int = 400) -> str:
    """That a browser's start page was answered with a status from `least` on, and what it says, in words; "" where it was not."""
    status = getattr(getattr(session, "episode", None), "page_status", 0)
    if status < least:
        return ""
    words = " ".join(node.text for node in nodes if node.text)[:200] or "no words"
    return f"the start page {urlsplit(url).path or '/'} was answered with status {status}: {words}"


def _add_headers(leases: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    found = [lease for lease in leases.values() if hasattr(lease, "instance")]
    if not found:
        raise ConfigError("headers go to applications in other processes (webgym.sites.Server), and the task has none: leave them out")
    for lease in found:
        lease.headers = dict(headers)


def _site_of(sites: Sequence[Site], leases: Mapping[str, Any], url: str) -> tuple[Site, Any]:
    """The site that serves an address, and its leased state. Raises ConfigError."""
    for site in sites:
        for host in hosts_of(site):
            root = host if "://" in host else f"http://{host}"
            if host in leases and (url == root or url.startswith(f"{root}/")):
                return site, leases[host]
    raise ConfigError(f"signing in: no site of the task serves {url}")
