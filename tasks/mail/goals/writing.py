"""Goals in which a mail goes out."""

from datetime import timedelta

from ..scene import Scene, Wanted, sent
from .filing import december
from .goal import Told, goal
from .reading import decoys

REPLIES = (
    "Thank you, that suits me well.", "I will look at it on Thursday.", "Please go ahead.", "Could we talk about it tomorrow?",
    "I would rather wait until March.", "Yes, with pleasure.", "Sorry, not this time.", "Please ask me again next week.",
    "Let us take the blue one.", "I agree with all of it.",
)  # fmt: skip
NOTES = (
    "For your files.", "Please have a look.", "As we said on the phone.", "This one is for you.", "What do you think?",
    "Here it is at last.", "Please keep it safe.", "See the last page.",
)  # fmt: skip
THINGS = (
    "oak panels", "front doors", "stair rails", "glass roof", "steel beams", "wall lamps", "signs", "roof tiles", "window frames",
    "benches",
)  # fmt: skip
RIDES = ("Gannet Cabs", "Comet Couriers", "Blue Door Taxis", "Swift & Sons Vans", "Lamplight Rides")


def reply_change(thread: int, email: str, subject: str, body: str) -> dict:
    """One reply, as the account keeps it."""
    return {"sent": [sent([email], f"Re: {subject}", body, kind="reply", thread=thread)]}


@goal("reply")
def reply(scene: Scene) -> Told:
    """Answer a mail with a given text."""
    person, subject, text = scene.person(), scene.subject(), scene.rng.choice(REPLIES)
    found = scene.mail(person, subject, scene.small_talk(subject))
    decoys(scene, person.name, subject)
    values = {"name": person.name, "subject": subject, "text": text}
    return values, Wanted(reply_change(found.id, person.email, subject, text))


@goal("send-file", twin="send-file-missing")
def send_file(scene: Scene) -> Told:
    """Write a mail with a file of the account; in the twin the account has no such file."""
    person, text = scene.person(), scene.rng.choice(NOTES)
    subject = f"{scene.topic().capitalize()} for the {scene.rng.choice(scene.content['projects'])}"
    stem, number = scene.rng.choice(("plan", "offer", "contract", "survey", "list")), scene.rng.randrange(100, 990)
    name, near = f"{stem}-{number}.pdf", f"{stem}-{number + 1}.pdf"
    scene.contact(person)
    scene.avoid(name)
    scene.file(near, "An older one.")
    if scene.feasible:
        scene.file(name, "The newest one.")
    values = {"name": person.name, "file": name, "subject": subject, "text": text}
    return values, Wanted({"sent": [sent([person.email], subject, text, files=[name])]})


@goal("find-forward", twin="find-forward-missing")
def find_forward(scene: Scene) -> Told:
    """Find an old mail by sender and subject and forward it; in the twin only another person has written such a mail."""
    person, other, subject, text = scene.person(), scene.person("client"), scene.subject(), scene.rng.choice(NOTES)
    target = scene.person("colleague", "friend")
    scene.contact(target)
    name = f"report-{scene.rng.randrange(100, 999)}.pdf"
    when = [scene.hours_ago(400, 2000) for _ in range(3)]
    second = scene.subject()
    scene.mail(other, subject, scene.small_talk(subject), sent=when[0], files=(name,), read=True)
    scene.mail(person, second, scene.small_talk(second), sent=when[1], folder="archive", read=True)
    values = {"name": person.name, "subject": subject, "target": target.name, "text": text}
    if not scene.feasible:
        return values, Wanted({})
    found = scene.mail(person, subject, scene.small_talk(subject), sent=when[2], folder="archive", files=(name,), read=True)
    return values, Wanted({"sent": [sent([target.email], f"Fwd: {subject}", text, kind="forward", thread=found.id, files=[name])]})


@goal("best-offer")
def best_offer(scene: Scene) -> Told:
    """Compare the prices of suppliers, delivery included, and accept the cheapest."""
    thing = f"{scene.rng.choice(THINGS)} for the {scene.rng.choice(scene.content['projects'])}"
    text, count = scene.rng.choice(REPLIES[:3]), scene.rng.choice((4, 5))
    subject = f"Offer: {thing}"
    scene.avoid(thing)
    goods, carriage = scene.rng.sample(range(90, 240), count), scene.rng.sample(range(1, 60), count)
    while len({10 * g + 5 * c for g, c in zip(goods, carriage, strict=True)}) < count:
        carriage = scene.rng.sample(range(1, 60), count)
    offers = {}
    for price, extra in zip(goods, carriage, strict=True):
        person = scene.person("supplier", "client", "friend")
        body = f"Good day,\nfor the {thing} we ask €{10 * price}. Delivery is another €{5 * extra}. The offer holds until March."
        when = scene.hours_ago(3, 200)
        offers[10 * price + 5 * extra] = (person, scene.mail(person, subject, body, sent=when))
    other = scene.person("supplier")
    scene.mail(other, "Price list for the spring", "Please find the new prices on our pages.")
    person, found = offers[min(offers)]
    return {"thing": thing, "text": text}, Wanted(reply_change(found.id, person.email, subject, text))


