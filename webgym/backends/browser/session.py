"""One browser session: a context with its tabs, reset from episode to episode; performs actions and reads pages.

The three failures are kept apart: an action that does not work returns an error in words; a page that runs past its deadline while
the browser answers does so too; a browser that no longer answers raises BrowserFault.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page

from webgym import types as t
from webgym.backends import base
from webgym.backends.base import Beginning, PageView
from webgym.backends.browser.acting import perform
from webgym.backends.browser.changeover import Spent
from webgym.backends.browser.chromium import lost_driver
from webgym.backends.browser.deadlines import Deadlines
from webgym.backends.browser.dialogs import Dialogs
from webgym.backends.browser.frames import screen_of
from webgym.backends.browser.gifts import Gifts
from webgym.backends.browser.hooks import begun, worker_hook
from webgym.backends.browser.profile import AHEAD_MS, VIEWPORT, Profile, Profiles
from webgym.backends.browser.reading import read
from webgym.backends.browser.tab import Tab
from webgym.backends.browser.worlds import PageError
from webgym.errors import BrowserFault, ConfigError, HangFault, RendererFault, SiteFault
from webgym.sites.address import allowed_address, not_allowed, origin_of_url
from webgym.sites.episode import BLANK, Episode
from webgym.sites.gateway import Gateway

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_NODES, MAX_CHARS = 2500, 60_000  # of a page that an observation holds; a cut is announced
MAX_TABS = 10
MOST_TITLE = 300  # characters
MOST_NOTICES = 10  # of one turn; more are counted
BEGIN_S = 30.0  # for a first page, real seconds
PAGE_TIMEOUT_S = 5.0  # for a popup to appear, real seconds


class Session:
    """A profile in which one episode after another is played. Use :meth:`open`. Every method runs on the pool's loop."""

    def __init__(self, gateway: Gateway, profiles: Profiles, profile: Profile, shown: bool = False) -> None:
        self._gateway, self._profiles = gateway, profiles
        self._shown = shown
        self._tabs: list[Tab] = []
        self._current = 0
        self._notices: list[str] = []
        self._broken = self._crashed = False
        self._viewport = VIEWPORT
        self._start = Beginning(url="", token="", hosts=(), seed=0, clock_s=0.0, settle_ms=500.0, viewport=VIEWPORT)
        self._gifts = Gifts()
        self._played: Episode | None = None
        self._new_pages: list[Page] = []
        self._page_came = asyncio.Event()
        self._hook: Any = None
        self._episodes = 0
        self._behind = False  # whether this episode's page has not the time that it should: the browser gave it another process
        self._deadlines = Deadlines()
        self._interrupting = asyncio.Lock()  # two that read one page may run out of time at once
        self.action_timeout_s = 10.0
        self._dialogs = Dialogs(self.tell)
        self._seen = PageView("", "", (), (), None, ())  # the page as it was read last
        self._pixels: np.ndarray | None = None  # the last picture of it
        self._enter(profile)

    @classmethod
    async def open(cls, gateway: Gateway, profiles: Profiles, shown: bool = False) -> "Session":
        """A session with one blank tab; `shown` is one in a window. Raises BrowserFault."""
        return cls(gateway, profiles, await profiles.take(), shown)

    def _enter(self, profile: Profile) -> None:
        """Play in this profile, in which nothing was played yet, from now on."""
        self._profile = profile
        self._clipboard, self.changeover = profile.clipboard, profile.changeover
        self._context = profile.context
        self._hook = None
        self._viewport = VIEWPORT
        self._behind = False
        self._ready = False
        self._tabs, self._current = [], 0
        self._context.on("page", self._on_page)
        self._context.on("dialog", self._dialogs.came)
        self._keep_tab(profile.tab)

    async def _move(self, reason: Spent) -> None:
        """Leave the profile for another one, because something of the last episode could reach the next one."""
        log.debug("an episode gets another profile: %s", reason)
        self._context.remove_listener("page", self._on_page)
        self._context.remove_listener("dialog", self._dialogs.came)
        self._dialogs.drop()
        self._profiles.retire(self._profile)
        self._enter(await self._profiles.take())
        self._broken, self._crashed, self._episodes = False, False, 1

    async def _go_ahead(self, blank: str) -> None:
        """Let time pass in a blank page, until it is ahead of the real one. The next document keeps the page's process, and so its time."""
        await self.tab.navigate(blank)
        await self.tab.settle(AHEAD_MS)
        await self.tab.forget_history()

    async def close(self) -> None:
        """Close the profile; a browser that is gone already is fine."""
        self._dialogs.drop()
        await self._profiles.discard(self._profile)

    @property
    def alive(self) -> bool:
        """True if the session can run another episode: the browser is connected, no page has crashed, hangs or is astray."""
        return self._profile.browser.is_connected() and not self._broken and not any(tab.lost for tab in self._tabs)

    @property
    def spent(self) -> bool:
        """True if a new session should play the next episode, so that the resources of this one are freed."""
        return self._episodes >= self._profile.life or self._behind

    @property
    def tab(self) -> Tab:
        """The tab that the agent looks at."""
        return self._tabs[self._current]

    @property
    def url(self) -> str:
        """The address of the page that the agent looks at."""
        return self.tab.page.url

    @property
    def episode(self) -> Episode | None:
        """The episode that the session plays, through which all its requests go; None before the first one and after its end."""
        return self._profile.listener.episode

    # --- an episode --------------------------------------------------------------------------------------------------------

    async def begin(self, start: Beginning) -> Mapping[str, object] | None:
        """Clear all traces of the last episode, open the page, and return the value of its script. Raises BrowserFault, SiteFault."""
        if allowed_address(start.url, start.hosts) is None:
            raise SiteFault(f"the task cannot start: {not_allowed(start.url, start.hosts)}")
        self._episodes += 1
        await self._answer(None)
        self._start, self._gifts = start, Gifts(start.cookies, start.storage)
        try:
            return await self._guard(self._begin(start), BEGIN_S)
        except PageError as error:
            self._broken = True  # what keeps a page's time may keep that of the next one
            raise BrowserFault(f"the start page {start.url} did not load: {error}") from error

    async def _begin(self, start: Beginning) -> Any:
        try:
            self.changeover.begin(start.url, start.hosts, self._tabs[0].page.url)
            opening = self._open_page(start)
            await (opening if self.changeover.first else self.changeover.undisturbed(opening))
        except Spent as reason:
            await self._move(reason)
            if self._gateway.episode(start.token).asked:
                if self._gifts:
                    raise BrowserFault(
                        "the first page has to be opened anew, and what the browser was given belongs to the old one"
                    ) from reason
                await self._gateway.renew(start.token)
            await self._open_page(start)
        tab = self.tab
        await tab.settle()
        _, instance, _ = await asyncio.gather(tab.forget_history(), self._run_page_script(start.page_script), tab.worlds.bare())
        return instance

    async def _open_page(self, start: Beginning) -> None:
        """Clear all traces of the last episode and commit the first page of this one, which has not run then. Raises Spent."""
        tab, changeover = self._tabs[0], self.changeover
        left, found = origin_of_url(tab.page.url), origin_of_url(start.url)
        self._tabs, self._current = [tab], 0
        self._new_pages.clear()
        self._notices.clear()
        self._clipboard.clear()
        tab.settle_ms = start.settle_ms
        if start.viewport != self._viewport:
            await tab.page.set_viewport_size({"width": start.viewport[0], "height": start.viewport[1]})
            self._viewport = start.viewport
        first = changeover.first
        await asyncio.gather(self._replace_hook(), *([] if first else [changeover.leave(tab)]))
        self._played = played = self._gateway.episode(start.token)
        played.streams.live = True
        played.worker_hooks = partial(worker_hook, start.clock_s, start.seed)
        tab.streams = played.streams
        changeover.admit(played, start.url, self._gifts.cookies)
        tab.choosing, tab.chooser = False, None
        tab.pointer.forget()
        if first:
            await tab.navigate(f"{found}{BLANK}")  # every episode's first page comes after a blank one
            await tab.page_value("0")  # the browser has taken note of the new document then, too
            await tab.forget_history()
        elif left != found and not tab.frames.controlled:  # another host's page has another process, whose time is the real one
            await self._go_ahead(f"{found}{BLANK}")
        await self._gifts.before(self._context)
        await tab.navigate(start.url)
        _, self._behind = await asyncio.gather(changeover.arrive(tab, start.url, start.hosts), tab.behind(AHEAD_MS / 2))
        await self._gifts.within(tab)

    async def start_here(self) -> None:
        """Let the current page be the first one of the episode. Raises BrowserFault."""
        self._notices.clear()
        try:
            await self._guard(self.tab.forget_history(), self.action_timeout_s)
        except PageError as error:
            raise BrowserFault(f"the start page did not load: {error}") from error

    async def _replace_hook(self) -> None:
        old = [self._hook.close()] if self._hook else []
        # Of the context, so that it is in place before a popup's first document runs.
        new = self._context.add_init_script(begun(self._start.clock_s, self._start.seed, self._profile.names))
        self._hook, *_ = await asyncio.gather(new, *old)

    async def _run_page_script(self, script: str | None) -> Any:
        instance = await self.tab.page_promise(script) if script else None
        self._document = None
        if self._start.one_document:
            self._document = self.tab, (await self.tab.send("Runtime.evaluate", {"expression": "globalThis"}))["result"]["objectId"]
        return instance

    async def act(self, action: t.Action) -> str:
        """Perform an action and let the page settle; "" or why it did not work. Raises BrowserFault."""
        if isinstance(action, t.Dialog):
            failed = await self._answer(action)
        else:
            earlier = await self._answer(None)
            failed = await self._until_asked(asyncio.ensure_future(self._act(action)), not self._shown) or earlier
        if self._dialogs.open is not None:
            return failed
        unopened = await self._tried(self._adopt_pages())  # after what held their opener is stopped: they share its time
        self._profile.listener.must_serve()  # else the page lacks what nobody served
        if not self._ready and (self.spent or self.changeover.remains):
            self._ready = True
            self._profiles.prepare()
        return failed or unopened

    async def _answer(self, given: t.Dialog | None) -> str:
        """Answer the open dialog and let what it interrupted go on; "" or why that did not work. None answers as without an agent."""
        rest = self._dialogs.rest
        if rest is None:
            return "no dialog is open" if given else ""
        self._dialogs.listen(self.tab.page if given else None)
        await self._dialogs.answer(given)
        return await self._until_asked(rest, given is not None)

    async def _until_asked(self, work: asyncio.Task[None], asks: bool) -> str:
        """Wait until the work is done, or a question of the page interrupts it; "" or why it failed. Without `asks`, no question does."""
        asked = self._dialogs.listen(self.tab.page if asks else None)
        failed = await self._tried(_either(work, asked))
        self._dialogs.keep(work)
        return failed

    async def _tried(self, work: Awaitable[None]) -> str:
        try:
            await self._guard(work, self.action_timeout_s)
        except PageError as error:
            return str(error)
        return ""

    async def _act(self, action: t.Action) -> None:
        if not isinstance(action, t.Upload):
            self.tab.chooser = None  # nobody answered it
        if self._clipboard.text or (isinstance(action, t.Press) and "+" in action.keys):  # else no document needs to know
            await self.tab.worlds.offer_clipboard()
        await self.tab.hear_input(True)
        tab = self.tab
        tab.foresee_input()
        try:
            await perform(self, action)
            await self.tab.settle(action.ms if isinstance(action, t.Wait) else None)
        except PlaywrightError as error:
            if self._crashed or not await tab.closed_itself(error):
                raise

    async def view(self) -> PageView:
        """Read the current page; one that cannot be read is shown empty, with a notice. Raises BrowserFault.

        While a dialog waits for an answer, the page answers nothing: it is shown as it was before, and its refs are still good.
        """
        if self._dialogs.open is not None:
            return replace(self._seen, notices=self._take_notices(), dialog=self._dialogs.open.type)
        try:
            self._seen = await self._guard(self._view(), self.action_timeout_s)
            self.changeover.rest()
            return self._seen
        except PageError as error:
            return PageView(self.tab.page.url, "", (), (), None, (f"the page cannot be read: {error}",))

    async def _view(self) -> PageView:
        page = await read(self.tab.worlds, self.tab.read, MAX_NODES, MAX_CHARS)
        for words in page.said:
            self.tell(words)
        if page.url.startswith("chrome-error:"):
            self._notices.append("the page could not be opened: it lies outside of this task, or does not exist")
        if self.tab.choosing:
            given = f"the page asks for a file: give it one with upload_file; {self._files()}"
            none = "the page asked for a file by a picker that takes none here: it heard that none was chosen"
            self._notices.append(none if self.tab.chooser is None else given)
            self.tab.choosing = False
        told = self._take_notices()
        notices = (*told, *([page.notice] if page.cut else []))
        title = page.title[:MOST_TITLE]
        return PageView(page.url, title, page.nodes, await self._tab_names(title), page.focus, notices, page.top)

    def _take_notices(self) -> tuple[str, ...]:
        """The notices of this turn, which are told once."""
        told, more = self._notices[:MOST_NOTICES], len(self._notices) - MOST_NOTICES
        self._notices.clear()
        return (*told, *([f"{more} more notices are not shown"] if more > 0 else []))

    @staticmethod
    async def _title(tab: Tab) -> str:
        """The title of a tab, on one line; a page can put anything in its place."""
        title = await tab.page_value(f"(title => typeof title === 'string' ? title.slice(0, {MOST_TITLE}) : '')(document.title)")
        return _unmarked(title[:MOST_TITLE]) if isinstance(title, str) else ""

    async def _tab_names(self, current_title: str) -> tuple[str, ...]:
        if len(self._tabs) == 1:
            return (f"{_unmarked(current_title)} (current)",)
        titles = [_unmarked(current_title) if i == self._current else await self._title(tab) for i, tab in enumerate(self._tabs)]
        return tuple(f"{title} (current)" if i == self._current else title for i, title in enumerate(titles))

    async def page_state(self, probe: str) -> object:
        """The value of a task's probe in the own world of the page that the agent looks at, as the address is that page's; None where the
        page is broken or not the one that the episode is about, or a dialog is open. Raises BrowserFault.
        """
        if self._dialogs.open is not None or (self._document and self._document[0] is not self.tab):
            return None
        asked = self.tab.value_in(self._document[1], probe) if self._document else self.tab.page_value(probe)
        try:
            return await self._guard(asked, self.action_timeout_s)
        except PageError:
            return None  # nothing can be solved on such a page

    async def screenshot(self) -> np.ndarray:
        """The pixels of the tab, [height, width, 3] uint8; white where the page cannot be drawn. Raises BrowserFault."""
        if self._dialogs.open is not None and self._pixels is not None:
            return self._pixels
        try:
            self._pixels = await self._guard(self._screenshot(), self.action_timeout_s)
            return self._pixels
        except PageError as error:
            log.debug("no picture: %s", error)
            width, height = self._viewport
            return np.full((height, width, 3), 255, np.uint8)

    async def _screenshot(self) -> np.ndarray:
        import base64
        import io

        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(base64.b64decode(await self.tab.picture()))).convert("RGB"))

    async def _guard(self, work: Awaitable[T], timeout_s: float) -> T:
        """Await `work` under a real deadline and tell a dead browser from a page that hangs."""
        gone = lost_driver(self._profile.browser)
        try:
            async with self._deadlines.within(timeout_s, gone):
                return await work
        except TimeoutError:
            if gone.done():
                self._broken = True
                raise BrowserFault("the browser's driver is gone") from None
            await self._interrupt()
            raise PageError(f"the page did not come to rest within {timeout_s:g} s") from None
        except PlaywrightError as error:
            words = str(error).splitlines()[0]
            if self.alive and not any(word in words for word in ("closed", "crashed", "detached")):
                raise PageError(words) from error
            self._broken = True
            raise self._gone(words) from error

    def _gone(self, words: str) -> BrowserFault:
        """The fault of a page that is there no more, by what took it away."""
        if any(tab.lost for tab in self._tabs):
            return HangFault("a page held up the frames of others and was closed")
        if self._crashed and self._profile.browser.is_connected():
            return RendererFault(f"the process of a page is gone: {words}")
        return BrowserFault(f"the browser is gone: {words}")

    async def _interrupt(self) -> None:
        """Stop what does not end; raises BrowserFault when the browser does not answer."""
        try:
            async with self._interrupting, asyncio.timeout(5):
                interrupting = asyncio.ensure_future(self.tab.interrupt())
                try:
                    if not (await asyncio.wait([interrupting], timeout=2))[0] and self._played is not None:
                        await self._played.hang_up()  # a script that waits for an answer hears nothing else
                    await interrupting
                finally:
                    interrupting.cancel()
        except (PlaywrightError, TimeoutError, PageError) as error:
            self._broken = True
            raise HangFault("the browser does not answer any more") from error

    # --- files, addresses, history ---------------------------------------------------------------------------------------------

    def episode_file(self, name: str) -> str:
        if self._start.folder is None:
            raise PageError(self._files())
        path = next((path for path in self._start.folder.iterdir() if path.name == name), None)  # no path is made of an agent's text
        if path is None:
            raise PageError(f"there is no file {name[:200]!r}; {self._files()}")
        return str(path.resolve())

    def _files(self) -> str:
        """The files that can be uploaded, in words."""
        if self._start.folder is None:
            return "this task has no files to upload"
        return f"the files are: {', '.join(sorted(path.name for path in self._start.folder.iterdir()))}"

    def allowed(self, url: str) -> str:
        """`url` made absolute, if it lies within the task."""
        address = allowed_address(url, self._start.hosts)
        if address is None:
            raise PageError(not_allowed(url, self._start.hosts))
        return address

    async def history(self, step: int) -> None:
        history = await self.tab.send("Page.getNavigationHistory")
        index = history["currentIndex"] + step
        if not 0 <= index < len(history["entries"]):
            raise PageError(f"there is no page to go {'back' if step < 0 else 'forward'} to")
        self.tab.expect_navigation(wanders=True)
        await self.tab.send("Page.navigateToHistoryEntry", {"entryId": history["entries"][index]["id"]})

    # --- tabs, notices -----------------------------------------------------------------------------------------------------

    def tell(self, words: str) -> None:
        """Have the agent told something with the next page."""
        self._notices.append(words)

    async def _add_tab(self, page: Page) -> None:
        tab = await self._profile.attach(page, self._shown)
        tab.settle_ms = self._start.settle_ms
        self._keep_tab(tab)

    def _keep_tab(self, tab: Tab) -> None:
        """Look at this tab from now on."""
        tab.streams = None if self._played is None else self._played.streams
        tab.waited = self._deadlines.put_off
        tab.page.on("crash", self._on_crash)
        tab.page.on("download", lambda one: self._notices.append(f"downloaded: {' '.join(one.suggested_filename.split())[:200]}"))
        self._tabs.append(tab)
        self._current = len(self._tabs) - 1

    def _on_crash(self, page: Page) -> None:
        self._crashed = self._crashed or page.context == self._context
        self._broken = self._broken or self._crashed

    def _on_page(self, page: Page) -> None:
        self._new_pages.append(page)
        self._page_came.set()

    async def _await_pages(self) -> None:
        """Wait for the pages that were asked for, because they are made outside of the pages' time, and must not come a turn late."""
        wanted = sum(tab.opened for tab in self._tabs)
        for tab in self._tabs:
            tab.opened = 0
        try:
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                while len(self._new_pages) < wanted:
                    self._page_came.clear()
                    await self._page_came.wait()
        except TimeoutError:
            self._broken = True  # it would come into a later episode: this session is not used again
            self._notices.append("a popup did not open")

    async def _adopt_pages(self) -> None:
        """Make tabs of the pages that opened since, up to a limit, and forget those that closed."""
        await self._await_pages()
        known = {id(tab.page) for tab in self._tabs}
        fresh = [page for page in self._new_pages if id(page) not in known and not page.is_closed()]
        self._new_pages.clear()
        for page in fresh:
            if len(self._tabs) >= MAX_TABS:
                await self._close_page(page)
                self._notices.append(f"a popup was closed: {MAX_TABS} tabs are open already")
                continue
            await self._add_tab(page)
            await self.tab.settle()
            self._notices.append("a new tab was opened")
        living = [tab for tab in self._tabs if not tab.page.is_closed()]
        if not self.alive and not living:
            raise self._gone("all pages are closed")
        if not living:
            await self.new_tab()  # beside the closed ones: a session has a tab at every moment
            living = [self.tab]
            self._notices.append("the last tab closed itself: this one is empty")
        if len(living) < len(self._tabs):
            self._tabs, self._current = living, min(self._current, len(living) - 1)

    async def _close_page(self, page: Page) -> None:
        async with screen_of(self._profile.browser).still():
            await page.close()

    async def new_tab(self) -> None:
        """Open an empty tab, and look at it."""
        await self._add_tab(await self._profile.new_page())

    async def focus_tab(self, index: int) -> None:
        if not 0 <= index < len(self._tabs):
            raise PageError(f"there is no tab {index}; the tabs are 0 to {len(self._tabs) - 1}")
        self._current = index
        await self.tab.page.bring_to_front()

    async def close_tab(self) -> None:
        if len(self._tabs) == 1:
            raise PageError("the only tab cannot be closed")
        await self._close_page(self._tabs.pop(self._current).page)
        self._current = max(0, self._current - 1)
        await self.tab.page.bring_to_front()


async def _either(work: asyncio.Task[None], asked: "asyncio.Future[None]") -> None:
    """Wait for the first of both; raise what the work raised."""
    try:
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait((work,))
        raise
    if work.done():
        work.result()


def _unmarked(title: str) -> str:
    """A title on one line, without the words that mark the tab which the agent looks at."""
    return " ".join(title.replace("(current)", "current").split())


def in_browser(session: base.Session) -> Session:
    """The session, as one that has tabs. Raises ConfigError for a session of another backend."""
    if not isinstance(session, Session):
        raise ConfigError(f"expected a session of the browser, which has tabs, got a {type(session).__name__}: use backend=browser")
    return session
