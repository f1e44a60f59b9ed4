"""Messages between a server and its clients: validated where they arrive, plain JSON on the way."""

import base64
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from webgym.actions import Dialect
from webgym.errors import UsageError
from webgym.prompts.page import page_text
from webgym.record.store import png
from webgym.types import Observation, Step, well_formed

LONGEST_ACTION = 1 << 20
"""Characters of an action's text; what an agent writes behind them is not read."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def agents_text(text: Any) -> Any:
    """A text of an agent's as every message takes it, whatever it wrote: that is a turn of its own, and no mistake of a client."""
    return well_formed(text[:LONGEST_ACTION]) if isinstance(text, str) else text


class Begin(_Message):
    """Request for an episode. Without a `seed` the server draws one, and the answer names it."""

    task: str = Field(min_length=1, max_length=300)
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    dialect: Dialect = "call"
    """Dialect in which the client writes actions."""
    max_turns: int | None = Field(default=None, ge=1, le=10_000)
    """Turn limit instead of the task's own."""
    screenshot: bool = False
    """Send a picture with every observation."""


class Act(_Message):
    """Action of one turn: text in the dialect of the episode."""

    action: Annotated[str, BeforeValidator(agents_text)]


class Seen(_Message):
    """Observation as it travels. The fields are those of :class:`webgym.types.Observation`, the page as text.

    `screenshot` is a PNG file in base64, empty where none was asked for. `task` and `seed` name the episode.
    """

    task: str
    seed: int
    goal: str
    url: str
    title: str
    page: str
    tabs: tuple[str, ...] = ()
    focus: int | None = None
    turn: int = 0
    turns_left: int = 0
    error: str = ""
    notices: tuple[str, ...] = ()
    dialog: str = ""
    observation_hash: str = ""
    state_hash: str = ""
    screenshot: str = ""

    @classmethod
    def of(cls, observation: Observation, task: str, seed: int) -> "Seen":
        """The message for an observation of this episode."""
        picture = observation.screenshot
        return cls(
            task=task,
            seed=seed,
            goal=observation.goal,
            url=observation.url,
            title=observation.title,
            page=page_text(observation.nodes),
            tabs=observation.tabs,
            focus=observation.focus,
            turn=observation.turn,
            turns_left=observation.turns_left,
            error=observation.error,
            notices=observation.notices,
            dialog=observation.dialog,
            observation_hash=observation.hash,
            state_hash=observation.state_hash,
            screenshot="" if picture is None else base64.b64encode(png(picture)).decode("ascii"),
        )

    def text(self, *, goal: bool = False, most: int = 400) -> str:
        """The observation as a language model reads it: with the `goal` first, and `most` lines of the page."""
        parts = [f"Goal: {self.goal}"] if goal else []
        parts += [f"The last action did not work: {self.error}"] if self.error else []
        parts += [f"Note: {notice}" for notice in self.notices]
        parts += ["Tabs:\n" + "\n".join(f"{index}: {tab}" for index, tab in enumerate(self.tabs))] if len(self.tabs) > 1 else []
        lines = self.page.splitlines()
        cut = [f"... {len(lines) - most} more lines are not shown: scroll down to read on"] if len(lines) > most else []
        page = "\n".join([*lines[:most], *cut])
        return "\n\n".join([*parts, f"Turns left: {self.turns_left}", f"Page {self.title!r} at {self.url}:\n{page}"])


class Turned(_Message):
    """Result of a reset or a turn. `reward` is None after a reset, 0 until the end, then 1 for success, else 0.

    `outcome` is empty while the episode goes on, then a :data:`webgym.types.OutcomeKind`. A fault is never one of these messages.
    """

    observation: Seen
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    outcome: str = ""
    raw_reward: float = 0.0
    message: str = ""

    @property
    def done(self) -> bool:
        """True where the episode is over, in either way."""
        return self.terminated or self.truncated

    @classmethod
    def of(cls, step: Step, task: str, seed: int) -> "Turned":
        """The message for a step of this episode."""
        seen = Seen.of(step.observation, task, seed)
        return cls(
            observation=seen,
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            outcome=step.kind,
            raw_reward=step.raw_reward,
            message=step.message,
        )


def read(kind: type[_Message], data: Any) -> Any:
    """`data` as a message of this kind. Raises UsageError that names the field, what was expected and what came."""
    if not isinstance(data, dict):
        raise UsageError(f"expected a JSON object with {', '.join(kind.model_fields)}, got {type(data).__name__}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            raise UsageError(f"unknown field {field!r}: expected some of {', '.join(kind.model_fields)}") from None
        raise UsageError(f"{field}: {problem['msg'].lower()}, got {problem['input']!r:.100}") from None
