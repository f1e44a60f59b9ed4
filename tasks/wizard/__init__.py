"""The laboratory: workflows of many pages whose length, choices, distractions, delays, mistakes and noise are parameters.

Their values are known exactly (:mod:`.truth`), and their pages are plain, so that episodes can be played in Chromium and, a hundred times
as fast, on the text twin (:mod:`webgym.backends.text`). A task's name contains its parameters (:class:`.workflow.Wizard`):
`wizard.h12-x6-late12` has 12 pages, 6 of which do not matter, and mistakes that show at the end. The manifest lists a grid; any other name
of this kind works too.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from webgym.task import Site, Task

from .goals import make
from .site import SITE
from .workflow import Wizard

__all__ = ["make", "sites", "task", "tasks"]


@cache
def tasks() -> Mapping[str, Task]:
    """The tasks that the manifest lists, by name."""
    manifest = tomllib.loads(Path(__file__).with_name("pack.toml").read_text("utf-8"))
    return {name: make(name) for name in manifest["tasks"]}


@cache
def sites() -> tuple[Site, ...]:
    """The one site of all workflows."""
    return (SITE,)


def task(horizon: int, **parameters: Any) -> Task:
    """The task with these parameters (:class:`.workflow.Wizard`), as in `task(12, delay=12, distractors=6)`. Raises ConfigError."""
    return make(Wizard(horizon, **parameters).name)
