"""The application as its author's functions see it: resets, state readers and verifiers."""

import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from webgym.sites.apps import sqlite
from webgym.sites.apps.calls import in_thread
from webgym.sites.apps.exchange import AWAY_S, Address
from webgym.sites.apps.files import inside
from webgym.sites.apps.logs import without_escapes
from webgym.sites.apps.requests import Request
from webgym.sites.apps.secrets import public, redacted, with_secrets
from webgym.sites.encodings import decoded

ASK_S = 20.0  # for one request or one command
WRITING_S = 0.5  # that an application may take to write a file
MOST_FILE = 16 << 20  # bytes of a file that is read as state


class Wrong(Exception):
    """The application did not do what it was asked; the message says it in one sentence."""


class PlainInstance:
    """One process of an application, for plain functions: each method waits for its result.

    `url` is the process's own address, `folder` its own folder. `seed` and `site_state` are those of the episode, and `requests` are those
    that its pages have sent so far.
    """

    def __init__(self, address: Address, folder: Path | None, *, host: str = "", environment: Mapping[str, str] | None = None) -> None:
        self.address, self._folder, self._host, self._environment = address, folder, host, environment
        self.seed: int = 0
        self.site_state: Any = None
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        """The address of the process, such as http://127.0.0.1:41234."""
        return self.address.origin

    @property
    def folder(self) -> Path:
        """The folder of the process. Raises Wrong where there is none."""
        if self._folder is None:
            raise Wrong("this application has no folder here: say `in:` to name it")
        return self._folder

    def path(self, name: str) -> Path:
        """A path in the folder. Raises Wrong where it would leave it."""
        try:
            return inside(self.folder, name)
        except ValueError as error:
            raise Wrong(str(error)) from error

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, as_state: bool = False) -> Any:
        """The answer to a GET request: data where it is JSON, else text. Redirects are not followed.

        `as_state` takes no redirect and no broken JSON for an answer. Raises Wrong.
        """
        return self._ask("GET", path, None, headers or {}, as_state)

    def post(
        self,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer to a POST request with JSON or a form. Raises Wrong."""
        if form is not None:
            body, kind = urlencode(form, doseq=True).encode(), "application/x-www-form-urlencoded"
        else:
            body, kind = (_json_bytes(json), "application/json") if json is not None else (b"", "")
        return self._ask("POST", path, body, {**({"content-type": kind} if kind else {}), **(headers or {})})

    def sqlite(self, database: str, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows that a query finds in a SQLite file of the folder, as mappings by column. Raises Wrong."""
        try:
            return sqlite.rows(self.path(database), query, values)
        except (sqlite.sqlite3.Error, OSError) as error:
            raise Wrong(f"the query {query!r} of {database} failed: {error}") from error

    def read(self, name: str) -> Any:
        """The content of a file of the folder: data where its name ends in .json, else text. Raises Wrong.

        Data that cannot be read is looked at again for a moment, because the application may be writing it.
        """
        path, until = self.path(name), time.monotonic() + WRITING_S
        while True:
            try:
                if path.stat().st_size > MOST_FILE:
                    raise Wrong(f"the file {name} has {path.stat().st_size:,} bytes: expected at most {MOST_FILE:,}")
                text = path.read_text("utf-8")
                return json.loads(text) if path.suffix == ".json" else text
            except (OSError, ValueError, RecursionError) as error:
                if isinstance(error, (OSError, RecursionError)) or time.monotonic() > until:
                    raise Wrong(f"the file {name} could not be read: {error}") from error
            time.sleep(0.02)

    def command(self, arguments: Sequence[str]) -> str:
        """The output of a command, run in the folder without a shell; `{folder}`, `{url}` and `{port}` stand for those. Raises Wrong."""
        filled = [self._filled(argument) for argument in arguments]
        try:
            done = subprocess.run(
                filled,
                cwd=self._folder,
                env=public(os.environ) if self._environment is None else dict(self._environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ASK_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Wrong(f"the command {arguments[0]!r} did not end within {ASK_S:g} s") from error
        except OSError as error:
            raise Wrong(f"the command {arguments[0]!r} could not be run: {error.strerror}") from error
        if done.returncode:
            said = redacted(without_escapes((done.stderr or done.stdout).decode("utf-8", "replace")).strip()[-500:])
            raise Wrong(f"the command {arguments[0]!r} ended with status {done.returncode}: {said or 'it said nothing'}")
        return done.stdout.decode("utf-8", "replace")

    def _filled(self, text: str) -> str:
        values = {"{port}": str(self.address.port), "{url}": self.url, "{seed}": str(self.seed), "{folder}": str(self._folder or "")}
        for name, value in values.items():
            text = text.replace(name, value)
        return with_secrets(text)

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        """Connect to the application; one that reloads itself is away for a moment. Raises OSError."""
        until = time.monotonic() + AWAY_S
        while True:
            try:
                return connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own: the answer and its body. Raises OSError and HTTPException."""
        address = self.address
        if address.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                address.host, address.port, timeout=ASK_S, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(address.host, address.port, timeout=ASK_S)
        try:
            self._connect(connection)
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], as_state: bool = False) -> Any:
        target = quote(self._filled(path), safe="/?&=%:@!$'()*+,;~-._[]")
        where = f"{method} {path}"
        own = {"host": self._host} if self._host else {}
        sent = {"accept": "application/json, */*", "accept-encoding": "identity", **own, **with_secrets(headers)}
        try:
            try:
                answer, content = self._exchange(method, target, body, sent)
            except ConnectionError:  # an application that reloads itself cuts a connection that it had taken
                if method != "GET":
                    raise
                answer, content = self._exchange(method, target, body, sent)
        except (OSError, http.client.HTTPException) as error:
            raise Wrong(f"{where} got no answer from the application: {error!r}") from error
        try:
            text = decoded(content, answer.getheader("content-encoding") or "").decode("utf-8", "replace")
        except ValueError as error:
            raise Wrong(f"{where}: {error}") from error
        if answer.status >= 400:
            raise Wrong(f"{where} was answered with status {answer.status}: {redacted(' '.join(text.split())[:300]) or 'no words'}")
        if 300 <= answer.status < 400 and as_state:
            there = redacted(answer.getheader("location") or "nowhere")
            raise Wrong(
                f"{where} was answered with status {answer.status}, which leads to {there}: name the path that has the state, "
                "or say the `headers:` that sign in"
            )
        if "json" not in (answer.getheader("content-type") or "") or not text.strip():
            return text
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:  # the second for some thousand brackets
            if not as_state:
                return text
            raise Wrong(f"{where} was answered with what calls itself JSON and is none: {error}") from error


class Instance:
    """One process of an application, for coroutines: the methods of :class:`PlainInstance`, awaited."""

    def __init__(self, plain: PlainInstance) -> None:
        self.plain = plain

    @property
    def url(self) -> str:
        """The address of the process."""
        return self.plain.url

    @property
    def folder(self) -> Path:
        """The folder of the process."""
        return self.plain.folder

    @property
    def seed(self) -> int:
        """The seed of the episode."""
        return self.plain.seed

    @property
    def site_state(self) -> Any:
        """The state that the task's start gave to the site."""
        return self.plain.site_state

    async def get(self, path: str, **options: Any) -> Any:
        """The answer to a GET request."""
        return await in_thread(lambda: self.plain.get(path, **options), timeout_s=2 * ASK_S)

    async def post(self, path: str, **options: Any) -> Any:
        """The answer to a POST request."""
        return await in_thread(lambda: self.plain.post(path, **options), timeout_s=2 * ASK_S)

    async def sqlite(self, database: str, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows that a query finds."""
        return await in_thread(self.plain.sqlite, database, query, *values, timeout_s=2 * ASK_S)

    async def read(self, name: str) -> Any:
        """The content of a file."""
        return await in_thread(self.plain.read, name, timeout_s=2 * ASK_S)

    async def command(self, arguments: Sequence[str]) -> str:
        """The output of a command."""
        return await in_thread(self.plain.command, arguments, timeout_s=2 * ASK_S)


def same_origin(url: str, base: str) -> str:
    """The path and query of an address below `base`, "" where it leads elsewhere."""
    whole, own = urlsplit(urljoin(base, url)), urlsplit(base)
    if (whole.scheme, whole.netloc) != (own.scheme, own.netloc):
        return ""
    return (whole.path or "/") + (f"?{whole.query}" if whole.query else "")


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
