"""One browser for the viewer's tests, and pages that remember what went wrong in them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from webgym.backends.browser import executable
from webgym.view.app import create_app
from webgym.view.runs import Library
from webgym.view.server import Server

expect.set_options(timeout=60_000)  # a busy machine is no failure


@pytest.fixture(scope="module")  # while it is there, Playwright's own loop runs in this thread, and no test can run another
def chromium() -> Iterator[Browser]:
    found = executable.find()
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(found.path), chromium_sandbox=executable.sandbox(found.path).enabled)
        yield browser
        browser.close()


class Viewer:
    """A served library and a page on it. `trouble` is what must stay empty: script errors, refused loads, requests elsewhere."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.trouble: list[str] = []
        page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        page.on("console", lambda message: self.trouble.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (self.trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: None if request.url.startswith((address, "data:")) else self.trouble.append(request.url))

    def go(self, place: str) -> Page:
        self.page.goto(f"{self.address}#/{place}")
        return self.page

    def fits(self) -> bool:
        """Whether nothing hangs out of the window."""
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def viewer(chromium: Browser) -> Iterator[Callable[..., Any]]:
    """`with viewer(path, **context_options) as v`: serves the runs at `path` and opens a page."""

    @contextmanager
    def opened(path: Path, **options: Any) -> Iterator[Viewer]:
        with Server(create_app(Library.open(path), "secret")) as server:
            context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
            context.set_default_timeout(60_000)
            yield Viewer(context.new_page(), f"http://127.0.0.1:{server.port}/secret/")
            context.close()

    yield opened
