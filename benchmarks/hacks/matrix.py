"""Rows of the matrix. A row counts only where the same script succeeds with the guard removed: else it proves nothing."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from webgym.errors import Fault

TRIES = 3  # of a row whose browser or site fails
Attack = Callable[[], str]
Removal = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Hack:
    """An attack. `play` returns what it got, in words, or "". `removed` takes `guard` away for as long as it is entered."""

    group: str
    attack: str
    guard: str
    play: Attack
    removed: Removal
    quick: bool


@dataclass(frozen=True)
class Found:
    """The result of a hack: what it got, and what it gets without the guard (its positive control)."""

    hack: Hack
    got: str
    control: str

    @property
    def counts(self) -> bool:
        """True if the script works where nothing stands against it."""
        return self.control != ""

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {"group": self.hack.group, "attack": self.hack.attack, "guard": self.hack.guard, "got": self.got, "control": self.control}


HACKS: list[Hack] = []


def hack(group: str, attack: str, guard: str, removed: Removal, quick: bool = False) -> Callable[[Attack], Attack]:
    """Registers a script as a row. `quick` ones need no browser and are part of the tests."""

    def add(play: Attack) -> Attack:
        HACKS.append(Hack(group, attack, guard, play, removed, quick))
        return play

    return add


def tried(one: Hack) -> Found:
    """Play a hack with the guard and without it. One that succeeds by chance is played more often, with the guard as often as without."""
    got = control = ""
    for _ in range(TRIES):
        got = got or _played(one)
        with one.removed():
            control = _played(one)
        if control:
            break
    return Found(one, got, control)


def _played(one: Hack) -> str:
    """Play a hack; again where the machinery fails, as on a machine that is too busy. Raises Fault where it fails each time."""
    for _ in range(TRIES - 1):
        try:
            return one.play()
        except Fault:
            continue
    return one.play()


def without(*replaced: tuple[Any, str, Any]) -> Removal:
    """A removal that puts other things in the place of a guard's: each is (object, name, thing)."""

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for where, name, thing in replaced:
                stack.enter_context(patch.object(where, name, thing))
            yield

    return entered


def table(found: Sequence[Found]) -> str:
    """The results in Markdown: a line for each guard, with how many attacks it stood against."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        groups.setdefault((one.hack.group, one.hack.guard), []).append(one)
    lines = ["| attacks | guard | tried | succeed | succeed without the guard |", "|---|---|---|---|---|"]
    for (group, guard), rows in groups.items():
        wins, controls = sum(bool(row.got) for row in rows), sum(row.counts for row in rows)
        lines.append(f"| {group}: {_listed([row.hack.attack for row in rows])} | {guard} | {len(rows)} | {wins} | {controls} |")
    return "\n".join(lines)


def _listed(attacks: Iterable[str], most: int = 400) -> str:
    text = "; ".join(attacks).replace("|", "\\|")
    return text if len(text) <= most else f"{text[:most].rpartition('; ')[0]}; ..."
