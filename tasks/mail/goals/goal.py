"""The list of goals, and how one becomes a task's draw and check."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from webgym.authoring.checks import AnswerCheck
from webgym.authoring.template import Goal, Instance
from webgym.task import Evidence

from ..scene import Scene, Wanted

Told = tuple[Mapping[str, Any], Wanted]
"""The values of the goal's placeholders, and what is wanted."""

Staging = Callable[[Scene], Told]
"""Fills a scene with what a goal is about."""

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
    """One instance of the goal. Where it cannot be reached, nothing may be changed."""
    scene = Scene(rng, feasible)
    values, wanted = staging(scene)
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