@goal("approval")
def approval(scene: Scene) -> Told:
    """Find in the rules the person who approves an invoice of this sum, and forward it to them."""
    small, middle, large, copy = scene.people(4, "colleague")
    for person in (small, middle, large, copy):
        scene.contact(person)
    first, second = scene.rng.choice((300, 400, 500)), scene.rng.choice((1500, 2000, 2500))
    firm, topic = scene.person("supplier"), scene.topic()
    amount = scene.rng.choice(
        (scene.rng.randrange(80, first), scene.rng.randrange(first + 20, second), scene.rng.randrange(second + 20, 6000))
    )
    name = f"spending-rules-{scene.rng.randrange(10, 99)}.txt"
    scene.file(
        name,
        f"Who approves invoices\nUp to €{first}: {small.name}.\nUp to €{second}: {middle.name}.\nAbove that: {large.name}.\n"
        f"{copy.name} gets a copy (Cc) of all above €{first}.",
    )
    subject, text = f"Invoice for the {topic}", scene.rng.choice(NOTES)
    found = scene.mail(
        firm, subject, f"Dear customer,\nwe charge €{amount} for the {topic}. Please pay within thirty days.", sent=scene.hours_ago(2, 300)
    )
    approver = small if amount <= first else middle if amount <= second else large
    cc = [copy.email] if amount > first else []
    values = {"rules": name, "subject": subject, "text": text}
    mail = sent([approver.email], f"Fwd: {subject}", text, kind="forward", thread=found.id, cc=cc)
    return values, Wanted({"sent": [mail]})


@goal("claim")
def claim(scene: Scene) -> Told:
    """Add up the receipts of December, and mail the total."""
    firm, person = scene.rng.choice(RIDES), scene.person("colleague")
    scene.contact(person)
    scene.avoid(firm)
    subject, days, total = f"Receipt from {firm}", december(scene), 0
    for day in days[:7]:
        cents = scene.rng.randrange(90, 480) * 10
        total += cents
        where = scene.rng.choice(scene.content["streets"])
        scene.mail(
            firm,
            subject,
            f"Thank you for your ride to {where}. You paid €{cents / 100:.2f} by card.",
            sent=day,
            folder="archive",
            read=True,
        )
    early = days[7].replace(month=11, day=min(days[7].day, 28))
    scene.mail(
        firm,
        subject,
        f"Thank you for your ride. You paid €{scene.rng.randrange(90, 480) / 10:.2f} by card.",
        sent=early,
        folder="archive",
        read=True,
    )
    about = f"Rides in December, claim {scene.rng.randrange(100, 999)}"
    values = {"receipt": subject, "name": person.name, "subject": about}
    return values, Wanted({"sent": [sent([person.email], about, f"€{total / 100:.2f}")]})


@goal("handover")
def handover(scene: Scene) -> Told:
    """Do all requests of a mail before a holiday: responder, a forward, a move."""
    boss, deputy = scene.people(2, "colleague")
    scene.contact(deputy)
    subject = f"Before you go: {scene.topic()}"
    keep, give = scene.subject(), scene.subject()
    author, writer = scene.person("client"), scene.person("client")
    folder = scene.rng.choice(("Clients", "House", "Travel"))
    first = scene.hours_ago(0, 1).date() + timedelta(days=scene.rng.randrange(6, 20))
    last = first + timedelta(days=scene.rng.randrange(3, 12))
    text = f"I am away. Please write to {deputy.name}."
    old = scene.hours_ago(300, 900)
    kept = scene.mail(author, keep, scene.small_talk(keep), sent=old, read=True)
    given = scene.mail(writer, give, scene.small_talk(give), sent=scene.hours_ago(300, 900), folder="archive", read=True)
    scene.mail(
        boss,
        subject,
        f'Three things, please.\n1. Vacation responder from {first} to {last}, no subject, text: "{text}"\n'
        f'2. Forward "{give}" to {deputy.name}, with no text of your own.\n'
        f'3. Move "{keep}" to the folder {folder}.',
    )
    settings = {"vacation": True, "first": first.isoformat(), "last": last.isoformat(), "vacation_text": text}
    return {"name": boss.name, "subject": subject}, Wanted({
        "threads": {"changed": {str(kept.id): {"folder": folder.lower()}}},
        "sent": [sent([deputy.email], f"Fwd: {give}", "", kind="forward", thread=given.id)],
        "settings": settings,
    })  # fmt: skip
