"""Tasks written down as data: a YAML, JSON or JSONL file, read and checked as a whole before anything runs.

A file describes tasks on a folder of pages of its own (:class:`webgym.authoring.forms.FormSite`), on an application in a process of its
own (:mod:`webgym.authoring.task_file.application`), or on the site of a known pack::

    pack: greetings
    site: {pages: pages}
    tasks:
      - name: greet
        start: /index.html
        goal: Greet {name} with "{words}".
        parameters: {name: [Ann, Bob], words: [Good morning, Hello]}
        check: {site: {path: greeting, equals: [{to: "{name}", words: "{words}"}]}}
        oracle: [{fill: [To, "{name}"]}, {fill: [Words, "{words}"]}, {click: Send}]

The same seed gives the same values in every process: each parameter is drawn from (task, parameter, seed) alone. `docs/writing-tasks.md`
explains all fields.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from webgym.authoring import consent
from webgym.authoring.checks import (
    AnswerCheck,
    AnyCheck,
    Check,
    Entry,
    InfeasibleCheck,
    PageCheck,
    StateCheck,
    UrlCheck,
    VerifyCheck,
    probe,
)
from webgym.authoring.forms import FormSite
from webgym.authoring.placeholders import fill, fill_text, lookup, names_in
from webgym.authoring.programs import verifier
from webgym.authoring.task_file.application import Application
from webgym.authoring.task_file.parameters import AnyParameter
from webgym.authoring.task_file.signed_in import SignedIn, without_secrets
from webgym.authoring.task_file.source import Location, Source, read_source
from webgym.authoring.task_file.steps import PATTERNS, Step, StepsOracle, names_in_pattern
from webgym.errors import TaskFileError, did_you_mean
from webgym.sites.apps.calls import in_thread
from webgym.task import FAILURE, SPLITS, SUCCESS, Evidence, Site, Split, Splits, Start, Task, Verdict, hosts_of
from webgym.types import seed_from

VERIFY_S = 30.0  # that a program may take for its verdict; a step has 60
NAME = r"^[a-z0-9][a-z0-9-]*$"
FILE = r"^[^/\\\x00-\x1f]*[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$"
FILLED = ("start", "goal", "state", "files", "check", "never", "decided", "oracle", "signed_in")  # the fields that may hold placeholders


Pixels = Annotated[int, Field(ge=1, le=10_000)]
Wording = Annotated[str, Field(min_length=1)]


class Pages(Entry):
    """The file's own site: a folder of pages beside it, under a host that ends in `.localhost` (`<pack>.localhost` unless given)."""

    pages: str
    host: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+localhost$")] | None = None


def _site_kind(value: Any) -> str:
    known = isinstance(value, Mapping) and ("pages" in value or not {"url", "serve", "at"} & value.keys())
    return "<application>" if isinstance(value, Application) or (isinstance(value, Mapping) and not known) else "<pages>"


class Pace(Entry):
    """Time in pages: fields of one task, or of a file for all of its tasks."""

    clock: datetime | None = None  # what pages take for the time at the start, UTC unless it says otherwise
    settle_ms: Annotated[float, Field(ge=1, le=60_000)] | None = None  # time that pages get after every action
    deterministic: bool | None = None  # false where a site's answers depend on the wall clock
    streams: tuple[Annotated[str, Field(pattern="^/")], ...] | None = (
        None  # paths that a site leaves unanswered; their requests never hold time
    )

    def over(self, file: "Pace") -> dict[str, Any]:
        """The fields of a :class:`webgym.task.Task` that are given here, or else for the whole file."""
        given = {name: own if (own := getattr(self, name)) is not None else getattr(file, name) for name in Pace.model_fields}
        clock = given.pop("clock")
        if clock is not None:
            given["clock_s"] = (clock if clock.tzinfo else clock.replace(tzinfo=UTC)).timestamp()
        return {name: value for name, value in given.items() if value is not None}


class Header(Pace):
    """Fields of a task file besides its tasks. `signed_in` is that of each task which has none of its own."""

    pack: Annotated[str, Field(pattern=NAME)] | None = None  # the file's name, or its folder's for tasks.yaml, unless given
    site: Annotated[Annotated[Pages, Tag("<pages>")] | Annotated[Application, Tag("<application>")], Discriminator(_site_kind)] | None = (
        None
    )
    signed_in: SignedIn | None = None


