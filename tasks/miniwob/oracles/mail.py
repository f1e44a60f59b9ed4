"""The mailbox: a list of mails (a row each, with trash can and star), the open mail, the forms to reply and to forward."""

import re
from dataclasses import dataclass

from webgym.authoring.oracle import Memory, click, fields, fill, seek, things
from webgym.types import Action, Node, Observation

from . import remembers, solves


@dataclass(frozen=True)
class Request:
    """Request of the goal: `deed` (delete, star, reply, forward) on the mail by `sender`, with this text or to this person."""

    deed: str
    sender: str
    detail: str = ""


@solves(
    "email-inbox",
    "email-inbox-delete",
    "email-inbox-forward",
    "email-inbox-important",
    "email-inbox-noscroll",
    "email-inbox-reply",
    "email-inbox-star-reply",
)
def mailbox(page: Observation) -> Action:
    """Goals of one wording: "Find the email by NAME and ..."."""
    goal = re.fullmatch(r"Find the email by (.*?) and (.*)", page.goal)
    if goal is None:
        raise LookupError(f"the goal {page.goal!r} asks for no mail")
    sender, rest = goal.groups()
    reply = re.search(r'reply to them with the text "(.*)"', rest)
    forward = re.search(r"forward that email to (.*)\.", rest)
    if reply:
        return handle(page, Request("reply", sender, reply[1]))
    if forward:
        return handle(page, Request("forward", sender, forward[1]))
    return handle(page, Request("delete" if "trash" in rest else "star", sender))


@remembers("email-inbox-forward-nl", "email-inbox-forward-nl-turk", "email-inbox-nl-turk")
def worded_mailbox(page: Observation) -> Memory:
    """Goals of any wording are read once, beside the list of the senders."""
    request = read_request(page)
    while True:
        page = yield handle(page, request)


def handle(page: Observation, request: Request) -> Action:
    """The next action towards the request from the present page, which is the list, the open mail or a form."""
    send = next((n for n in things(page) if n.text.startswith("send-")), None)
    if send:
        field = fields(page)[0]
        return click(send) if field.value == request.detail else fill(field, request.detail)
    if request.deed in ("reply", "forward"):
        button = seek(page, request.deed.capitalize())  # below the open mail
        return click(button) if button else click(page.nodes[_row(page, request.sender)])
    icon = "trash" if request.deed == "delete" else "star"
    return click(next(n for n in page.nodes[_row(page, request.sender) + 1 :] if n.ref is not None and n.text.split()[:1] == [icon]))


def _row(page: Observation, sender: str) -> int:
    """The place of the first mail by this sender among the page's nodes."""
    return next(i for i, n in enumerate(page.nodes) if _is_row(n) and n.text.startswith(f"{sender} "))


def _is_row(node: Node) -> bool:
    """A mail's row says sender, subject and the first words."""
    return node.ref is not None and node.role not in ("textbox", "button") and len(node.text.split()) > 2


def read_request(page: Observation) -> Request:
    """Reads a goal of any wording. The list names the senders; another name in the goal is the recipient, a quote the reply."""
    quote = re.search(r'"+(.*?)"+', page.goal)
    said = page.goal.replace(quote[0], " ") if quote else page.goal
    senders = _senders(page, said)
    if quote:
        return Request("reply", senders[0], quote[1])
    if re.search(
        r"\bdelet|\btrash|\bremove|\berase|\bdiscard|\bgarbage|\bthrow|\bbin\b|get rid|don't want|out of my inbox", said.casefold()
    ):
        return Request("delete", senders[0])
    if re.search(r"\bstar\b|\bstarred|\bimport|\bflag|\bmark\b", said.casefold()):
        return Request("star", senders[0])
    return _forward(said, senders)


def _forward(said: str, senders: list[str]) -> Request:
    """Sender and recipient of the mail; the recipient may have written mails, too."""
    if len(senders) > 1:
        first, second = sorted(senders, key=said.index)
        receives = (
            rf"(?:\bto|[Ss]end|[Gg]ive|[Ff]orward|[Ee]mail|[Ss]how|[Ll]et|[Ff]or|with) {first}\b(?!'s)",
            rf"{first} (?:wants|needs|is waiting|should|would|must)",
        )
        owns = rf"{first} wants his|(?:mail|message|information) {first} sent"
        swapped = said.startswith("Find yesterday's emails from")  # in the package's own wording, which the page judges by
        towards = swapped or (any(re.search(pattern, said) for pattern in receives) and not re.search(owns, said))
        return Request("forward", second, first) if towards else Request("forward", first, second)
    sender = senders[0]
    others = [w for w in re.findall(NAME, said.replace(sender, " ")) if w.casefold() not in PLAIN]
    return Request("forward", sender, others[-1])


def _senders(page: Observation, said: str) -> list[str]:
    """The senders in the list that are named in `said`: as words, or where there are none, as part of words (a slip of the pen)."""
    rows = [n.text.split() for n in page.nodes if _is_row(n)]
    names = {" ".join(words[:2]) if f"{words[0]} {words[1]}" in said else words[0] for words in rows}
    exact = [name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?:'?s)?(?![\w-])", said)]
    found = exact or [name for name in names if name in said]
    if not found:
        raise LookupError(f"no sender of the list is named in {page.goal!r}")
    return sorted(found, key=len, reverse=True)[:2]


NAME = r"\b(?:Dee Dee|Jo Ann|La Verne|Miof Mela|Zsa Zsa|[A-Z]{1,2}[a-z]+(?:-[A-Z][a-z]+)?)\b"
PLAIN = frozenset(
    """
    alexa answer ask automatically can check choose click copy could create email find first flag for forward foward from get give
    go i if in inbox it just kindly let locate look mail make mark may me message move my navigate now open pass please primary pull
    put read remind reply resend retrieve save search select send set share siri take tell that the then there this to will would
    write you
    """.split()  # noqa: SIM905
)
"""Words that begin a sentence of a goal and are no names."""
