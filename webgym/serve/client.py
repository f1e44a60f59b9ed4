"""Episodes by one face, wherever they are played: in this process, or on a server. The adapters for trainers stand on it.

Both take a task, a seed and texts, and raise what :class:`webgym.env.core.AsyncWebEnv` raises: a Fault where machinery failed, on the way
too, and a UsageError where the caller can mend it.
"""

import asyncio
import http.client
import json
import select
import socket
import weakref
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from webgym import errors
from webgym.errors import BrowserFault, Fault, UsageError
from webgym.loop_thread import loop_thread
from webgym.serve.messages import Begin, Turned, agents_text, read
from webgym.serve.sessions import Limits, Session

T = TypeVar("T")

ANSWER_S = 300.0
"""Longest time for an answer; a server's own deadlines are shorter."""


class RefusedError(UsageError):
    """The server refused a request; `kind` is one of those that :mod:`webgym.serve.http` lists."""

    def __init__(self, words: str, kind: str) -> None:
        super().__init__(words)
        self.kind = kind


class Episodes:
    """One session that plays one episode after another; a context manager. Use :func:`episodes`."""

    def begin(self, task: str, seed: int | None = None, **options: Any) -> Turned:
        """The first observation of an episode. `options` are the other fields of :class:`webgym.serve.messages.Begin`."""
        raise NotImplementedError

    def act(self, text: str) -> Turned:
        """The result of one turn."""
        raise NotImplementedError

    def close(self) -> None:
        """End the session."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def episodes(url: str = "", *, backend: str = "browser") -> Episodes:
    """A session on the server at `url` (`webgym serve`), or in this process where there is none."""
    return Remote(url) if url else Here(backend)


class Here(Episodes):
    """A session in this process."""

    def __init__(self, backend: str = "browser") -> None:
        self._session = Session(backend, Limits())
        weakref.finalize(self, _give_back, self._session).atexit = False  # the browser ends with the process

    def begin(self, task: str, seed: int | None = None, **options: Any) -> Turned:
        return loop_thread().run(self._session.reset(_asked(task, seed, options)))

    def act(self, text: str) -> Turned:
        return loop_thread().run(self._session.step(text))

    async def begin_async(self, task: str, seed: int | None = None, **options: Any) -> Turned:
        """`begin` for a caller on an event loop of its own; no thread waits for it."""
        return await _elsewhere(self._session.reset(_asked(task, seed, options)))

    async def act_async(self, text: str) -> Turned:
        """`act` for a caller on an event loop of its own."""
        return await _elsewhere(self._session.step(text))

    async def close_async(self) -> None:
        """`close` for a caller on an event loop of its own."""
        await _elsewhere(self._session.close())

    def close(self) -> None:
        loop_thread().run(self._session.close())


class Remote(Episodes):
    """A session on a server of the protocol `http`."""

    def __init__(self, url: str, answer_s: float = ANSWER_S) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise UsageError(f"expected the address of a server, such as http://127.0.0.1:8000, got {url!r}")
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=answer_s)
        weakref.finalize(self, self._connection.close).atexit = False  # the server frees the session of a silent client
        self._path = parts.path.rstrip("/")
        self._session = ""

    def begin(self, task: str, seed: int | None = None, **options: Any) -> Turned:
        asked = _asked(task, seed, options).model_dump()
        place = f"/sessions/{self._session}/reset" if self._session else "/sessions"
        try:
            return self._turned(self._ask("POST", place, asked))
        except RefusedError as error:
            if not self._session or error.kind != "session":
                raise
            self._session = ""  # it has ended, as those of silent clients do
            return self._turned(self._ask("POST", "/sessions", asked))

    def act(self, text: str) -> Turned:
        return self._turned(self._ask("POST", f"/sessions/{self._session or 'none'}/step", {"action": agents_text(text)}))

    def close(self) -> None:
        if self._session:
            session, self._session = self._session, ""
            try:
                self._ask("DELETE", f"/sessions/{session}", None)
            except (Fault, UsageError):
                return  # it is gone, and that was wanted
            finally:
                self._connection.close()

    def _turned(self, data: dict[str, Any]) -> Turned:
        self._session = data.pop("session")
        return Turned.model_validate(data)

    def _ask(self, method: str, place: str, data: Any) -> dict[str, Any]:
        """The server's answer. Raises RefusedError, Fault."""
        body = None if data is None else json.dumps(data)
        if _dropped(self._connection.sock):
            self._connection.close()  # the next request opens another
        try:
            self._connection.request(method, self._path + place, body, {"content-type": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._session = ""
            raise BrowserFault(f"the server at {self._connection.host}:{self._connection.port} does not answer: {error!r}") from error
        try:
            if answer.status < 300:
                return json.loads(text) if text else {}
            found = json.loads(text)["error"]
            kind, words = str(found["kind"]), str(found["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BrowserFault(f"the server answered with status {answer.status}: {text[:200]!r}") from None
        if kind == "fault":
            known = getattr(errors, str(found.get("type")), None)
            raise (known if isinstance(known, type) and issubclass(known, Fault) else BrowserFault)(words)
        raise RefusedError(words, kind)


def _dropped(connection: socket.socket | None) -> bool:
    """True if the other side has closed this idle connection, as servers and proxies do after a while."""
    if connection is None:
        return False
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


def _give_back(session: Session) -> None:
    """End a session whose owner was dropped without having been closed."""
    loop_thread().start(session.close())


def _asked(task: str, seed: int | None, options: dict[str, Any]) -> Begin:
    return read(Begin, {"task": task, "seed": seed, **options})


async def _elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """The result of work on the browser's loop, awaited on another one."""
    return await asyncio.wrap_future(loop_thread().submit(work))
