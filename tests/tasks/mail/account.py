"""The mail site without a browser: asks it as ASGI, for one episode's account."""

import asyncio
import re
from html import unescape
from importlib import import_module
from urllib.parse import urlencode

from webgym.packs import registry

PACK = registry._pack("mail").__name__  # packs are loaded by path, under a private name


def module(name):
    """A module of the pack."""
    return import_module(f"{PACK}.{name}")


SITE = registry._pack("mail").sites()[0]


class Account:
    """One episode of the site."""

    def __init__(self, world=None):
        self.state = asyncio.run(SITE.lease(0, world or module("records").World(7)))
        self.status, self.where = 0, ""

    def get(self, path):
        """The page's text; follows where it leads."""
        return self._ask("GET", path, b"")

    def post(self, path, **form):
        """Sends a form and gives the page that follows; a field given as a list is sent several times."""
        return self._ask("POST", path, urlencode(form, doseq=True).encode())

    def _ask(self, method, path, body):
        sent = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "path": path, "root_path": "", "query_string": query.encode(),
            "headers": [(b"content-type", b"application/x-www-form-urlencoded")], "webgym.state": self.state,
        }  # fmt: skip
        asyncio.run(SITE.app(scope, receive, send))
        self.status, self.where = sent[0]["status"], path
        if self.status == 303:
            return self.get(dict(sent[0]["headers"])[b"location"].decode())
        return unescape(re.sub(r"\s+", " ", b"".join(m.get("body", b"") for m in sent[1:]).decode()))

    @property
    def changes(self):
        """What the account keeps of it all, without what was only read."""
        return {name: change for name, change in SITE.snapshot(self.state).items() if name != "seen"}

    def thread(self, folder="inbox"):
        """The first mail of a folder."""
        return next(t for t in self.state.threads if t.folder == folder)
