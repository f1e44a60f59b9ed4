"""The collector: sessions of this machine that play episodes for a trainer elsewhere.

:class:`Collector` knows nothing of networks: it takes messages of :mod:`webgym.nodes.wire` and gives lines. `app` serves it over HTTP, and
:mod:`webgym.nodes.ray_actor` as an actor of Ray.

    GET  /health            how it does; the only page without a token
    POST /hello             Terms → Hello, or the first difference in one sentence (409)
    POST /play              Asked → lines, until its episodes have ended; closing the connection gives them up
    GET  /pictures/{name}   a picture of a turn, as PNG, by the hash of these bytes

It remembers nothing between two requests but what it can lose: sessions, policies that it made, pictures that nobody fetched.
"""

import asyncio
import contextlib
import functools
import logging
import time
import traceback
from collections import OrderedDict
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webgym.backends import known_backend
from webgym.env.core import AsyncWebEnv
from webgym.errors import Fault, UsageError, WebGymError, did_you_mean
from webgym.nodes import wire
from webgym.nodes.wire import Asked, Hello, Line, Terms, Told
from webgym.packs import digests, registry
from webgym.policies.policy import Policy
from webgym.record.store import encode, png
from webgym.rollout.collector import must_read_prompts
from webgym.rollout.contract import EventKind, PictureTaker, PolicyHandle
from webgym.rollout.episode import Board, Episode, within
from webgym.types import EpisodeKey, Trajectory

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

FACTORIES = (
    wire.REMOTE_POLICY,
    "webgym.evaluation.assessment:model_free",
    "webgym.policies.scripted:RandomPolicy",
)
"""Factories of policies that a request may name; they make policies from plain data and run nothing that it brings."""
TOLD_S = 0.1  # between two lines of events
POLICIES = 4  # that are kept
END_S = 10.0  # longest wait for an episode to end that nobody wants any more
PICTURES_MB = 256  # of pictures that are kept


@runtime_checkable
class Closable(Protocol):
    """A policy that holds connections."""

    async def aclose(self) -> None: ...


