"""Settings: the owner, the vacation responder, filters, folders and labels; and the files and the help beside them."""

import dataclasses
import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..mailbox import Table
from ..records import Place, Rule, Settings, Thread
from ..search import OPERATORS
from .form import account, day_of, form_of, one, sliced

RESERVED = {"inbox", "starred", "drafts", "sent", "archive", "spam", "trash", "any"}


async def general(request: Request) -> Response:
    return page(request, "settings.html", settings=account(request).settings, errors={})


async def save_general(request: Request) -> Response:
    mailbox, form = account(request), await form_of(request)
    name = form.text("name")
    written = dataclasses.replace(mailbox.settings, name=name, signature=form.area("signature"))
    if not name:
        return page(request, "settings.html", status=422, settings=written, errors={"name": "Your mails need a name to come from."})
    mailbox.settings = written
    mailbox.say("Your settings were saved.")
    return see_other("/settings")


async def vacation(request: Request) -> Response:
    return page(request, "vacation.html", settings=account(request).settings, errors={})


async def save_vacation(request: Request) -> Response:
    mailbox, form = account(request), await form_of(request)
    written = dataclasses.replace(
        mailbox.settings,
        vacation=bool(form.text("vacation")),
        first=day_of(form.text("first")),
        last=day_of(form.text("last")),
        vacation_subject=form.text("subject"),
        vacation_text=" ".join(form.area("text").split()),
    )
    errors = _vacation_errors(written) if written.vacation else {}
    if errors:
        return page(request, "vacation.html", status=422, settings=written, errors=errors)
    mailbox.settings = written
    mailbox.say(f"The vacation responder is {'on' if written.vacation else 'off'}.")
    return see_other("/settings/vacation")


def _vacation_errors(written: Settings) -> dict[str, str]:
    """Errors in a responder that is on, by field."""
    errors = {}
    if written.first is None:
        errors["first"] = "Write the first day as 2026-01-05."
    if written.last is None:
        errors["last"] = "Write the last day as 2026-01-09."
    elif written.first is not None and written.last < written.first:
        errors["last"] = "The last day comes before the first."
    if not written.vacation_text:
        errors["text"] = "Write what people are told."
    return errors


# --- filters ---------------------------------------------------------------------------------------------------------------


async def rules(request: Request) -> Response:
    mailbox = account(request)
    return page(request, "rules.html", rules=list(mailbox.rules), places=mailbox.folder_names(), labels=mailbox.label_names())


async def edit_rule(request: Request) -> Response:
    id = request.path_params.get("id", 0)
    found = one(account(request).rules, id, "filter") if id else Rule(0)
    return _rule_form(request, found)


def _rule_form(request: Request, rule: Rule, errors: dict[str, str] | None = None) -> Response:
    mailbox = account(request)
    places = {"": "Leave it"} | {id: name for id, name in mailbox.folder_names().items() if id != "inbox"}
    labels = {"": "None"} | mailbox.label_names()
    return page(request, "rule_form.html", status=422 if errors else 200, rule=rule, errors=errors or {}, places=places, labels=labels)


async def save_rule(request: Request) -> Response:
    """Keeps the filter; "apply" also runs it over the mail in the inbox."""
    mailbox, form, id = account(request), await form_of(request), request.path_params.get("id", 0)
    if id:
        one(mailbox.rules, id, "filter")
    written = Rule(id, form.text("sender").lower(), form.text("subject"), form.text("folder"), form.text("label"))
    errors = {}
    if not written.sender and not written.subject:
        errors["sender"] = "Name a sender or words of the subject."
    if written.folder not in {"", *mailbox.folder_names()} or written.label not in {"", *mailbox.label_names()}:
        raise HTTPException(400, "There is no such folder or label.")
    if not written.folder and not written.label:
        errors["folder"] = "Choose a folder or a label."
    if errors:
        return _rule_form(request, written, errors)
    written = dataclasses.replace(written, id=id or mailbox.new_id())
    mailbox.rules.put(written.id, written)
    caught = [t for t in mailbox.threads if t.folder == "inbox" and _catches(written, t)] if form.text("apply") else []
    if caught:
        mailbox.alter(caught, "", **({"folder": written.folder} if written.folder else {}))
        for thread in caught if written.label else ():
            mailbox.label(thread, written.label, True)
    mailbox.say(f"The filter was saved{f' and applied to {len(caught)} mails' if form.text('apply') else ''}.")
    return see_other("/settings/filters")


