"""The world of a goal while it is drawn: its own people, mails and dates on top of the background, and their wanted end."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from .catalogue import Person, catalogue
from .mailbox import NOW
from .records import OWNER, OWNER_EMAIL, Contact, Event, File, Message, Rule, Thread, World

TOPICS = (
    "handrail", "tile samples", "bike shed", "skylights", "door handles", "rain chain", "oak floor", "fire exit", "coat hooks",
    "kitchen tap", "roof terrace", "street lamps", "window seats", "mail boxes", "ramp", "curtains", "cellar stairs", "notice boards",
    "green wall", "bell",
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """The wanted end of an episode: the changes of the account (see Mailbox.changes), and the answer where one is asked for."""

    changes: Mapping[str, Any]
    answer: str = ""


class Scene:
    """The world of one episode while it is drawn. `feasible` is false for the twin in which the goal cannot be reached.

    Both twins must draw the same from `rng` before they differ, so that one seed gives both the same goal.
    """

    def __init__(self, rng: random.Random, feasible: bool = True) -> None:
        self.rng, self.feasible = rng, feasible
        self.content = catalogue().content
        self._ids = iter(rng.sample(range(1, 2000, 2), 60))  # odd ones: the background has the even ones
        self._cast = list(catalogue().people)
        rng.shuffle(self._cast)
        self._topics = rng.sample(TOPICS, len(TOPICS))
        self._threads: list[Thread] = []
        self._contacts: list[Contact] = []
        self._events: list[Event] = []
        self._rules: list[Rule] = []
        self._files: list[File] = []
        self._avoid: list[str] = []
        self.busy = True

    # --- who and what ---------------------------------------------------------------------------------------------------

    def person(self, *kinds: str) -> Person:
        """A person of one of these kinds (any when none is given) who is not in the background and has no other role in the scene."""
        found = next(p for p in self._cast if not kinds or p.kind in kinds)
        self._cast.remove(found)
        self._avoid.append(found.name)
        return found

    def people(self, count: int, *kinds: str) -> list[Person]:
        return [self.person(*kinds) for _ in range(count)]

    def subject(self) -> str:
        """A subject that no other mail has."""
        found = f"{self.rng.choice(self.content['projects'])}: {self._topics.pop()}"
        self._avoid.append(found)
        return found

    def firm(self) -> str:
        """A firm that is not in the background, and that no other mail is from."""
        content = self.content
        found = f"{self.rng.choice(content['firm_names'].split())} {self.rng.choice(content['firm_trades'].split())}"
        if found in self._avoid:
            return self.firm()
        self._avoid.append(found)
        return found

    def topic(self) -> str:
        """A thing that no other mail is about."""
        found = self._topics.pop()
        self._avoid.append(found)
        return found

    def avoid(self, *words: str) -> None:
        """Keep these words out of the background."""
        self._avoid += words

    def id(self) -> int:
        return next(self._ids)

    # --- records --------------------------------------------------------------------------------------------------------

    def hours_ago(self, least: float, most: float) -> datetime:
        return (NOW - timedelta(hours=self.rng.uniform(least, most))).replace(second=0, microsecond=0)

    def mail(
        self,
        sender: Person | str,
        subject: str,
        *bodies: str,
        sent: datetime | None = None,
        folder: str = "inbox",
        files: tuple[str, ...] = (),
        event: int = 0,
        starred: bool = False,
        read: bool | None = None,
    ) -> Thread:
        """A thread of mails from one sender, one for each body, a few hours apart; the newest came within the last day unless `sent`."""
        name, email = (sender.name, sender.email) if isinstance(sender, Person) else (sender, newsletter_address(sender))
        last = sent or self.hours_ago(0.2, 20)
        before = len(bodies) - 1
        messages = [
            Message(name, email, (OWNER_EMAIL,), last - timedelta(hours=5 * (before - number)), body)
            for number, body in enumerate(bodies[:-1])
        ]
        messages.append(Message(name, email, (OWNER_EMAIL,), last, bodies[-1], files=files, event=event))
        is_read = self.rng.random() < 0.4 if read is None else read
        found = Thread(self.id(), subject, tuple(messages), folder, starred=starred, read=is_read)
        self._threads.append(found)
        return found

    def small_talk(self, subject: str) -> str:
        """The body of a mail without useful information."""
        line = self.rng.choice((
            "Just to keep you posted: all is well, and the next news comes when there is some.",
            "We have talked it over and would like to keep it as it is. Do you agree?",
            "The photographs are not in yet. I will send them as soon as I can.",
            "There were two small questions, but the site manager has answered them already.",
            "I like it. Let us look at it together when you have a minute.",
        ))  # fmt: skip
        return f"Hello {OWNER.split()[0]},\nthis is about {subject}. {line}"

    def contact(self, person: Person, **fields: Any) -> Contact:
        """The person, in the address book."""
        given = {"email": person.email, "phone": person.phone, "company": person.company, **fields}
        found = Contact(self.id(), person.name, **given)
        self._contacts.append(found)
        return found

    def event(self, title: str, start: datetime, minutes: int, **fields: Any) -> Event:
        found = Event(self.id(), title, start, start + timedelta(minutes=minutes), **fields)
        self._events.append(found)
        return found

    def file(self, name: str, text: str) -> File:
        found = File(self.id(), name, self.rng.randrange(20, 400), text)
        self._files.append(found)
        self._avoid.append(name)
        return found

    def rule(self, **fields: Any) -> Rule:
        found = Rule(self.id(), **fields)
        self._rules.append(found)
        return found

    def instance_world(self) -> World:
        """The world as it was drawn."""
        return World(
            self.rng.getrandbits(40),
            threads=tuple(self._threads),
            contacts=tuple(self._contacts),
            events=tuple(self._events),
            rules=tuple(self._rules),
            files=tuple(self._files),
            avoid=tuple(self._avoid),
            busy=self.busy,
        )


def newsletter_address(sender: str) -> str:
    """The address that a firm's news come from."""
    host = "-".join("".join(c if c.isalnum() else " " for c in sender.lower()).split())
    return f"news@{host}.example"


# --- what is left when a goal is reached --------------------------------------------------------------------------------------


def moved(threads: Iterable[Thread], folder: str) -> dict[str, Any]:
    """The change of threads that now lie in a folder."""
    return {"threads": {"changed": {str(t.id): {"folder": folder} for t in threads}}}


def sent(
    to: Iterable[str], subject: str, body: str, *, kind: str = "new", thread: int = 0, cc: Iterable[str] = (), files: Iterable[str] = ()
) -> dict[str, Any]:
    """A mail that went out, as the account keeps it."""
    return {
        "to": sorted(to), "cc": sorted(cc), "subject": subject, "body": " ".join(body.split()), "files": sorted(files), "kind": kind,
        "thread": thread,
    }  # fmt: skip


def in_words(day: date) -> str:
    """A day as people write it.

    >>> in_words(date(2026, 1, 15))
    'Thursday 15 January'
    """
    weekday = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day.weekday()]
    month = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
    return f"{weekday} {day.day} {month[day.month - 1]}"