class Wordings(Entry):
    """The goal's wordings for each split. A wording belongs to one split, so that none is seen before it is tested."""

    train: tuple[Wording, ...] = Field(min_length=1)
    valid: tuple[Wording, ...] = Field(min_length=1)
    test: tuple[Wording, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _apart(self) -> "Wordings":
        for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
            for shared in set(getattr(self, a)) & set(getattr(self, b)):
                raise ValueError(f"expected wordings that differ between the splits; {a} and {b} both have {shared!r}")
        return self


def _tuple(value: Any) -> Any:
    """One wording, or several for all splits alike."""
    return (value,) if isinstance(value, str) else value


Goal = Annotated[
    Annotated[Wordings, Tag("<splits>")] | Annotated[tuple[Wording, ...], Field(min_length=1), Tag("<all>")],
    Discriminator(lambda value: "<splits>" if isinstance(value, (Mapping, Wordings)) else "<all>"),
    BeforeValidator(_tuple),
]


class TaskEntry(Pace):
    """One task of a file."""

    name: Annotated[str, Field(pattern=NAME)]
    start: str  # a path of the file's own site, or an address of a known pack's site
    goal: Goal
    check: AnyCheck  # the episode is a success when this is met
    never: AnyCheck | None = None  # when this is met, the episode is lost, even if the check is met
    decided: AnyCheck | None = None  # once this is met, the episode is over: lost, unless the check is met
    parameters: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], AnyParameter] = Field(default_factory=dict)
    state: dict[str, Any] | None = None  # handed to the site: what its pages may show
    files: dict[Annotated[str, Field(pattern=FILE)], str] = Field(default_factory=dict)  # to upload: text by name
    signed_in: SignedIn | None = None
    oracle: tuple[Step, ...] = ()
    ends: Literal["success", "stop"] | None = None  # unless given: stop where an answer is asked for or something must never be
    max_turns: int = Field(default=10, ge=1, le=1000)
    chance: float = Field(default=0.0, ge=0, le=1)
    difficulty: int = Field(default=1, ge=1, le=5)
    viewport: tuple[Pixels, Pixels] = (1280, 720)
    description: str = ""

    @property
    def wordings(self) -> dict[Split, tuple[str, ...]]:
        """The goal's wordings by split."""
        return {split: getattr(self.goal, split) if isinstance(self.goal, Wordings) else self.goal for split in SPLITS}

    @property
    def checks(self) -> list[Check]:
        """All checks, with those they are made of."""
        return [part for check in (self.check, self.never, self.decided) if check is not None for part in check.parts()]


# --- from an entry to a task -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Written:
    """The behaviour of a task that is written down: `start` and `check` of :class:`webgym.task.Task`."""

    id: str
    entry: TaskEntry
    splits: Splits
    root: str  # of the own site's addresses

    def values(self, seed: int) -> dict[str, Any]:
        """The parameters of an episode."""
        return {name: parameter.draw(self._rng(seed, name)) for name, parameter in self.entry.parameters.items()}

    def start(self, seed: int) -> Start:
        values = self.values(seed)
        goal = self._rng(seed, "the goal's wording").choice(self.splits.wordings(seed))
        url = fill_text(self.entry.start, values)
        return Start(
            f"{self.root}{url}" if url.startswith("/") else url,
            fill_text(goal, values),
            site_state=fill(self.entry.state, values),
            files={name: fill_text(text, values) for name, text in self.entry.files.items()},
            **(self.entry.signed_in.begin(values) if self.entry.signed_in is not None else {}),
        )

    def check(self, evidence: Evidence) -> Verdict:
        entry, values = self.entry, self.values(evidence.seed)
        if entry.never is not None and not entry.never.unmet(evidence, values):
            return Verdict("failure", message=f"this must never be, but is: {_plainly(entry.never)}")
        unseen = entry.never is not None and entry.never.unknown(evidence)
        why = "the page could not be read" if unseen else entry.check.unmet(evidence, values)
        if not why:
            return SUCCESS
        decided = entry.decided is not None and not entry.decided.unmet(evidence, values)
        return Verdict(FAILURE.kind if decided or evidence.ended else "pending", message=why)

    def oracle(self) -> StepsOracle:
        wordings = list(dict.fromkeys(words for split in self.splits.templates.values() for words in split))
        return StepsOracle(self.entry.oracle, wordings, self.entry.parameters)

    def _rng(self, seed: int, name: str) -> random.Random:
        return random.Random(seed_from(self.id, name, seed))

    async def verified(self, evidence: Evidence) -> Verdict:
        """The verdict where a check asks a program: in a thread, because it may take its time."""
        return await in_thread(self.check, evidence, timeout_s=VERIFY_S)


def _plainly(check: Check) -> dict[str, Any]:
    return check.model_dump(exclude_unset=True, by_alias=True)


