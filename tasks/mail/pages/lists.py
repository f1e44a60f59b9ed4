"""Lists of mails: folders, labels and searches, and actions on many mails at once."""

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..mailbox import Mailbox
from ..records import Thread
from ..search import OPERATORS, SearchError, parse
from .form import account, form_of, sliced

VIEWS: dict[str, tuple[str, Callable[[Thread], bool]]] = {
    "starred": ("Starred", lambda t: t.starred and t.folder != "trash"),
    "sent": ("Sent", lambda t: t.mine and t.folder not in ("trash", "spam")),
}
"""Lists that are no folders: a mail can stand in them and in its folder."""


async def home(request: Request) -> Response:
    return see_other("/mail/inbox")


async def folder(request: Request) -> Response:
    """The mails of a folder."""
    mailbox, id = account(request), request.path_params["folder"]
    if id == "drafts":
        return page(request, "drafts.html", drafts=list(mailbox.drafts), folder=id)
    if id in VIEWS:
        title, belongs = VIEWS[id]
    elif id in (names := mailbox.folder_names()):
        title, belongs = names[id], lambda t: t.folder == id
    else:
        raise HTTPException(404, f"There is no folder “{id}”.")
    return _list(request, title, [t for t in mailbox.threads if belongs(t)], folder=id)


async def label(request: Request) -> Response:
    """The mails that bear a label."""
    mailbox, id = account(request), request.path_params["label"]
    if id not in mailbox.label_names():
        raise HTTPException(404, f"There is no label “{id}”.")
    found = [t for t in mailbox.threads if id in t.labels and t.folder != "trash"]
    return _list(request, mailbox.label_names()[id], found, folder=f"label-{id}")


async def search(request: Request) -> Response:
    """The mails that a search finds, or the error in it."""
    mailbox = account(request)
    text = " ".join([request.query_params.get("q", "").strip(), *_operators(request)]).strip()[:300]
    error, found = "", []
    if not text:
        error = "Write what you look for."
    try:
        wanted = parse(text, mailbox.folder_names(), mailbox.label_names())
        found = [t for t in mailbox.threads if text and wanted.finds(t)]
    except SearchError as wrong:
        error = str(wrong)
    return _list(request, f"Results for {text}" if text else "Search", found, query=text, error=error)


async def search_options(request: Request) -> Response:
    """The search form for owners who do not know the operators."""
    return page(request, "search.html", places={"": "All but spam and trash", "any": "Everywhere"} | account(request).folder_names())


def _operators(request: Request) -> list[str]:
    """The search options of the form, in the search language."""
    asked = ((name, request.query_params.get(name, "").replace('"', " ").strip()) for name in OPERATORS if name != "has")
    parts = [f'{name}:"{value}"' for name, value in asked if value]
    return parts + (["has:attachment"] if request.query_params.get("has") else [])


def _list(request: Request, title: str, threads: list[Thread], **values: Any) -> Response:
    mailbox, oldest = account(request), request.query_params.get("sort") == "oldest"
    unread = request.query_params.get("show") == "unread"
    shown = [t for t in threads if not (unread and t.read)]
    shown.sort(key=lambda t: (t.last.sent, t.id), reverse=not oldest)
    kept = {"folder": "", "query": "", "error": "", **values}
    return page(
        request, "list.html", title=title, list=sliced(shown, request), oldest=oldest, unread=unread, folders=_targets(mailbox), **kept
    )


def _targets(mailbox: Mailbox) -> dict[str, str]:
    return {id: name for id, name in mailbox.folder_names().items() if id not in ("trash", "spam")}


async def many(request: Request) -> Response:
    """Does one thing to all ticked mails, and leads back to the list."""
    mailbox, form = account(request), await form_of(request)
    chosen = [t for id in form.numbers("ids") if (t := mailbox.threads.get(id)) is not None]
    back = form.text("back")
    back = back if back.startswith(("/mail/", "/label/", "/search?")) else "/mail/inbox"
    if not chosen:
        mailbox.say("Tick at least one mail first.")
    else:
        act(mailbox, chosen, form.text("do"))
    return see_other(back)


def act(mailbox: Mailbox, threads: list[Thread], deed: str) -> None:
    """One of the deeds that lists and mails offer: moving to a folder (`to-archive`), a label on or off (`label-urgent`), and so on."""
    count = f"{len(threads)} mails" if len(threads) > 1 else "The mail"
    was = "were" if len(threads) > 1 else "was"
    names = mailbox.folder_names()
    if deed.startswith("to-") and deed[3:] in names:
        mailbox.alter(threads, f"{count} {was} moved to {names[deed[3:]]}.", folder=deed[3:])
    elif deed.startswith("label-") and (label := deed[6:]) in mailbox.label_names():
        name, on = mailbox.label_names()[label], not all(label in t.labels for t in threads)
        mailbox.alter(threads, f"{count} {was} {'given' if on else 'freed from'} the label {name}.")
        for thread in threads:
            mailbox.label(thread, label, on)
    elif deed in ("star", "unstar"):
        mailbox.alter(threads, f"{count} {was} {deed}red.", starred=deed == "star")
    elif deed in ("read", "unread"):
        mailbox.alter(threads, f"{count} {was} marked as {deed}.", read=deed == "read")
    elif deed == "delete":
        gone = [t for t in threads if t.folder in ("trash", "spam")]
        mailbox.delete_for_good(gone)
        mailbox.say(f"{count} {was} deleted for good." if gone else "Only what lies in Trash or Spam can be deleted for good.")
    else:
        raise HTTPException(400, "This cannot be done to a mail.")


async def undo(request: Request) -> Response:
    """Takes back the last change of mails."""
    mailbox, form = account(request), await form_of(request)
    mailbox.say("Undone." if mailbox.undo() else "There is nothing to undo.")
    back = form.text("back")
    return see_other(back if back.startswith("/") and not back.startswith("//") else "/mail/inbox")


ROUTES = [
    Route("/", home),
    Route("/mail/{folder}", folder),
    Route("/label/{label}", label),
    Route("/search", search),
    Route("/search/options", search_options),
    Route("/many", many, methods=["POST"]),
    Route("/undo", undo, methods=["POST"]),
]
