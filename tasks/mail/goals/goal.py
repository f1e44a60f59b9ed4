"""The list of goals, and the draw and check of each as a task."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from webgym.authoring.checks import AnswerCheck
from webgym.authoring.template import Goal, Instance
from webgym.task import Evidence

from ..scene import Scene, Wanted

Told = tuple[Mapping[str, Any], Wanted]
"""The values of the goal's placeholders, and the wanted end."""

Staging = Callable[[Scene], Told]
"""Fills a scene with the mails, people and dates of a goal."""

GOALS: list[Goal] = []


def goal(name: str, twin: str = "") -> Callable[[Staging], Staging]:
    """Adds a goal under the name of its task; a `twin`, in which it cannot be reached, has the same staging."""

    def add(staging: Staging) -> Staging:
        GOALS.append(Goal(name, partial(draw, staging, True), holds, twin=twin))
        if twin:
            GOALS.append(Goal(twin, partial(draw, staging, False), holds, feasible=False, twin=name))
        return staging

    return add


def draw(staging: Staging, feasible: bool, rng: random.Random) -> Instance:
    """One instance of the goal. Where it cannot be reached, the account must stay unchanged."""
    scene = Scene(rng, feasible)
    values, wanted = staging(scene)
    return Instance(values, wanted if feasible else Wanted({}), scene.instance_world(), "/mail/inbox")


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the account has exactly the wanted changes, and the answer is right.

    Marks of reading do not count. Neither does a draft where the goal cannot be reached, because only the owner sees it.
    """
    wanted: Wanted = instance.expected
    passing = {"seen"} if evidence.ended != "infeasible" else {"seen", "drafts"}
    changes = {name: change for name, change in evidence.site_state.items() if name not in passing}
    if changes != wanted.changes:
        return False
    return not wanted.answer or _answered(wanted.answer, evidence)


def _answered(expected: str, evidence: Evidence) -> bool:
    right = not AnswerCheck.model_validate({"answer": {"exact": expected, "ignore_case": True}}).unmet(evidence, {})
    return right and evidence.showed(expected)  # the seed draws it, so an agent that was not shown it has it from elsewhere
