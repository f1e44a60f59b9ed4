"""The browser: Chromium over its DevTools protocol, where a page's time passes only while an action settles."""

from collections.abc import Mapping, Sequence

from webgym.backends.base import Pool
from webgym.task import Site, Task


class BrowserBackend:
    """Every task, in one Chromium that all sessions of this process share. Implements :class:`webgym.backends.base.Backend`."""

    def can_play(self, task: Task, sites: Sequence[Site]) -> str:
        """Return "", because a browser can show any page."""
        return ""

    async def pool(self, *, headless: bool = True) -> Pool:
        """This process's pool; call it on the browser's thread."""
        from webgym.backends.browser.pool import shared_pool

        return await shared_pool(headless)

    def versions(self) -> Mapping[str, str]:
        """The browser's version. Raises BrowserMissingError."""
        from webgym.backends.browser.executable import find

        return {"browser": find().version}


BACKEND = BrowserBackend()
