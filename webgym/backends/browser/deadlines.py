"""Real deadlines of what a session does with its browser."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

LONGER = 2.0  # times its seconds, by which a deadline may be put off in all


class Deadlines:
    """The deadlines that run now. What was found to be no fault of the page puts them off (:meth:`put_off`)."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Timeout, float] = {}  # by how many seconds each may still be put off

    @contextlib.asynccontextmanager
    async def within(self, seconds: float, lost: "asyncio.Future[None]") -> AsyncIterator[None]:
        """A deadline for what is done inside. It passes at once when something is `lost`. Raises TimeoutError."""
        async with asyncio.timeout(seconds) as deadline:

            def pass_now(_: object) -> None:
                deadline.reschedule(asyncio.get_running_loop().time())

            lost.add_done_callback(pass_now)
            self._running[deadline] = LONGER * seconds
            try:
                yield
            finally:
                del self._running[deadline]
                lost.remove_done_callback(pass_now)

    def put_off(self, seconds: float) -> None:
        """Let all deadlines pass so much later, as far as they may."""
        for deadline, left in self._running.items():
            when, more = deadline.when(), min(seconds, left)
            if when is not None and not deadline.expired():
                deadline.reschedule(when + more)
                self._running[deadline] = left - more
