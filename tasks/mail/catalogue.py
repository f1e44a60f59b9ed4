"""The background of every mailbox: people, old mail, files and dates, drawn once per process. An episode shows a part of it."""

import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from webgym.authoring.placeholders import fill_text
from webgym.types import seed_from

from .mailbox import NOW, Mailbox
from .records import OWNER, OWNER_EMAIL, Contact, Event, File, Message, Place, Settings, Thread, World

POOL = 640  # threads to choose from
SHOWN = {"inbox": 44, "archive": 40, "sent": 10, "trash": 5, "spam": 4}  # threads of the background in an episode, by folder
FOLDERS = ("Invoices", "Clients", "Travel", "House")
LABELS = ("Urgent", "Waiting", "Personal", "Later")
CONTACTS, FILES, EVENTS = 26, 14, 20
DAYS = 118  # how far the old mail goes back
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Record = TypeVar("Record")


@dataclass(frozen=True)
class Person:
    """A writer of mail. `kind` is colleague, client, supplier or friend."""

    name: str
    email: str
    company: str
    kind: str
    phone: str

    @property
    def first(self) -> str:
        return self.name.split()[0]


@dataclass(frozen=True)
class Catalogue:
    """Material of all backgrounds."""

    content: Mapping[str, Any]
    people: tuple[Person, ...]
    threads: Mapping[str, tuple[Thread, ...]]  # by folder
    files: tuple[File, ...]
    events: tuple[Event, ...]

    def of_kind(self, *kinds: str) -> list[Person]:
        return [person for person in self.people if person.kind in kinds]


@cache
def catalogue() -> Catalogue:
    """The one catalogue of this process; the same in every process."""
    content = MappingProxyType(tomllib.loads(Path(__file__).with_name("content.toml").read_text("utf-8")))
    rng = random.Random(seed_from("mail", "catalogue"))
    people = tuple(_people(content, rng))
    threads: dict[str, list[Thread]] = {folder: [] for folder in SHOWN}
    for number in range(POOL):
        thread = _thread(2 * number + 2, content, people, rng)
        threads[thread.folder].append(thread)
    files = tuple(_file(2 * number + 2, content, rng) for number in range(60))
    events = tuple(_event(2 * number + 2, content, people, rng) for number in range(90))
    return Catalogue(content, people, {folder: tuple(found) for folder, found in threads.items()}, files, events)


def address(name: str, company: str) -> str:
    """The mail address of a person at a company.

    >>> address("Ada Birch", "Pell & Daughters")
    'ada.birch@pell-daughters.example'
    """
    host = "-".join("".join(c if c.isalnum() else " " for c in company.lower()).split())
    return f"{name.lower().replace(' ', '.')}@{host}.example"


def words(rng: random.Random, content: Mapping[str, Any]) -> dict[str, str]:
    """Values of the placeholders of one mail."""
    return {
        "project": rng.choice(content["projects"]),
        "place": rng.choice(content["places"]),
        "street": rng.choice(content["streets"]),
        "weekday": rng.choice(WEEKDAYS[:5]),
        "sum": f"€{rng.randrange(12, 900) * 10}",
        "number": str(rng.randrange(12, 98)),
        "first": OWNER.split()[0],
    }


def _people(content: Mapping[str, Any], rng: random.Random) -> Iterable[Person]:
    firsts, lasts = content["first_names"].split(), content["last_names"].split()
    rng.shuffle(firsts)
    rng.shuffle(lasts)
    names = iter(zip(firsts, lasts, strict=False))
    for kind, count in (("colleague", 18), ("client", 5), ("supplier", 3), ("friend", 14)):
        for company in content["companies"][kind]:
            for _ in range(count):
                name = " ".join(next(names))
                phone = f"0{rng.randrange(20, 90)} {rng.randrange(100, 999)} {rng.randrange(1000, 9999)}"
                yield Person(name, address(name, company), "" if kind == "friend" else company, kind, phone)


def _moment(rng: random.Random) -> datetime:
    moment = NOW - timedelta(days=DAYS * rng.random() ** 1.3 + 0.08, minutes=rng.randrange(60))
    return moment.replace(second=0, microsecond=0)


