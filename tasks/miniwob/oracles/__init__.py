"""Programs that solve the tasks from an agent's observations, for tests, demonstrations and `webgym eval --policy oracle`.

An oracle is a function from :class:`~webgym.types.Observation` to the next action. Nearly all are stateless, because the page itself shows
the progress, so they can also take over a page in any state. To add one, decorate it in any file of this folder with the
names of the tasks it solves::

    @solves("click-link")
    def click_link(page: Observation) -> Action:
        return Click(named(page, quoted(page)[0]))

An oracle that must remember something (a number of tries) is a generator, decorated with `remembers`: it receives the first
observation, yields actions and is sent the observations that follow.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache

from webgym.authoring.oracle import Memory, remembering
from webgym.task import Oracle
from webgym.types import Observation

_makers: dict[str, Callable[[], Oracle]] = {}


def solves(*names: str) -> Callable[[Oracle], Oracle]:
    """Registers a stateless oracle for these tasks."""

    def register(function: Oracle) -> Oracle:
        for name in names:
            _register(name, lambda: function)
        return function

    return register


def remembers(*names: str) -> Callable[[Callable[[Observation], Memory]], Callable[[Observation], Memory]]:
    """Registers a generator as an oracle with memory for these tasks."""

    def register(program: Callable[[Observation], Memory]) -> Callable[[Observation], Memory]:
        for name in names:
            _register(name, remembering(program))
        return program

    return register


def _register(name: str, maker: Callable[[], Oracle]) -> None:
    if name in _makers:
        raise ValueError(f"two oracles for the task {name!r}")
    _makers[name] = maker


@cache
def _load() -> None:
    """Imports every file of this folder, so that its oracles register themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def oracle(name: str) -> Callable[[], Oracle] | None:
    """A function that makes a fresh oracle for one episode of the task; None for a task without an oracle."""
    _load()
    return _makers.get(name)
