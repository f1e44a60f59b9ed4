"""The sites of this process, and the episodes that lease their states.

An episode (:class:`webgym.sites.episode.Episode`) is an ASGI application: a browser's session serves it on a loopback port of its own
(:mod:`webgym.sites.listener`), and a backend without a browser calls it in this process. What a browser caches is good for its episode
only, unless the site says that it is immutable (`cache-control: ... immutable`), which means: the same bytes for every episode.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, TypeVar

from webgym.errors import Fault, SiteFault, UsageError
from webgym.sites.address import origin
from webgym.sites.episode import Episode
from webgym.sites.immutable import Immutables
from webgym.sites.streams import Late
from webgym.sites.synchronous import Leased, leased
from webgym.task import Site, hosts_of

T = TypeVar("T")

log = logging.getLogger(__name__)

LEASE_S = 45.0  # that a site may take to lease a state
STATE_S = 30.0  # that a site may take to say its state, or to take it back


class Gateway:
    """The sites that are served, by their origins, and the episodes opened with :meth:`open`, by their tokens."""

    def __init__(self) -> None:
        self._sites: dict[str, Site] = {}
        self._episodes: dict[str, Episode] = {}
        self._immutables = Immutables()
        self._late = Late()

    def add_site(self, site: Site) -> None:
        """Serve `site` under its host (again with the same object is fine). Raises ConfigError for a host that is none."""
        found = origin(site.host)
        known = self._sites.get(found)
        if known is not site and not (isinstance(known, Leased) and known.site is site):
            served = leased(site)
            for one in map(origin, hosts_of(site)):
                self._sites[one] = served
                self._immutables.forget(one)

    async def open(self, token: str, hosts: tuple[str, ...], seed: int, site_state: Any, *, timeout_s: float = LEASE_S) -> Episode:
        """Begin an episode: lease a fresh state of every site that it may reach, of all at once. Raises SiteFault.

        Where one lease fails, or takes longer than `timeout_s`, the others are released.
        """
        for host in hosts:
            if origin(host) not in self._sites:
                known = ", ".join(sorted(site.host for site in self._sites.values())) or "none"
                raise SiteFault(f"no site is registered for host {host!r}; known: {known}")
        episode = Episode({host: self._sites[origin(host)] for host in hosts}, self._immutables)
        episode.streams.know(self._late.addresses)
        try:
            await _all([_lease(episode, host, seed, site_state, timeout_s) for host in _one_each(episode.sites)])
        except BaseException:  # a cancelled reset must give back what it got
            await _release(episode)
            raise
        episode.lease = (hosts, seed, site_state, timeout_s)
        self._episodes[token] = episode
        return episode

    async def renew(self, token: str) -> Episode:
        """Begin an episode anew, with fresh states of its sites, because a browser has to open its first page again. Raises SiteFault."""
        old = self.episode(token)
        hosts, seed, site_state, timeout_s = old.lease
        await self.end(token)
        fresh = await self.open(token, hosts, seed, site_state, timeout_s=timeout_s)
        fresh.streams.know(old.streams.known)
        return fresh

    def episode(self, token: str) -> Episode:
        """The running episode that was opened with this token. Raises SiteFault."""
        if token not in self._episodes:
            raise SiteFault("no episode is open under this token: it has ended, or was never opened")
        return self._episodes[token]

    def leases(self, token: str) -> Mapping[str, Any]:
        """The leased states of an episode, by host."""
        return self.episode(token).states

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
            await episode.end()
            self._late.learn(episode.streams)
            await _release(episode)

    @property
    def open_episodes(self) -> int:
        """The number of episodes that are open now."""
        return len(self._episodes)


async def _lease(episode: Episode, host: str, seed: int, site_state: Any, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            state = await episode.sites[host].lease(seed, site_state)
        episode.states |= {known: state for known, site in episode.sites.items() if site is episode.sites[host]}
    except (Fault, UsageError):
        raise
    except TimeoutError as error:
        raise SiteFault(f"site {host} could not open seed {seed} within {timeout_s:g} s") from error
    except Exception as error:
        raise SiteFault(f"site {host} could not open seed {seed}: {error!r}") from error


def _one_each(sites: Mapping[str, Site]) -> list[str]:
    """One host of each site, because a site with several has one state."""
    return list({id(site): host for host, site in reversed(list(sites.items()))}.values())[::-1]


async def _state(episode: Episode, host: str) -> Any:
    try:
        found = episode.sites[host].snapshot(episode.states[host])
        if not isawaitable(found):
            return found
        async with asyncio.timeout(STATE_S):
            return await found
    except (Fault, UsageError):
        raise
    except TimeoutError as error:
        raise SiteFault(f"site {host} could not say its state within {STATE_S:g} s") from error
    except Exception as error:
        raise SiteFault(f"site {host} could not say its state: {error!r}") from error


async def _release(episode: Episode) -> None:
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
