"""The shop's goals: a name and a draw, reached when the site has the wanted final state."""

from collections.abc import Callable

from webgym.authoring.template import Draw, Goal

from .draws import holds


def goal(name: str, draw: Draw) -> Goal:
    """A goal that can be reached."""
    return Goal(name, draw, holds)


def twins(name: str, other: str, draw: Callable[[bool], Draw]) -> list[Goal]:
    """A goal that can be reached and its twin that cannot, with the wordings of the first. `draw` gets true for the first."""
    return [Goal(name, draw(True), holds, twin=other), Goal(other, draw(False), holds, feasible=False, twin=name)]
