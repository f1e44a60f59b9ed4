"""Goals with the calendar and invitations."""

from datetime import datetime, timedelta

from ..records import plain
from ..scene import Scene, Wanted, in_words
from .goal import Told, goal

WORDS = {"yes": "accept", "no": "decline", "maybe": "answer maybe to"}
MEETINGS = (
    "Kick-off", "Tender talk", "Colour evening", "Walk-through", "Snag list", "Neighbours' tea", "Topping out", "Handover", "Workshop",
    "Open house",
)  # fmt: skip
DAY = datetime(2026, 1, 12)


def invite(scene: Scene, person, title: str, start: datetime, minutes: int, cancelled: bool = False, hours: tuple[float, float] = (0.2, 6)):
    """An event of another person, and the mail that invites to it."""
    place = scene.rng.choice(scene.content["places"])
    found = scene.event(title, start, minutes, place=place, organiser=person.name, cancelled=cancelled)
    scene.mail(person, f"Invitation: {title}", "You are invited. Please answer below.", sent=scene.hours_ago(*hours), event=found.id)
    return found


def title_of(scene: Scene) -> str:
    """A title that no other event has."""
    found = f"{scene.rng.choice(MEETINGS)}, {scene.topic()}"
    scene.avoid(found)
    return found


@goal("respond", twin="respond-cancelled")
def respond(scene: Scene) -> Told:
    """Answer an invitation; in the twin its organiser has cancelled it."""
    person, other = scene.people(2, "colleague", "client", "friend")
    title, answer = title_of(scene), scene.rng.choice(list(WORDS))
    start = DAY + timedelta(days=scene.rng.randrange(0, 5), hours=scene.rng.randrange(9, 17))
    found = invite(scene, person, title, start, 60, cancelled=not scene.feasible)
    invite(scene, other, title_of(scene), start + timedelta(days=1), 30)
    values = {"name": person.name, "title": title, "do": WORDS[answer], "Do": WORDS[answer].capitalize()}
    return values, Wanted({"events": {"changed": {str(found.id): {"answer": answer}}}})


@goal("meeting")
def meeting(scene: Scene) -> Told:
    """Put an appointment that a mail proposes into the calendar."""
    person, subject, title = scene.person("client", "supplier", "colleague"), scene.subject(), title_of(scene)
    scene.contact(person)
    place = scene.rng.choice(scene.content["places"][:4])
    old, day = (DAY + timedelta(days=days) for days in scene.rng.sample([0, 1, 2, 3, 4, 7, 8, 9, 10, 11], 2))
    start = day + timedelta(hours=scene.rng.randrange(9, 17), minutes=scene.rng.choice((0, 15, 30, 45)))
    end = start + timedelta(minutes=scene.rng.choice((30, 45, 60, 90)))
    first = f"Shall we meet about {subject} on {in_words(old)}, in the afternoon? I have no room yet."
    second = f"I have to move it. How about {in_words(day)} ({day:%Y-%m-%d}), {start:%H:%M} to {end:%H:%M}, in {place}?"
    scene.mail(person, subject, first, second, sent=scene.hours_ago(30, 300), folder="archive", read=True)
    event = {"title": title, "start": plain(start), "end": plain(end), "place": place, "guests": [person.email]}
    event |= {"organiser": "", "answer": "none", "cancelled": False}
    return {"name": person.name, "subject": subject, "title": title}, Wanted({"events": {"added": [event]}})


@goal("invitations")
def invitations(scene: Scene) -> Told:
    """Accept the invitations that fit into the week, and decline those that clash with the calendar."""
    person, count = scene.person("colleague", "client"), scene.rng.choice((6, 7))
    monday = DAY + timedelta(days=7 * scene.rng.randrange(3))
    scene.busy = False
    slots = [(day, hour) for day in range(5) for hour in (9, 11, 13, 15)]
    scene.rng.shuffle(slots)
    clashes = [True] * 2 + [False] * 2 + [scene.rng.random() < 0.5 for _ in range(count - 4)]
    scene.rng.shuffle(clashes)
    answers = {}
    for number, clash in enumerate(clashes):
        day, hour = slots[number]
        start = monday + timedelta(days=day, hours=hour, minutes=scene.rng.choice((0, 15)))
        found = invite(scene, person, title_of(scene), start, scene.rng.choice((60, 75)), hours=(0.1, 1.8))
        answers[str(found.id)] = {"answer": "no" if clash else "yes"}
        if clash:
            offset = scene.rng.choice((-30, 0, 30))
            scene.event(_own(scene), start + timedelta(minutes=offset), 60, place=scene.rng.choice(scene.content["places"]))
    for day, hour in slots[count : count + 3]:
        scene.event(_own(scene), monday + timedelta(days=day, hours=hour), 60, place=scene.rng.choice(scene.content["places"]))
    return {"name": person.name, "week": in_words(monday)}, Wanted({"events": {"changed": answers}})


def _own(scene: Scene) -> str:
    return scene.rng.choice(("Dentist", "Portfolio hour", "Model review", "Choir practice", "Budget talk", "Call with the glazier", "Crit"))
