"""The state of an episode: who has borrowed which tool. It lives on the server, so that an agent can change it by a form only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOOLS = ("Axe", "Crowbar", "Drill", "Hammer", "Ladder", "Mower", "Pliers", "Rake", "Sander", "Saw", "Spade", "Wrench")
PEOPLE = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal")


@dataclass(frozen=True)
class Opening:
    """The beginning of an episode, as a goal draws it: the borrower of each tool that is lent."""

    loans: Mapping[str, str]


@dataclass
class Shelf:
    """The state of one episode."""

    loans: dict[str, str]

    def lend(self, tool: str, person: str) -> None:
        """Lends a tool that is there; a lent one stays where it is."""
        if person in PEOPLE:
            self.loans.setdefault(tool, person)

    def give_back(self, tool: str) -> None:
        """Puts a tool back."""
        self.loans.pop(tool, None)


def begin(seed: int, opening: Opening) -> Shelf:
    """The state that an episode begins with."""
    return Shelf(dict(opening.loans))


def shown(shelf: Shelf) -> Any:
    """The state as plain data, for checks and hashes."""
    return {"loans": dict(sorted(shelf.loans.items()))}
