"""The change from one episode to the next in a browser context, so that nothing of the one reaches the other.

A context keeps its processes, caches and connections, which makes a reset cheap, and it keeps whatever of the last page still runs. So a
context is used again only where facts that no page can hide say that nothing does: no worker was started, no other page was opened, no
second origin was asked, every request had its answer, none came between turns, and no answer left credentials or policies behind.
Otherwise :class:`Spent` is raised, and the next episode gets a context, and thereby a port, of its own.

The last page itself lives until the first page of the next episode has been committed, and some of its scripts go on although its time
stands still. Until then the listener lets nothing but that navigation through. After it, and before the new page has run anything, the
storages are cleared, and a barrier is asked for, which the browser sends after all that the last page has sent. A request or a cookie that
came meanwhile makes the context spent, too.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from playwright.async_api import BrowserContext, Page

from webgym.backends.browser.tab import Tab
from webgym.backends.browser.worlds import PageError
from webgym.sites.address import origin, origin_of_url
from webgym.sites.episode import BLANK, Episode
from webgym.sites.gate import Gate
from webgym.sites.listener import Listener

PATIENCE_S = 5.0  # that the last page may take to be left for the next one, real seconds
STORAGE = "indexeddb,cache_storage,service_workers,file_systems,storage_buckets"


class Spent(Exception):
    """The context cannot play another episode."""


class Changeover:
    """The changes of episode of one context, whose requests come to `listener`."""

    def __init__(self, context: BrowserContext, listener: Listener) -> None:
        self._context, self._listener = context, listener
        self._played: Episode | None = None  # the last one
        self._gate: Gate | None = None
        self._visited: set[str] = set()  # the origins of all episodes
        self._asked = 0  # the requests of the episode until its last turn ended
        self._workers = self._pages = False  # whether this episode has started one or opened another
        context.on("page", self._on_page)

    def _on_page(self, _: Page) -> None:
        self._pages = True

    def worker(self) -> None:
        """Note that a page has started a worker of any kind."""
        self._workers = True

    def rest(self) -> None:
        """Note that a turn is over: the page asks for nothing while its time stands still, unless its scripts go on all the same."""
        if self._played is not None:
            self._asked = self._played.asked

    @property
    def first(self) -> bool:
        """True before the first episode."""
        return self._played is None

    @property
    def remains(self) -> str:
        """Part of the episode that may outlive it, in words; "" without any."""
        if self._played is None:
            return ""
        traces = self._played.traces
        if self._workers or traces.workers:
            return "workers"
        if self._pages:
            return "other pages"
        if len(traces.origins) > 1 or any(found.startswith("https:") for found in traces.origins):
            return "several origins" if len(traces.origins) > 1 else "secure connections"
        return traces.lasting

    def begin(self, url: str, hosts: Sequence[str], shown: str) -> None:
        """Refuse all requests from now on. Raises Spent where the next episode cannot have the context.

        `url` and `hosts` are those of the next episode, `shown` is the address of the last page.
        """
        self._listener.refuse()
        if self._played is None:
            self._pages = False  # the context's own
            return
        left = origin_of_url(shown)
        others = {origin(host) for host in hosts} - {origin_of_url(url)}
        if reason := self.remains:
            raise Spent(reason)
        if self._played.traces.cut or self._listener.refused.is_set():
            raise Spent("requests without an answer")
        if self._played.asked > self._asked:
            raise Spent("scripts that go on while time stands still")
        if not left or left not in self._played.traces.origins:
            raise Spent("a page without an address")
        if others & self._visited or not origin_of_url(url).startswith("http:"):
            raise Spent("another host's storage")

    async def undisturbed(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of the change. Raises Spent as soon as the last page asks for something meanwhile, which can keep it from ending."""
        done, disturbed = asyncio.ensure_future(work), asyncio.ensure_future(self._listener.refused.wait())
        try:
            await asyncio.wait((done, disturbed), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise Spent("scripts that go on after their page" if disturbed.done() else "a page that cannot be left")
            done.result()
        finally:
            done.cancel()
            disturbed.cancel()

    async def leave(self, tab: Tab) -> None:
        """Keep the last page from acting when it is left, and clear what the navigation to the next page would take along."""
        assert self._played is not None
        cached = [tab.send("Network.clearBrowserCache")] if self._played.traces.cached else []
        try:
            await asyncio.gather(tab.forget_history(), self._silence(tab), self._context.clear_cookies(), *cached)
        except PageError as error:  # XML and error pages
            raise Spent(f"a page that is no HTML: {error}") from error
        self._must_be_quiet()

    async def _silence(self, tab: Tab) -> None:
        # Opening a document drops the old one's listeners and frames. Its address becomes that of the page before the first of all
        # episodes, so that they see the same history, and since a start page with the old address would replace it.
        # Cookies that it writes on leaving are on their way, and are there when they can be read.
        # A window that a page has moved or resized keeps its bounds.
        moved = await tab.ask(
            f"(() => {{ history.replaceState(null, '', '{BLANK}'); document.open(); try {{ document.cookie }} catch {{}}"
            " return outerWidth !== innerWidth || outerHeight !== innerHeight || screenX !== 0 || screenY !== 0 })()"
        )
        if moved and tab.frames.controlled:
            raise Spent("a window of other bounds")

    def admit(self, episode: Episode, url: str, cookies: Iterable[Mapping[str, Any]] = ()) -> None:
        """Let the first page of the episode through, and in a fresh context all else too; it may have these cookies. Raises SiteFault."""
        given = (f"{cookie['name']}={cookie['value']}" for cookie in cookies)
        self._gate = None if self._played is None else Gate(url, given)
        self._played, self._pages = episode, False
        episode.traces.origins.add(origin_of_url(url))  # which the browser's cache may answer for
        self._listener.serve(episode, self._gate)

    async def arrive(self, tab: Tab, url: str, hosts: Sequence[str]) -> None:
        """Clear what the last episode left, now that the first page is there and has not run, and let its requests through.

        Raises Spent where something of the last episode came meanwhile.
        """
        assert self._played is not None
        found = origin_of_url(url)
        told = "(window.name = '', sessionStorage.clear(), localStorage.clear())"
        if self._gate is None:
            await tab.page_value(told)
        else:
            cleared = (self._clear_storage(tab, origin(host), found) for host in hosts)
            _, cookies, *_ = await asyncio.gather(tab.page_value(told), self._context.cookies(), self._barrier(tab, found), *cleared)
            if not {f"{cookie.get('name')}={cookie.get('value')}" for cookie in cookies} <= self._gate.cookies:
                raise Spent("cookies that came late")
            self._must_be_quiet()
            self._listener.serve(self._played)
        self._visited |= self._played.traces.origins | {found}

    def _must_be_quiet(self) -> None:
        """Raises Spent if the last page still does something."""
        if self._listener.refused.is_set() or self._workers or self._pages:
            raise Spent("scripts that go on after their page")

    async def _barrier(self, tab: Tab, found: str) -> None:
        """Wait for a request that the browser sends after all that the last page has sent."""
        options = {"disableCache": True, "includeCredentials": False}
        asked = {"frameId": tab.frame_id, "url": self._listener.barrier(found), "options": options}
        await tab.send("Network.loadNetworkResource", asked)
        if not self._listener.passed:
            raise Spent("a barrier that did not come")

    async def _clear_storage(self, tab: Tab, cleared: str, found: str) -> None:
        # Clearing local storage from outside keeps the last document alive for ever (about 1 MB each, seen in Chromium 156), so the
        # start page's own is cleared from inside.
        kinds = STORAGE if cleared == found else f"{STORAGE},local_storage"
        await tab.send("Storage.clearDataForOrigin", {"origin": cleared, "storageTypes": kinds})
