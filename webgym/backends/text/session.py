"""A session of the text twin, over plain pages (:mod:`webgym.backends.text.plain`): the counterpart of a browser session.

Requests go to the gateway in this process, without a socket. What an action does, and in which words it fails, is what Chromium does on
the same page; an action that needs a layout, a second tab or a key that moves the focus is refused in words, where Chromium would do it.
"""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import numpy as np

from webgym import types as t
from webgym.actions.chords import NoKey, chord
from webgym.backends.base import Beginning, PageView
from webgym.backends.text.plain import Control, PlainPage, read
from webgym.errors import ConfigError, Fault, SiteFault
from webgym.sites.address import allowed_address, not_allowed
from webgym.sites.gateway import Gateway
from webgym.task import Site

REDIRECTS = 20  # the browser's own limit
FORM = (b"content-type", b"application/x-www-form-urlencoded")


class Refusal(Exception):
    """The action does not work here; becomes an error in the observation."""


class TextPool:
    """Text sessions and the gateway that they call. Implements :class:`webgym.backends.base.Pool`."""

    def __init__(self) -> None:
        self.gateway = Gateway()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """A place without waiting, because only this process acts here."""
        return nullcontext()

    def serve(self, sites: Iterable[Site]) -> None:
        """Let the gateway answer for these sites."""
        for site in sites:
            self.gateway.add_site(site)

    async def session(self) -> "TextSession":
        """A new session."""
        return TextSession(self.gateway)


