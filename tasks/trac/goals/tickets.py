"""Goals about tickets: closing, handing over, filing, sorting."""

import random

from webgym.authoring.template import Instance

from ..application.content import (
    COMPONENTS,
    KEYWORDS,
    ME,
    MILESTONES,
    PEOPLE,
    PRIORITIES,
    SCREENS,
    TICKETS,
    TYPES,
    VERSIONS,
)  # fmt: skip
from .goal import changed, comment, due, goal, open_ticket

REASONS = {
    "fixed": ("Mended and tried at pier 4.", "Done in the last update.", "The new version is well."),
    "invalid": ("It works as the manual says.", "The wrong screen was meant.", "Nobody can follow this report."),
    "wontfix": ("There is no time for it this year.", "The screen goes away soon.", "It costs more than it brings."),
    "worksforme": ("I tried it five times and saw nothing.", "All is well on my machine.", "It cannot be seen at the office."),
}
WORDS = ("Please look at it this week.", "The crew waits for this.", "Seen again on Monday.", "A photo is with the harbour master.")
WISHES = ("needs a dark theme", "should show the crew", "wants larger letters", "should remember the pier", "needs a help text")


def draw_close(rng: random.Random) -> Instance:
    ticket, resolution = open_ticket(rng), rng.choice(sorted(REASONS))
    text = rng.choice(REASONS[resolution])
    values = {"summary": ticket.summary, "resolution": resolution, "comment": text}
    tickets = {"changed": changed(ticket, status="closed", resolution=resolution)}
    return due(values, tickets=tickets, comments={"added": [comment(ticket, text)]})


def draw_hand_over(rng: random.Random) -> Instance:
    ticket = open_ticket(rng)
    person = rng.choice([person for person in PEOPLE if person != ticket.owner])
    return due({"summary": ticket.summary, "person": person}, tickets={"changed": changed(ticket, status="assigned", owner=person)})


def draw_file(rng: random.Random) -> Instance:
    screen = rng.choice(sorted(SCREENS))
    component = SCREENS[screen]
    row = {
        "type": rng.choice(TYPES), "summary": f"{screen} {rng.choice(WISHES)}", "component": component, "priority": rng.choice(PRIORITIES),
        "milestone": rng.choice(sorted(MILESTONES)), "version": "", "owner": COMPONENTS[component], "reporter": ME, "status": "new",
        "resolution": "", "keywords": "", "cc": "", "description": rng.choice(WORDS),
    }  # fmt: skip
    values = {name: row[name] for name in ("type", "summary", "component", "priority", "milestone", "description")}
    return due(values, tickets={"added": [row]})


def draw_sort(rng: random.Random) -> Instance:
    ticket = open_ticket(rng)
    priority = rng.choice([one for one in PRIORITIES if one != ticket.priority])
    milestone = rng.choice([one for one in MILESTONES if one != ticket.milestone])
    values = {"summary": ticket.summary, "priority": priority, "milestone": milestone}
    return due(values, tickets={"changed": changed(ticket, priority=priority, milestone=milestone)})


def draw_mark_fault(rng: random.Random) -> Instance:
    """Two fields of one ticket, named by what is wrong with it."""
    ticket = open_ticket(rng)
    keyword = rng.choice([one for one in KEYWORDS if one != ticket.keywords])
    version = rng.choice([one for one in VERSIONS if one != ticket.version])
    values = {"summary": ticket.summary, "keyword": keyword, "version": version}
    return due(values, tickets={"changed": changed(ticket, keywords=keyword, version=version)})


def draw_duplicate(rng: random.Random) -> Instance:
    newer = open_ticket(rng)
    older = rng.choice([ticket for ticket in TICKETS if ticket.id != newer.id and ticket.component == newer.component])
    text = f"Same as ticket {older.id}."
    values = {"summary": newer.summary, "other": older.summary}
    tickets = {"changed": changed(newer, status="closed", resolution="duplicate")}
    return due(values, tickets=tickets, comments={"added": [comment(newer, text)]})


def draw_watch_both(rng: random.Random) -> Instance:
    first = open_ticket(rng)
    second = open_ticket(rng, lambda ticket: ticket.id != first.id)
    person = rng.choice(PEOPLE[1:])
    both = {**changed(first, cc=person), **changed(second, cc=person)}
    return due({"first": first.summary, "second": second.summary, "person": person}, tickets={"changed": both})


def draw_take_up(rng: random.Random) -> Instance:
    """The two tickets of a screen's faults are compared: the one with the lower number is accepted."""
    first = open_ticket(rng, lambda ticket: ticket.status != "accepted")
    second = open_ticket(rng, lambda ticket: ticket.id != first.id and ticket.status != "accepted")
    older = min(first, second, key=lambda ticket: ticket.id)
    values = {"first": first.summary, "second": second.summary}
    return due(values, tickets={"changed": changed(older, status="accepted", owner=ME)})


GOALS = [
    goal("close-ticket", draw_close),
    goal("hand-over", draw_hand_over),
    goal("file-ticket", draw_file),
    goal("sort-ticket", draw_sort),
    goal("mark-ticket", draw_mark_fault),
    goal("close-duplicate", draw_duplicate),
    goal("watch-both", draw_watch_both),
    goal("take-up-older", draw_take_up),
]
