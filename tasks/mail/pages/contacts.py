"""The address book: people, and groups of them."""

import dataclasses
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..mailbox import Mailbox
from ..records import Contact, Group
from .form import Form, account, form_of, one, sliced

MANY_MEMBERS = 60  # boxes that the form of a group shows


def _sorted(mailbox: Mailbox, named: str = "") -> list[Contact]:
    words = named.casefold().split()
    found = [c for c in mailbox.contacts if all(w in f"{c.name} {c.email} {c.company}".casefold() for w in words)]
    return sorted(found, key=lambda c: (c.name, c.id))


async def contacts(request: Request) -> Response:
    mailbox, named = account(request), request.query_params.get("name", "").strip()[:100]
    return page(request, "contacts.html", list=sliced(_sorted(mailbox, named), request), named=named, groups=list(mailbox.groups))


async def contact(request: Request) -> Response:
    found = one(account(request).contacts, request.path_params["id"], "contact")
    return page(request, "contact.html", contact=found)


async def edit(request: Request) -> Response:
    """The form of a contact; empty for a new one."""
    id = request.path_params.get("id", 0)
    asked = request.query_params
    found = one(account(request).contacts, id, "contact") if id else Contact(0, asked.get("name", "")[:100], asked.get("email", "")[:100])
    return page(request, "contact_form.html", contact=found, errors={})


async def save(request: Request) -> Response:
    mailbox, form, id = account(request), await form_of(request), request.path_params.get("id", 0)
    if id:
        one(mailbox.contacts, id, "contact")
    written = Contact(id, form.text("name"), form.text("email").lower(), form.text("phone"), form.text("company"))
    if errors := _errors(mailbox, written):
        return page(request, "contact_form.html", status=422, contact=written, errors=errors)
    written = dataclasses.replace(written, id=id or mailbox.new_id())
    mailbox.contacts.put(written.id, written)
    mailbox.say(f"{written.name} was saved.")
    return see_other(f"/contact/{written.id}")


def _errors(mailbox: Mailbox, written: Contact) -> dict[str, str]:
    """Errors in a contact, by field."""
    errors = {}
    if not written.name:
        errors["name"] = "A contact needs a name."
    if not re.fullmatch(r"[^@\s,;]+@[^@\s,;]+\.[a-z]+", written.email):
        errors["email"] = "Write an address such as ada@birch.example."
    elif any(c.email == written.email and c.id != written.id for c in mailbox.contacts):
        errors["email"] = "Another contact has this address already."
    if written.phone and not re.fullmatch(r"\+?[\d /()-]{5,20}", written.phone):
        errors["phone"] = "A phone number has digits and spaces, such as 020 123 4567."
    return errors


async def delete(request: Request) -> Response:
    mailbox = account(request)
    found = one(mailbox.contacts, request.path_params["id"], "contact")
    mailbox.contacts.remove(found.id)
    mailbox.say(f"{found.name} was deleted.")
    return see_other("/contacts")


async def group(request: Request) -> Response:
    """A group's form: its name and its members; a new group when there is no id."""
    mailbox, id = account(request), request.path_params.get("id", 0)
    found = one(mailbox.groups, id, "group") if id else Group(0, "")
    return page(request, "group.html", group=found, people=_sorted(mailbox)[:MANY_MEMBERS], errors={})


async def save_group(request: Request) -> Response:
    mailbox, form, id = account(request), await form_of(request), request.path_params.get("id", 0)
    if id:
        one(mailbox.groups, id, "group")
    written = _group(mailbox, form, id)
    errors = {} if written.name else {"name": "A group needs a name."}
    if written.name and any(g.name.casefold() == written.name.casefold() and g.id != id for g in mailbox.groups):
        errors["name"] = "Another group has this name already."
    if not written.members:
        errors["members"] = "Tick at least one person."
    if errors:
        return page(request, "group.html", status=422, group=written, people=_sorted(mailbox)[:MANY_MEMBERS], errors=errors)
    written = dataclasses.replace(written, id=id or mailbox.new_id())
    mailbox.groups.put(written.id, written)
    mailbox.say(f"The group {written.name} was saved.")
    return see_other("/contacts")


def _group(mailbox: Mailbox, form: Form, id: int) -> Group:
    names = (c.name for number in form.numbers("members") if (c := mailbox.contacts.get(number)) is not None)
    return Group(id, form.text("name"), frozenset(names))


async def delete_group(request: Request) -> Response:
    mailbox = account(request)
    found = one(mailbox.groups, request.path_params["id"], "group")
    mailbox.groups.remove(found.id)
    mailbox.say(f"The group {found.name} was deleted.")
    return see_other("/contacts")


ROUTES = [
    Route("/contacts", contacts),
    Route("/contacts/new", edit, methods=["GET"]),
    Route("/contacts/new", save, methods=["POST"]),
    Route("/contact/{id:int}", contact),
    Route("/contact/{id:int}/edit", edit, methods=["GET"]),
    Route("/contact/{id:int}/edit", save, methods=["POST"]),
    Route("/contact/{id:int}/delete", delete, methods=["POST"]),
    Route("/groups/new", group, methods=["GET"]),
    Route("/groups/new", save_group, methods=["POST"]),
    Route("/group/{id:int}", group, methods=["GET"]),
    Route("/group/{id:int}", save_group, methods=["POST"]),
    Route("/group/{id:int}/delete", delete_group, methods=["POST"]),
]
