"""Farewing, a travel booking site: flights of fictitious airlines between real cities are found, booked, changed and cancelled.

`places` and `timetable` are the base catalogue, equal in all episodes; `account` is what an episode may change; `search`, `booking`,
`trips` and `profile` are the pages. `errands` draw what is asked and compare what is left, `wordings.toml` tells it, `oracles` do it.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from webgym.authoring.oracle import remembering
from webgym.authoring.template import templated
from webgym.packs.registry import by_name
from webgym.task import Site, Task

from .goals import ERRANDS
from .oracles import ORACLES
from .site import HOST, SITE

PACK = "travel"
FOLDER = Path(__file__).parent


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name; limits and descriptions come from the manifest."""
    manifest = tomllib.loads((FOLDER / "pack.toml").read_text("utf-8"))["tasks"]
    told = tomllib.loads((FOLDER / "wordings.toml").read_text("utf-8"))
    return by_name(
        PACK,
        (
            templated(
                f"{PACK}.{errand.name}",
                host=HOST,
                draw=errand.draw,
                holds=errand.holds,
                train=tuple(told[errand.told_as]["train"]),
                test=tuple(told[errand.told_as]["test"]),
                feasible=errand.feasible,
                twin=errand.twin and f"{PACK}.{errand.twin}",
                oracle=remembering(ORACLES[errand.told_as]),
                **manifest[errand.name],
            )
            for errand in ERRANDS
        ),
    )


@cache
def sites() -> tuple[Site, ...]:
    """The one site."""
    return (SITE,)
