"""Wrenpost, a mailbox with contacts, calendar, files and filters, and the chores that its owner asks for.

Every episode has an account of its own: a part of a catalogue of old mail that is drawn once per process (`catalogue.py`), with the
chore's own people, mails and dates on top (`scene.py`, `chores/`). A chore is done when the account has changed as wanted and in no
other way. The oracles (`oracles/`) read pages and goals only.
"""

import tomllib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from webgym.authoring.template import templated
from webgym.packs.registry import by_name
from webgym.task import Site, Task

from .goals import CHORES
from .goals.goal import draw, holds
from .oracles import ORACLES
from .site import HOST, site

MANIFEST = Path(__file__).with_name("pack.toml")


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name, as the manifest lists them."""
    listed = tomllib.loads(MANIFEST.read_text("utf-8"))["tasks"]
    return by_name("mail", [_task(name, entry, listed) for name, entry in listed.items()])


@cache
def sites() -> tuple[Site, ...]:
    """The one site."""
    return (site(),)


def _task(name: str, entry: Mapping[str, Any], listed: Mapping[str, Mapping[str, Any]]) -> Task:
    feasible = entry.get("feasible", True)
    kind = name if feasible else entry["twin"]  # a twin has the chore, the wordings and the oracle of the one that can be done
    return templated(
        f"mail.{name}",
        host=HOST,
        draw=partial(draw, CHORES[kind], feasible),
        holds=holds,
        train=tuple(listed[kind]["train"]),
        test=tuple(listed[kind]["test"]),
        feasible=feasible,
        twin=f"mail.{entry['twin']}" if "twin" in entry else "",
        oracle=ORACLES[kind],
        max_turns=entry["max_turns"],
        difficulty=entry["difficulty"],
        description=entry["description"],
    )
