"""Cookies and local storage that an episode begins with; the browser has them before the first script of its first page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import BrowserContext

from webgym.backends.browser.tab import Tab


@dataclass(frozen=True)
class Gifts:
    """Possessions of a browser at the beginning of an episode; mostly none."""

    cookies: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    storage: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.cookies or self.storage)

    async def before(self, context: BrowserContext) -> None:
        """Give what must be there when the first page is asked for."""
        if self.cookies:
            await context.add_cookies([dict(cookie) for cookie in self.cookies])  # type: ignore[arg-type]

    async def within(self, tab: Tab) -> None:
        """Give what belongs to the document, which has not run yet."""
        if self.storage:
            await tab.page_value(f"Object.entries({json.dumps(dict(self.storage))}).forEach(([k, v]) => localStorage.setItem(k, v))")
