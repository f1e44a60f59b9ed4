"""BrowserGym's own benchmarks as tasks: its environments play in the Python that has them, and agents see them as any task of ours.

One process per session (:mod:`webgym.backends.browsergym.worker`) runs the user's BrowserGym unchanged: its browser, its pages, its judge.
This side turns its observations into nodes with refs, our actions into its calls, and its failures into faults. Tasks come from a suite's
file (:mod:`webgym.authoring.suites.browsergym`) and name this backend themselves.
"""

from collections.abc import Mapping, Sequence

from webgym.backends.base import Pool
from webgym.task import Site, Task

SCHEME = "browsergym"


class BrowserGymBackend:
    """Tasks of BrowserGym's benchmarks. Implements :class:`webgym.backends.base.Backend`."""

    def can_play(self, task: Task, sites: Sequence[Site]) -> str:
        """The reason why this task is none of BrowserGym's, in one sentence; "" where it is one."""
        return "" if task.backend == SCHEME else f"task {task.id} is none of BrowserGym's: play it in the browser (backend=browser)"

    async def pool(self, *, headless: bool = True) -> Pool:
        """A pool of the caller's own."""
        from webgym.backends.browsergym.session import BrowserGymPool

        return BrowserGymPool(headless)

    def versions(self) -> Mapping[str, str]:
        """An empty mapping: which BrowserGym plays is decided by the tasks' file, not by this process."""
        return {}


BACKEND = BrowserGymBackend()
