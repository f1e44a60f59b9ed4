"""Calls of programs that may wait: in a thread of their own, so that no session waits for another, and with a deadline."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class GaveUp(Exception):
    """A program tried to end the whole process."""


async def in_thread(call: Callable[..., T], *arguments: Any, timeout_s: float) -> T:
    """The result of a call in a thread of its own. Raises TimeoutError at the deadline; the thread then ends when it will.

    A thread for each call, because a pool of them would let slow calls of one application keep those of another waiting.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = call(*arguments)
        except Exception as error:
            failed = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
        except BaseException as error:
            failed = GaveUp(f"it ended with {error!r}")
        try:
            loop.call_soon_threadsafe(settle, result, failed)
        except RuntimeError:  # the loop is closed: who asked is gone
            return

    threading.Thread(target=run, name="webgym-call", daemon=True).start()
    async with asyncio.timeout(timeout_s):
        return await future


async def called(call: Callable[..., Any], plain: Any, waiting: Any, *arguments: Any, timeout_s: float) -> Any:
    """The result of an author's function: a coroutine function is awaited with `waiting`, a plain one runs in a thread with `plain`."""
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None)):  # noqa: B004
        async with asyncio.timeout(timeout_s):
            return await call(waiting, *arguments)
    return await in_thread(call, plain, *arguments, timeout_s=timeout_s)
