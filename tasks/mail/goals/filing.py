"""Goals of order: moving, labelling, throwing away, and undoing mistakes."""

from datetime import datetime, timedelta

from ..catalogue import FOLDERS, LABELS
from ..mailbox import NOW
from ..records import Thread
from ..scene import Scene, Wanted, moved, newsletter_address
from .goal import Told, goal
from .reading import decoys

NEWS = (
    "News of the month", "Your statement", "A word before the weekend", "What members say", "New opening hours",
    "Thank you for your visit", "Only this week", "We have moved", "Please rate us", "The spring programme", "Good to know",
    "A small change", "Last call", "Our team grows", "Questions and answers",
)  # fmt: skip


def news(scene: Scene, firm: str, count: int, folder: str, least_h: float, most_h: float) -> list[Thread]:
    """Mails of a firm, each under another subject."""
    subjects = scene.rng.sample(NEWS, count)
    lines = ("This and that from our house. Have a good day.", "Here is what is new. See you soon.", "Thank you for being with us.")
    return [
        scene.mail(firm, subject, scene.rng.choice(lines), sent=scene.hours_ago(least_h, most_h), folder=folder, read=False)
        for subject in subjects
    ]


@goal("tidy")
def tidy(scene: Scene) -> Told:
    """Tick the mails of one sender on the first page, and archive or throw them away."""
    firm, other = scene.firm(), scene.firm()
    folder = scene.rng.choice(("archive", "trash"))
    found = news(scene, firm, scene.rng.choice((2, 3)), "inbox", 0.2, 9)
    news(scene, other, 1, "inbox", 0.2, 9)
    news(scene, firm, 1, "invoices", 30, 90)
    return {"firm": firm, "folder": folder.title()}, Wanted(moved(found, folder))


@goal("restore")
def restore(scene: Scene) -> Told:
    """Take a mail out of the trash into the folder where it belongs."""
    person, subject, folder = scene.person(), scene.subject(), scene.rng.choice(FOLDERS)
    sent = scene.hours_ago(1, 40)
    found = scene.mail(person, subject, scene.small_talk(subject), sent=sent, folder="trash", read=True)
    other = scene.subject()
    scene.mail(person, other, scene.small_talk(other), folder="trash", read=True)
    scene.mail(scene.person("client"), subject, scene.small_talk(subject), folder="trash", read=True)
    return {"name": person.name, "subject": subject, "folder": folder}, Wanted(moved([found], folder.lower()))


@goal("file-under")
def file_under(scene: Scene) -> Told:
    """Label a mail and move it to a folder."""
    person, subject = scene.person(), scene.subject()
    folder, label = scene.rng.choice(FOLDERS), scene.rng.choice(LABELS)
    found = scene.mail(person, subject, scene.small_talk(subject))
    decoys(scene, person.name, subject)
    change = {"folder": folder.lower(), "labels": [label.lower()]}
    values = {"name": person.name, "subject": subject, "folder": folder, "label": label}
    return values, Wanted({"threads": {"changed": {str(found.id): change}}})


@goal("sweep")
def sweep(scene: Scene) -> Told:
    """Make a folder and move all mails of a sender into it, over two pages of results; others only mention the sender."""
    firm, person = scene.firm(), scene.person("friend")
    topic = scene.topic()
    name = f"{firm.split()[0]} {scene.rng.choice(('mail', 'papers', 'news', 'post'))}"
    found = news(scene, firm, scene.rng.randrange(9, 14), "inbox", 1, 1600)
    found += news(scene, firm, 1, "archive", 900, 1700)
    scene.mail(person, f"Have you tried {topic}?", f"I found it at {firm}. Have a look when you pass by.")
    values = {"firm": firm, "folder": name}
    place = {"name": name}
    slug = name.lower().replace(" ", "-")
    return values, Wanted({**moved(found, slug), "folders": {"added": [place]}})


@goal("wrong-filter")
def wrong_filter(scene: Scene) -> Told:
    """Delete the filter that throws mail away, and bring back what it threw away."""
    firm, other, third = scene.firm(), scene.firm(), scene.firm()
    rules = [
        {"sender": newsletter_address(firm), "folder": "trash"},
        {"sender": newsletter_address(other), "folder": scene.rng.choice(FOLDERS).lower()},
        {"subject": f"{third} gift card", "folder": "spam"},
    ]
    scene.rng.shuffle(rules)
    made = [scene.rule(**rule) for rule in rules]
    wrong = next(rule for rule in made if rule.folder == "trash")
    found = news(scene, firm, scene.rng.randrange(4, 7), "trash", 2, 60)
    news(scene, other, 1, "trash", 2, 60)
    values = {"firm": firm, "email": newsletter_address(firm)}
    return values, Wanted({**moved(found, "inbox"), "rules": {"removed": [str(wrong.id)]}})


def december(scene: Scene, hour: int = 9) -> list[datetime]:
    """Mornings of last December, in a drawn order."""
    days = [NOW.replace(month=12, year=2025, day=day, hour=hour) + timedelta(minutes=scene.rng.randrange(300)) for day in range(2, 31)]
    scene.rng.shuffle(days)
    return days
