"""Texts with placeholders: `{name}` and `{item.price}` stand for an episode's values, `{{` and `}}` for the braces themselves.

A path goes into mappings by key, into lists by number (`{cities.0}`, from the end `{cities.-1}`), and into dates by form (`{day.long}`).

>>> values = {"item": {"title": "Tea", "price": 3}, "day": date(2026, 1, 5), "cities": ["Oslo", "Rome"]}
>>> fill("{item.title} from {cities.1} on {day} ({day.long}, {day.us}) {{sic}}", values)
'Tea from Rome on 2026-01-05 (5 January 2026, 01/05/2026) {sic}'
>>> fill({"total": "{item.price}", "to": "{cities}"}, values)
{'total': 3, 'to': ['Oslo', 'Rome']}
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from webgym.errors import did_you_mean

Values = Mapping[str, Any]

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

DATE_FORMS: Mapping[str, Callable[[date], str]] = {
    "iso": date.isoformat,
    "long": lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    "us": lambda d: f"{d.month:02}/{d.day:02}/{d.year}",
    "year": lambda d: str(d.year),
    "month": lambda d: str(d.month),
    "day": lambda d: str(d.day),
}

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*(?:\.(?:-?\d+|\w+))*)\}|[{}]")


def names_in(text: str) -> list[str]:
    """The paths of the text's placeholders, in order. Raises ValueError for a brace that is none."""
    names = []
    for token in _TOKEN.finditer(text):
        if token[1]:
            names.append(token[1])
        elif token[0] in "{}":
            near = text[token.start() : token.start() + 20]
            raise ValueError(
                f"expected a placeholder such as {{name}} or {{item.price}} at {near!r}; write {{{{ or }}}} for a brace itself"
            )
    return names


def lookup(values: Any, path: str) -> Any:
    """The value that the path leads to. Raises LookupError, which says where the path ends and what there is."""
    found = values
    for depth, key in enumerate(path.split(".")):
        found = _entry(found, key, ".".join(path.split(".")[:depth]))
    return found


def _entry(found: Any, key: str, above: str) -> Any:
    where = f"in {above!r}" if above else "among the values"
    if isinstance(found, Mapping):
        if key in found:
            return found[key]
        keys = [str(name) for name in found]
        raise LookupError(f"there is no {key!r} {where}{did_you_mean(key, keys)} (there: {', '.join(keys[:12]) or 'nothing'})")
    if isinstance(found, date):
        if key in DATE_FORMS:
            return DATE_FORMS[key](found)
        raise LookupError(f"a date has no form {key!r}: expected one of {', '.join(DATE_FORMS)}{did_you_mean(key, DATE_FORMS)}")
    if isinstance(found, (list, tuple)):
        if re.fullmatch(r"-?\d+", key) and -len(found) <= int(key) < len(found):
            return found[int(key)]
        raise LookupError(f"there is no entry {key!r} {where}: it is a list of {len(found)}")
    raise LookupError(f"there is no {key!r} {where}: it is {type(found).__name__}, not a mapping or list")


def depth(value: Any) -> int:
    """The number of lists and mappings within each other.

    >>> depth({"a": [1, []]}), depth("a")
    (3, 0)
    """
    if not isinstance(value, (Mapping, list)):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, Mapping) else value), default=0)


def fill(thing: Any, values: Values) -> Any:
    """`thing` (text, or lists and mappings of texts) with every placeholder replaced. Raises LookupError.

    A text that is one placeholder and nothing else becomes the value itself (a number stays a number), dates become ISO text.
    """
    match thing:
        case str():
            whole = _TOKEN.fullmatch(thing)
            return _plain(lookup(values, whole[1])) if whole and whole[1] else _TOKEN.sub(lambda token: _text(token, values), thing)
        case Mapping():
            return {key: fill(value, values) for key, value in thing.items()}
        case list() | tuple():
            return [fill(value, values) for value in thing]
        case _:
            return thing


def fill_text(text: str, values: Values) -> str:
    """Like :func:`fill`, but always text."""
    return _TOKEN.sub(lambda token: _text(token, values), text)


def _text(token: re.Match[str], values: Values) -> str:
    return str(_plain(lookup(values, token[1]))) if token[1] else token[0][0]


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case date():
            return value.isoformat()
        case Mapping():
            return {key: _plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_plain(entry) for entry in value]
        case _:
            return value