def _thread(id: int, content: Mapping[str, Any], people: Sequence[Person], rng: random.Random) -> Thread:
    folder = rng.choices(list(SHOWN), (46, 40, 10, 6, 5))[0]
    filled = words(rng, content)

    def text(template: str) -> str:
        return fill_text(template, filled)

    if folder == "spam":
        line = text(content["spam"]["lines"][0])
        sender = rng.choice(content["spam"]["senders"])
        mail = Message(sender, address("win", sender), (OWNER_EMAIL,), _moment(rng), line)
        return Thread(id, text(rng.choice(content["spam"]["subjects"])), (mail,), "spam", read=False)
    if folder != "sent" and rng.random() < 0.22:
        sender = rng.choice(list(content["newsletters"]))
        line = text(rng.choice(content["newsletter_text"]["lines"]))
        mail = Message(sender, address("news", sender), (OWNER_EMAIL,), _moment(rng), line)
        return Thread(id, text(rng.choice(content["newsletters"][sender])), (mail,), folder, read=rng.random() < 0.6)
    template = rng.choice(content["mails"])
    person = rng.choice([p for p in people if p.kind == template["kind"]])
    begun = _moment(rng)
    if folder == "sent":
        own = text(template["body"]).replace(f" {OWNER.split()[0]},", f" {person.first},")
        return Thread(id, text(template["subject"]), (Message(OWNER, OWNER_EMAIL, (person.email,), begun, own),), "sent")
    messages = [Message(person.name, person.email, (OWNER_EMAIL,), begun, text(template["body"]))]
    for turn, reply in enumerate(template.get("replies", ())[: rng.randrange(3)]):
        sent = messages[-1].sent + (NOW - messages[-1].sent) * rng.uniform(0.02, 0.3)
        mine = turn % 2 == 0
        who = (OWNER, OWNER_EMAIL, (person.email,)) if mine else (person.name, person.email, (OWNER_EMAIL,))
        messages.append(Message(*who, sent, text(reply)))
    labels = frozenset(label.lower() for label in LABELS if rng.random() < 0.07)
    return Thread(id, text(template["subject"]), tuple(messages), folder, labels, rng.random() < 0.06, rng.random() < 0.75)


def _file(id: int, content: Mapping[str, Any], rng: random.Random) -> File:
    template, filled = rng.choice(content["files"]), words(rng, content)
    name = fill_text(template["name"], {"n": str(rng.randrange(100, 999))})
    return File(id, name, rng.randrange(20, 900), fill_text(template["text"], filled))


def _event(id: int, content: Mapping[str, Any], people: Sequence[Person], rng: random.Random) -> Event:
    filled = words(rng, content)
    start = datetime(2026, 1, 5) + timedelta(days=rng.randrange(-7, 28), hours=rng.randrange(8, 19), minutes=rng.choice((0, 30)))
    title = fill_text(rng.choice(content["events"]["titles"]), filled)
    guests = tuple(sorted(p.email for p in rng.sample(people, rng.randrange(3))))
    return Event(id, title, start, start + timedelta(minutes=rng.choice((30, 60, 90))), filled["place"], guests)


# --- an episode's mailbox --------------------------------------------------------------------------------------------------


def open_mailbox(world: World) -> Mailbox:
    """The mailbox that an episode begins with: a part of the catalogue that the world's seed draws, and the world's own records."""
    base, rng = catalogue(), random.Random(world.seed)
    avoid = [word.casefold() for word in world.avoid]

    def part(pool: Sequence[Record], count: int, said: Any) -> list[Record]:
        """At most `count` records of the pool; `said` gives the text of a record, in which no word to avoid may occur."""
        chosen = rng.sample(pool, min(len(pool), count))
        return [entry for entry in chosen if not any(word in said(entry) for word in avoid)]

    threads = [t for folder, count in SHOWN.items() for t in part(base.threads[folder], count, lambda t: t.words)]
    contacts = [
        Contact(2 * number + 2, p.name, p.email, p.phone, p.company)
        for number, p in enumerate(part(base.people, CONTACTS, lambda p: f"{p.name} {p.company}".casefold()))
    ]
    files = part(base.files, FILES, lambda f: f.name)
    events = part(base.events, EVENTS if world.busy else 0, lambda e: e.title.casefold())
    signature = rng.choice(["", *base.content["settings"]["signatures"]])
    return Mailbox(
        threads=_by_id((*threads, *world.threads)),
        contacts=_by_id((*contacts, *world.contacts)),
        events=_by_id((*events, *world.events)),
        rules=_by_id(world.rules),
        files=_by_id((*files, *world.files)),
        folders=_by_id(Place(name.lower(), name) for name in FOLDERS),
        labels=_by_id(Place(name.lower(), name) for name in LABELS),
        settings=Settings(signature=signature),
    )


def _by_id(records: Iterable[Any]) -> dict[Any, Any]:
    return {record.id: record for record in records}


def week_of(day: date) -> date:
    """The Monday of the day's week."""
    return day - timedelta(days=day.weekday())
