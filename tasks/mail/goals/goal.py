"""The list of chores, and how one becomes a task's draw and check."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from webgym.authoring.checks import AnswerCheck
from webgym.authoring.template import Instance
from webgym.task import Evidence

from ..scene import Scene, Wanted

Told = tuple[Mapping[str, Any], Wanted]
"""The values of the goal's placeholders, and what is wanted."""

Chore = Callable[[Scene], Told]
"""Fills a scene."""

CHORES: dict[str, Chore] = {}


def chore(name: str) -> Callable[[Chore], Chore]:
    """Registers a chore under the name of its task; a twin in which it cannot be done has the same chore."""

    def add(found: Chore) -> Chore:
        CHORES[name] = found
        return found

    return add


def draw(found: Chore, feasible: bool, rng: random.Random) -> Instance:
    """One instance of the chore. Where it cannot be done, nothing may be changed."""
    scene = Scene(rng, feasible)
    values, wanted = found(scene)
    return Instance(values, wanted if feasible else Wanted({}), scene.instance_world(), "/mail/inbox")


def holds(instance: Instance, evidence: Evidence) -> bool:
    """Whether the account has changed as wanted and in no other way, and the answer is right.

    What was read does not count, and neither does a draft where the goal cannot be reached: nobody but the owner sees it.
    """
    wanted: Wanted = instance.expected
    passing = {"seen"} if evidence.ended != "infeasible" else {"seen", "drafts"}
    changes = {name: change for name, change in evidence.site_state.items() if name not in passing}
    if changes != wanted.changes:
        return False
    return not wanted.answer or _answered(wanted.answer, evidence)


def _answered(expected: str, evidence: Evidence) -> bool:
    return not AnswerCheck.model_validate({"answer": {"exact": expected, "ignore_case": True}}).unmet(evidence, {})
