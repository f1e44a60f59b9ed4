"""One browser process with a driver of its own: started together, asked whether they answer, and ended by force where they do not.

A process that was stopped (SIGSTOP, a swap storm) is connected and never answers, and Playwright does not tell those who wait that a driver
died. So the only sign of life is an answer.
"""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from playwright._impl import _driver, transport
from playwright.async_api import Browser, CDPSession, async_playwright
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser import executable
from webgym.sites.apps.leftovers import end_all_of, removed

log = logging.getLogger(__name__)

LAUNCH_S = 60.0  # that a browser may take to start
ANSWER_S = 10.0  # that it may take to answer the smallest question
END_S = 5.0  # that it may take to close in order
STALE_S = 600.0  # after which an empty folder is nobody's any more
LONGEST_TMPDIR = 34  # letters, where sockets go below it: their paths have at most 104

_home: ContextVar[Path | None] = ContextVar("home", default=None)  # of the driver that is being started
_plain_environment = _driver.get_driver_env


def _environment() -> dict[str, str]:
    """The environment of a driver, whose temporary files and its browser's go into its own folder."""
    home = _home.get()
    return _plain_environment() | ({} if home is None else {"TMPDIR": str(home)})


transport.__dict__["get_driver_env"] = _environment  # Playwright has no argument for it

_lost: "WeakKeyDictionary[Browser, asyncio.Future[None]]" = WeakKeyDictionary()  # done when a browser's driver is gone


class Chromium:
    """A browser process and its driver. Use :meth:`launch`."""

    browser: Browser
    process_id = 0

    def __init__(self, home: Path) -> None:
        self._manager: Any = async_playwright()
        self._root: CDPSession | None = None  # a session with the whole browser, through which it is asked
        self._home = home  # of all temporary files of driver and browser
        self._group = 0  # of the browser's processes

    @classmethod
    async def launch(cls, arguments: Sequence[str], found: executable.Browser, headless: bool) -> "Chromium":
        """A browser that answers. Raises PlaywrightError, TimeoutError, OSError."""
        self = cls(_made_home(with_sockets=found.kind == "full"))
        try:
            async with asyncio.timeout(LAUNCH_S):
                await self._launch(arguments, found, headless)
        except BaseException:
            await self.end(orderly=False)
            raise
        return self

    async def _launch(self, arguments: Sequence[str], found: executable.Browser, headless: bool) -> None:
        _home.set(self._home)
        try:
            playwright = await self._manager.start()
        except Exception as error:  # a driver that dies while it starts is no PlaywrightError to Playwright
            raise PlaywrightError(f"its driver did not start: {error}") from error
        finally:
            _home.set(None)
        self.browser = await playwright.chromium.launch(
            executable_path=str(found.path),
            args=list(arguments),
            headless=headless,
            chromium_sandbox=executable.sandbox(found.path).enabled,
            handle_sigint=False,  # Ctrl-C ends the run in order; the browser is closed after it
            handle_sigterm=False,
            handle_sighup=False,
        )
        _lost[self.browser] = self._manager._client._transport.on_error_future
        self._root = await self.browser.new_browser_cdp_session()
        processes = (await self._root.send("SystemInfo.getProcessInfo"))["processInfo"]
        self.process_id = next(process["id"] for process in processes if process["type"] == "browser")
        self._group = os.getpgid(self.process_id)

    async def answers(self) -> bool:
        """True if browser and driver are well; it takes a millisecond where they are."""
        if self._root is None or not self.browser.is_connected():
            return False
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._root.send("Browser.getVersion")
        except (PlaywrightError, TimeoutError):
            return False
        return True

    async def end(self, orderly: bool = True) -> None:
        """Close the browser and its driver, in order if they can; nothing of them is left then, neither processes nor folders."""
        if orderly and await self.answers():
            await _tried(self.browser.close())
        self._kill_browser()
        await _tried(self._manager.__aexit__())
        self._kill_driver()
        until = time.monotonic() + END_S
        while not removed(self._home) and time.monotonic() < until:
            end_all_of(self._home)
            await asyncio.sleep(0.02)

    def _kill_browser(self) -> None:
        """Kill what is left of the browser's processes, which are a group apart from ours: one that was stopped outlives its browser."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._group and self._group not in (os.getpgrp(), 1) and self._group_is_ours():
                os.killpg(self._group, signal.SIGKILL)

    def _group_is_ours(self) -> bool:
        try:
            return os.getpgid(self.process_id) == self._group
        except ProcessLookupError:
            return True  # the number of a group is nobody else's while a process of it is there

    def _kill_driver(self) -> None:
        """Kill the driver if it is there still, and a browser that it has not told of; Playwright has no call for that."""
        wire = getattr(getattr(self._manager, "_client", None), "_transport", None)
        if wire is not None and wire.on_error_future.done():
            wire.on_error_future.exception()  # it is known that the driver is gone
        process = getattr(wire, "_proc", None)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if not self._group:  # it was given up while it started
            end_all_of(self._home)


def lost_driver(browser: Browser) -> "asyncio.Future[None]":
    """A future that is done as soon as the driver of a browser is gone; Playwright lets all that waits for it go on waiting."""
    return _lost[browser]


async def _tried(work: Any) -> None:
    """Await `work` for a while, whatever becomes of it."""
    try:
        async with asyncio.timeout(END_S):
            await work
    except (PlaywrightError, TimeoutError) as error:
        log.debug("a browser did not end in order: %s", error)


def _made_home(with_sockets: bool) -> Path:
    """A temporary folder for a driver and its browser. Empty ones of drivers that are gone are taken away."""
    usual = tempfile.gettempdir()
    where = "/tmp" if with_sockets and len(usual) > LONGEST_TMPDIR else usual
    for old in Path(where).glob("webgym-browser-*"):
        with contextlib.suppress(OSError):  # that of a living browser is not empty
            if old.stat().st_mtime < time.time() - STALE_S:
                old.rmdir()
    return Path(tempfile.mkdtemp(prefix="webgym-browser-", dir=where))
