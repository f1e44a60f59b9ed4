"""A backend that is no browser: it finds the buttons of a page by regular expressions and sends their forms. It knows the protocols only.

Tests copy this file out of the repository and install it as another distribution's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from html import unescape
from urllib.parse import urljoin

import httpx2
import numpy as np

from webgym.backends.base import Backend, Beginning, Pool, Session, View
from webgym.sites.gateway import Gateway
from webgym.task import Site, Task
from webgym.types import Action, Click, Node, Wait

FORM = re.compile(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
BUTTON = re.compile(r"<button([^>]*)>(.*?)</button>", re.DOTALL)
HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
NAMED = re.compile(r'name="([^"]*)" value="([^"]*)"')


@dataclass(frozen=True)
class Read:
    """A page as a list of its buttons."""

    url: str
    title: str
    nodes: tuple[Node, ...]
    tabs: tuple[str, ...] = ("(current)",)
    focus: int | None = None
    notices: tuple[str, ...] = ()


class Reader:
    """One reader, who presses buttons."""

    alive, spent = True, False

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._client = httpx2.AsyncClient()
        self._page = Read("", "", ())
        self._sent: list[tuple[str, dict[str, str]]] = []  # by button: where its form goes, and what it says

    @property
    def url(self) -> str:
        return self._page.url

    async def begin(self, start: Beginning) -> Mapping[str, object] | None:
        sites = httpx2.ASGITransport(app=self._gateway.episode(start.token), raise_app_exceptions=False)
        self._client = httpx2.AsyncClient(transport=sites, follow_redirects=True)
        self._read(await self._client.get(start.url))
        return None

    async def start_here(self) -> None:
        """A reader has no way back."""

    async def act(self, action: Action) -> str:
        match action:
            case Click(ref) if ref < len(self._sent):
                target, fields = self._sent[ref]
                self._read(await self._client.post(target, data=fields))
            case Wait():
                pass
            case _:
                return "a reader presses buttons that are there"
        return ""

    async def view(self) -> View:
        return self._page

    async def page_state(self, probe: str) -> object:
        return None

    async def screenshot(self) -> np.ndarray:
        return np.zeros((1, 1, 3), np.uint8)

    async def close(self) -> None:
        await self._client.aclose()

    def _read(self, answer: httpx2.Response) -> None:
        url, nodes = str(answer.url), []
        self._sent = []
        for target, inside in FORM.findall(answer.text):
            for attributes, text in BUTTON.findall(inside):
                nodes.append(Node("button", unescape(text), len(self._sent), depth=0))
                self._sent.append((urljoin(url, target), dict([*HIDDEN.findall(inside), *NAMED.findall(attributes)])))
        title = re.search("<title>(.*?)</title>", answer.text)
        self._page = Read(url, unescape(title[1]) if title else "", tuple(nodes))


class Readers:
    """All readers of an environment."""

    def __init__(self) -> None:
        self.gateway = Gateway()

    def serve(self, sites: Iterable[Site]) -> None:
        for site in sites:
            self.gateway.add_site(site)

    def turn(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def session(self) -> Session:
        return Reader(self.gateway)


class ReaderBackend:
    """Tasks on plain pages, by their buttons."""

    def can_play(self, task: Task, sites: Sequence[Site]) -> str:
        return "" if all(getattr(site, "plain", False) for site in sites) else f"task {task.id} cannot be read: its pages have scripts"

    async def pool(self, *, headless: bool = True) -> Pool:
        return Readers()

    def versions(self) -> Mapping[str, str]:
        return {"reader": "1"}


BACKEND: Backend = ReaderBackend()
