"""TRL: our tasks as environments of its GRPOTrainer (1.16), whose public methods a model calls as tools.

    trainer = GRPOTrainer(model, environment_factory=environment_factory(), train_dataset=Dataset.from_list(rows(["mail.*"], range(100))))

A row of the dataset names a task and a seed, so all members of a group see the same instance. The environment owns the reward: 1 for
success, else 0, and None after a fault of the machinery, which TRL leaves out of the group's mean and of the loss. TRL itself is not needed
here.
"""

import base64
import functools
import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from webgym.errors import Fault, UsageError
from webgym.packs import sets
from webgym.serve.client import Episodes, episodes
from webgym.serve.messages import Turned

SYSTEM = (
    "You are an agent that operates a web browser. A thing that can be acted on bears a ref in square brackets. Call one tool at a time: "
    "it is performed, and you see the page that follows."
)
OVER = "The episode is over."


def environment_factory(
    url: str = "", *, backend: str = "browser", screenshot: bool = False, most: int = 400, connect: Callable[[], Episodes] | None = None
) -> Callable[[], "BrowserTask"]:
    """The `environment_factory` of a GRPOTrainer: sessions on the server at `url`, or in this process. It pickles.

    `most` is the number of the page's lines that a tool's answer shows. With `screenshot` an answer holds the picture, too. `connect` opens
    a session by another protocol, such as `functools.partial(OverOpenEnv, url)` of :mod:`webgym.serve.openenv_client`.
    """
    opened = connect or functools.partial(episodes, url, backend=backend)
    return functools.partial(BrowserTask, opened, screenshot=screenshot, most=most)


def rows(tasks: Iterable[str], seeds: Iterable[int], system: str = SYSTEM) -> list[dict[str, Any]]:
    """Rows of a dataset: each seed of each task (ids, sets or patterns) with a prompt, whose last message the first page is added to."""
    chosen = sets.choose(tasks)
    prompt = [{"role": "system", "content": system}, {"role": "user", "content": ""}]
    return [{"prompt": prompt, "task": task, "seed": seed} for seed in seeds for task in chosen]


class BrowserTask:
    """One session as TRL plays it: `reset` begins the episode of a row, every other public method is a tool."""

    def __init__(self, connect: Callable[[], Episodes], *, screenshot: bool = False, most: int = 400) -> None:
        self._connect, self._screenshot, self._most = connect, screenshot, most
        self._session: Episodes | None = None
        self._last: Turned | None = None
        self._fault = ""

    def reset(self, task: str = "", seed: int | None = None, **row: Any) -> str | list[dict[str, Any]]:
        """Begin the episode of a row; the goal and the first page. Other columns of the row are ignored."""
        if not task or seed is None:
            raise UsageError(
                "expected the columns 'task' and 'seed' in the dataset, so that all members of a group see the same instance; "
                f"got {', '.join(row) or 'neither'}"
            )
        self._last, self._fault = None, ""
        if self._session is None:
            self._session = self._connect()
        try:
            self._last = self._session.begin(task, int(seed), dialect="json", screenshot=self._screenshot)
        except Fault as fault:
            return self._failed(fault)
        return self._shown(goal=True)

    def get_reward(self) -> float | None:
        """1 for success, else 0, also for an agent that stops early; None where the machinery failed."""
        if self._fault or self._last is None:
            return None
        return float(self._last.reward or 0.0)

    def click(self, ref: str) -> str | list[dict[str, Any]]:
        """
        Click a thing on the page.

        Args:
            ref: The number in square brackets before the thing.

        Returns:
            The page that follows.
        """
        return self._act("click", ref=ref)

    def fill(self, ref: str, text: str) -> str | list[dict[str, Any]]:
        """
        Replace what a field holds by a text.

        Args:
            ref: The number in square brackets before the field.
            text: The text.

        Returns:
            The page that follows.
        """
        return self._act("fill", ref=ref, text=text)

    def select_option(self, ref: str, options: list[str]) -> str | list[dict[str, Any]]:
        """
        Choose options of a select box.

        Args:
            ref: The number in square brackets before the box.
            options: The labels of the options.

        Returns:
            The page that follows.
        """
        return self._act("select_option", ref=ref, options=options)

    def press(self, ref: str, keys: str) -> str | list[dict[str, Any]]:
        """
        Press a key or chord on a thing.

        Args:
            ref: The number in square brackets before the thing.
            keys: The key or chord, such as Enter or Control+a.

        Returns:
            The page that follows.
        """
        return self._act("press", ref=ref, keys=keys)

    def scroll(self, dx: float, dy: float) -> str | list[dict[str, Any]]:
        """
        Scroll the page.

        Args:
            dx: Pixels to the right.
            dy: Pixels down.

        Returns:
            The page that follows.
        """
        return self._act("scroll", dx=dx, dy=dy)

    def drag_and_drop(self, source: str, target: str) -> str | list[dict[str, Any]]:
        """
        Drag a thing onto another.

        Args:
            source: The number in square brackets before the thing that is dragged.
            target: The number in square brackets before the thing that it is dropped on.

        Returns:
            The page that follows.
        """
        return self._act("drag_and_drop", source=source, target=target)

    def go_back(self) -> str | list[dict[str, Any]]:
        """
        Go back one page.

        Returns:
            The page that follows.
        """
        return self._act("go_back")

    def stop(self, answer: str = "") -> str | list[dict[str, Any]]:
        """
        End the episode.

        Args:
            answer: The answer, where the goal asks for one.

        Returns:
            The end of the episode.
        """
        return self._act("stop", answer=answer)

    def _act(self, name: str, **arguments: Any) -> str | list[dict[str, Any]]:
        if self._fault or self._session is None or self._last is None or self._last.done:
            return OVER
        try:
            self._last = self._session.act(json.dumps({"name": name, "arguments": arguments}))
        except Fault as fault:
            return self._failed(fault)
        return OVER if self._last.done else self._shown()

    def _failed(self, fault: Fault) -> str:
        self._fault = str(fault)
        return f"{OVER} The machinery failed; this is not the agent's fault."

    def _shown(self, goal: bool = False) -> str | list[dict[str, Any]]:
        assert self._last is not None
        seen = self._last.observation
        text = seen.text(goal=goal, most=self._most)
        if not seen.screenshot:
            return text
        from PIL import Image

        picture = Image.open(io.BytesIO(base64.b64decode(seen.screenshot)))
        return [{"type": "image", "image": picture}, {"type": "text", "text": text}]
