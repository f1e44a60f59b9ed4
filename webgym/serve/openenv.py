"""OpenEnv's protocol (0.10): a WebSocket for each client at `/ws`, on our own sessions.

A client sends `{"type": "reset", "data": {"task": ..., "seed": ...}}`, then `{"type": "step", "data": {"action": "click('3')"}}`, and is
answered by `{"type": "observation", "data": {"observation", "reward", "done"}}`. `reset` takes the fields of
:class:`webgym.serve.messages.Begin`, and OpenEnv's `episode_id`. Terminated and truncated, which OpenEnv calls `done` alike, stand apart
in the observation, with the outcome. A picture is a PNG file in base64.

A fault is answered by `{"type": "error"}`, which OpenEnv's clients raise; it never is a step with reward 0. The session can begin another
episode after it. Sessions end with their connection: a client that closes it, one whose machine is gone, and one that is silent for long.

OpenEnv itself is not needed here; :mod:`webgym.serve.openenv_client` has the typed client.
"""

import asyncio
import json
import logging
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import webgym
from webgym.errors import EpisodeStateError, Fault, UsageError
from webgym.serve.http import answered, body
from webgym.serve.messages import Act, Begin, Seen, Turned, read
from webgym.serve.sessions import FullError, Session, Sessions

log = logging.getLogger(__name__)

TRY_AGAIN_LATER = 1013


class Reset(Begin):
    """Request for an episode as OpenEnv's clients send it. `episode_id` is theirs, and comes back in the state."""

    episode_id: str | None = Field(default=None, max_length=255)


class Acting(Act):
    """Action as OpenEnv's clients send it."""

    metadata: dict[str, Any] = Field(default_factory=dict)


class Shown(Seen):
    """Observation with what OpenEnv has no place for: the two kinds of ends, and the outcome."""

    terminated: bool = False
    truncated: bool = False
    outcome: str = ""
    raw_reward: float = 0.0
    message: str = ""


def told(turned: Turned) -> dict[str, Any]:
    """The data of OpenEnv's `observation` message."""
    ends = turned.model_dump(include={"terminated", "truncated", "outcome", "raw_reward", "message"})
    return {"observation": {**turned.observation.model_dump(), **ends}, "reward": turned.reward, "done": turned.done}


def routes(sessions: Sessions) -> list[BaseRoute]:
    """The routes of the protocol."""

    async def connected(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            session = sessions.open()
        except FullError as error:
            await websocket.send_json(_error(str(error), "CAPACITY_REACHED"))
            await websocket.close(TRY_AGAIN_LATER)
            return
        try:
            await _converse(websocket, sessions, session)
        except (WebSocketDisconnect, TimeoutError, OSError) as gone:
            log.debug("a client is gone: %r", gone)
        finally:
            await sessions.end(session.id)

    async def reset(request: Request) -> Response:
        """The first observation of an episode that ends with the answer: HTTP has no sessions in OpenEnv."""
        asked = read(Reset, await body(request))
        session = sessions.open()
        try:
            return JSONResponse(told(await session.reset(asked)))
        finally:
            await sessions.end(session.id)

    async def step(request: Request) -> Response:
        raise EpisodeStateError("a step over HTTP has no session in OpenEnv's protocol: connect to /ws, or serve --protocol http")

    async def schema(request: Request) -> Response:
        return JSONResponse({"action": Acting.model_json_schema(), "observation": Shown.model_json_schema(), "state": STATE_SCHEMA})

    async def metadata(request: Request) -> Response:
        words = "Web tasks in a real browser; reset takes a task and a seed"
        return JSONResponse({"name": "webgym", "description": words, "version": webgym.__version__})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy"})

    async def state(request: Request) -> Response:
        return JSONResponse({"episode_id": None, "step_count": 0})

    return [
        WebSocketRoute("/ws", connected),
        Route("/reset", answered(reset), methods=["POST"]),
        Route("/step", answered(step), methods=["POST"]),
        Route("/state", state),
        Route("/schema", schema),
        Route("/metadata", metadata),
        Route("/health", health),
    ]


STATE_SCHEMA = {
    "title": "State",
    "type": "object",
    "properties": {
        "episode_id": {"type": ["string", "null"]},
        "step_count": {"type": "integer"},
        "task": {"type": "string"},
        "seed": {"type": ["integer", "null"]},
    },
}


async def _converse(websocket: WebSocket, sessions: Sessions, session: Session) -> None:
    """Answer the messages of a client until it says goodbye, is gone, or is silent for too long."""
    episode_id: str | None = None
    while True:
        async with asyncio.timeout(sessions.limits.idle_s):
            text = await websocket.receive_text()
        sessions.get(session.id)  # it was heard
        try:
            message = json.loads(text)
            kind, data = message["type"], message.get("data", {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            await websocket.send_json(_error("expected a JSON object with 'type'", "INVALID_JSON"))
            continue
        if kind == "close":
            await websocket.close()
            return
        try:
            match kind:
                case "reset":
                    asked = read(Reset, data)
                    answer = {"type": "observation", "data": told(await session.reset(asked))}
                    episode_id = asked.episode_id or f"{session.task}/{session.seed}"
                case "step":
                    answer = {"type": "observation", "data": told(await session.step(read(Acting, data).action))}
                case "state":
                    standing = {"episode_id": episode_id, "step_count": session.turn, "task": session.task, "seed": session.seed}
                    answer = {"type": "state", "data": standing}
                case _:
                    answer = _error(f"unknown message type {str(kind)[:40]!r}: expected reset, step, state or close", "UNKNOWN_TYPE")
        except Fault as fault:
            answer = _error(str(fault), "EXECUTION_ERROR", fault=type(fault).__name__)
        except EpisodeStateError as error:
            answer = _error(str(error), "SESSION_ERROR")
        except UsageError as error:
            answer = _error(str(error), "VALIDATION_ERROR")
        await websocket.send_json(answer)


def _error(words: str, code: str, **more: str) -> dict[str, Any]:
    return {"type": "error", "data": {"message": words, "code": code, **more}}
