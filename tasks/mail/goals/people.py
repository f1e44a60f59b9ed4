"""Goals with the address book."""

from ..catalogue import address
from ..scene import Scene, Wanted
from .goal import Told, goal

PARTIES = (
    "Supper club", "Board game night", "Harvest lunch", "Lantern walk", "Farewell tea", "Film evening", "Bonfire", "Quiz night",
)  # fmt: skip


def phone(scene: Scene) -> str:
    return f"0{scene.rng.randrange(20, 90)} {scene.rng.randrange(100, 999)} {scene.rng.randrange(1000, 9999)}"


@goal("new-contact")
def new_contact(scene: Scene) -> Told:
    """Fill in the form of a new contact."""
    person, firm, number = scene.person(), scene.firm(), phone(scene)
    email = address(person.name, firm)
    values = {"name": person.name, "email": email, "phone": number, "company": firm}
    return values, Wanted({"contacts": {"added": [dict(values)]}})


@goal("new-numbers")
def new_numbers(scene: Scene) -> Told:
    """Read the new phone numbers of some people in their mails, and put each into the address book."""
    firm, count = scene.firm(), scene.rng.choice((2, 3, 3))
    subject = f"New phone number, {firm}"
    changed = {}
    for person in scene.people(count, "friend"):
        old, new = phone(scene), phone(scene)
        contact = scene.contact(person, company=firm, email=address(person.name, firm), phone=old)
        scene.mail(
            person,
            subject,
            f"Hello,\nour telephones have changed. My old number {old} is gone, the new one is {new}.",
            sent=scene.hours_ago(2, 300),
        )
        changed[str(contact.id)] = {"phone": new}
    return {"firm": firm, "subject": subject}, Wanted({"contacts": {"changed": changed}})


@goal("guests")
def guests(scene: Scene) -> Told:
    """Find the guests of a party in the answers, where some change their minds, and make a group of them."""
    party, month = scene.rng.choice(PARTIES), scene.rng.choice(("in January", "in February", "in March"))
    title = f"{party} {month}"
    group = f"{party} {scene.rng.randrange(10, 99)}"
    scene.avoid(party)
    yes = ("I will be there.", "Yes, with pleasure. I bring a cake.", "Of course I come.", "Count me in.")
    no = ("I cannot come, sorry.", "Sadly not, I am in Oslo that week.", "I have to work, so no.")
    comes = [True, True, True, False, False, scene.rng.random() < 0.5]
    scene.rng.shuffle(comes)
    members = []
    for person, coming in zip(scene.people(6, "friend", "colleague"), comes, strict=True):
        scene.contact(person)
        last = scene.rng.choice(yes if coming else no)
        changes = scene.rng.random() < 0.3
        before = [scene.rng.choice(no if coming else yes)] if changes else []
        scene.mail(person, f"Re: {title}", *before, f"I have changed my mind. {last}" if changes else last, sent=scene.hours_ago(2, 200))
        members += [person.name] if coming else []
    return {"party": title, "group": group}, Wanted({"groups": {"added": [{"name": group, "members": sorted(members)}]}})
