"""The executor of this process: K sessions, and the collector run over them, for callers that are not asynchronous."""

import contextlib
import queue
from collections.abc import Iterable, Iterator
from types import TracebackType

from webgym.backends.base import Backend
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread, pass_over_what_is_loaded
from webgym.policies.policy import Policy
from webgym.rollout.collector import collect, play_all
from webgym.rollout.contract import Deadlines, Listener, PictureTaker, PolicyHandle, Record, Retries
from webgym.rollout.executor import Played
from webgym.types import EpisodeKey, Trajectory

STOP_S = 10.0  # longest wait for the episodes under way when they are no longer wanted


class Arena:
    """Executor on `sessions` sessions of a backend, which is given by its name or as an object; a context manager.

    Implements :class:`webgym.rollout.executor.Executor`.
    Sessions open when they are first used and live until the end; without `headless` each has a window.
    """

    def __init__(self, sessions: int = 8, *, screenshots: bool = False, backend: Backend | str = "browser", headless: bool = True) -> None:
        pass_over_what_is_loaded()
        self.backend = backend
        self.envs = [AsyncWebEnv(screenshots=screenshots, backend=backend, headless=headless) for _ in range(sessions)]

    def play(
        self,
        policy: Policy | PolicyHandle,
        keys: Iterable[EpisodeKey],
        *,
        record: Record = Record(),
        on_event: Listener | None = None,
        on_picture: PictureTaker | None = None,
        deadlines: Deadlines = Deadlines(),
        retries: Retries = Retries(),
    ) -> Iterator[Played]:
        """Each episode's key and trajectory as it ends. A handle's policy is made here. See :class:`webgym.rollout.executor.Executor`."""
        ended: queue.SimpleQueue[Trajectory | None] = queue.SimpleQueue()
        made = policy.make() if isinstance(policy, PolicyHandle) else policy

        async def playing() -> None:
            try:
                await play_all(
                    self.envs,
                    made,
                    keys,
                    lambda index, trajectory: ended.put(trajectory),
                    deadlines=deadlines,
                    retries=retries,
                    record=record,
                    on_event=on_event,
                    on_picture=on_picture,
                )
            finally:
                ended.put(None)

        future = loop_thread().submit(playing())
        over = False
        try:
            while (trajectory := ended.get()) is not None:
                yield trajectory.key, trajectory
            over = True
            future.result()
        finally:
            if not over:
                future.cancel()
                with contextlib.suppress(queue.Empty):
                    while ended.get(timeout=STOP_S) is not None:
                        pass

    def collect(
        self,
        policy: Policy,
        keys: Iterable[EpisodeKey],
        *,
        deadlines: Deadlines | None = None,
        retries: Retries | None = None,
        record: Record | None = None,
        on_event: Listener | None = None,
        on_picture: PictureTaker | None = None,
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
                on_picture=on_picture,
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
