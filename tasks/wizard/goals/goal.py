"""The goal of a workflow: its wordings, its check, and the task that its parameters make."""

import random
import tomllib
from functools import cache, partial
from pathlib import Path

from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Splits, Start, Task, Verdict
from webgym.types import seed_from

from .. import truth
from ..oracles.clerk import Clerk
from ..pages.steps import address
from ..site import HOST
from ..workflow import Progress, Wizard, draw, place_of

WORDINGS = Path(__file__).parents[1] / "wordings.toml"


@cache
def splits_of(table: str) -> Splits:
    """The wordings of a table of `wordings.toml`, apart for the splits."""
    train, test = (tuple(tomllib.loads(WORDINGS.read_text("utf-8"))[table][split]) for split in ("train", "test"))
    return Splits(templates={"train": train, "valid": train, "test": test})


@cache
def make(name: str) -> Task:
    """The task whose name contains its parameters. Raises ConfigError."""
    wizard = Wizard.named(name)
    splits = splits_of("untold" if wizard.lessons else "told")

    def start(seed: int) -> Start:
        listed = ", ".join(f'"{answer}"' for answer in draw(wizard, seed).wanted)
        wording = random.Random(seed_from("wizard", wizard.name, seed, "wording")).choice(splits.wordings(seed))
        return Start(f"http://{HOST}{address(Progress())}", wording.format(wanted=listed), site_state={"name": name})

    return Task(
        id=f"wizard.{name}",
        start=start,
        check=check,
        max_turns=wizard.max_turns,
        oracle=partial(Clerk, place_of) if wizard.lessons else Clerk,
        hosts=(HOST,),
        viewport=(800, 600),
        chance=truth.chance(wizard),
        difficulty=wizard.difficulty,
        description=described(wizard),
        splits=splits,
        exact=lambda seed, chances, gamma: truth.of_language_model(wizard, make(name), seed, chances, gamma),
    )


def check(evidence: Evidence) -> Verdict:
    """Check by the site's state: done, refused for good, or still open. Stop and infeasible are never right."""
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
