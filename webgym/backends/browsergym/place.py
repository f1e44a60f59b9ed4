"""Names of BrowserGym's tasks, with the place of the BrowserGym that plays them: what a task of ours keeps."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode

from webgym.backends.browsergym import SCHEME

WORKER = Path(__file__).with_name("worker.py")
PROBE = "outcome"
"""What a session is asked for BrowserGym's verdict."""


@dataclass(frozen=True, slots=True)
class Place:
    """One of BrowserGym's tasks, and the command of the Python that has it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """It as an address, in which a task keeps it."""
        return f"{SCHEME}:{quote(self.name)}?" + urlencode({"command": json.dumps(self.command), "env": json.dumps(dict(self.environment))})

    @staticmethod
    def of(url: str) -> "Place":
        """The place of an address."""
        name, _, query = url.removeprefix(f"{SCHEME}:").partition("?")
        said = parse_qs(query)
        return Place(unquote(name), tuple(json.loads(said["command"][0])), json.loads(said["env"][0]))
