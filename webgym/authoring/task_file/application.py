"""The application of a task file (`site:` with `url`): what is written down, and the :class:`webgym.sites.Server` that it becomes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from webgym.authoring import programs
from webgym.authoring.checks import Entry, exactly_one
from webgym.authoring.task_file.source import Location, Source
from webgym.errors import ConfigError, TaskFileError
from webgym.sites import apps
from webgym.sites.apps.files import inside
from webgym.sites.apps.resets import Reader, Reset
from webgym.sites.apps.secrets import names_secrets


def _as_texts(value: Any) -> Any:
    """Numbers among the words of a command as texts."""
    return [str(word) if isinstance(word, int | float) and not isinstance(word, bool) else word for word in value]


# The tags in angle brackets are left out of the places that errors name; they let an error speak of the one form that was meant.
Words = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[tuple[str, ...], BeforeValidator(_as_texts), Tag("<words>")],
    Discriminator(lambda value: "<words>" if isinstance(value, list | tuple) else "<text>"),
]
"""A command: a text that is split like a shell's, or its words."""


def _listed(value: Any) -> Any:
    """One entry stands for a list of one."""
    return (value,) if isinstance(value, (str, Mapping)) else value


def _texts(value: Any) -> Any:
    """Numbers and truth values of an environment as texts."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: str(entry).lower() if isinstance(entry, bool) else str(entry) if isinstance(entry, int | float) else entry
        for key, entry in value.items()
    }


def moment(text: str) -> float:
    """The Unix time of a date and time such as 2026-03-05T09:00, which is UTC unless it says another zone. Raises ValueError.

    >>> moment("2026-01-05T08:00")
    1767600000.0
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a date and time such as 2026-03-05T09:00, got {text!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class ResetStep(Entry):
    """One step of a reset."""

    sqlite: str | None = None
    copy_: str | None = Field(default=None, alias="copy")
    get: str | None = None
    post: str | None = None
    command: Words | None = None
    python: str | None = None
    from_: str | None = Field(default=None, alias="from")  # what a sqlite or copy becomes; unless given, what it was at the start
    json_: Any = Field(default=None, alias="json")
    form: dict[str, Any] | None = None
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> "ResetStep":
        exactly_one(self, "sqlite", "copy_", "get", "post", "command", "python")
        if self.from_ is not None and self.sqlite is None and self.copy_ is None:
            raise ValueError("from belongs to sqlite or copy")
        if (self.json_ is not None or self.form is not None) and self.post is None:
            raise ValueError("json and form belong to post")
        return self

    def step(self, folder: Path) -> Reset:
        """The reset that it means. Raises TaskFileError, ValueError."""
        source = inside(folder, self.from_) if self.from_ else None
        if source is not None and not source.exists():
            raise ValueError(f"from: expected a file beside the task file, got {self.from_!r}: there is no {source}")
        if self.sqlite is not None:
            return apps.Sqlite(self.sqlite, source)
        if self.copy_ is not None:
            return apps.Copy(self.copy_, source)
        if self.get is not None:
            return apps.Get(self.get, self.headers)
        if self.post is not None:
            return apps.Post(self.post, self.json_, self.form, self.headers)
        if self.command is not None:
            return apps.Command(self.command)
        return programs.function(folder, self.python or "")


class StateReader(Entry):
    """One reader of the state."""

    sqlite: str | None = None
    query: str | None = None
    get: str | None = None
    file: str | None = None
    command: Words | None = None
    python: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> "StateReader":
        exactly_one(self, "sqlite", "get", "file", "command", "python")
        if (self.query is None) != (self.sqlite is None):
            raise ValueError("expected sqlite, the file, and query, the SQL that reads it, beside each other")
        return self

    def reader(self, folder: Path) -> Reader:
        """The reader that it means. Raises TaskFileError."""
        if self.sqlite is not None:
            return apps.Query(self.sqlite, self.query or "")
        if self.get is not None:
            return apps.Get(self.get, self.headers)
        if self.file is not None:
            return apps.File(self.file)
        if self.command is not None:
            return apps.Command(self.command)
        return programs.function(folder, self.python or "")


Step = Annotated[
    Annotated[Literal["restart"], Tag("<restart>")] | Annotated[ResetStep, Tag("<step>")],
    Discriminator(lambda value: "<restart>" if isinstance(value, str) else "<step>"),
]
Steps = Annotated[tuple[Step, ...], BeforeValidator(_listed)]
Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Application(Entry):
    """An application in a process of its own, or one that runs already."""

    url: str  # what pages see
    also: Listed = ()
    serve: Words | None = None  # a command with {port} and {folder}
    at: str | None = None  # the address of one that runs
    shared: bool = False  # whether several sessions may have that one at once
    remote: bool = False  # whether it may be on another machine
    in_: str | None = Field(default=None, alias="in")  # its folder, copied for each process
    env: Annotated[dict[str, str], BeforeValidator(_texts)] = Field(default_factory=dict)
    ready: str = "/"
    reset: Steps = ()
    state: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], StateReader] = Field(default_factory=dict)
    clock: str | None = None
    private: Listed = ()
    same_for_all: Listed = ()
    streams: Listed = ()
    host_header: str = ""
    log: str = ""

    @model_validator(mode="after")
    def _whole(self) -> "Application":
        exactly_one(self, "serve", "at")
        if self.at is None and (self.shared or self.remote):
            raise ValueError("shared and remote belong to at, an application that runs already")
        if self.at is not None and (self.env or self.log):
            raise ValueError("env and log belong to serve, because an application that runs already has its own")
        return self

    @field_validator("clock")
    @classmethod
    def _a_moment(cls, clock: str | None) -> str | None:
        if clock is not None:
            moment(clock)
        return clock

    @field_validator("ready")
    @classmethod
    def _a_path(cls, ready: str) -> str:
        if not ready.startswith("/"):
            raise ValueError(f"expected a path that begins with /, got {ready!r}")
        return ready

    @property
    def clock_s(self) -> float | None:
        """The clock as Unix time."""
        return None if self.clock is None else moment(self.clock)

    def runs(self) -> Iterator[str]:
        """The keys that make the file code. An application that runs already counts by its address: episodes act on it."""
        if self.serve is not None:
            yield "site.serve"
        if self.at is not None:
            yield f"tasks that act on {' '.join(self.at.split())}"
        if self.remote:
            yield "site.remote"
        for number, step in enumerate(self.reset):
            if isinstance(step, ResetStep):
                yield from (f"site.reset.{number}.{key}" for key in ("command", "python") if getattr(step, key) is not None)
        for name, reader in self.state.items():
            yield from (f"site.state.{name}.{key}" for key in ("command", "python") if getattr(reader, key) is not None)
        if names_secrets(self.model_dump()):
            yield "a secret from the environment"

    def server(self, source: Source, withheld: Sequence[str]) -> apps.Server:
        """The site; the task file itself and the files `withheld` are not copied with its folder. Raises TaskFileError."""
        root = source.path.resolve().parent
        try:
            folder = root if self.in_ == "." else inside(root, self.in_) if self.in_ is not None else None
            if folder is not None and not folder.is_dir():
                raise ValueError(f"expected a folder beside the file, got {self.in_!r}: there is no {folder}")
        except ValueError as error:
            raise source.error(("site", "in"), str(error)) from error
        resets: list[Reset] = [
            step if isinstance(step, str) else _made(source, ("site", "reset", number), lambda step=step: step.step(root))
            for number, step in enumerate(self.reset)
        ]
        readers = {
            name: _made(source, ("site", "state", name), lambda entry=entry: entry.reader(root)) for name, entry in self.state.items()
        }
        try:
            return apps.Server(
                self.url,
                command=self.serve or "",
                at=self.at or "",
                folder=folder,
                cwd=root,
                withheld=[source.path, *(root / path for path in withheld)],
                environment=self.env,
                ready=self.ready,
                reset=resets,
                readers=readers,
                also=self.also,
                private=self.private,
                same_for_all=self.same_for_all,
                streams=self.streams,
                host_header=self.host_header,
                log=self.log,
                clock_s=self.clock_s,
                instances="shared" if self.shared else "per session",
                remote=self.remote,
            )
        except ConfigError as error:
            raise source.error(("site",), str(error)) from error


def _made(source: Source, location: Location, make: Any) -> Any:
    try:
        return make()
    except (ValueError, TaskFileError) as error:
        raise source.error(location, str(error)) from error
