"""One browser process with a driver of its own: started together, asked whether they answer, and ended by force where they do not.

A process that was stopped (SIGSTOP, a swap storm) is connected and never answers, and Playwright does not tell those who wait that a driver
died. So the only sign of life is an answer.
"""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from playwright.async_api import Browser, CDPSession, async_playwright
from playwright.async_api import Error as PlaywrightError

from webgym.backends.browser import executable

log = logging.getLogger(__name__)

LAUNCH_S = 60.0  # that a browser may take to start
ANSWER_S = 10.0  # that it may take to answer the smallest question
END_S = 5.0  # that it may take to close in order

_lost: "WeakKeyDictionary[Browser, asyncio.Future[None]]" = WeakKeyDictionary()  # done when a browser's driver is gone


class Chromium:
    """A browser process and its driver. Use :meth:`launch`."""

    browser: Browser
    process_id = 0

    def __init__(self) -> None:
        self._manager: Any = async_playwright()
        self._root: CDPSession | None = None  # a session with the whole browser, through which it is asked
        self._folders: list[Path] = []
        self._group = 0  # of the browser's processes
        self._others = drivers()

    @classmethod
    async def launch(cls, arguments: Sequence[str], found: executable.Browser, headless: bool) -> "Chromium":
        """A browser that answers. Raises PlaywrightError, TimeoutError."""
        self, before = cls(), _artifacts()
        try:
            async with asyncio.timeout(LAUNCH_S):
                await self._launch(arguments, found, headless)
        except BaseException:
            await self.end(orderly=False)
            raise
        fresh = _artifacts() - before
        self._folders += fresh if len(fresh) == 1 else ()  # where another driver was started meanwhile, it is not known whose is whose
        return self

    async def _launch(self, arguments: Sequence[str], found: executable.Browser, headless: bool) -> None:
        try:
            playwright = await self._manager.start()
        except Exception as error:  # a driver that dies while it starts is no PlaywrightError to Playwright
            raise PlaywrightError(f"its driver did not start: {error}") from error
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
        self._folders += _profile_of((await self._root.send("SystemInfo.getInfo"))["commandLine"])
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
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _kill_browser(self) -> None:
        """Kill the browser with all its processes, which are a group apart from ours, if it is there still."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._group and self._group not in (os.getpgrp(), 1) and os.getpgid(self.process_id) == self._group:
                os.killpg(self._group, signal.SIGKILL)

    def _kill_driver(self) -> None:
        """Kill the driver if it is there still; Playwright has no call for that."""
        wire = getattr(getattr(self._manager, "_client", None), "_transport", None)
        if wire is not None and wire.on_error_future.done():
            wire.on_error_future.exception()  # it is known that the driver is gone
        process = getattr(wire, "_proc", None)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for started in () if wire is not None else drivers() - self._others:  # it was given up before Playwright told of it
            with contextlib.suppress(ProcessLookupError):
                os.kill(started, signal.SIGKILL)


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


def drivers() -> set[int]:
    """The drivers that this process has started, where the system tells (Linux)."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and b"run-driver" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except (OSError, IndexError):  # it has ended meanwhile
            continue
    return found


def _artifacts() -> set[Path]:
    """The temporary folders that drivers of this machine have made for what they write."""
    return set(Path(tempfile.gettempdir()).glob("playwright-artifacts-*"))


def _profile_of(command_line: str) -> list[Path]:
    """The temporary folder that a driver made for its browser's profile, by the browser's command line."""
    found = re.search(r"--user-data-dir=\"?(\S*playwright_chromiumdev_profile-\w+)", command_line)
    return [Path(found[1])] if found else []
