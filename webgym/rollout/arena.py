"""Sessions for code that is not asynchronous: K sessions of this process, and the collector run over them."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from webgym.backends.base import Backend
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.policies.policy import Policy
from webgym.rollout.collector import collect
from webgym.rollout.contract import Deadlines, Record, Retries
from webgym.types import EpisodeKey, Trajectory


class Arena:
    """`sessions` sessions of a backend, given by its name or as an object; a context manager.

    Sessions open when they are first used and live until the end; without `headless` each has a window.
    """

    def __init__(self, sessions: int = 8, *, screenshots: bool = False, backend: Backend | str = "browser", headless: bool = True) -> None:
        self.envs = [AsyncWebEnv(screenshots=screenshots, backend=backend, headless=headless) for _ in range(sessions)]

    def collect(
        self,
        policy: Policy,
        keys: Iterable[EpisodeKey],
        *,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        record: Record | None = None,
        on_event: Callable[[Any], None] | None = None,
    ) -> list[Trajectory]:
        """The trajectories of all episodes, in the order of `keys`. See :func:`webgym.rollout.collector.collect`."""
        return loop_thread().run(
            collect(
                self.envs,
                policy,
                keys,
                deadlines=deadlines or Deadlines(),
                retries=retries or Retries(),
                record=record or Record(),
                on_event=on_event,
            )
        )

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the sessions back."""

        async def close_all() -> None:
            for env in self.envs:
                await env.close()

        loop_thread().run(close_all())
