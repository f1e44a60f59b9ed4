"""The browser process that many sessions share, and the gateway with the sites that they reach; replaced when it dies or hangs."""

import asyncio
import atexit
import logging
import os
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

from playwright.async_api import Browser
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser import executable, frames
from webgym.backends.browser.admission import Admission, places
from webgym.backends.browser.chromium import Chromium
from webgym.backends.browser.profile import LISTENERS, Profile, Profiles
from webgym.backends.browser.session import Session
from webgym.backends.browser.workers import Workers
from webgym.errors import BrowserFault
from webgym.loop_thread import loop_thread
from webgym.sites.apps.logs import without_escapes
from webgym.sites.certificates import certificate
from webgym.sites.gateway import Gateway
from webgym.task import Site

log = logging.getLogger(__name__)

DISABLED_FEATURES = (
    # After a click, Blink holds back tasks of loading until the next frame or 100 ms of its clock; while the clock waits for a picture
    # that the click asked for, neither comes, and the action hangs.
    "DeferRendererTasksAfterInput",
    # The browser heeds the last list only, so what Playwright turns off is said again.
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)

ENABLED_FEATURES = (
    # A network process that dies alone is started again without a word: the page's requests and cookies are gone, and the episode would
    # end as a failure. Within the browser's process its death is the browser's, which is a fault.
    "NetworkServiceInProcess2",
    # The browser heeds the last list only, so what Playwright turns on is said again.
    "CDPScreenshotNewSurface",
    "SkipListAccountsWithoutGaiaCookies",
)

ARGUMENTS = (
    f"--disable-features={','.join(DISABLED_FEATURES)}",
    f"--enable-features={','.join(ENABLED_FEATURES)}",
    "--disable-site-isolation-trials",  # frames of other hosts stay in the page's process, where the snapshot can read them
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # neither proxy nor resolver rules see UDP
    # No name is resolved but the listeners': what a context does not send to its listener leads nowhere.
    f"--host-resolver-rules=MAP {LISTENERS} 127.0.0.1, MAP * ~NOTFOUND",
    "--proxy-bypass-list=<-loopback>",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--mute-audio",
)


class BrowserPool:
    """One browser and one gateway for any number of sessions of this process, `at_once` of which act at a time.

    All methods run on the pool's event loop.
    """

    def __init__(self, headless: bool = True, at_once: int | None = None) -> None:
        self.gateway = Gateway()
        self.admission = Admission(at_once or places())
        self.headless = headless
        self.generation = 0  # counts the browser processes started
        self._chromium: Chromium | None = None
        self._starting = asyncio.Lock()
        self._workers = Workers()
        self._profiles = Profiles(self.browser, self._open_profile)

    async def session(self) -> Session:
        """A new session on a living browser, which is started or restarted first where needed. Raises BrowserFault, BrowserMissingError."""
        return await Session.open(self.gateway, self._profiles, shown=not self.headless)

    async def _open_profile(self) -> Profile:
        browser = await self.browser()
        try:
            async with asyncio.timeout(30):
                return await Profile.open(browser, self._workers, shown=not self.headless)
        except (PlaywrightError, TimeoutError) as error:
            raise BrowserFault(f"the browser could not open a session: {first_line(error)}") from error

    def turn(self) -> AbstractAsyncContextManager[None]:
        """A place among the sessions that act; to be held while a page is reset, acted on or read."""
        return self.admission.place()

    def serve(self, sites: Iterable[Site]) -> None:
        """Let the gateway answer for these sites."""
        for site in sites:
            self.gateway.add_site(site)

    async def browser(self) -> Browser:
        """The browser, which answers: one that has died, or was stopped, is replaced. Raises BrowserFault, BrowserMissingError."""
        return (await self._living()).browser

    async def _living(self) -> Chromium:
        async with self._starting:
            if self._chromium is not None:
                if await self._chromium.answers():
                    return self._chromium
                log.warning("the browser died, or does not answer any more, and is started again")
                gone, self._chromium = self._chromium, None
                await gone.end(orderly=False)
                await self._profiles.drop(gone.browser)
            found = executable.find(None if self.headless else "full")
            arguments = [
                *ARGUMENTS,
                *(frames.ARGUMENTS if found.kind == "shell" else ()),
                f"--ignore-certificate-errors-spki-list={certificate().key_hash}",
            ]
            try:
                self._chromium = await Chromium.launch(arguments, found, self.headless)
                await self._workers.attach(self._chromium.browser)
            except (PlaywrightError, TimeoutError, OSError) as error:
                raise BrowserFault(f"the browser did not start: {first_line(error)}; `webgym doctor` says more") from error
            self.generation += 1
            return self._chromium

    async def process_id(self) -> int:
        """The process id of the living browser (tests kill it)."""
        return (await self._living()).process_id

    async def close(self) -> None:
        """Stop the browser."""
        await self._profiles.close()
        if self._chromium is not None:
            gone, self._chromium = self._chromium, None
            await gone.end()
            await self._profiles.drop(gone.browser)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without terminal colours."""
    text = without_escapes(str(error)).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


_pools: dict[tuple[int, bool], BrowserPool] = {}


async def shared_pool(headless: bool = True) -> BrowserPool:
    """This process's pool; call it on the browser's thread."""
    key = (os.getpid(), headless)
    if key not in _pools:
        _pools[key] = BrowserPool(headless)
        atexit.register(_close_shared, key)
    return _pools[key]


def _close_shared(key: tuple[int, bool]) -> None:
    pool = _pools.pop(key, None)
    if pool and key[0] == os.getpid():
        try:
            asyncio.run_coroutine_threadsafe(pool.close(), loop_thread().loop).result(timeout=5)
        except TimeoutError:
            log.debug("the browser took too long to close")
