"""Content of the tracker: the project of a made-up harbour, its tickets, milestones and pages. Everything follows from one seed.

It is read by `prepare.py`, which writes it into the tracker, and by the goals, which ask for it.
"""

import random
from dataclasses import dataclass, field

CLOCK_S = 1_767_600_000  # 2026-01-05 08:00 UTC, when episodes begin
DAY_S = 86_400
ME, TOKEN = "ann", "9d4c1f0ab27e4d53a1c6b8e07f3d2590"
RIGHTS = ("EMAIL_VIEW", "MILESTONE_ADMIN", "ROADMAP_ADMIN", "TICKET_ADMIN", "TICKET_BATCH_MODIFY", "WIKI_ADMIN")
"""What the signed-in one may do beside what all may: all that the goals need, and nothing that writes files, loads programs or asks SQL."""
PEOPLE = ("ann", "bert", "cora", "dilip", "eve", "farid")
COMPONENTS = {"berths": "bert", "crane": "cora", "fuel": "dilip", "guests": "eve", "invoices": "farid", "weather": "bert"}
MILESTONES = {"Spring opening": 60, "Regatta week": 130, "Summer fleet": 170, "Winter storage": 290}  # due, in days after the clock
VERSIONS = ("1.0", "1.1", "2.0")
PRIORITIES = ("blocker", "critical", "major", "minor", "trivial")
TYPES = ("defect", "enhancement", "task")
KEYWORDS = ("mobile", "print", "login", "import", "speed")
SCREENS = {
    "Tide table": "weather", "Berth list": "berths", "Invoice page": "invoices", "Guest book": "guests", "Crane calendar": "crane",
    "Fuel meter": "fuel", "Storm banner": "weather", "Key cabinet": "guests", "Mooring plan": "berths", "Payment form": "invoices",
    "Slipway form": "crane", "Pump report": "fuel",
}  # fmt: skip
FAULTS = (
    "shows the wrong date", "does not load", "forgets its filter", "prints blank pages", "is too slow", "loses the last entry",
    "has a broken link", "sorts backwards",
)  # fmt: skip
OPEN, RESOLUTIONS = ("new", "assigned", "accepted"), ("fixed", "invalid", "wontfix", "duplicate", "worksforme")


@dataclass(frozen=True)
class Ticket:
    """A ticket as it is when an episode begins."""

    id: int
    summary: str
    type: str
    component: str
    priority: str
    milestone: str
    version: str
    owner: str
    reporter: str
    status: str
    resolution: str
    keywords: str
    description: str
    created_s: int

    @property
    def open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True)
class Page:
    """A page of the wiki."""

    name: str
    text: str
    author: str = field(default=ME)


def _tickets() -> tuple[Ticket, ...]:
    rng = random.Random(18)
    pairs = [(screen, fault) for screen in SCREENS for fault in FAULTS]
    rng.shuffle(pairs)
    found, created = [], CLOCK_S - 200 * DAY_S
    for number, (screen, fault) in enumerate(pairs, 1):
        created += rng.randint(DAY_S, 3 * DAY_S)
        status = rng.choice(("new", "new", "assigned", "accepted", "closed"))
        component = SCREENS[screen]
        found.append(
            Ticket(
                id=number,
                summary=f"{screen} {fault}",
                type=rng.choice(TYPES),
                component=component,
                priority=rng.choice(PRIORITIES),
                milestone=rng.choice(("", *MILESTONES)),
                version=rng.choice(("", *VERSIONS)),
                owner=COMPONENTS[component] if status == "new" else rng.choice(PEOPLE),
                reporter=rng.choice(PEOPLE),
                status=status,
                resolution=rng.choice(RESOLUTIONS[:3]) if status == "closed" else "",
                keywords=rng.choice(("", *KEYWORDS)),
                description=f"The {screen.lower()} {fault}. It was seen at pier {rng.randint(1, 9)}.",
                created_s=created,
            )
        )
    return tuple(found)


TICKETS = _tickets()
DEPUTIES = {"berths": "farid", "crane": "eve", "fuel": "cora", "guests": "dilip", "invoices": "bert", "weather": "ann"}
STORES = {"Rope store": "Eve", "Paint store": "Bert", "Sail loft": "Cora", "Tool shed": "Farid", "Pump house": "Dilip", "Key office": "Ann"}
TOPICS = ("Opening", "Storms", "Fees", "Keys", "Visitors", "Slipway")


def _pages() -> tuple[Page, ...]:
    rng = random.Random(19)
    deputies = "\n".join(f" * {component}: {person}" for component, person in DEPUTIES.items())
    index = "\n".join(f" * [wiki:Notes{topic}]" for topic in TOPICS)
    found = [
        Page("WikiStart", "= Harbour =\nPages of the crew.\n\n * [wiki:Deputies]\n * [wiki:Stores]\n * [wiki:Contents]\n"),
        Page("Deputies", f"= Deputies =\nWho takes over the tickets of a component:\n\n{deputies}\n"),
        Page("Contents", f"= Contents =\n{index}\n"),
        Page("Stores", "= Stores =\n" + "\n".join(f" * {store}: ask {person}" for store, person in STORES.items()) + "\n"),
    ]
    for topic in TOPICS:
        found.append(Page(f"Notes{topic}", f"= {topic} =\nLast looked at by {rng.choice(PEOPLE)}.\n", rng.choice(PEOPLE)))
    return tuple(found)


PAGES = _pages()
