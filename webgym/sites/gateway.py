"""One loopback server for all sites: routes each request on (episode token, host) and keeps episodes apart.

The browser's resolver rules map every site name to this server, so a page sees ordinary addresses (`http://shop.localhost/cart`).
Site names end in `.localhost` because browsers treat those as secure contexts: clipboard, service workers and `crypto.subtle`
work in a page as they would over https.

The token is a request header that the browser context adds to every request. It never reaches a site: the gateway strips it,
answers the preflights that it causes, and looks up the episode's state. A request without a live token, or for a host that the
episode may not reach, gets 403. What a browser caches is good for its episode only, unless the site says that it is immutable
(`cache-control: ... immutable`), which means: the same bytes for every episode.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, TypeVar

import uvicorn

from webgym.errors import Fault, SiteFault
from webgym.sites.synchronous import Leased, leased
from webgym.task import Scope, Site, hosts_of

T = TypeVar("T")

log = logging.getLogger(__name__)

TOKEN_HEADER = "x-webgym-episode"
_TOKEN = TOKEN_HEADER.encode()
BLANK = "/webgym-blank"  # the address of an empty page on every host: no site is asked
LEASE_S = 45.0  # that a site may take to lease a state
STATE_S = 30.0  # that a site may take to say its state, or to take it back


@dataclass
class _Episode:
    """State of one running episode in the gateway: its sites, their states, and the first failure of a site, with its place."""

    sites: Mapping[str, Site]
    states: dict[str, Any] = field(default_factory=dict)
    failure: tuple[str, Exception] | None = None

    def must_be_well(self) -> None:
        """Raises SiteFault if a site has failed."""
        if self.failure:
            where, error = self.failure
            raise SiteFault(f"the site {where} failed while answering: {error!r}") from error


class Gateway:
    """Serves the given sites on a loopback port, for the episodes opened with :meth:`open`."""

    def __init__(self) -> None:
        self._sites: dict[str, Site] = {}
        self._episodes: dict[str, _Episode] = {}
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free loopback port; `port` is known afterwards."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            access_log=False,
            log_level="critical",  # a site's failure is logged here and becomes a fault
            timeout_keep_alive=600,
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                raise SiteFault(f"the site server did not start: {self._serving.exception()}")
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        """Stop listening."""
        if self._server and self._serving:
            self._server.should_exit = self._server.force_exit = True
            await self._serving

    def add_site(self, site: Site) -> None:
        """Serve `site` under its host (again with the same object is fine)."""
        known = self._sites.get(site.host)
        if known is not site and not (isinstance(known, Leased) and known.site is site):
            self._sites.update(dict.fromkeys(hosts_of(site), leased(site)))

    async def open(self, token: str, hosts: tuple[str, ...], seed: int, site_state: Any, *, timeout_s: float = LEASE_S) -> None:
        """Begin an episode: lease a fresh state of every site that it may reach, of all at once. Raises SiteFault.

        Where one lease fails, or takes longer than `timeout_s`, the others are released.
        """
        if self._serving is not None and self._serving.done():
            raise SiteFault("the site server has stopped: no page can be served any more")
        for host in hosts:
            if host not in self._sites:
                raise SiteFault(f"no site is registered for host {host!r}; known: {', '.join(sorted(self._sites)) or 'none'}")
        episode = _Episode({host: self._sites[host] for host in hosts})
        try:
            await _all([_lease(episode, host, seed, site_state, timeout_s) for host in _one_each(episode.sites)])
        except BaseException:  # a cancelled reset must give back what it got
            await _release(episode)
            raise
        self._episodes[token] = episode

    def leases(self, token: str) -> Mapping[str, Any]:
        """The leased states of an episode, by host."""
        return self._episodes[token].states

    async def snapshot(self, token: str, *, due: bool = True) -> Any:
        """The JSON-able state of the episode's sites: that of its only site, or a mapping by host. Raises SiteFault if one failed.

        Where no check is `due`, external sites are not asked, and are left out of the state.
        """
        episode = self._episodes[token]
        episode.must_be_well()
        each = _one_each(episode.sites)
        asked = [host for host in each if due or not getattr(episode.sites[host], "external", False)]
        states = await _all([_state(episode, host) for host in asked])
        episode.must_be_well()  # a request may have come meanwhile
        if len(each) == 1:
            return states[0] if states else None
        return dict(zip(asked, states, strict=True))

    async def end(self, token: str) -> None:
        """Forget an episode and release what it leased. Errors are only logged, because the episode is over and no other is to blame."""
        episode = self._episodes.pop(token, None)
        if episode is not None:
            await _release(episode)

    @property
    def open_episodes(self) -> int:
        """The number of episodes that are open now."""
        return len(self._episodes)

    async def app(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, as ASGI."""
        if scope["type"] not in ("http", "websocket"):
            return
        token, headers = "", []
        host = ""
        for name, value in scope["headers"]:
            if name == _TOKEN:
                token = value.decode("latin-1")
                continue
            if name == b"host":
                host = value.decode("latin-1")  # with a port, it is another origin, whose storage no reset would clear: none is served
            headers.append((name, value))
        episode = self._episodes.get(token)
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and not token and _asks_for_token(headers):
            return await _answer(send, 204, _preflight(headers))
        if episode is None or host not in episode.sites:
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008})
            return await _answer(send, 403, {})
        if scope["path"] == BLANK:
            return await _answer(send, 200, {"content-type": "text/html", "cache-control": "no-store"})
        inner = {**scope, "headers": headers, "webgym.state": episode.states[host]}
        try:
            await episode.sites[host].app(inner, receive, _for_this_episode(send))
        except Exception as error:
            log.exception("site %s failed at %s", host, scope.get("path"))
            episode.failure = episode.failure or (f"{host}{scope.get('path')}", error)
            raise


