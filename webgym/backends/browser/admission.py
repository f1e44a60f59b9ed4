"""Admission: a limit on how many sessions of a browser act at a time.

Sessions beyond what the cores can serve do not make a step faster: they push each other out of the caches and towards their deadlines.
So sessions that would act wait for a place, first come, first served, and their deadlines begin when they have one.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_S = 1.0
PER_CORE = 2


def places() -> int:
    """The number of sessions that should act at a time on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return PER_CORE * cores


class Admission:
    """Queue for `limit` places. One that is held for longer than `patience_s`, by a page that hangs, is given to the next one in time."""

    def __init__(self, limit: int, patience_s: float = PATIENCE_S) -> None:
        self._free = asyncio.Semaphore(limit)
        self._patience_s = patience_s

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, as soon as there is one."""
        await self._free.acquire()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._free.release()

        overdue = asyncio.get_running_loop().call_later(self._patience_s, give_back)
        try:
            yield
        finally:
            overdue.cancel()
            give_back()
