"""A server for tests that speaks HTTP over a real socket: what it answers is decided request by request."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

HANG_UP = "hang up"  # close the connection without an answer
SILENCE = "silence"  # never answer


@dataclass(frozen=True)
class Half:
    """An answer that breaks off in its middle: the connection is closed there."""

    content: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request: `body` is parsed JSON, or None where there was none."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answered = dict[str, Any] | tuple[int, Any] | tuple[int, Any, dict[str, str]] | str
"""JSON with status 200; status and JSON, with or without headers; HANG_UP or SILENCE. A str in place of JSON is sent as it is."""


@dataclass
class ModelServer:
    """`answer` is called for each request, on the server's own loop; it may be a coroutine function."""

    answer: Callable[[Asked], Any]
    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                answer = self.answer(asked)
                answer = await answer if asyncio.iscoroutine(answer) else answer
                if answer == HANG_UP:
                    return
                if answer == SILENCE:
                    await reader.read()  # until the client gives up
                    return
                if isinstance(answer, Half):
                    writer.write(_written(answer.content)[:-20])
                    await writer.drain()
                    return
                writer.write(_written(answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *rest = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, json.loads(body) if body else None)


def _written(answer: Answered) -> bytes:
    status, content, headers = (*answer, {})[:3] if isinstance(answer, tuple) else (200, answer, {})
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def model_server(answer: Callable[[Asked], Any]) -> Iterator[ModelServer]:
    """A server on a free port of 127.0.0.1, in a thread of its own."""
    server = ModelServer(answer)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="model-server", daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(server.handle, "127.0.0.1", 0)

    async def stop(listening: asyncio.Server) -> None:
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    listening = asyncio.run_coroutine_threadsafe(start(), loop).result()
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(stop(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def chat(text: str | None, **choice: Any) -> dict[str, Any]:
    """A chat completion as servers write it."""
    message = {"role": "assistant", "content": text, **choice.pop("message", {})}
    found = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None, **choice}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [found], "usage": {"prompt_tokens": 3}}


def scripted(*answers: Answered) -> Callable[[Asked], Answered]:
    """One answer after the other; the last one again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
