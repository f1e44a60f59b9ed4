"""Common parts of all forms of suites: settings, findings, names."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from webgym.authoring.checks import Entry
from webgym.authoring.task_file.application import Words, moment
from webgym.errors import TaskFileError
from webgym.task import Site, Task

VERIFY_S = 40.0  # that a suite's own program may take for its verdict


class Settings(Entry):
    """Settings of a user about a suite."""

    pack: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] | None = None  # the name of the folder, unless given
    serve: Words | None = None  # the command that starts an application, with {port}, where it is not the usual one
    sites: dict[str, str] = Field(default_factory=dict)  # addresses by the suite's own names, over environment variables
    only: list[str] = Field(default_factory=lambda: ["*"])  # patterns of the tasks' names in their pack
    clock: str | None = None
    max_turns: int = Field(default=30, ge=1, le=1000)

    @field_validator("clock")
    @classmethod
    def _a_moment(cls, clock: str | None) -> str | None:
        if clock is not None:
            moment(clock)
        return clock

    @property
    def clock_s(self) -> float | None:
        """The clock as Unix time."""
        return None if self.clock is None else moment(self.clock)

    @property
    def time(self) -> dict[str, Any]:
        """The field of a task that says the clock, where it is given."""
        return {} if self.clock_s is None else {"clock_s": self.clock_s}


@dataclass
class Found:
    """Tasks and sites of a suite. `left_out` counts by reason the tasks that cannot be played or judged here."""

    tasks: list[Task] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def name_of(text: str) -> str:
    """A text as a name of a pack or task.

    >>> name_of("Gmail_accounts & contacts"), name_of("task_e1")
    ('gmail-accounts-contacts', 'task-e1')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def json_of(path: Path) -> Any:
    """The content of a JSON file. Raises TaskFileError."""
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskFileError(f"{path}: expected JSON: {error}") from error


def folders_with(folder: Path, *below: str) -> Sequence[Path]:
    """The folder itself and those below it that the patterns name."""
    return [folder, *sorted({path for pattern in below for path in folder.glob(pattern) if path.is_dir()})]
