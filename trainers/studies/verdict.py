"""Verdict of a study on "this contender needs half of the yardstick's steps": a rule that stands before the first cell is played.

Per deciding task, over runs with the planned seeds, and for two costs: sampled steps (C1) and sampled tokens (C3) until the goal,

    ratio     median of the contender / median of the yardstick, with a 95% interval from runs drawn anew
    shown     the upper end is at most `half` in both costs
    missed    the lower end is above `half` in one of them

    half        shown on two tasks or more
    refuted     missed on every task
    undecided   what lies between, or fewer than three tasks of which all runs are there

A run that never reached the goal needs more than its budget, and it is not known how much more. So for each end of the interval it counts
with its budget or as without end, whichever makes the claim harder: a yardstick that stalls refutes nothing.

The verdict may be known before all is played. Both ends rise with every run of the contender and fall with every run of the yardstick, so
the runs that are missing are bounded by the two extremes, and the tasks' answers and the verdict with them (`open`).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from rich.table import Table

Rows = Sequence[Mapping[str, Any]]
"""Rows of measured cells (:func:`trainers.studies.learning.play`)."""

COUNTABLE = 3
"""Tasks of which all runs must be there before a verdict is given on them alone."""

DRAWS = 2000
_LEAST, _MOST = 1.0, 1e15  # steps or tokens of a run of which nothing is known; finite, because it divides


class _Costs(NamedTuple):
    """Costs of the planned runs, [runs]: as the lower and as the upper end of the interval count them. NaN: not played."""

    low: Float[np.ndarray, " runs"]
    high: Float[np.ndarray, " runs"]

    def filled(self, unknown: float) -> "_Costs":
        """The costs with this one for every run that is not played."""
        return _Costs(*(np.where(np.isnan(x), unknown, x) for x in self))

    def played(self) -> "_Costs":
        """The costs of the runs that are played."""
        return _Costs(*(x[~np.isnan(x)] for x in self))


class Ends(NamedTuple):
    """Ends of an interval of a ratio."""

    low: float
    high: float


def verdict(rows: Rows, label: str, yardstick: str, runs: Mapping[str, int], half: float = 0.5) -> dict[str, Any]:
    """The verdict by the rule above, from the rows that are there; `runs` are the planned runs of both contenders by deciding task.

    `open` are the verdicts that the cells still to be played could lead to. One alone is the verdict. Of several, `verdict` is the one on
    the tasks that are played to their end. A task `matters` while the verdict may depend on its missing runs. An upper end without bound
    is null, as is the whole cost where a contender has no run.
    """
    tasks = [_task(rows, label, yardstick, task, planned, half) for task, planned in runs.items()]
    possible = [task["possible"] for task in tasks]
    left = _open(possible)
    for n, task in enumerate(tasks):
        task["matters"] = _matters(possible, n)
    counted = [task["possible"] for task in tasks if task["runs"] == [runs[task["task"]]] * 2]
    (said,) = left if len(left) == 1 else _open(counted) if len(counted) >= COUNTABLE else ["undecided"]
    return {"verdict": said, "open": left, "tasks": tasks}


def _rule(answers: Sequence[str]) -> str:
    """The verdict on tasks with these answers."""
    if answers.count("shown") >= 2:
        return "half"
    return "refuted" if answers and answers.count("missed") == len(answers) else "undecided"


def _open(possible: Sequence[Sequence[str]]) -> list[str]:
    """The verdicts that are possible with these answers of the tasks."""
    found = {_rule(answers) for answers in product(*possible)}
    return [x for x in ("half", "refuted", "undecided") if x in found]


def _matters(possible: Sequence[Sequence[str]], n: int) -> bool:
    """True if the verdict may depend on which of its answers task n has."""
    others = product(*possible[:n], *possible[n + 1 :])
    return any(len({_rule((*x[:n], own, *x[n:])) for own in possible[n]}) > 1 for x in others)


def _task(rows: Rows, label: str, yardstick: str, task: str, runs: int, half: float) -> dict[str, Any]:
    """The intervals of a deciding task over the runs that are there, and the answers that are possible once all are."""
    by = {name: [x for x in rows if (x["task"], x["label"]) == (task, name) and x["seed"] < runs] for name in (label, yardstick)}
    found: dict[str, Any] = {"task": task, "runs": [len(by[label]), len(by[yardstick])]}
    least, most = {}, {}
    for cost, read in COSTS.items():
        mine = _costs(by[label], read, runs, stalled_low=None, stalled_high=np.inf)
        theirs = _costs(by[yardstick], read, runs, stalled_low=_MOST, stalled_high=None)
        least[cost] = _ends(mine.filled(_LEAST), theirs.filled(_MOST))
        most[cost] = _ends(mine.filled(np.inf), theirs.filled(_LEAST))
        found[cost] = None
        if all(by.values()):
            ends = _ends(mine.played(), theirs.played())
            middle = float(np.median(mine.played().low) / np.median(theirs.played().high))
            found[cost] = {"ratio": middle, "low": ends.low, "high": ends.high if np.isfinite(ends.high) else None}
    answers = [_answer(ends, half) for ends in (least, most)]
    found["possible"] = [x for x in ("shown", "between", "missed") if _ORDER[answers[0]] <= _ORDER[x] <= _ORDER[answers[1]]]
    return found


_ORDER = {"shown": 0, "between": 1, "missed": 2}


def _answer(ends: Mapping[str, Ends], half: float) -> str:
    if all(x.high <= half for x in ends.values()):
        return "shown"
    return "missed" if any(x.low > half for x in ends.values()) else "between"


def _costs(
    rows: Rows, read: Callable[[Mapping[str, Any]], float], runs: int, *, stalled_low: float | None, stalled_high: float | None
) -> _Costs:
    """Costs by seed. A run that never reached the goal has `stalled_low` and `stalled_high`, or its whole cost where that is None."""
    low, high = np.full(runs, np.nan), np.full(runs, np.nan)
    for row in rows:
        there, whole = row["steps_to_goal"] is not None, read(row)
        low[row["seed"]] = whole if there or stalled_low is None else stalled_low
        high[row["seed"]] = whole if there or stalled_high is None else stalled_high
    return _Costs(low, high)


def _steps(row: Mapping[str, Any]) -> float:
    """Sampled steps up to the goal, or the budget."""
    return float(row["steps"] if row["steps_to_goal"] is None else row["steps_to_goal"])


def _tokens(row: Mapping[str, Any]) -> float:
    """Sampled tokens up to the goal, or of the whole run."""
    reached = [point["tokens"] for point in row["curve"] if point["steps"] == row["steps_to_goal"]]
    return float(reached[0] if reached else row["curve"][-1]["tokens"])


COSTS: Mapping[str, Callable[[Mapping[str, Any]], float]] = {"C1": _steps, "C3": _tokens}
"""The costs by which a verdict is given."""


def _ends(first: _Costs, second: _Costs) -> Ends:
    """95% percentile interval of the ratio of medians, runs of both drawn anew. Its ends are drawn ratios, which may be infinite."""
    rng = np.random.default_rng(0)
    places = [rng.integers(len(x.low), size=(DRAWS, len(x.low))) for x in (first, second)]
    low, high = (np.median(x[places[0]], 1) / np.median(y[places[1]], 1) for x, y in zip(first, second, strict=True))
    outside = int(0.025 * DRAWS)
    return Ends(float(np.sort(low)[outside]), float(np.sort(high)[-1 - outside]))


def table(found: Mapping[str, Any]) -> Table:
    """A verdict for a terminal."""
    more = f" so far; still possible: {', '.join(found['open'])}" if len(found["open"]) > 1 else ""
    shown = Table("deciding task", "runs", "C1, ratio of medians", "C3", title=f"verdict: {found['verdict']}{more}")
    for row in (row for row in found["tasks"] if row["C1"]):
        ends = [(row[cost]["ratio"], row[cost]["low"], row[cost]["high"]) for cost in COSTS]
        spans = [f"{ratio:.2f} [{low:.2f}, {'no end' if high is None else f'{high:.2f}'}]" for ratio, low, high in ends]
        shown.add_row(row["task"], f"{row['runs'][0]} and {row['runs'][1]}", *spans)
    return shown
