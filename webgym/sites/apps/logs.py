"""Folder where the logs of applications that failed are kept."""

import os
from pathlib import Path


def log_folder() -> Path:
    """The folder, in the user's own state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "webgym" / "logs"
