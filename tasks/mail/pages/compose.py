"""Writing: new mails, replies and forwards, with files of the account; drafts."""

import dataclasses

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..mailbox import Mailbox
from ..records import OWNER_EMAIL, Draft, Thread
from .form import Form, account, form_of, one

TITLES = {"new": "New mail", "reply": "Reply", "forward": "Forward"}


async def compose(request: Request) -> Response:
    """An empty form, or one that answers or forwards a mail."""
    mailbox, asked = account(request), request.query_params
    draft = Draft(0, to=asked.get("to", "")[:200])
    for kind in ("reply", "all", "forward"):
        if asked.get(kind, "").isdecimal():
            draft = _about(one(mailbox.threads, int(asked[kind][:9]), "mail"), kind)
    return _shown(request, draft)


def _about(thread: Thread, kind: str) -> Draft:
    """The beginning of a reply to a mail, or of a forward."""
    last, subject = thread.last, thread.subject
    if kind == "forward":
        subject = subject if subject.startswith("Fwd: ") else f"Fwd: {subject}"
        files = tuple(dict.fromkeys(name for m in thread.messages for name in m.files))
        return Draft(0, subject=subject, files=files, kind="forward", thread=thread.id)
    to = last.to if last.email == OWNER_EMAIL else (last.email,)
    cc = [email for email in (*last.to, *last.cc) if email not in (*to, OWNER_EMAIL)] if kind == "all" else []
    subject = subject if subject.startswith("Re: ") else f"Re: {subject}"
    return Draft(0, ", ".join(to), ", ".join(cc), subject, kind="reply", thread=thread.id)


def _shown(request: Request, draft: Draft, errors: dict[str, str] | None = None) -> Response:
    mailbox = account(request)
    about = mailbox.threads.get(draft.thread)
    values = {"draft": draft, "about": about, "errors": errors or {}, "title": TITLES[draft.kind], "signature": mailbox.settings.signature}
    return page(request, "compose.html", status=422 if errors else 200, **values)


def _written(form: Form, mailbox: Mailbox) -> Draft:
    """The draft as the form has it; unknown files and threads are left out."""
    thread = next((id for id in form.numbers("thread") if mailbox.threads.get(id)), 0)
    kind = form.text("kind") if thread else "new"
    about = mailbox.threads.get(thread)
    known = {file.name for file in mailbox.files.values()} | {name for m in (about.messages if about else ()) for name in m.files}
    files = tuple(dict.fromkeys(name for name in form.all("files") if name in known))
    id = next((id for id in form.numbers("draft") if mailbox.drafts.get(id)), 0)
    kind = kind if kind in ("reply", "forward") else "new"
    return Draft(id, form.text("to"), form.text("cc"), form.text("subject"), form.area("body"), files, kind, thread)  # type: ignore[arg-type]


async def written(request: Request) -> Response:
    """Sends the mail, or keeps it as a draft, or discards it, or goes on to choose files."""
    mailbox, form = account(request), await form_of(request)
    draft, deed = _written(form, mailbox), form.text("do")
    if deed == "send":
        to, wrong = mailbox.recipients(draft.to)
        cc, wrong_cc = mailbox.recipients(draft.cc)
        errors = _errors(draft, to, wrong, wrong_cc)
        if errors:
            return _shown(request, draft, errors)
        mailbox.send(draft, to, [email for email in cc if email not in to])
        return see_other(f"/thread/{draft.thread}" if draft.kind == "reply" else "/mail/inbox")
    if deed == "discard":
        if draft.id:
            mailbox.drafts.remove(draft.id)
        mailbox.say("The draft was discarded.")
        return see_other("/mail/inbox")
    if deed not in ("save", "attach"):
        raise HTTPException(400, "A mail can be sent, saved or discarded.")
    draft = dataclasses.replace(draft, id=draft.id or mailbox.new_id())
    mailbox.drafts.put(draft.id, draft)
    if deed == "attach":
        return see_other(f"/draft/{draft.id}/files")
    mailbox.say("The draft was saved.")
    return see_other("/mail/drafts")


def _errors(draft: Draft, to: list[str], wrong: list[str], wrong_cc: list[str]) -> dict[str, str]:
    """Errors that prevent sending, by field."""
    errors = {}
    if wrong:
        errors["to"] = f"“{wrong[0]}” is neither an address nor one of your contacts."
    elif not to:
        errors["to"] = "Say who is to get this mail."
    if wrong_cc:
        errors["cc"] = f"“{wrong_cc[0]}” is neither an address nor one of your contacts."
    if not draft.subject:
        errors["subject"] = "Give the mail a subject."
    if not draft.body and not draft.files and draft.kind != "forward":
        errors["body"] = "The mail is empty."
    return errors


async def draft(request: Request) -> Response:
    return _shown(request, one(account(request).drafts, request.path_params["id"], "draft"))


async def files(request: Request) -> Response:
    """Choice of the account's files that go with the mail."""
    mailbox = account(request)
    found = one(mailbox.drafts, request.path_params["id"], "draft")
    named = request.query_params.get("name", "").strip().casefold()[:100]
    listed = sorted((f for f in mailbox.files.values() if named in f.name.casefold()), key=lambda f: f.name)
    return page(request, "attach.html", draft=found, files=listed, named=named)


async def attach(request: Request) -> Response:
    """The ticked files, which replace the earlier choice among the shown ones, and the chosen files that were not shown."""
    mailbox, form = account(request), await form_of(request)
    found = one(mailbox.drafts, request.path_params["id"], "draft")
    known, shown = {file.name for file in mailbox.files.values()}, set(form.all("shown"))
    kept = [name for name in found.files if name not in shown]
    chosen = [name for name in form.all("files") if name in known]
    mailbox.drafts.put(found.id, dataclasses.replace(found, files=tuple(dict.fromkeys([*kept, *chosen]))))
    return see_other(f"/draft/{found.id}")


ROUTES = [
    Route("/compose", compose, methods=["GET"]),
    Route("/compose", written, methods=["POST"]),
    Route("/draft/{id:int}", draft),
    Route("/draft/{id:int}/files", files, methods=["GET"]),
    Route("/draft/{id:int}/files", attach, methods=["POST"]),
]
