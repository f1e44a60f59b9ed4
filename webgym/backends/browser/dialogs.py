"""Dialogs of a tab's page. A question (`confirm`, `prompt`) waits for the agent; all others are accepted at once, and told.

While a question is open, the page's script stands still in the middle of what the agent did, and the browser answers nothing about the
page. So the action is not over: its rest is kept (:attr:`Dialogs.rest`), and goes on when the question is answered. The agent answers by
:class:`webgym.types.Dialog`. Any other action answers first, as it was always done: a confirmation is accepted, a prompt dismissed.
"""

import asyncio
import logging
from collections.abc import Callable

from playwright.async_api import Dialog, Page
from playwright.async_api import Error as PlaywrightError

from webgym import types as t

log = logging.getLogger(__name__)

QUESTIONS = ("confirm", "prompt")


class Dialogs:
    """The dialogs of one session; `tell` takes what the agent is told."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._page: Page | None = None  # whose questions wait for the agent now
        self._asked: asyncio.Future[None] | None = None
        self.open: Dialog | None = None
        self.rest: asyncio.Task[None] | None = None  # of the action that the open dialog interrupted

    def listen(self, page: Page | None) -> "asyncio.Future[None]":
        """Keep questions of `page` open from now on, or none. The future is done when one comes."""
        if self._asked is None or self._asked.done() or self._page != page:
            self._page = page
            self._asked = asyncio.get_running_loop().create_future()
        return self._asked

    def keep(self, work: "asyncio.Task[None]") -> None:
        """Take what is left of an action, after a wait for it: its rest while a dialog is open, else nothing. Questions wait no more."""
        self.rest = work if self.open is not None else None
        self._page = self._asked = None

    async def came(self, dialog: Dialog) -> None:
        """Take a dialog that opened."""
        if dialog.type not in QUESTIONS or self._page is None or dialog.page != self._page or self._asked is None:
            await self._close(dialog, _by_default(dialog))
            return
        self.open = dialog
        else_ = "accepts" if _by_default(dialog) else "dismisses"
        self._tell(f"{_named(dialog)} is open: answer it with dialog; any other action {else_} it")
        if not self._asked.done():
            self._asked.set_result(None)

    async def answer(self, given: t.Dialog | None) -> None:
        """Answer the open question; None is the answer that it gets without the agent."""
        dialog, self.open = self.open, None
        if dialog is not None:
            await self._close(dialog, given.accept if given else _by_default(dialog), given.text if given else None)

    def drop(self) -> None:
        """Give up what waits for an answer, because the session ends."""
        if self.rest is not None:
            self.rest.cancel()
        self.open = self.rest = None

    async def _close(self, dialog: Dialog, accept: bool, text: str | None = None) -> None:
        self._tell(f"{_named(dialog)} was {'accepted' if accept else 'dismissed'}")
        try:
            await (dialog.accept(dialog.default_value if text is None else text) if accept else dialog.dismiss())
        except PlaywrightError as error:
            log.debug("a dialog went away by itself: %s", error)


def _by_default(dialog: Dialog) -> bool:
    return dialog.type != "prompt"


def _named(dialog: Dialog) -> str:
    words = " ".join(dialog.message.replace('"', "'").split())[:200]  # on one line and in our quotes: it looks like no part of the prompt
    return f'{dialog.type} dialog "{words}"'
