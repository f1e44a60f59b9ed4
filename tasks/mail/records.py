"""Records of an account: mail, people, dates, rules, files. They are frozen, so that episodes share those that they do not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal

OWNER = "Nora Vance"
OWNER_EMAIL = "nora.vance@wrenpost.example"

Answer = Literal["none", "yes", "no", "maybe"]


def name_of(email: str) -> str:
    """The name that an address suggests.

    >>> name_of("ada.birch@harbour-trust.example")
    'Ada Birch'
    """
    return email.partition("@")[0].replace(".", " ").title()


@dataclass(frozen=True, slots=True)
class Message:
    """One mail. `to` and `cc` are addresses, `files` names of files that came with it, `event` the id of an invitation in it."""

    sender: str
    email: str
    to: tuple[str, ...]
    sent: datetime
    body: str
    cc: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    event: int = 0


@dataclass(frozen=True)
class Thread:
    """Mails under one subject, oldest first. It lies in one folder and bears any number of labels."""

    id: int
    subject: str
    messages: tuple[Message, ...]
    folder: str = "inbox"
    labels: frozenset[str] = frozenset()
    starred: bool = False
    read: bool = True

    @property
    def last(self) -> Message:
        return self.messages[-1]

    @cached_property
    def mine(self) -> bool:
        """True if the owner has written in it."""
        return any(m.email == OWNER_EMAIL for m in self.messages)

    @cached_property
    def correspondent(self) -> str:
        """Name shown in a list: the last writer who is not the owner, or the people that the owner wrote to."""
        others = [m.sender for m in self.messages if m.email != OWNER_EMAIL]
        return others[-1] if others else f"To {', '.join(name_of(email) for email in self.messages[0].to)}"

    @cached_property
    def words(self) -> str:
        """The text that a search looks at, in lower case."""
        parts = [self.subject, *(f"{m.sender} {m.email} {m.body} {' '.join(m.files)}" for m in self.messages)]
        return " ".join(parts).casefold()

    @property
    def has_files(self) -> bool:
        return any(m.files for m in self.messages)


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail that is being written; `to` and `cc` as they were typed. A reply or forward names the thread it belongs to."""

    id: int
    to: str = ""
    cc: str = ""
    subject: str = ""
    body: str = ""
    files: tuple[str, ...] = ()
    kind: Literal["new", "reply", "forward"] = "new"
    thread: int = 0


@dataclass(frozen=True, slots=True)
class Contact:
    id: int
    name: str
    email: str
    phone: str = ""
    company: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Contacts that are written to together, by their names."""

    id: int
    name: str
    members: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Event:
    """A date in the calendar. `organiser` is empty for the owner's own; `answer` is the owner's answer to an invitation."""

    id: int
    title: str
    start: datetime
    end: datetime
    place: str = ""
    guests: tuple[str, ...] = ()
    organiser: str = ""
    answer: Answer = "none"
    cancelled: bool = False

    @property
    def shown(self) -> bool:
        """True if it stands in the calendar, because it is the owner's own or was not declined."""
        return not self.cancelled and (not self.organiser or self.answer in ("yes", "maybe"))


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for new mail from a sender, or with words in its subject."""

    id: int
    sender: str = ""
    subject: str = ""
    folder: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the account. It can be attached to a mail, and its text can be read."""

    id: int
    name: str
    kilobytes: int
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a label that the owner has made."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Settings:
    name: str = OWNER
    signature: str = ""
    vacation: bool = False
    first: date | None = None
    last: date | None = None
    vacation_subject: str = ""
    vacation_text: str = ""


@dataclass(frozen=True)
class World:
    """The start of an episode beside the background: its own records, and words that the background must not contain.

    `avoid` are words; a thread, contact, file or event of the background that has one of them is left out. `busy=False` leaves out
    all the background's events.
    """

    seed: int
    threads: tuple[Thread, ...] = ()
    contacts: tuple[Contact, ...] = ()
    events: tuple[Event, ...] = ()
    rules: tuple[Rule, ...] = ()
    files: tuple[File, ...] = ()
    avoid: tuple[str, ...] = ()
    busy: bool = True


def plain(value: Any) -> Any:
    """A record, or a value in it, as JSON data. Ids are left out, because new ones have no meaning."""
    match value:
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M")
        case date():
            return value.isoformat()
        case frozenset():
            return sorted(value)
        case tuple() | list():
            return [plain(entry) for entry in value]
        case Mapping():
            return {str(key): plain(entry) for key, entry in value.items()}
        case None | str() | int() | float():
            return value
        case _:
            return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name != "id"}


@dataclass(frozen=True)
class Change:
    """Difference of a table from the start of the episode, as JSON data."""

    added: list[Any] = field(default_factory=list)
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The parts that are not empty."""
        return {name: value for name, value in vars(self).items() if value}
