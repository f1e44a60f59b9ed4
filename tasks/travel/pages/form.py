"""Values of a request: fields, numbers and dates, which are never trusted because they may be anything."""

import re
from datetime import date

from starlette.requests import Request

from webgym.authoring.placeholders import MONTHS

from ..timetable import LAST_DAY, TODAY

LONGEST = 60  # characters of a name


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, the first of each name, blanks collapsed."""
    return {key: " ".join(str(value).split())[:LONGEST] for key, value in reversed((await request.form()).multi_items())}


def query(request: Request) -> dict[str, str]:
    """The fields of a URL's query."""
    return {key: " ".join(value.split())[:LONGEST] for key, value in request.query_params.items()}


def whole(text: str, low: int, high: int) -> int | None:
    """A whole number within bounds, or None.

    >>> whole("3", 1, 4), whole("9", 1, 4), whole("three", 1, 4)
    (3, None, None)
    """
    return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) and low <= int(text) <= high else None


def day(text: str) -> date | None:
    """A date as 2026-03-14, or None."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        return None


def wrong_day(found: date | None, what: str) -> str:
    """Error in a day of travel, in words; "" for a possible one."""
    if found is None:
        return f"Enter the {what} as YYYY-MM-DD."
    if found < TODAY:
        return f"The {what} is in the past."
    return f"The {what} is not on sale yet: the last day is {long_day(LAST_DAY)}." if found > LAST_DAY else ""


def long_day(found: date) -> str:
    """A date as the pages write it.

    >>> long_day(date(2026, 3, 14))
    'Sat 14 Mar 2026'
    """
    weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[found.weekday()]
    return f"{weekday} {found.day} {MONTHS[found.month - 1][:3]} {found.year}"


def month_name(found: date) -> str:
    """A month as the pages write it: March 2026."""
    return f"{MONTHS[found.month - 1]} {found.year}"
