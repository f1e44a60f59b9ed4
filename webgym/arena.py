"""Browser sessions for whoever is not asynchronous: K sessions of this process, and the collector run over them."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from webgym.browser.thread import loop_thread
from webgym.env import AsyncWebEnv, Backend
from webgym.policy import Policy
from webgym.rollout import Deadlines, Record, Retries, collect
from webgym.types import EpisodeKey, Trajectory


class Arena:
    """`sessions` browser sessions, or sessions of the text twin; a context manager.

    Sessions open when they are first used and live until the end; without `headless` each has a window.
    """

    def __init__(self, sessions: int = 8, *, screenshots: bool = False, backend: Backend = "browser", headless: bool = True) -> None:
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
        """The trajectories of all episodes, in the order of `keys`. See :func:`webgym.rollout.collect`."""
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
