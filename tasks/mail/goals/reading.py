"""Goals that a single mail answers."""

from ..scene import Scene, Wanted
from .goal import Told, goal

FACTS = {  # a fact to ask for: the sentence that gives it, and its draw
    "door code": ("The door code is {}.", lambda rng: str(rng.randrange(1000, 9999))),
    "booking number": ("Our booking number is {}.", lambda rng: f"{rng.choice('ABCDEFGHK')}{rng.randrange(10000, 99999)}"),
    "locker": ("Your things are in locker {}.", lambda rng: str(rng.randrange(11, 299))),
    "phone extension": ("You reach me under the phone extension {}.", lambda rng: str(rng.randrange(200, 999))),
    "seat": ("I have kept the seat {} for you.", lambda rng: f"{rng.choice('ABCDEF')}{rng.randrange(1, 40)}"),
}


def decoys(scene: Scene, name_taken: str, subject: str) -> None:
    """Mails that look like the wanted one: its subject from another sender, and others of the same sender."""
    other = scene.person("colleague", "client")
    scene.mail(other, subject, scene.small_talk(subject))
    assert other.name != name_taken


@goal("star")
def star(scene: Scene) -> Told:
    """Find a mail by sender and subject, and star it."""
    person, subject = scene.person(), scene.subject()
    found = scene.mail(person, subject, scene.small_talk(subject))
    decoys(scene, person.name, subject)
    other = scene.subject()
    scene.mail(person, other, scene.small_talk(other))
    return {"name": person.name, "subject": subject}, Wanted({"threads": {"changed": {str(found.id): {"starred": True}}}})


@goal("look-up")
def look_up(scene: Scene) -> Told:
    """Read a fact in a mail, where an older mail of the same thread has another."""
    person, subject = scene.person("colleague", "friend", "client"), scene.subject()
    what = scene.rng.choice(list(FACTS))
    sentence, make = FACTS[what]
    now, before, elsewhere = make(scene.rng), make(scene.rng), make(scene.rng)
    first = f"{scene.small_talk(subject)} {sentence.format(before)}"
    second = f"Sorry, I was wrong. {sentence.format(now)} Please forget the old one."
    scene.mail(person, subject, *([first, second] if scene.rng.random() < 0.5 else [f"{scene.small_talk(subject)} {sentence.format(now)}"]))
    other = scene.person("colleague", "friend")
    scene.mail(other, subject, f"{scene.small_talk(subject)} {sentence.format(elsewhere)}")
    return {"name": person.name, "subject": subject, "what": what}, Wanted({}, now)
