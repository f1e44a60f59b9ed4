"""A profile: a browser context with its listener and its tabs, which shares nothing with any other.

A session plays in one profile until something could go over into its next episode (:mod:`webgym.backends.browser.changeover`), and then
in another one. Profiles are opened ahead of time where it is known that one will be needed.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, ViewportSize
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser import frames
from webgym.backends.browser.changeover import Changeover
from webgym.backends.browser.clipboard import Clipboard
from webgym.backends.browser.frames import Clock
from webgym.backends.browser.hooks import document_hooks
from webgym.backends.browser.tab import Tab
from webgym.backends.browser.workers import Workers
from webgym.errors import BrowserFault
from webgym.sites.certificates import certificate
from webgym.sites.listener import DOOR, USER, Listener

log = logging.getLogger(__name__)

LISTENERS = "listener.webgym"  # the name by which the browser finds the loopback ports of listeners; no page can reach it
VIEWPORT = (1280, 720)
AHEAD_MS = 6 * 3_600_000  # by which the time of full Chromium's pages is ahead of the real one (see tab.py); a day takes 50 ms to pass
PERMISSIONS = ("geolocation", "notifications", "camera", "microphone", "midi", "persistent-storage", "clipboard-read")
GOLDEN = 0.618034  # the golden ratio's part behind the point
CLOSE_S = 5.0  # that the browser may take to close a context
EPISODES = 80  # of one profile, at most: Playwright keeps a request and a response of every document until the context closes
SPARES = 4  # profiles that wait to be needed, at most


class Profile:
    """A context of its own, with one blank tab, whose time is ahead of the real one where it draws by that. Use :meth:`open`."""

    tab: Tab
    _opened = itertools.count()

    def __init__(self, browser: Browser, context: BrowserContext, root: CDPSession, context_id: str, listener: Listener) -> None:
        self.browser, self.context, self.listener = browser, context, listener
        self._root = root  # a session with the whole browser; what it overrides in the context ends with it
        self._context_id = context_id
        self.names = (f"webgym-{secrets.token_hex(8)}", f"webgym-{secrets.token_hex(8)}")
        self.clipboard = Clipboard()
        self.changeover = Changeover(context, listener)
        self._clock = Clock()
        self._end_hearing: Callable[[], None] = lambda: None  # of its workers
        self._share = next(Profile._opened) * GOLDEN % 1.0  # of its number: evenly spread, however many there are

    @property
    def life(self) -> int:
        """The episodes that are played in it: between half of `EPISODES` and all, so that those opened together do not end together."""
        return EPISODES - int(EPISODES / 2 * self._share)

    @classmethod
    async def open(cls, browser: Browser, workers: Workers, shown: bool = False) -> "Profile":
        """A profile with its first tab; `shown` is one in a window. Raises PlaywrightError."""
        listener = await Listener.open(certificate())
        try:
            return await cls._open(browser, workers, listener, shown)
        except BaseException:
            await listener.close()
            raise

    @classmethod
    async def _open(cls, browser: Browser, workers: Workers, listener: Listener, shown: bool) -> "Profile":
        root = await browser.new_browser_cdp_session()
        view: ViewportSize = {"width": VIEWPORT[0], "height": VIEWPORT[1]}
        proxy: Any = {"server": f"http://{LISTENERS}:{listener.port}"}
        context, known = await frames.open_context(
            browser, root, viewport=view, locale="en-US", timezone_id="UTC", accept_downloads=False, proxy=proxy
        )
        self = cls(browser, context, root, known, listener)
        try:
            await self._prepare(workers, shown)
        except BaseException:
            await self.close()
            raise
        return self

    async def _prepare(self, workers: Workers, shown: bool) -> None:
        """Open the first tab, and let the context show the password."""
        for script in (self.clipboard.script, document_hooks(self.names)):
            await self.context.add_init_script(script)
        page = await self.new_page()
        await show_password(self.context, page, self.listener)
        self.tab = await self.attach(page, shown)
        held = await self._hold_permissions()
        workers.hear(held, self.changeover.worker)
        self._end_hearing = partial(workers.forget, held)
        if not self.tab.frames.controlled:
            await self.tab.settle(AHEAD_MS)

    async def _hold_permissions(self) -> str:
        """Let every page find that no permission was asked for yet, because full Chromium would remember refusals of an earlier episode.

        Returns the browser's own name of the context.
        """
        held = (await self.tab.send("Target.getTargetInfo"))["targetInfo"]["browserContextId"]
        asked = ({"permission": {"name": name}, "setting": "prompt", "browserContextId": held} for name in PERMISSIONS)
        for failure in await asyncio.gather(*(self._root.send("Browser.setPermission", x) for x in asked), return_exceptions=True):
            if isinstance(failure, BaseException):
                log.debug("a permission that this browser does not know: %s", failure)
        return held

    async def new_page(self) -> Page:
        """A blank page."""
        return await frames.open_page(self.browser, self.context, self._root, self._context_id)

    async def attach(self, page: Page, shown: bool = False) -> Tab:
        """A tab for a page of this profile."""
        return await Tab.attach(self.context, page, self.names, self.clipboard, self._clock, shown)

    async def close(self) -> bool:
        """Close the context and then its listener, whose port no other may have before; a browser that is gone already is fine.

        False where the browser does not close the context: then the listener refuses everything, and its port stays taken.
        """
        self.listener.refuse()
        self._end_hearing()
        try:
            async with frames.screen_of(self.browser).still(), asyncio.timeout(CLOSE_S):
                await self.context.close()
                await self._root.detach()
        except TimeoutError:
            log.warning("the browser did not close a session within %g s", CLOSE_S)
            return False
        except PlaywrightError as error:
            log.debug("closing a profile: %s", error)
        await self.listener.close()
        return True


async def show_password(context: BrowserContext, page: Page, listener: Listener) -> None:
    """Let a context that was just made show the listener's password with all its requests from now on. `page` is a blank one of it."""
    cdp = await context.new_cdp_session(page)
    answers: set[asyncio.Future[Any]] = set()  # kept while they are on their way

    def answer(method: str, event: dict[str, Any], **given: Any) -> None:
        answers.add(asyncio.ensure_future(cdp.send(method, {"requestId": event["requestId"], **given})))

    known = {"response": "ProvideCredentials", "username": USER, "password": listener.password}
    cdp.on("Fetch.requestPaused", lambda event: answer("Fetch.continueRequest", event))
    cdp.on("Fetch.authRequired", lambda event: answer("Fetch.continueWithAuth", event, authChallengeResponse=known))
    await cdp.send("Fetch.enable", {"handleAuthRequests": True, "patterns": [{"urlPattern": f"{DOOR}*"}]})
    asked = f"fetch('{DOOR}', {{mode: 'no-cors'}}).then(() => true, () => false)"
    entered = await cdp.send("Runtime.evaluate", {"expression": asked, "awaitPromise": True, "returnByValue": True})
    await asyncio.gather(*answers)
    await cdp.detach()
    if not entered["result"].get("value"):
        raise PlaywrightError("its listener did not let a new context in")