async def _lease(episode: _Episode, host: str, seed: int, site_state: Any, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            state = await episode.sites[host].lease(seed, site_state)
        episode.states |= {known: state for known, site in episode.sites.items() if site is episode.sites[host]}
    except Fault:
        raise
    except TimeoutError as error:
        raise SiteFault(f"site {host} could not open seed {seed} within {timeout_s:g} s") from error
    except Exception as error:
        raise SiteFault(f"site {host} could not open seed {seed}: {error!r}") from error


def _one_each(sites: Mapping[str, Site]) -> list[str]:
    """One host of each site, because a site with several has one state."""
    return list({id(site): host for host, site in reversed(list(sites.items()))}.values())[::-1]


async def _state(episode: _Episode, host: str) -> Any:
    try:
        found = episode.sites[host].snapshot(episode.states[host])
        if not isawaitable(found):
            return found
        async with asyncio.timeout(STATE_S):
            return await found
    except TimeoutError as error:
        raise SiteFault(f"site {host} could not say its state within {STATE_S:g} s") from error
    except Exception as error:
        raise SiteFault(f"site {host} could not say its state: {error!r}") from error


async def _release(episode: _Episode) -> None:
    """Give back what the episode has leased, each state once."""

    async def give_back(host: str, state: Any) -> None:
        try:
            async with asyncio.timeout(STATE_S):
                await episode.sites[host].release(state)
        except Exception as error:
            log.warning("site %s could not take back an episode's state: %r", host, error)

    states, episode.states = episode.states, {}
    await _all([give_back(host, states[host]) for host in _one_each(episode.sites) if host in states])


async def _all(works: Sequence[Awaitable[T]]) -> Sequence[T]:
    """The results of all, which run at the same time. All have ended before an error of one is raised."""
    if len(works) == 1:
        return [await works[0]]
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]


def _for_this_episode(send: Any) -> Any:
    """`send`, with every response but the immutable ones bound to the token that it was asked with, in the browser's cache too."""

    async def bound(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" and b"immutable" in value.lower() for name, value in headers):
                message = {**message, "headers": [*headers, (b"vary", _TOKEN)]}
        await send(message)

    return bound


def _asks_for_token(headers: list[tuple[bytes, bytes]]) -> bool:
    """True if this is a preflight that the browser makes only because of the token header."""
    asked = dict(headers).get(b"access-control-request-headers", b"").lower()
    return [name.strip() for name in asked.split(b",")] == [_TOKEN]


def _preflight(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return {
        "access-control-allow-origin": given.get("origin", "*"),
        "access-control-allow-headers": TOKEN_HEADER,
        "access-control-allow-methods": given.get("access-control-request-method", "GET"),
        "access-control-allow-credentials": "true",
    }


async def _answer(send: Any, status: int, headers: Mapping[str, str]) -> None:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*pairs, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
