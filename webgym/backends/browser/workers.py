"""The workers that pages start, of every kind and however deep, as the browser itself knows them."""

from collections.abc import Callable
from typing import Any

from playwright.async_api import Browser

KINDS = ("worker", "shared_worker", "service_worker")


class Workers:
    """Tells of each worker that a context's pages start. A page cannot hide one, because the browser makes them."""

    def __init__(self) -> None:
        self._heard: dict[str, Callable[[], None]] = {}

    async def attach(self, browser: Browser) -> None:
        """Listen to a browser that was just started."""
        self._heard.clear()
        cdp = await browser.new_browser_cdp_session()  # it stays for the browser's life
        cdp.on("Target.targetCreated", self._on_target)
        await cdp.send("Target.setDiscoverTargets", {"discover": True, "filter": [{"type": kind} for kind in KINDS]})

    def hear(self, context: str, heard: Callable[[], None]) -> None:
        """Call `heard` for each worker of the browser context with this id."""
        self._heard[context] = heard

    def forget(self, context: str) -> None:
        """Listen no more, because the context is closed."""
        self._heard.pop(context, None)

    def _on_target(self, event: dict[str, Any]) -> None:
        if heard := self._heard.get(event["targetInfo"].get("browserContextId", "")):
            heard()