class Refusing(UsageError):
    """A request that this collector does not take, with the status by which HTTP says so."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Collector:
    """Sessions on a backend, and the ASGI `app` that plays on them. Use :meth:`close` at the end."""

    def __init__(
        self, sessions: int, *, backend: str = "browser", headless: bool = True, token: str = "", factories: Sequence[str] = FACTORIES
    ) -> None:
        if not 1 <= sessions <= wire.MOST_SESSIONS:
            raise UsageError(f"expected 1 to {wire.MOST_SESSIONS:,} sessions, got {sessions:,}: start more collectors for more")
        self.backend = known_backend(backend)
        self.machinery = wire.machinery(self.backend)
        self._token, self._factories = token, tuple(factories)
        self._count = sessions
        self._session = functools.partial(AsyncWebEnv, backend=self.backend, headless=headless)
        self._free = [self._session() for _ in range(sessions)]
        self._policies: list[tuple[PolicyHandle, Policy]] = []
        self._making = asyncio.Lock()
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._pictured = 0  # bytes of them
        self._closing: set[asyncio.Task[None]] = set()
        self._played, self._begun = 0, time.time()
        self.app = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/hello", self._hello, methods=["POST"]),
                Route("/play", self._play, methods=["POST"]),
                Route("/pictures/{name}", self._picture),
            ]
        )

    async def _health(self, request: HttpRequest) -> Response:
        up_s = round(time.time() - self._begun, 1)
        return JSONResponse({"sessions": self._count, "free": len(self._free), "episodes": self._played, "up_s": up_s})

    async def _hello(self, request: HttpRequest) -> Response:
        if refused := wire.refusal(request, self._token):
            return refused
        terms = await wire.message(request, Terms)
        if isinstance(terms, Response):
            return terms
        try:
            return JSONResponse(self.greet(terms).model_dump())
        except Refusing as error:
            return wire.said(error.status, str(error))

    async def _play(self, request: HttpRequest) -> Any:
        if refused := wire.refusal(request, self._token):
            return refused
        asked = await wire.message(request, Asked)
        if isinstance(asked, Response):
            return asked
        try:
            return _Answer(self.playing(asked))
        except Refusing as error:
            return wire.said(error.status, str(error))

    async def _picture(self, request: HttpRequest) -> Response:
        if refused := wire.refusal(request, self._token):
            return refused
        try:
            return Response(self.picture(request.path_params["name"]), media_type="image/png")
        except Refusing as error:
            return wire.said(error.status, str(error))

    # --- requests ----------------------------------------------------------------------------------------------------------

    def greet(self, terms: Terms) -> Hello:
        """The answer to terms. Raises Refusing with the first difference."""
        self._compare(terms)
        return Hello(sessions=self._count, free=len(self._free), machinery=self.machinery)

    def playing(self, asked: Asked) -> "Playing":
        """The episodes that are asked for, not yet begun. Raises Refusing, before anything of the request is used."""
        self._compare(asked.terms)
        for task_id, *_ in asked.keys:
            try:
                pack = registry.known_task(task_id).id.partition(".")[0]
            except WebGymError as error:
                raise Refusing(422, str(error)) from error
            if pack not in asked.terms.packs:
                raise Refusing(409, f"the request names a task of the pack {pack!r} and no version of that pack")
        factory = asked.policy.factory
        self._check_factory(factory)
        if factory != asked.terms.factory and digests.policy_of(factory):
            raise Refusing(409, f"the request names a policy of {factory!r} and no version of what plays it")
        return Playing(self, asked)

    def picture(self, name: str) -> bytes:
        """A picture by its name, as PNG. Raises Refusing."""
        if name not in self._pictures:
            raise Refusing(404, "there is no such picture")
        return self._pictures[name]

    def _compare(self, terms: Terms) -> None:
        code, packs = digests.code(), digests.known(terms.packs)
        ours = Terms(protocol=wire.PROTOCOL, backend=self.backend, code=code, packs=packs)
        if found := wire.difference(ours, terms.model_copy(update={"policy": {}})):
            raise Refusing(409, found)
        if terms.factory:
            self._check_factory(terms.factory)  # before a file of it is read
            ours = ours.model_copy(update={"policy": digests.policy_of(terms.factory)})
        if found := wire.difference(ours, terms):
            raise Refusing(409, found)

    def _check_factory(self, factory: str) -> None:
        if factory not in self._factories:
            near = did_you_mean(factory, self._factories)
            raise Refusing(422, f"this collector makes no policy by the factory {factory!r}{near}: start it with --allow {factory}")

    # --- what a request uses -----------------------------------------------------------------------------------------------

    def take(self) -> AsyncWebEnv | None:
        """A session that nobody plays on; None where there is none."""
        return self._free.pop() if self._free else None

    def give_back(self, env: AsyncWebEnv, playing: "asyncio.Task[Any]", close_s: float) -> None:
        """Let others have the session; first end what still plays on it, and the session with it. One that does not end is left aside."""
        if playing.done():
            self._free.append(env)
            return

        async def end() -> None:
            ended = False
            try:
                playing.cancel()
                await asyncio.wait({playing}, timeout=END_S)
                ended = await _ended(env.close(), close_s, "a session") and playing.done()
            finally:
                self._free.append(env if ended else self._session())

        task = asyncio.ensure_future(end())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def policy(self, handle: PolicyHandle) -> Policy:
        """The policy of a handle, made in a thread, because it may load much."""
        async with self._making:
            for kept, policy in self._policies:
                if kept == handle:
                    return policy
            made = await asyncio.to_thread(handle.make)
            self._policies = [(handle, made), *self._policies][:POLICIES]
            return made

    def keep(self, pixels: "np.ndarray") -> str:
        """The name of a picture, by which it can be fetched for a while."""
        content = png(pixels)
        name = wire.picture_name(content)
        self._pictured -= len(self._pictures.pop(name, b""))
        self._pictures[name] = content
        self._pictured += len(content)
        while self._pictured > PICTURES_MB << 20:
            self._pictured -= len(self._pictures.popitem(last=False)[1])
        return name

    def ended(self) -> None:
        """Count an episode."""
        self._played += 1

    async def close(self) -> None:
        """End all sessions that are free, those that are being ended, and the connections of policies."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=END_S)
        for env in self._free:
            await _ended(env.close(), END_S, "a session")
        for _, policy in self._policies:
            if isinstance(policy, Closable):
                await _ended(policy.aclose(), END_S, "a policy")
        self._policies = []


