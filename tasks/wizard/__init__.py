"""The laboratory: workflows of many pages whose length, choices, distractions, delays, mistakes and noise are parameters.

Their values are known exactly (:mod:`.truth`), and their pages are plain, so that episodes can be played in Chromium and, a hundred times
as fast, on the text twin (:mod:`webgym.backends.text`). A task's name says its parameters (:class:`.workflow.Wizard`):
`wizard.h12-x6-late12` has 12 pages, 6 of which do not matter, and mistakes that show at the end. The manifest lists a grid; any other name
of this kind works too.
"""

import random
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Site, Splits, Start, Task, Verdict
from webgym.types import seed_from

from . import truth
from .oracles.walk import Clerk
from .site import HOST, SITE, address
from .workflow import Progress, Wizard, draw

WORDINGS = (
    "Fill in the registration. Agreed are {wanted}: choose them wherever they are offered.",
    "Go through all steps, and whenever one of {wanted} can be chosen, choose it.",
    "Complete the registration with what was agreed, which is {wanted}.",
    "The customer wants {wanted}. Answer every step, with these where they stand among the options.",
)
HELD_OUT = (
    "Finish the form: of the options on a page take the one that is among {wanted}.",
    "Register this customer, who has asked for {wanted}, and go on to the end.",
)
UNTOLD = (
    "Put everything in the place where it belongs.",
    "Go through all steps, and for each thing choose its place.",
    "Complete the registration: every thing has one right place.",
    "Answer every step with the place that the house has for the thing.",
)
UNTOLD_HELD_OUT = (
    "Each step shows a thing: choose where it is kept, and go on to the end.",
    "Register where all these things belong.",
)
SPLITS = Splits(templates={"train": WORDINGS, "valid": WORDINGS, "test": HELD_OUT})
UNTOLD_SPLITS = Splits(templates={"train": UNTOLD, "valid": UNTOLD, "test": UNTOLD_HELD_OUT})


@cache
def tasks() -> Mapping[str, Task]:
    """The tasks that the manifest lists, by name."""
    manifest = tomllib.loads(Path(__file__).with_name("pack.toml").read_text("utf-8"))
    return {name: make(name) for name in manifest["tasks"]}


@cache
def sites() -> tuple[Site, ...]:
    """The one site of all workflows."""
    return (SITE,)


@cache
def make(name: str) -> Task:
    """The task whose name says its parameters. Raises ConfigError."""
    wizard = Wizard.named(name)
    splits = UNTOLD_SPLITS if wizard.lessons else SPLITS

    def start(seed: int) -> Start:
        listed = ", ".join(f'"{answer}"' for answer in draw(wizard, seed).wanted)
        wording = random.Random(seed_from("wizard", wizard.name, seed, "wording")).choice(splits.wordings(seed))
        return Start(f"http://{HOST}{address(Progress())}", wording.format(wanted=listed), site_state={"name": name})

    return Task(
        id=f"wizard.{name}",
        start=start,
        check=check,
        max_turns=wizard.max_turns,
        oracle=Clerk,
        hosts=(HOST,),
        viewport=(800, 600),
        chance=truth.chance(wizard),
        difficulty=wizard.difficulty,
        description=described(wizard),
        splits=splits,
        exact=lambda seed, chances, gamma: truth.of_language_model(wizard, make(name), seed, chances, gamma),
    )


def task(horizon: int, **parameters: Any) -> Task:
    """The task with these parameters (:class:`.workflow.Wizard`), as in `task(12, delay=12, distractors=6)`. Raises ConfigError."""
    return make(Wizard(horizon, **parameters).name)


def check(evidence: Evidence) -> Verdict:
    """By the site's state: done, refused for good, or still open; stop and infeasible are never right."""
    match evidence.site_state["status"]:
        case "done":
            return SUCCESS
        case "refused":
            return FAILURE
    return FAILURE if evidence.ended else PENDING


def described(wizard: Wizard) -> str:
    """The parameters in words."""
    parts = [f"A workflow of {wizard.horizon} pages with {wizard.choices} options each"]
    if wizard.distractors:
        parts.append(f"{wizard.distractors} pages do not matter")
    shows = f"{wizard.delay} pages later" if 0 < wizard.delay < wizard.horizon else "at the end" if wizard.delay else "at once"
    parts.append(f"a mistake shows {shows} and {'can be mended' if wizard.reversible else 'is final'}")
    if wizard.visible:
        parts.append("every page says how many there were" if wizard.spared else "every page after a mistake says so")
    if wizard.spared:
        parts.append(f"{wizard.spared} {'mistake is' if wizard.spared == 1 else 'mistakes are'} forgiven")
    if wizard.lessons:
        parts.append(f"what is right stands in no goal, but is a rule for each of {wizard.lessons} things")
    if wizard.noise:
        parts.append(f"{wizard.noise}% of the options are misspelt")
    return "; ".join(parts) + "."
