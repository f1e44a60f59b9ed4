"""Logs of applications: the folder where those that failed are kept, and their texts without a terminal's commands."""

import os
import re
from pathlib import Path

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")


def log_folder() -> Path:
    """The folder, in the user's own state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "webgym" / "logs"


def without_escapes(text: str) -> str:
    r"""Text that a program printed, without the escape sequences that colour it, move the cursor or name the window.

    >>> without_escapes("\x1b[1;31mno ink\x1b[0m \x1b]0;printer\x07left")
    'no ink left'
    """
    return _ESCAPE.sub("", text)
