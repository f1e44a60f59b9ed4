"""Reference of acting: a browser of the referee's own, driven by plain Playwright, that shows a fresh copy of the same page."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ElementHandle, Frame, Page, Playwright, Route, async_playwright
from playwright.async_api import Error as PlaywrightError

from benchmarks.pages.generator import HOST, Documents
from benchmarks.pages.site import answer
from benchmarks.pages.tree import Step
from webgym.backends.browser import executable

TIMEOUTS_MS = (400, 6000)  # of an action; the second try is for a machine that is busy, where the first was told no cause
SETTLE = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))))"
TAKE = "() => globalThis.referee ? referee.take() : null"


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a page recorded since it was asked last: events and form state by document, and the page's address."""

    logs: Mapping[str, Sequence[Sequence[Any]]]
    states: Mapping[str, Mapping[str, Any]]
    focus: Mapping[str, str]
    url: str
    blind: bool = False  # whether a frame of the page records nothing, such as an editor's own


async def seen(page: Page) -> Seen:
    """What the page's recorders hold now, over all frames."""
    logs: dict[str, Any] = {}
    states: dict[str, Any] = {}
    focus: dict[str, str] = {}
    blind, frames = False, page.frames
    answers = await asyncio.gather(*(asyncio.wait_for(frame.evaluate(TAKE), 3) for frame in frames), return_exceptions=True)
    for frame, told in zip(frames, answers, strict=True):
        if told is None:
            blind = True
        if isinstance(told, PlaywrightError | TimeoutError) or told is None:
            continue  # a frame without a document of ours, or gone
        if isinstance(told, BaseException):
            raise told
        name = _named(frame)
        logs[name], states[name], focus[name] = told["log"], told["state"], told["focus"]
    parts = urlsplit(page.url)
    return Seen(logs, states, focus, f"{parts.path}#{parts.fragment}" if parts.fragment else parts.path, blind)


def _named(frame: Frame) -> str:
    """The place of a frame among its siblings, from the page on: equal in both browsers."""
    if frame.parent_frame is None:
        return "page"
    return f"{_named(frame.parent_frame)}/{frame.parent_frame.child_frames.index(frame)}"


class Reference:
    """A page of plain Playwright. Use :meth:`open`, then :meth:`close`."""

    def __init__(self, playwright: Playwright, browser: Browser, context: BrowserContext, page: Page) -> None:
        self._playwright, self._browser, self._context, self.page = playwright, browser, context, page
        self._documents: Documents = {}

    @classmethod
    async def open(cls) -> "Reference":
        playwright = await async_playwright().start()
        found = executable.find(None)
        browser = await playwright.chromium.launch(executable_path=str(found.path), chromium_sandbox=executable.sandbox(found.path).enabled)
        context = await browser.new_context(viewport={"width": 1280, "height": 720}, locale="en-US", timezone_id="UTC")
        page = await context.new_page()
        page.set_default_timeout(TIMEOUTS_MS[0])
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        self = cls(playwright, browser, context, page)
        await context.route("**/*", self._serve)
        context.on("page", self._on_page)
        return self

    async def close(self) -> None:
        await self._browser.close()
        await self._playwright.stop()

    def _on_page(self, page: Page) -> None:
        if page is not self.page:
            self._closing = asyncio.ensure_future(page.close())

    async def _serve(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        status, kind, body = answer(self._documents, parts.hostname or "", parts.path)
        try:
            await route.fulfill(status=status, content_type=kind, body=body)
        except PlaywrightError:
            return  # the page was left meanwhile

    async def show(self, documents: Documents, path: str) -> None:
        """Open a fresh copy of the page, with the pointer where a new page has it."""
        self._documents = documents
        try:
            await self.page.goto(f"http://{HOST}{path}", wait_until="load", timeout=20_000)
        except PlaywrightError:  # the last action's own navigation came between
            await self.page.goto(f"http://{HOST}{path}", wait_until="load", timeout=20_000)
        await self.page.mouse.move(0, 0)
        await self.page.evaluate(SETTLE)
        await seen(self.page)  # what loading made is not compared

    async def settle(self, wait_s: float = 0.0) -> None:
        """Wait until the page was drawn twice, and `wait_s` more."""
        try:
            await asyncio.wait_for(self.page.evaluate(SETTLE), 3)
            if wait_s:
                await asyncio.sleep(wait_s)
        except (PlaywrightError, TimeoutError):
            await self.page.wait_for_load_state("load", timeout=5000)

    async def element(self, path: Sequence[Step]) -> ElementHandle | None:
        """The element at a path (:class:`benchmarks.pages.tree.Element`), over frames and shadow roots."""
        frame = self.page.main_frame
        steps = list(path)
        while True:
            inner = steps.index("F") if "F" in steps else len(steps)
            handle = await frame.evaluate_handle("steps => globalThis.referee ? referee.at(steps) : null", steps[:inner])
            element = handle.as_element()
            if element is None or inner == len(steps):
                return element
            content = await element.content_frame() or await _frame_of(frame, element)
            if content is None:
                return None
            frame, steps = content, steps[inner + 1 :]


async def _frame_of(frame: Frame, owner: ElementHandle) -> Frame | None:
    """The frame that an object or embed holds."""
    for child in frame.child_frames:
        if await owner.evaluate("(one, other) => one === other", await child.frame_element()):
            return child
    return None


CAUSES = (
    ("intercepts pointer events", "covered"),
    ("not visible", "not visible"),
    ("not enabled", "not enabled"),
    ("not editable", "not editable"),
    ("inert", "inert"),
    ("outside of the viewport", "outside of the viewport"),
    ("not an <input>", "no field"),
    ("Malformed value", "malformed value"),
    ("not attached", "gone"),
    ("detached", "gone"),
    ("Cannot type text", "no field"),
    ("did not find some options", "no such option"),
)
"""Playwright's words, and what they mean."""


def cause(error: Exception) -> str | None:
    """The cause of Playwright's refusal, of few kinds; None where it only took too long."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    for words, meant in CAUSES:
        if words in text:
            return meant
    return None if "Timeout" in text else text.splitlines()[0][:120]
