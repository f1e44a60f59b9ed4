"""MiniWoB++: 125 small web tasks and three airline forms, served from the PyPI package `miniwob` (whose code is never imported).

Each page is its own judge (`trust="page"`): it draws the problem from the seed and scores the actions. Success means the full
score; for drawing and geometry a threshold that `pack.toml` names. Where a page takes less than its goal asks for, the rest is demanded
there. Pages run without their time limit, on a virtual clock that
starts at the same instant in every episode, and each episode loads its page afresh. So even the pages are deterministic
that upstream flags as not (date pickers that keep their month, lists that keep their scroll position, `new Date()`, animations).
"""

import tomllib
from collections.abc import Mapping
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from webgym.errors import SiteFault
from webgym.sites.static import StaticSite
from webgym.task import Site, Start, Task

from .checks import check
from .oracles import oracle
from .page import HOST, address, probe, start_script

MANIFEST = Path(__file__).with_name("pack.toml")


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name, as the manifest lists them."""
    manifest = tomllib.loads(MANIFEST.read_text("utf-8"))
    return {name: _task(name, manifest["defaults"] | entry) for name, entry in manifest["tasks"].items()}


@cache
def sites() -> tuple[Site, ...]:
    """The one site: the package's folder of pages. Raises SiteFault when the package is not installed."""
    package = find_spec("miniwob")  # finds it without importing it: its __init__ imports selenium
    if package is None or not package.submodule_search_locations:
        raise SiteFault("the package miniwob, which holds the pages, is not installed; `pip install miniwob==1.1.0`")
    return (StaticSite(HOST, Path(package.submodule_search_locations[0]) / "html", sealed="miniwob"),)


def _task(name: str, entry: Mapping[str, Any]) -> Task:
    page = entry.get("page", f"miniwob/{name}")
    return Task(
        id=f"miniwob.{name}",
        start=partial(_start, page, entry.get("goal_prefix", ""), entry.get("show_query", False)),
        check=partial(check, entry["threshold"]),
        max_turns=entry["max_turns"],
        trust="page",
        probe=probe(entry["demands"]),
        oracle=oracle(name),
        hosts=(HOST,),
        viewport=tuple(entry["viewport"]),
        chance=entry["chance"],
        difficulty=entry["difficulty"],
        description=entry["description"],
    )


def _start(page: str, goal_prefix: str, show_query: bool, seed: int) -> Start:
    return Start(url=address(page), page_script=start_script(seed, goal_prefix, show_query))
