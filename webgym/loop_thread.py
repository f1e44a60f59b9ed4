"""One thread per process that runs the browser's event loop, so that the library works in scripts, notebooks and worker threads alike."""

import asyncio
import concurrent.futures
import gc
import os
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A daemon thread with an asyncio loop; :meth:`run` waits for a coroutine from any other thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="webgym-browser", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. Ctrl-C cancels the coroutine and is raised here."""
        future = self.submit(coroutine)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """The coroutine's future, to be waited for in any other thread."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a synchronous call from the browser's own thread would wait for itself: await the async API there")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run the coroutine without waiting for it, from any thread."""
        asyncio.run_coroutine_threadsafe(coroutine, self.loop)


_threads: dict[int, LoopThread] = {}
_lock = threading.Lock()


def loop_thread() -> LoopThread:
    """This process's loop thread, started at the first call (again after a fork)."""
    with _lock:
        return _threads.setdefault(os.getpid(), LoopThread()) if os.getpid() not in _threads else _threads[os.getpid()]


@cache
def pass_over_what_is_loaded() -> None:
    """Keep what is loaded by now out of the garbage collector's full passes, once a process.

    A full pass over the 80,000 objects of the packages and catalogues stops a loop for 40 to 80 ms, and frees none of them.
    """
    gc.collect()
    gc.freeze()
