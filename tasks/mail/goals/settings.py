"""Goals with the settings."""

from datetime import timedelta

from ..catalogue import FOLDERS
from ..mailbox import NOW
from ..scene import Scene, Wanted, moved, newsletter_address
from .filing import news
from .goal import Told, goal

TITLES = ("Project lead", "Architect", "Chief of models", "Associate", "Head of drawings", "Partner")
AWAY = (
    "I am on holiday.", "I am at a building site without a telephone.", "I am ill and in bed.", "I am on a course.",
    "I am moving house.",
)  # fmt: skip


@goal("signature")
def signature(scene: Scene) -> Told:
    """Change the signature."""
    text = f"{scene.rng.choice(('Nora Vance', 'N. Vance', 'Nora'))}, {scene.rng.choice(TITLES)}, phone {scene.rng.randrange(100, 999)}"
    return {"text": text}, Wanted({"settings": {"signature": text}})


@goal("vacation")
def vacation(scene: Scene) -> Told:
    """Turn the vacation responder on."""
    first = NOW.date() + timedelta(days=scene.rng.randrange(3, 60))
    last = first + timedelta(days=scene.rng.randrange(2, 16))
    text = f"{scene.rng.choice(AWAY)} I will answer on {(last + timedelta(days=1)):%d.%m}."
    subject = scene.rng.choice(("Away", "Out of the office", "Not here", "Back soon", "On leave"))
    fields = {"first": first.isoformat(), "last": last.isoformat(), "vacation_subject": subject, "vacation_text": text}
    values = {"first": first, "last": last, "subject": subject, "text": text}
    return values, Wanted({"settings": {"vacation": True, **fields}})


@goal("filter")
def filter(scene: Scene) -> Told:
    """Make a filter for a sender and apply it to the mail that has come already."""
    firm, other = scene.firm(), scene.firm()
    folder = scene.rng.choice(FOLDERS)
    found = news(scene, firm, scene.rng.randrange(2, 5), "inbox", 1, 600)
    news(scene, other, 1, "inbox", 1, 30)
    news(scene, firm, 1, "archive", 100, 900)
    email = newsletter_address(firm)
    rule = {"sender": email, "subject": "", "folder": folder.lower(), "label": ""}
    return {"email": email, "folder": folder}, Wanted({**moved(found, folder.lower()), "rules": {"added": [rule]}})
