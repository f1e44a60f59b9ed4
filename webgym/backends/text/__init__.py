"""The text twin: a browser of plain pages in Python, with the sites, observations and episodes of Chromium, thousands of turns a second."""

from collections.abc import Mapping, Sequence

from webgym.backends.base import Pool
from webgym.task import Site, Task


class TextBackend:
    """Tasks on plain pages, without a browser and on any loop. Implements :class:`webgym.backends.base.Backend`."""

    def can_play(self, task: Task, sites: Sequence[Site]) -> str:
        """The reason why this task needs a browser, in one sentence; "" where it does not."""
        served = {site.host: site for site in sites}
        scripted = [host for host in task.hosts if not getattr(served.get(host), "plain", False)]
        if task.probe or scripted:
            where = f"the pages of {scripted[0]} are not plain" if scripted else "its check asks the page's own script"
            return f"task {task.id} has no text twin, because {where}: play it in the browser (backend=browser)"
        return ""

    async def pool(self, *, headless: bool = True) -> Pool:
        """A pool of the caller's own; nothing is ever shown, so that `headless` changes nothing."""
        from webgym.backends.text.session import TextPool

        return TextPool()

    def versions(self) -> Mapping[str, str]:
        """An empty mapping, because this project's own version decides how pages look."""
        return {}


BACKEND = TextBackend()
