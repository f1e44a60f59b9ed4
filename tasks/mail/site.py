"""Wrenpost, the mail site: its routes and the common parts of its pages."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from webgym.sites.rendered import RenderedSite, page

from .catalogue import open_mailbox
from .mailbox import NOW, Full, Mailbox
from .pages import calendar, compose, contacts, lists, settings, thread
from .records import World, name_of

HOST = "mail.localhost"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def site() -> RenderedSite[Mailbox]:
    """The site, without any episode."""
    routes = [*lists.ROUTES, *thread.ROUTES, *compose.ROUTES, *contacts.ROUTES, *calendar.ROUTES, *settings.ROUTES]
    filters = {"day": day, "short": short, "initials": initials, "tint": tint, "name_of": name_of}
    found = RenderedSite(
        HOST, Path(__file__).parent, routes, begin=_begin, shown=lambda mailbox: mailbox.changes(), context=_context, filters=filters
    )
    found.app.add_exception_handler(Full, _full)  # type: ignore[attr-defined]
    return found


def _begin(seed: int, world: Any) -> Mailbox:
    return open_mailbox(world if isinstance(world, World) else World(seed))


def _context(mailbox: Mailbox) -> dict[str, Any]:
    notice, undo = mailbox.take_notice()
    return {
        "notice": notice,
        "can_undo": undo,
        "unread_count": mailbox.unread(),
        "draft_count": sum(1 for _ in mailbox.drafts),
        "own_folders": list(mailbox.folders),
        "own_labels": list(mailbox.labels),
    }


async def _full(request: Request, error: Exception) -> Response:
    return page(request, "error.html", status=507, title="Your account is full", detail="Delete something first.")


# --- how pages tell things -------------------------------------------------------------------------------------------------


def day(when: date) -> str:
    """A day in words.

    >>> day(date(2026, 1, 5))
    'Mon 5 Jan 2026'
    """
    return f"{_DAYS[when.weekday()]} {when.day} {_MONTHS[when.month - 1]} {when.year}"


def short(when: datetime) -> str:
    """Time of a mail's arrival: the time of day for today's, else the day.

    >>> short(datetime(2026, 1, 5, 7, 30)), short(datetime(2025, 12, 3, 7, 30))
    ('07:30', '3 Dec')
    """
    return f"{when:%H:%M}" if when.date() == NOW.date() else f"{when.day} {_MONTHS[when.month - 1]}"


def initials(name: str) -> str:
    """One or two letters for a name's disc.

    >>> initials("Ada Birch")
    'AB'
    """
    return "".join(word[0] for word in name.removeprefix("To ").split()[:2] if word)


def tint(name: str) -> int:
    """One of eight tints, always the same for a name."""
    return sum(ord(letter) for letter in name) % 8
