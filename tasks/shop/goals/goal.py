"""The shop's task templates: what `pack.toml` says of a task, its wordings, its draw and its oracle, put together."""

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from webgym.authoring.oracle import Memory, remembering
from webgym.authoring.template import Draw, templated
from webgym.task import Task
from webgym.types import Observation

from ..site import HOST
from .draws import holds

MANIFEST = Path(__file__).parents[1] / "pack.toml"
WORDINGS = Path(__file__).with_name("wordings.toml")


@cache
def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def shop_task(name: str, draw: Draw, oracle: Callable[[Observation], Memory], *, wordings: str = "", **more: Any) -> Task:
    """The task `shop.<name>`; its limits stand in `pack.toml`, its wordings in `wordings.toml` under its own name or `wordings`.

    `more` is what :func:`webgym.authoring.template.templated` takes.
    """
    entry = _read(MANIFEST)["tasks"][name]
    words = _read(WORDINGS)[wordings or name]
    fields = {key: entry[key] for key in ("max_turns", "difficulty", "description")}
    train, test = tuple(words["train"]), tuple(words["test"])
    return templated(
        f"shop.{name}", host=HOST, draw=draw, holds=holds, train=train, test=test, oracle=remembering(oracle), **fields, **more
    )


def twins(name: str, other: str, draw: Callable[[bool], Draw], oracle: Callable[[Observation], Memory]) -> list[Task]:
    """A task that can be done and its twin that cannot, with the wordings of the first. `draw` is told which of them it draws for."""
    return [
        shop_task(name, draw(True), oracle, twin=f"shop.{other}"),
        shop_task(other, draw(False), oracle, wordings=name, twin=f"shop.{name}", feasible=False),
    ]
