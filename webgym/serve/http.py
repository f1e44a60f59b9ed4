"""WebGym's own protocol: JSON over HTTP, a session for each client, pictures as PNG files.

========================================  ==================================================================================
`GET /tasks`                              ids of all tasks, with their turn limits
`POST /sessions`                          a session and its first episode; the body is :class:`webgym.serve.messages.Begin`
`POST /sessions/ID/reset`                 another episode, of any task
`POST /sessions/ID/step`                  one turn; the body is :class:`webgym.serve.messages.Act`
`GET /sessions/ID/screenshot`             the page as a PNG file
`DELETE /sessions/ID`                     the end of the session; a silent one ends by itself
`GET /health`                             sessions that are open, and how many may be
========================================  ==================================================================================

Answers are :class:`webgym.serve.messages.Turned` with the session's id, or `{"error": {"kind", "message"}}` with a status:
400 the request is wrong, 404 no such task or session, 409 no episode runs (or a turn is under way), 429 all sessions are taken, and 503 a
*fault*: the machinery failed, not the agent. A fault ends the episode and has no reward; begin the episode again with its task and seed.
"""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webgym.errors import EpisodeStateError, Fault, UnknownTaskError, UsageError
from webgym.packs import registry
from webgym.record.store import png
from webgym.serve.messages import Act, Begin, Turned, read
from webgym.serve.sessions import FullError, Sessions, UnknownSessionError

STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (Fault, 503, "fault"),
    (FullError, 429, "full"),
    (UnknownSessionError, 404, "session"),
    (UnknownTaskError, 404, "task"),
    (EpisodeStateError, 409, "state"),
    (UsageError, 400, "usage"),
)
"""Status and kind of each error, the most special first."""


def failure(error: Exception) -> tuple[int, str]:
    """Status and kind of an error of ours."""
    return next((status, kind) for known, status, kind in STATUS if isinstance(error, known))


def routes(sessions: Sessions) -> list[Route]:
    """The routes of the protocol."""

    async def opened(request: Request) -> Response:
        begin = read(Begin, await body(request))
        session = sessions.open()
        try:
            turned = await session.reset(begin)
        except (UsageError, Fault):
            await sessions.end(session.id)
            raise
        if await request.is_disconnected():  # nobody hears of the session's id
            await sessions.end(session.id)
        return _turned(session.id, turned, 201)

    async def reset(request: Request) -> Response:
        session = sessions.get(request.path_params["session"])
        return _turned(session.id, await session.reset(read(Begin, await body(request))))

    async def step(request: Request) -> Response:
        session = sessions.get(request.path_params["session"])
        return _turned(session.id, await session.step(read(Act, await body(request)).action))

    async def screenshot(request: Request) -> Response:
        return Response(png(await sessions.get(request.path_params["session"]).screenshot()), media_type="image/png")

    async def ended(request: Request) -> Response:
        sessions.get(request.path_params["session"])
        await sessions.end(request.path_params["session"])
        return Response(status_code=204)

    async def tasks(request: Request) -> Response:
        return JSONResponse([{"id": task_id, "max_turns": registry.task(task_id).max_turns} for task_id in registry.task_ids()])

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy", "sessions": len(sessions), "most": sessions.limits.sessions})

    return [
        Route("/sessions", answered(opened), methods=["POST"]),
        Route("/sessions/{session}/reset", answered(reset), methods=["POST"]),
        Route("/sessions/{session}/step", answered(step), methods=["POST"]),
        Route("/sessions/{session}/screenshot", answered(screenshot)),
        Route("/sessions/{session}", answered(ended), methods=["DELETE"]),
        Route("/tasks", answered(tasks)),
        Route("/health", health),
    ]


async def body(request: Request) -> Any:
    """The JSON of a request's body. Raises UsageError."""
    try:
        return json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"expected JSON in the request's body: {error}") from None
    except ClientDisconnect:
        raise UsageError("the request's body is too long, or was cut off") from None


def answered(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint with our errors as answers."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (UsageError, Fault) as error:
            status, kind = failure(error)
            return JSONResponse({"error": {"kind": kind, "type": type(error).__name__, "message": str(error)}}, status)

    return answer


def _turned(session_id: str, turned: Turned, status: int = 200) -> Response:
    return JSONResponse({"session": session_id, **turned.model_dump()}, status)
