"""One mail with its answers: reading, filing, and answering an invitation in it."""

import dataclasses

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..records import OWNER_EMAIL, Event, Thread
from .form import account, form_of, one
from .lists import act

ANSWERS = {"yes": "You accepted.", "maybe": "You may come.", "no": "You declined."}


async def thread(request: Request) -> Response:
    mailbox = account(request)
    found = one(mailbox.threads, request.path_params["id"], "mail")
    mailbox.open_thread(found)
    event = mailbox.events.get(found.last.event) if found.last.event else None
    targets = {id: name for id, name in mailbox.folder_names().items() if id != found.folder}
    everyone = len({*found.last.to, *found.last.cc} - {OWNER_EMAIL}) > 0 and found.last.email != OWNER_EMAIL
    values = {"thread": found, "event": event, "folders": targets, "labels": mailbox.label_names(), "everyone": everyone}
    files = {file.name: file.id for file in mailbox.files.values()}
    return page(request, "thread.html", place=mailbox.folder_names().get(found.folder, "Sent"), files=files, **values)


async def file_away(request: Request) -> Response:
    """Moves, labels, stars or marks the mail. A mail that leaves the folder leads to the list, one that stays to itself."""
    mailbox, form = account(request), await form_of(request)
    found = one(mailbox.threads, request.path_params["id"], "mail")
    deed = form.text("do")
    act(mailbox, [found], deed)
    leaves = deed.startswith("to-") or deed in ("delete", "unread")
    return see_other(_list_of(found) if leaves else f"/thread/{found.id}")


def _list_of(thread: Thread) -> str:
    return f"/mail/{thread.folder}"


async def answer(request: Request) -> Response:
    """Accepts or declines an invitation."""
    mailbox, form = account(request), await form_of(request)
    event: Event = one(mailbox.events, request.path_params["id"], "event")
    given = form.text("answer")
    if given not in ANSWERS or not event.organiser:
        raise HTTPException(400, "An invitation is answered with yes, maybe or no.")
    if event.cancelled:
        mailbox.say("This event was cancelled: it cannot be answered any more.")
    else:
        mailbox.events.put(event.id, dataclasses.replace(event, answer=given))
        mailbox.say(f"{ANSWERS[given]} {event.organiser} was told.")
    back = form.text("back")
    return see_other(back if back.startswith(("/thread/", "/event/")) else f"/event/{event.id}")


ROUTES = [
    Route("/thread/{id:int}", thread),
    Route("/thread/{id:int}/do", file_away, methods=["POST"]),
    Route("/event/{id:int}/answer", answer, methods=["POST"]),
]
