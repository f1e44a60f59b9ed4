"""Readers of answers: the number, date, items or words that a text of a person or an agent says."""

import json
import re
import unicodedata
from datetime import date

from webgym.authoring.placeholders import MONTHS

MOST_MARKS = 30
"""Marks of one letter that are put in order together (Unicode Standard Annex 15, section 12)."""


def squash(text: str) -> str:
    """Text with white space collapsed."""
    return " ".join(text.split())


def composed(text: str) -> str:
    """A text in form NFC, in time that grows with its length alone: at most 30 marks of a letter are put in order together.

    To order the marks of one letter takes the square of their number, and an agent may answer with any (the Stream-Safe
    Text Format of Unicode Standard Annex 15 has the same bound).
    """
    if text.isascii():
        return text
    cuts, marks = [0], 0
    for at, sign in enumerate(text):
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks > MOST_MARKS:
            cuts.append(at)
            marks = 1
    pieces = (text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True))
    return "".join(unicodedata.normalize("NFC", piece) for piece in pieces)


_NUMBER = re.compile(r"(?<![\w.,])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w]|[.,]\d)")


def read_number(text: str) -> float | None:
    """The only number in a text, or None.

    >>> read_number("It costs $1,204.50."), read_number("3 or 4"), read_number("-2"), read_number("B52"), read_number("1.2.3")
    (1204.5, None, -2.0, None, None)
    """
    found = [match[0] for match in _NUMBER.finditer(text)]
    others = re.findall(r"\d", _NUMBER.sub(" ", text))
    return float(found[0].replace(",", "").replace("−", "-")) if len(found) == 1 and not others else None


_NAMES = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in MONTHS)
_DATES = (
    re.compile(r"(?<!\d)(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?!\d)"),
    re.compile(rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)?\s+(?P<m>{_NAMES})\.?,?\s+(?P<y>\d{{4}})(?!\d)", re.IGNORECASE),
    re.compile(rf"(?<![a-z])(?P<m>{_NAMES})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})(?!\d)", re.IGNORECASE),
)


def read_date(text: str) -> date | None:
    """The only date in a text, or None. Dates in figures alone are read as year-month-day, because the others mean two things.

    >>> read_date("due on 5 January 2026"), read_date("Jan 5th, 2026"), read_date("2026-01-05"), read_date("5/1/2026")
    (datetime.date(2026, 1, 5), datetime.date(2026, 1, 5), datetime.date(2026, 1, 5), None)
    """
    found = [match for pattern in _DATES for match in pattern.finditer(text)]
    if len(found) != 1:
        return None
    month = found[0]["m"]
    number = int(month) if month.isdigit() else next(i for i, name in enumerate(MONTHS, 1) if name.lower().startswith(month[:3].lower()))
    try:
        return date(int(found[0]["y"]), number, int(found[0]["d"]))
    except ValueError:  # 2026-02-31
        return None


def read_items(text: str) -> list[str]:
    """The items of an answer.

    >>> read_items("Ann, Bob and Cleo"), read_items('["a, b", "c"]'), read_items("Ann; Bob"), read_items(" ")
    (['Ann', 'Bob', 'Cleo'], ['a, b', 'c'], ['Ann', 'Bob'], [])
    """
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):  # the second for an answer of some thousand brackets
        listed = None
    if isinstance(listed, list):
        return [str(item) for item in listed]
    separator = r"[;\n]" if re.search(r"[;\n]", text) else r",\s*and\s|,|\sand\s"
    return [item.strip() for item in re.split(separator, text) if item.strip()]
