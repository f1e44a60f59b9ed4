"""The calendar: a week as a list of days, events, and invitations."""

import dataclasses
import re
from datetime import date, datetime, time, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webgym.sites.rendered import page, see_other

from ..catalogue import week_of
from ..mailbox import NOW, Mailbox
from ..records import Event
from .form import Form, account, day_of, form_of, one


async def calendar(request: Request) -> Response:
    """The events of one week, day by day."""
    mailbox = account(request)
    monday = week_of(day_of(request.query_params.get("week", "")) or NOW.date())
    if not 1950 < monday.year < 2150:
        raise HTTPException(404, "The calendar does not go that far.")
    days = [monday + timedelta(days=number) for number in range(7)]
    events = sorted((e for e in mailbox.events if e.shown), key=lambda e: (e.start, e.id))
    shown = {day: [e for e in events if e.start.date() == day] for day in days}
    shown = {day: found for day, found in shown.items() if found or day.weekday() < 5}
    before, after = monday - timedelta(days=7), monday + timedelta(days=7)
    return page(request, "calendar.html", days=shown, monday=monday, last=days[-1], today=NOW.date(), before=before, after=after)


async def event(request: Request) -> Response:
    found = one(account(request).events, request.path_params["id"], "event")
    return page(request, "event.html", event=found)


async def edit(request: Request) -> Response:
    """The form of an event of one's own; empty for a new one."""
    mailbox, id = account(request), request.path_params.get("id", 0)
    found = _own(mailbox, id) if id else None
    fields = {"title": "", "day": request.query_params.get("day", ""), "start": "", "end": "", "place": "", "guests": ""}
    if found:
        fields = {
            "title": found.title, "day": found.start.date().isoformat(), "start": f"{found.start:%H:%M}", "end": f"{found.end:%H:%M}",
            "place": found.place, "guests": ", ".join(found.guests),
        }  # fmt: skip
    return page(request, "event_form.html", id=id, fields=fields, errors={})


def _own(mailbox: Mailbox, id: int) -> Event:
    """An event that the owner may change."""
    found = one(mailbox.events, id, "event")
    if found.organiser:
        raise HTTPException(403, f"Only {found.organiser} can change this event.")
    return found


async def save(request: Request) -> Response:
    mailbox, form, id = account(request), await form_of(request), request.path_params.get("id", 0)
    old = _own(mailbox, id) if id else None
    guests, wrong = mailbox.recipients(form.text("guests"))
    day, start, end = day_of(form.text("day")), _clock(form.text("start")), _clock(form.text("end"))
    errors = _errors(form, day, start, end, wrong)
    if errors or day is None or start is None or end is None:
        fields = {name: form.text(name) for name in ("title", "day", "start", "end", "place", "guests")}
        return page(request, "event_form.html", status=422, id=id, fields=fields, errors=errors)
    times = (datetime.combine(day, start), datetime.combine(day, end))
    written = Event(id or mailbox.new_id(), form.text("title"), *times, form.text("place"), tuple(sorted(guests)))
    mailbox.events.put(written.id, written if old is None else dataclasses.replace(written, answer=old.answer))
    mailbox.say(f"{written.title} was saved.")
    return see_other(f"/calendar?week={day}")


def _clock(text: str) -> time | None:
    found = re.fullmatch(r"([01]?\d|2[0-3])[:.]([0-5]\d)", text)
    return time(int(found[1]), int(found[2])) if found else None


def _errors(form: Form, day: date | None, start: time | None, end: time | None, wrong: list[str]) -> dict[str, str]:
    """Errors in an event, by field."""
    errors = {} if form.text("title") else {"title": "An event needs a title."}
    if day is None:
        errors["day"] = "Write the day as 2026-01-05."
    if start is None:
        errors["start"] = "Write the time as 14:30."
    if end is None:
        errors["end"] = "Write the time as 15:30."
    elif start is not None and end <= start:
        errors["end"] = "The end must come after the start."
    if wrong:
        errors["guests"] = f"“{wrong[0]}” is neither an address nor one of your contacts."
    return errors


async def delete(request: Request) -> Response:
    mailbox = account(request)
    found = _own(mailbox, request.path_params["id"])
    mailbox.events.remove(found.id)
    mailbox.say(f"{found.title} was deleted.")
    return see_other(f"/calendar?week={found.start.date()}")


ROUTES = [
    Route("/calendar", calendar),
    Route("/calendar/new", edit, methods=["GET"]),
    Route("/calendar/new", save, methods=["POST"]),
    Route("/event/{id:int}", event),
    Route("/event/{id:int}/edit", edit, methods=["GET"]),
    Route("/event/{id:int}/edit", save, methods=["POST"]),
    Route("/event/{id:int}/delete", delete, methods=["POST"]),
]