def _catches(rule: Rule, thread: Thread) -> bool:
    sender = f"{thread.last.sender} {thread.last.email}".casefold()
    return rule.sender.casefold() in sender and rule.subject.casefold() in thread.subject.casefold()


async def delete_rule(request: Request) -> Response:
    mailbox = account(request)
    mailbox.rules.remove(one(mailbox.rules, request.path_params["id"], "filter").id)
    mailbox.say("The filter was deleted.")
    return see_other("/settings/filters")


# --- folders and labels ----------------------------------------------------------------------------------------------------


async def places(request: Request) -> Response:
    return _places(request)


def _places(request: Request, errors: dict[str, str] | None = None, typed: str = "") -> Response:
    mailbox = account(request)
    lists = {"folders": list(mailbox.folders), "labels": list(mailbox.labels)}
    return page(request, "places.html", status=422 if errors else 200, errors=errors or {}, typed=typed, **lists)


async def add_place(request: Request) -> Response:
    """A new folder or label."""
    mailbox, form = account(request), await form_of(request)
    kind, name = form.text("kind"), form.text("name")[:40]
    table: Table[Place] = mailbox.labels if kind == "label" else mailbox.folders
    id = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not id:
        return _places(request, {kind: "Write a name with letters."}, name)
    if id in RESERVED or any(p.id == id for p in table):
        return _places(request, {kind: f"There is a {kind} “{name}” already."}, name)
    table.put(id, Place(id, name))
    mailbox.say(f"The {'label' if kind == 'label' else 'folder'} {name} was made.")
    return see_other("/settings/folders")


async def delete_place(request: Request) -> Response:
    """Takes a folder or label away; the folder's mails go to the archive."""
    mailbox, kind, id = account(request), request.path_params["kind"], request.path_params["id"]
    table: Table[Place] = mailbox.labels if kind == "label" else mailbox.folders
    if kind not in ("label", "folder") or table.get(id) is None:
        raise HTTPException(404, "There is no such folder or label.")
    inside = [t for t in mailbox.threads if (id in t.labels if kind == "label" else t.folder == id)]
    if kind == "folder":
        mailbox.alter(inside, "", folder="archive")
    for thread in inside if kind == "label" else ():
        mailbox.label(thread, id, False)
    table.remove(id)
    mailbox.say(f"The {kind} was deleted.")
    return see_other("/settings/folders")


# --- files and help --------------------------------------------------------------------------------------------------------


async def files(request: Request) -> Response:
    mailbox, named = account(request), request.query_params.get("name", "").strip()[:100]
    found = sorted((f for f in mailbox.files.values() if named.casefold() in f.name.casefold()), key=lambda f: f.name)
    return page(request, "files.html", list=sliced(found, request), named=named)


async def file(request: Request) -> Response:
    return page(request, "file.html", file=one(account(request).files, request.path_params["id"], "file"))


async def help(request: Request) -> Response:
    return page(request, "help.html", operators=list(OPERATORS))


ROUTES = [
    Route("/settings", general, methods=["GET"]),
    Route("/settings", save_general, methods=["POST"]),
    Route("/settings/vacation", vacation, methods=["GET"]),
    Route("/settings/vacation", save_vacation, methods=["POST"]),
    Route("/settings/filters", rules),
    Route("/settings/filters/new", edit_rule, methods=["GET"]),
    Route("/settings/filters/new", save_rule, methods=["POST"]),
    Route("/settings/filters/{id:int}", edit_rule, methods=["GET"]),
    Route("/settings/filters/{id:int}", save_rule, methods=["POST"]),
    Route("/settings/filters/{id:int}/delete", delete_rule, methods=["POST"]),
    Route("/settings/folders", places, methods=["GET"]),
    Route("/settings/folders", add_place, methods=["POST"]),
    Route("/settings/folders/{kind}/{id}/delete", delete_place, methods=["POST"]),
    Route("/files", files),
    Route("/file/{id:int}", file),
    Route("/help", help),
]