async def _ended(closing: Coroutine[Any, Any, None], seconds: float, what: str) -> bool:
    """True where something was closed in this time. An error is noted only, because nobody waits for it and others are to be closed."""
    try:
        await within(closing, seconds, f"closing {what}")
    except Exception as error:
        log.warning("%s could not be closed: %s", what, error or type(error).__name__)
        return False
    return True


class _Teller(Board):
    """The board of one request: events become entries of the next line."""

    def __init__(self, wanted: bool) -> None:
        super().__init__(None)
        self.number, self.told = 0, list[Told]()
        self._wanted = wanted

    def tell(self, session: int, kind: EventKind, key: EpisodeKey, trajectory: Trajectory | None, message: str, **changes: int) -> None:
        if self._wanted and kind != "end":  # the end is a line of its own
            self.told.append(Told.model_validate({"number": self.number, "kind": kind, "message": message, "changes": changes}))


class Playing:
    """Episodes that were asked for in one request, as lines while they are played."""

    def __init__(self, collector: Collector, asked: Asked) -> None:
        self._collector, self._asked = collector, asked
        self._teller = _Teller(asked.events)
        self._ready: list[bytes] = []
        self._urgent = asyncio.Event()
        self._gone = False

    def leave(self) -> None:
        """The other side is gone: give its episodes up. For the loop on which it plays."""
        self._gone = True
        self._urgent.set()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Pieces to send: whole lines, one or more at once, until the episodes have ended or the other side is gone."""
        env = self._collector.take()
        if env is None:
            yield Line(kind="busy").encoded()
            return
        playing = asyncio.ensure_future(self._episodes(env))
        playing.add_done_callback(lambda _: self._urgent.set())
        silent_since = time.monotonic()
        try:
            while not self._gone:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), TOLD_S if self._asked.events else wire.BEAT_S)
                self._urgent.clear()
                over = playing.done()
                self._flush()
                parts, self._ready = self._ready, []
                if not parts and not over and time.monotonic() - silent_since >= wire.BEAT_S:
                    parts = [Line(kind="beat").encoded()]
                if parts:
                    yield b"".join(parts)
                    silent_since = time.monotonic()
                if over:
                    return
        finally:
            self._collector.give_back(env, playing, self._asked.deadlines.close_s)

    def _flush(self) -> None:
        """Put the events so far into a line."""
        if self._teller.told:
            self._ready.append(Line(kind="told", told=tuple(self._teller.told)).encoded())
            self._teller.told.clear()

    async def _episodes(self, env: AsyncWebEnv) -> None:
        """Play the episodes one after the other; what fails is a line."""
        request = self._asked.request()
        try:
            policy = await self._collector.policy(request.policy)
            must_read_prompts(policy, request.record)
            self._ready.append(Line(kind="told").encoded())
            self._urgent.set()
            for number, key in enumerate(request.keys):
                self._teller.number = number
                taker = self._taker() if request.pictures else None
                board = self._teller.of(0)
                trajectory = await Episode(key, env, policy, board, request.deadlines, request.retries, request.record, taker).play()
                self._flush()
                self._ready += [Line(kind="ended", number=number).encoded(), encode(trajectory)]
                self._collector.ended()
                self._urgent.set()
        except Fault as fault:
            self._failed("fault", str(fault))
        except WebGymError as error:
            self._failed("usage", str(error))
        except Exception as error:  # a bug, which the caller must see
            log.exception("an episode failed")
            self._failed("error", "".join(traceback.format_exception(error)))

    def _failed(self, reason: Any, message: str) -> None:
        self._ready.append(Line(kind="failed", reason=reason, message=message).encoded())

    def _taker(self) -> PictureTaker:
        def take(key: EpisodeKey, turn: int, pixels: "np.ndarray") -> str:
            return self._collector.keep(pixels)

        return take


class _Answer:
    """The answer to a request to play, as an ASGI response."""

    def __init__(self, playing: Playing) -> None:
        self._playing = playing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x-ndjson")]})
        gone = asyncio.ensure_future(_disconnected(receive))
        gone.add_done_callback(lambda _: self._playing.leave())
        try:
            async with contextlib.aclosing(self._playing.pieces()) as pieces:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


async def _disconnected(receive: Any) -> None:
    """Return when the other side has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
