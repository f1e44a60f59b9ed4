"""A Playwright trace of one episode: a group per turn with the page before and after it, for `playwright show-trace`."""

import contextlib
from pathlib import Path

from playwright.async_api import BrowserContext, Page
from playwright.async_api import Error as PlaywrightError


class Trace:
    """Records a context from :meth:`begin` to :meth:`end`.

    Actions go over raw CDP, which a trace does not see, so each turn is a group named after its action, and holds one evaluation,
    at which Playwright takes its snapshot of the page.
    """

    def __init__(self, context: BrowserContext) -> None:
        self._context = context

    async def begin(self, title: str) -> None:
        """Start recording."""
        await self._context.tracing.start(title=title, screenshots=True, snapshots=True)

    async def turn(self, page: Page, words: str) -> None:
        """The page as it is now, under these words."""
        await self._context.tracing.group(words[:200])
        with contextlib.suppress(PlaywrightError):  # a page that cannot be asked has no snapshot; the turn is in the trace all the same
            await page.evaluate("document.title")
        await self._context.tracing.group_end()

    async def end(self, path: Path) -> None:
        """Write the zip file."""
        await self._context.tracing.stop(path=path)