class TextSession:
    """One tab that plays one episode after another. Implements :class:`webgym.backends.base.Session`."""

    spent, alive = False, True

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._token = ""
        self._hosts: tuple[str, ...] = ()
        self._history: list[str] = []
        self._at = 0  # the current entry of the history
        self._page = PlainPage("", (), ())
        self._focus: int | None = None
        self._viewport = (0, 0)

    @property
    def url(self) -> str:
        """The address of the page that is shown."""
        return self._history[self._at]

    async def begin(self, start: Beginning) -> None:
        """Forget the last episode and open the page, to which clock, seed and settling mean nothing. Raises ConfigError, SiteFault."""
        if start.page_script is not None:
            raise ConfigError("a task whose page runs a script has no text twin")
        if start.folder is not None:
            raise ConfigError("a task with files to upload has no text twin")
        if start.cookies or start.storage:
            raise ConfigError("a task that begins with cookies or a storage has no text twin")
        self._token, self._hosts, self._viewport = start.token, start.hosts, start.viewport
        self._history, self._at = [await self._open(start.url)], 0

    async def start_here(self) -> None:
        """Let the current page be the first one of the episode."""
        self._history, self._at = [self.url], 0

    async def view(self) -> PageView:
        """The view of the current page."""
        page = self._page
        return PageView(self.url, page.title, page.focused(self._focus), (f"{page.title} (current)",), self._focus)

    async def act(self, action: t.Action) -> str:
        """Perform an action; "" or why it did not work. Raises SiteFault."""
        try:
            await self._perform(action)
        except Refusal as refusal:
            return str(refusal)
        return ""

    async def page_state(self, probe: str) -> object:
        """None, because plain pages have no script that could answer."""
        raise ConfigError("a task that asks its page's script has no text twin")

    async def screenshot(self) -> np.ndarray:
        """White pixels [height, width, 3] uint8, because nothing is drawn."""
        width, height = self._viewport
        return np.full((height, width, 3), 255, np.uint8)

    async def close(self) -> None:
        """Do nothing, because no resources are held."""

    # --- requests ------------------------------------------------------------------------------------------------------------

    async def _open(self, url: str, method: str = "GET", body: bytes = b"") -> str:
        """Show what is found there; the address that it led to."""
        for _ in range(REDIRECTS):
            status, location, html = await self._ask(url, method, body)
            if not location:
                if not html:
                    raise SiteFault(f"{url} answered with status {status} and no page, which no text twin can show")
                self._page, self._focus = read(html), None
                return url
            url = urljoin(url, location)
            method, body = ("GET", b"") if status in (301, 302, 303) else (method, body)
        raise SiteFault(f"{url} redirects for ever")

    async def _ask(self, url: str, method: str, body: bytes) -> tuple[int, str, str]:
        """Status, the address it leads on to, and the page, as the gateway answers."""
        parts = urlsplit(url)
        headers = [(b"host", parts.netloc.rpartition("@")[2].encode())]
        if body:
            headers += [FORM, (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": parts.scheme, "path": parts.path or "/", "root_path": "",
            "query_string": parts.query.encode(), "headers": headers, "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        answer = _Answer(body)
        try:
            await self._gateway.episode(self._token)(scope, answer.receive, answer.send)
        except Fault:
            raise
        except Exception as error:  # any error that a site raises is the site's fault
            raise SiteFault(f"a site failed while answering {url}: {error!r}") from error
        return answer.status, answer.location, answer.body.decode("utf-8")

    # --- actions -------------------------------------------------------------------------------------------------------------

    async def _perform(self, action: t.Action) -> None:
        match action:
            case t.Click(ref, "left", 1, ()):
                await self._activate(ref)
            case t.Press(keys, ref):
                if ref is not None:
                    self._find(ref)
                    self._focus = ref
                await self._press(keys)
            case t.Focus(ref):
                self._find(ref)
                self._focus = ref
            case t.Hover(ref):
                self._find(ref)
            case t.Fill(ref) | t.Clear(ref):
                self._find(ref)
                raise Refusal(f"element #{ref} is a {self._role(ref)}, text cannot be put into it")
            case t.Select(ref):
                self._find(ref)
                raise Refusal(f"element #{ref} is no select box")
            case t.Scroll(_, _, ref):
                if ref is not None:
                    self._find(ref)
                raise Refusal("nothing scrolled: the end is reached, or there is nothing to scroll")
            case t.Type(text):
                if self._focus is not None and set(text) & {" ", "\n", "\r"}:
                    raise Refusal("typed spaces and line ends press the button in focus: press Enter instead")
            case t.Dialog():
                raise Refusal("no dialog is open")
            case t.Upload():
                raise Refusal("this task has no files to upload")
            case t.Wait() | t.Message() | t.Stop() | t.Infeasible():
                pass
            case _:
                await self._travel(action)

    async def _travel(self, action: t.Action) -> None:
        """Addresses, history and tabs."""
        match action:
            case t.Goto(url):
                address = allowed_address(url, self._hosts)
                if address is None:
                    raise Refusal(not_allowed(url, self._hosts))
                await self._visit(address)
            case t.Back():
                await self._move(-1)
            case t.Forward():
                await self._move(1)
            case t.Reload():
                self._history[self._at] = await self._open(self.url)
            case t.FocusTab(index):
                if index:
                    raise Refusal(f"there is no tab {index}; the tabs are 0 to 0")
            case t.CloseTab():
                raise Refusal("the only tab cannot be closed")
            case _:
                raise Refusal(f"without a browser there is no {type(action).__name__} like this one")

    def _find(self, ref: int) -> Control:
        if ref >= len(self._page.controls):
            raise Refusal(f"there is no element #{ref} on this page; the refs are #0 to #{len(self._page.controls) - 1}")
        return self._page.controls[ref]

    def _role(self, ref: int) -> str:
        return next(node.role for node in self._page.nodes if node.ref == ref)

    async def _activate(self, ref: int) -> None:
        control = self._find(ref)
        self._focus = ref
        if control.form is None:
            return await self._visit(urljoin(self.url, control.href))
        body = urlencode([*control.form.fields, *control.given])
        target = urljoin(self.url, control.form.action)
        if control.form.method != "post":
            return await self._visit(f"{target.partition('?')[0]}?{body}")
        self._push(await self._open(target, "POST", body.encode()))

    async def _press(self, keys: str) -> None:
        try:
            keys = chord(keys)
        except NoKey as error:
            raise Refusal(str(error)) from None
        if keys in ("Enter", "Space", " ", "NumpadEnter") and self._focus is not None:
            if keys in ("Enter", "NumpadEnter") or self._role(self._focus) == "button":
                await self._activate(self._focus)
        elif "Tab" in keys or ("+" in keys and keys != "+"):
            raise Refusal(f"without a browser there is no key {keys!r}")

    async def _visit(self, url: str) -> None:
        """Open an address: the one that is shown already is loaded again, any other is a new entry of the history."""
        again = url == self.url
        found = await self._open(url)
        if again:
            self._history[self._at] = found
        else:
            self._push(found)

    def _push(self, url: str) -> None:
        self._history[self._at + 1 :] = [url]
        self._at += 1

    async def _move(self, step: int) -> None:
        at = self._at + step
        if not 0 <= at < len(self._history):
            raise Refusal(f"there is no page to go {'back' if step < 0 else 'forward'} to")
        self._history[at], self._at = await self._open(self._history[at]), at


class _Answer:
    """One request's body, and the answer as it comes."""

    def __init__(self, body: bytes) -> None:
        self._given = body
        self.status, self.location, self.body = 0, "", b""

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self._given, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message.get("headers", ()):
                if name == b"location":
                    self.location = value.decode("latin-1")
                elif name == b"set-cookie":
                    raise SiteFault("this site sets cookies, so it has no text twin")
        else:
            self.body += message.get("body", b"")