def _task(entry: TaskEntry, pack: str, root: str, header: Header, own: Site | None) -> Task:
    task_id = f"{pack}.{entry.name}"
    splits = Splits(templates=entry.wordings)
    written = _Written(task_id, entry, splits, root)
    asks = any(isinstance(check, (AnswerCheck, InfeasibleCheck, VerifyCheck)) for check in entry.checks)
    verifies = any(isinstance(check, VerifyCheck) for check in entry.checks)
    shown = any(isinstance(check, (PageCheck, UrlCheck)) for check in entry.checks)
    return Task(
        id=task_id,
        start=written.start,
        check=written.verified if verifies else written.check,
        max_turns=entry.max_turns,
        ends=entry.ends or ("stop" if asks or entry.never is not None else "success"),
        trust="page" if shown else "state",
        probe=probe(entry.checks),
        oracle=written.oracle if entry.oracle else None,
        hosts=_hosts(entry, own),
        viewport=entry.viewport,
        chance=entry.chance,
        difficulty=entry.difficulty,
        description=entry.description or next(iter(entry.wordings["train"])),
        splits=splits,
        **{**_of_application(own), **entry.over(header)},
    )


def _hosts(entry: TaskEntry, own: Site | None) -> tuple[str, ...]:
    """The hosts of the own site, or else the one that the start names."""
    if own is not None and (entry.start.startswith("/") or _host(entry.start) in hosts_of(own)):
        return hosts_of(own)
    return (_host(entry.start),)


def _host(url: str) -> str:
    """The host of an address, as sites name theirs."""
    parts = urlsplit(url)
    return parts.netloc if parts.scheme == "http" else f"{parts.scheme}://{parts.netloc}"


def _of_application(own: Site | None) -> dict[str, Any]:
    """The fields of a task that its application says."""
    found = {"clock_s": getattr(own, "clock_s", None), "streams": getattr(own, "streams", None)}
    return {name: value for name, value in found.items() if value}


# --- reading ---------------------------------------------------------------------------------------------------------------


def read(path: Path, *, trust: bool = False) -> tuple[tuple[Task, ...], tuple[Site, ...]]:
    """The tasks of a file and its own site, if it has one. Raises TaskFileError (file, line, field, expected, got).

    A file that runs programs is read only where its folder is trusted: now, with `trust`, or since earlier.
    """
    source = read_source(path)
    header = _header(source)
    shared = {"signed_in": source.header["signed_in"]} if header.signed_in is not None else {}
    entries = [
        _entry(source, number, {**shared, **data} if isinstance(data, Mapping) else data) for number, data in enumerate(source.tasks)
    ]
    if path.suffix == ".jsonl" and isinstance(header.site, Application):
        raise source.error(("site",), "a .jsonl file cannot have an application: write it as .yaml")
    consent.require(path, list(_programs(header, entries)), trust=trust)
    pack = header.pack or _pack_name(path)
    if not re.fullmatch(NAME, pack):
        raise TaskFileError(f"{path}:1: pack: is missing, and {pack!r}, after the file, is no pack name: expected text of the form {NAME}")
    verifiers = [check.verify for entry in entries for check in entry.checks if isinstance(check, VerifyCheck)]
    sites = [_site(source, header.site, pack, verifiers)] if header.site else []
    own = sites[0] if sites else None
    if isinstance(header.site, Application) and header.clock is not None:
        raise source.error(("clock",), "an application's clock is said at the site, because its process has it too: move it there")
    root = _root(own) if own is not None else ""
    found: dict[str, Task] = {}
    for number, entry in enumerate(entries):
        if entry.name in found:
            raise source.error(("tasks", number, "name"), f"there is a task {entry.name!r} already: give this one another name")
        if entry.start.startswith("/") and not sites:
            raise source.error(
                ("tasks", number, "start"), f"expected an address, since the file has no site of its own; got {entry.start!r}"
            )
        if not entry.start.startswith(("/", "http://", "https://")):
            expected = "expected a path that begins with / or an address that begins with http://"
            raise source.error(("tasks", number, "start"), f"{expected}; got {entry.start!r}")
        try:
            urlsplit(entry.start)
        except ValueError as error:
            raise source.error(("tasks", number, "start"), f"expected an address: {error}; got {entry.start!r}") from error
        _find_programs(source, number, entry, header.site)
        found[entry.name] = _task(entry, pack, root, header, own)
    return tuple(found.values()), tuple(sites)


def _root(site: Site) -> str:
    """The beginning of the site's addresses."""
    return site.host if "://" in site.host else f"http://{site.host}"


def _programs(header: Header, entries: Sequence[TaskEntry]) -> Iterator[str]:
    """The keys of a file that make it code."""
    if isinstance(header.site, Application):
        yield from header.site.runs()
    for number, entry in enumerate(entries):
        if any(isinstance(check, VerifyCheck) for check in entry.checks):
            yield f"tasks.{number}.verify"
        if entry.signed_in is not None and entry.signed_in.has_secrets:
            yield "a secret from the environment"


