"""Secrets: values of environment variables that a task file names as `${NAME}`, and that no log or record may show.

A process that an agent plays with gets the variables of this one without the secrets (:func:`public`), and those that its task file names.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from webgym.errors import UsageError

_NAME = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_used: dict[str, str] = {}  # value: name
_SECRET = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|COOKIE)S?(_|$)|(^|_)(PASS|PW|PAT|AUTH|DSN)(_|$)", re.IGNORECASE
)
_WITH_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]+@")
SHORTEST = 4  # characters of a value that is hidden in texts; a shorter one would hide half of the words


def names_secrets(thing: Any) -> bool:
    """True if a text, or any in a list or mapping, names a secret."""
    match thing:
        case str():
            return _NAME.search(thing) is not None
        case Mapping():
            return any(names_secrets(value) for value in thing.values())
        case list() | tuple():
            return any(map(names_secrets, thing))
    return False


def with_secrets(thing: Any) -> Any:
    """`thing` with each `${NAME}` replaced by the environment variable's value. Raises UsageError where it is not set."""
    match thing:
        case str():
            return _NAME.sub(lambda found: _value(found[1]), thing)
        case Mapping():
            return {key: with_secrets(value) for key, value in thing.items()}
        case list() | tuple():
            return [with_secrets(value) for value in thing]
    return thing


def public(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are no secrets: neither by their name, nor as an address with a password, nor because a task has named them.

    >>> public({"PATH": "/bin", "OPENAI_API_KEY": "sk-1", "AWS_ACCESS_KEY_ID": "A", "DB": "pg://ann:pw@db/x", "TOKENIZERS": "0"})
    {'PATH': '/bin', 'TOKENIZERS': '0'}
    """
    named = set(_used.values())
    return {
        name: value
        for name, value in environ.items()
        if name not in named and not _SECRET.search(name) and not _WITH_PASSWORD.search(value)
    }


def redacted(text: str) -> str:
    """The text with the values of all secrets used so far replaced by their names."""
    for value, name in sorted(_used.items(), key=lambda entry: -len(entry[0])):
        if len(value) >= SHORTEST:
            text = text.replace(value, f"${{{name}}}")
    return text


def _value(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"the environment variable {name} is not set, and a task needs it as ${{{name}}}: set it, then start again")
    _used[value] = name
    return value
