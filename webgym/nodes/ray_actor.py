"""A collector as an actor of Ray: the same messages as over HTTP, plain data in JSON, and pieces of lines as a stream of Ray.

Ray starts the process, starts it again when it ends, and finds a machine for it. What travels is text and bytes.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from webgym.errors import WebGymError
from webgym.loop_thread import loop_thread
from webgym.nodes import wire
from webgym.nodes.collector import FACTORIES, Collector, Playing, Refusing
from webgym.nodes.wire import Asked, Line, Terms
from webgym.packs import sets

M = TypeVar("M", bound=BaseModel)


class CollectorActor:
    """A collector of so many sessions, made at the first greeting. Its methods run on Ray's loop, episodes on the process's own."""

    def __init__(self, sessions: int, backend: str, headless: bool = True, tasks: Sequence[str] = (), allow: Sequence[str] = ()) -> None:
        self._settings: dict[str, Any] = {
            "sessions": sessions,
            "backend": backend,
            "headless": headless,
            "factories": (*FACTORIES, *allow),
        }
        self._tasks = tuple(tasks)
        self._collector: Collector | None = None
        self._playing: dict[str, Playing] = {}

    async def hello(self, terms: str) -> tuple[int, str]:
        """The status and the JSON of an answer to terms, as over HTTP: 200 with a Hello, else with `error`."""
        try:
            return 200, await _there(self._greet(_read(Terms, terms)))
        except Refusing as error:
            return error.status, wire.Refusal(error=str(error)).model_dump_json()

    async def _greet(self, terms: Terms) -> str:
        return self._made().greet(terms).model_dump_json()

    def _made(self) -> Collector:
        """The collector, whose tasks are loaded first. Raises Refusing where it cannot be made."""
        try:
            if self._collector is None:
                if self._tasks:
                    sets.choose(self._tasks)
                self._collector = Collector(**self._settings)
            return self._collector
        except WebGymError as error:
            raise Refusing(409, str(error)) from error

    async def play(self, run: str, asked: str) -> AsyncGenerator[bytes, None]:
        """Pieces of whole lines while the episodes are played. A request that is not taken is a line too. `run` names it for `leave`."""
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()

        def send(piece: bytes | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        loop_thread().start(self._play(run, asked, send))
        while (piece := await pieces.get()) is not None:
            yield piece

    async def _play(self, run: str, asked: str, send: Any) -> None:
        try:
            playing = self._playing[run] = self._made().playing(_read(Asked, asked))
            async with contextlib.aclosing(playing.pieces()) as found:
                async for piece in found:
                    send(piece)
        except Refusing as error:
            send(Line(kind="failed", reason="refused", message=str(error)).encoded())
        finally:
            self._playing.pop(run, None)
            send(None)

    async def leave(self, run: str) -> None:
        """Give the episodes of a request up."""

        async def leave() -> None:
            if run in self._playing:
                self._playing[run].leave()

        await _there(leave())

    async def picture(self, name: str) -> bytes:
        """A picture by its name, as PNG; nothing where there is none."""

        async def find() -> bytes:
            try:
                return self._made().picture(name)
            except Refusing:
                return b""

        return await _there(find())

    async def process_id(self) -> int:
        """The id of this process."""
        return os.getpid()

    async def close(self) -> None:
        """End the sessions."""
        if self._collector is not None:
            await _there(self._collector.close())


async def _there(coroutine: Any) -> Any:
    """The result of a coroutine on the process's own loop, where sessions live."""
    return await asyncio.wrap_future(loop_thread().submit(coroutine))


def _read(kind: type[M], content: str) -> M:
    """A message. Raises Refusing."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise Refusing(422, wire.problem(error)) from None


def options(cpus: float, sessions: int, labels: Mapping[str, str]) -> dict[str, Any]:
    """Ray's options of an actor: it is started again whenever it ends, no call of it is repeated, and actors are spread over machines."""
    found: dict[str, Any] = {
        "num_cpus": cpus,
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": 4 * sessions + 16,
        "scheduling_strategy": "SPREAD",
    }
    return found | ({"label_selector": dict(labels)} if labels else {})
