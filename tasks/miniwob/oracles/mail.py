"""The mailbox: a list of mails (a row each, with trash can and star), the open mail, the forms to reply and to forward."""

import re
from dataclasses import dataclass

from webgym.types import Action, Node, Observation

from . import solves
from .reading import click, fields, fill, seek, things

MAILBOXES = (
    "email-inbox",
    "email-inbox-delete",
    "email-inbox-forward",
    "email-inbox-forward-nl",
    "email-inbox-forward-nl-turk",
    "email-inbox-important",
    "email-inbox-nl-turk",
    "email-inbox-noscroll",
    "email-inbox-reply",
    "email-inbox-star-reply",
)


@dataclass(frozen=True)
class Request:
    """What the goal asks: `deed` (delete, star, reply, forward) on the mail by `sender`, with this text or to this person."""

    deed: str
    sender: str
    detail: str = ""


@solves(*MAILBOXES)
def mailbox(page: Observation) -> Action:
    request = read_request(page)
    send = next((n for n in things(page) if n.text.startswith("send-")), None)
    if send:
        field = fields(page)[0]
        return click(send) if field.value == request.detail else fill(field, request.detail)
    opened = seek(page, request.deed.capitalize(), "clickable", "button", "link")  # Reply and Forward stand below the open mail
    if opened and request.deed in ("reply", "forward"):
        return click(opened)
    row = next(i for i, n in enumerate(page.nodes) if _is_row(n, request.sender))
    if request.deed in ("reply", "forward"):
        return click(page.nodes[row])
    icon = "trash" if request.deed == "delete" else "star"
    return click(next(n for n in page.nodes[row + 1 :] if n.ref is not None and n.text.split()[:1] == [icon]))


def _is_row(node: Node, sender: str) -> bool:
    return node.ref is not None and node.text.split(" ")[0] == sender


def read_request(page: Observation) -> Request:
    """Reads the goal, which may be worded freely: the quoted text is the reply, the names are those that are not plain English."""
    goal = page.goal
    quote = re.search(r'"(.*)"', goal)
    if quote:
        named = _names(goal.replace(quote[0], " "))
        return Request("reply", named[0], quote[1])
    words = goal.casefold()
    named = _names(goal)
    if re.search(r"\b(star|important|importance|starred|mark|flag|favou?rite)\b", words):
        return Request("star", named[0])
    if len(set(named)) < 2 and re.search(r"delet|trash|remove|get rid|erase|discard|garbage|bin\b|throw", words):
        return Request("delete", named[0])
    return Request("forward", *_sender_and_recipient(goal, named))


def _sender_and_recipient(goal: str, named: list[str]) -> tuple[str, str]:
    """Which of the two named people the mail is from, and whom it goes to."""
    first, second = named[0], named[-1]
    towards = rf"(?:\bto|[Ss]end|[Gg]ive|[Ff]orward|[Ee]mail|[Ss]how|[Ll]et|[Ff]or|with)\s+{first}\b(?!'s)|^{first} (?:wants|needs|is waiting|should|would|has to|must|gets)"
    if re.search(towards, goal) and not re.search(
        rf"{first}(?:'s)? (?:wants|wanted) (?:his|her)|(?:[Ee]?mail|message) {first} (?:sent|wrote)", goal
    ):
        return second, first
    return first, second


def _names(goal: str) -> list[str]:
    """The capitalised words of the goal that are no plain English, in order."""
    words = re.findall(r"\b[A-Z][a-z]+(?:-[A-Z][a-z]+)?\b", goal)
    return [w for w in words if w not in PLAIN]


PLAIN = frozenset(
    "Find Locate Look Forward Send Go Please The Give Navigate Search Get I Open Will You Can Could Would Delete Remove Reply Respond "
    "Mark Star Email Mail Message Primary Inbox Now Click Take Then And It This That My Me Trash Add Put Move Make Retrieve Pass Share "
    "Write Tell Answer In To From By Select Choose Check Read Highlight".split()
)