class Profiles:
    """The profiles of one pool. `living` gives the browser that answers, `open_one` another profile in it; both may raise BrowserFault."""

    def __init__(self, living: Callable[[], Awaitable[Browser]], open_one: Callable[[], Awaitable[Profile]]) -> None:
        self._living = living
        self._open_one = open_one
        self._spares: list[asyncio.Task[Profile]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._stuck: list[Profile] = []  # of browsers that did not close them

    async def take(self) -> Profile:
        """A profile in which nothing was played yet. Raises BrowserFault."""
        browser = await self._living()
        while self._spares:
            try:
                profile = await self._spares.pop(0)
            except BrowserFault as error:
                log.debug("a profile that was to be ready is not: %s", error)
                continue
            if profile.browser is browser:
                return profile
            self.retire(profile)
        return await self._open_one()

    def prepare(self) -> None:
        """Open one ahead of time, because one will be needed."""
        if len(self._spares) < SPARES:
            self._spares.append(asyncio.ensure_future(self._open_one()))

    def retire(self, profile: Profile) -> None:
        """Close a profile, while others go on."""
        task = asyncio.ensure_future(self.discard(profile))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def discard(self, profile: Profile) -> None:
        """Close a profile. The port of one that the browser does not close is kept from others for as long as the browser lives."""
        if await profile.close():
            return
        if profile.browser.is_connected():
            self._stuck.append(profile)
        else:
            await profile.listener.close()

    async def drop(self, browser: Browser) -> None:
        """Give back what stuck profiles of a browser hold, now that it has ended."""
        ended = [profile for profile in self._stuck if profile.browser is browser]
        self._stuck = [profile for profile in self._stuck if profile.browser is not browser]
        for profile in ended:
            await profile.listener.close()

    async def close(self) -> None:
        """Close what waits, and wait for what is being closed."""
        spares, self._spares = self._spares, []
        for found in await asyncio.gather(*spares, return_exceptions=True):
            if isinstance(found, Profile):
                self.retire(found)
        await asyncio.gather(*self._closing)