def _find_programs(source: Source, number: int, entry: TaskEntry, site: Pages | Application | None) -> None:
    """Look up what checks ask: the files that verify, and the readers of the state. Raises TaskFileError."""
    folder = source.path.resolve().parent
    for check in entry.checks:
        if isinstance(check, (VerifyCheck, StateCheck)) and not isinstance(site, Application):
            kind = "verify" if isinstance(check, VerifyCheck) else "state"
            words = f"a {kind} check needs an application: say site: {{url: ..., serve: ...}}, or check with site, url, page or answer"
            raise source.error(("tasks", number, "check"), words)
        if isinstance(check, VerifyCheck):
            try:
                check.found_in(lambda path: verifier(folder, path))
            except TaskFileError as error:
                raise source.error(("tasks", number, "check"), f"verify: {error}") from error
        if isinstance(check, StateCheck) and isinstance(site, Application):
            name = check.state.path.partition(".")[0]
            if name and name not in site.state:
                known = ", ".join(site.state) or "none"
                words = f"there is no reader {name!r} of the site's state{did_you_mean(name, site.state)} (there: {known})"
                raise source.error(("tasks", number, "check"), words)
    if isinstance(site, Application) and entry.clock is not None:
        raise source.error(("tasks", number, "clock"), "an application's clock is that of all its tasks: say it once, at the site")


def _pack_name(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "tasks" else path.stem


def _header(source: Source) -> Header:
    try:
        return Header.model_validate(source.header)
    except ValidationError as error:
        raise source.errors(error, ()) from error


def _site(source: Source, pages: Pages | Application, pack: str, withheld: Sequence[str]) -> Site:
    if isinstance(pages, Application):
        return pages.server(source, withheld)
    folder = source.path.parent / pages.pages
    try:
        there = folder.is_dir()
    except OSError:  # no folder has such a name
        there = False
    if not there:
        raise source.error(("site", "pages"), f"expected a folder of pages beside the file, got {pages.pages!r}: there is no {folder}")
    if not folder.resolve().is_relative_to(source.path.resolve().parent):
        raise source.error(("site", "pages"), f"expected a folder in the file's own folder, got {pages.pages!r}, which lies outside of it")
    return FormSite(pages.host or f"{pack}.localhost", folder, withheld=[source.path])  # a page folder "." holds the answers, too


def _entry(source: Source, number: int, data: Any) -> TaskEntry:
    try:
        entry = TaskEntry.model_validate(data)
    except ValidationError as error:
        raise source.errors(error, ("tasks", number)) from error
    for location, text in _texts(data):
        try:
            pattern = location[0] in ("oracle", "signed_in") and any(step in PATTERNS for step in location)
            names = names_in_pattern(text) if pattern else names_in(without_secrets(text) if location[0] == "signed_in" else text)
            _check_placeholders(names, entry, of_oracle=location[0] == "oracle")
        except (LookupError, ValueError) as error:
            raise source.error(("tasks", number, *location), str(error)) from error
    return entry


def _texts(data: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Every text of an entry that may hold placeholders, with its place."""

    def walk(thing: Any, place: tuple[str | int, ...]) -> Iterator[tuple[Location, str]]:
        if isinstance(thing, str):
            yield place, thing
        elif isinstance(thing, Mapping):
            for key, value in thing.items():
                yield from walk(value, (*place, key))
        elif isinstance(thing, Sequence):
            for index, value in enumerate(thing):
                yield from walk(value, (*place, index))

    for name in FILLED:
        yield from walk(data.get(name), (name,))


def _check_placeholders(names: Sequence[str], entry: TaskEntry, of_oracle: bool) -> None:
    """Raises LookupError or ValueError when a placeholder has no value, or an oracle's none that the goal or a page tells it."""
    read = {name for step in entry.oracle for name in step.read or ()} if of_oracle else set()
    for path in names:
        name, _, rest = path.partition(".")
        if name in read:
            continue
        if name not in entry.parameters:
            known = [*entry.parameters, *sorted(read)]
            raise LookupError(f"there is no parameter {name!r}{did_you_mean(name, known)} (there: {', '.join(known) or 'none'})")
        for example in entry.parameters[name].examples() if rest else ():
            lookup(example, rest)
        if of_oracle and (silent := _silent_wording(name, entry)):
            raise LookupError(
                f"the oracle sees what an agent sees, and {silent!r} does not tell it {{{name}}}: name it in the goal, or let the oracle "
                f"read it from a page ({{read: {{{name}: 'Total: (.+)'}}}})"
            )


def _silent_wording(name: str, entry: TaskEntry) -> str:
    """A wording of the goal that does not say this parameter, if any."""
    wordings = [words for split in entry.wordings.values() for words in split]
    return next((words for words in wordings if name not in {path.partition(".")[0] for path in names_in(words)}), "")


__all__ = ["Header", "Pace", "Pages", "TaskEntry", "Wordings", "read"]
