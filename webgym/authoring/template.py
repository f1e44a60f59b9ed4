"""Tasks made from a template: a seed draws an instance, one of several wordings tells it, and a check compares how the site was left.

The draw, the wording and the check are pure functions of the seed and of the site's final state, so that the reward cannot depend on
anything that the agent can write.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from webgym.authoring.placeholders import fill_text
from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Splits, Start, Task, Verdict
from webgym.types import seed_from

REMEMBERED = 512  # instances of a template that are kept: an episode asks for its own at the start and at its end


@dataclass(frozen=True)
class Instance:
    """What a seed draws: the `values` that a wording's placeholders stand for (see :mod:`webgym.authoring.placeholders`), what the check
    compares with (`expected`), what the site begins with (`site_state`), and the `path` where the episode begins.
    """

    values: Mapping[str, Any]
    expected: Any = None
    site_state: Any = field(default=None, repr=False)
    path: str = "/"


Draw = Callable[[random.Random], Instance]
Holds = Callable[[Instance, Evidence], bool]


def templated(
    id: str,
    *,
    host: str,
    draw: Draw,
    holds: Holds,
    train: tuple[str, ...],
    test: tuple[str, ...],
    feasible: bool = True,
    twin: str = "",
    **fields: Any,
) -> Task:
    """The task `id` (`<pack>.<name>`) of a template on the site `host`; `fields` are those of :class:`webgym.task.Task`.

    `train` and `test` are the goal's wordings, held apart by the splits (validation has those of training). An episode is won when
    the agent has said `stop(...)` and `holds`; with `feasible=False`, when it has said `infeasible(...)` and `holds` (which then says
    that nothing was changed). With `ends="success"` no word of the agent is needed. `twin` is the id of the task with the same wordings
    that is feasible where this one is not: both draw from the same stream, so that one seed gives both the same goal.
    """
    if not train or not test or set(train) & set(test):
        raise ValueError(f"template {id}: expected wordings for training and others for test, got {len(train)} and {len(test)}")
    stream = min(id, twin) if twin else id
    splits = Splits(templates={"train": train, "valid": train, "test": test})

    @lru_cache(REMEMBERED)
    def instance(seed: int) -> Instance:
        return draw(random.Random(seed_from(stream, seed)))

    def start(seed: int) -> Start:
        drawn = instance(seed)
        wording = random.Random(seed_from(stream, seed, "wording")).choice(splits.wordings(seed))
        return Start(f"http://{host}{drawn.path}", fill_text(wording, drawn.values), site_state=drawn.site_state)

    def check(evidence: Evidence) -> Verdict:
        said = evidence.ended == ("stop" if feasible else "infeasible") or fields.get("ends") == "success"
        if said and holds(instance(evidence.seed), evidence):
            return SUCCESS
        return FAILURE if evidence.ended else PENDING

    return Task(id=id, start=start, check=check, hosts=(host,), twin=twin, splits=splits, **{"ends": "stop", **fields})
