"""Summaries of learning curves: the level that was learned, the speed, the spread, and comparisons of contenders.

A curve has one point an iteration: environment steps so far, and the success of that iteration's episodes, which are fresh instances
played by the policy at that time.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.table import Table

from trainers.studies import verdict
from webgym.evaluation.aggregate import Scores, aggregate_iqm, probability_of_improvement, stratified_bootstrap
from webgym.evaluation.statistics import Interval

Curve = Sequence[Mapping[str, float]]
"""Points with `steps` and `success`."""

FEW = 4
"""Up to this number, contenders are compared in all pairs; more of them are each compared with the first."""


def smoothed(curve: Curve, window: int) -> Float[np.ndarray, " points"]:
    """Success, mean over `window` iterations, [points − window + 1]; empty where there are fewer points."""
    success = np.array([point["success"] for point in curve], float)
    return np.convolve(success, np.ones(window) / window, "valid") if len(success) >= window else np.array([])


def scores(curve: Curve, budget: int, goal: float, window: int) -> dict[str, float | None]:
    """Summary of a learning curve.

    `area`: mean success over the budget's steps; `final`: mean of the last `window` iterations; `steps_to_goal`: the steps after which the
    mean of `window` iterations first reached the goal, null where it never did.
    """
    steps = np.array([point["steps"] for point in curve], float)
    success = np.array([point["success"] for point in curve], float)
    taken = np.diff(np.minimum(steps, budget), prepend=0.0)
    reached = np.flatnonzero(smoothed(curve, window) >= goal)
    return {
        "area": float((success * taken).sum() / max(taken.sum(), 1.0)),
        "final": float(success[-window:].mean()),
        "steps_to_goal": float(steps[reached[0] + window - 1]) if len(reached) else None,
    }


def collapsed(curve: Curve, window: int) -> bool:
    """True if the success at the end is less than half of the run's best."""
    success = smoothed(curve, window)
    return len(success) > 0 and bool(success[-1] < success.max() / 2)


def report(rows: Sequence[Mapping[str, Any]], labels: Sequence[str], goal: float, window: int) -> dict[str, Any]:
    """Rows of a study as plain data: by task and contender, steps to the goal of pairs by task, and scores compared on common tasks."""
    by: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by.setdefault((row["task"], row["label"]), []).append(row)
    labels = [x for x in labels if any(label == x for _, label in by)]
    tasks = sorted({task for task, _ in by})
    areas = {label: {task: [r["area"] for r in by[task, label]] for task in tasks if (task, label) in by} for label in labels}
    chosen = list(combinations(labels, 2)) if len(labels) <= FEW else [(labels[0], other) for other in labels[1:]]
    ordered = [pair for a, b in chosen for pair in ((a, b), (b, a)) if set(areas[a]) & set(areas[b])]
    both = [(task, a, b) for task in tasks for b, a in chosen if task in areas[a] and task in areas[b]]
    return {
        "tasks": [{"task": t, "contender": x, **_figures(by[t, x], goal, window)} for t in tasks for x in labels if (t, x) in by],
        "sooner": [{"task": t, "first": a, "second": b, **steps_ratio(by[t, a], by[t, b])} for t, a, b in both],
        "pairs": [{"first": a, "second": b, **_improvement(areas[a], areas[b])} for a, b in ordered],
    }


def steps_ratio(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ratio of the median steps to the goal, with a bootstrap interval over runs. `never`: runs of each that did not reach it.

    Such a run counts with its budget. So the ratio is too high where runs of the second never reached it, and too low for the first.
    """
    never = [sum(row["steps_to_goal"] is None for row in rows) for rows in (first, second)]
    return {**_ratio(list(map(_steps, first)), list(map(_steps, second))), "never": never}


def _steps(row: Mapping[str, Any]) -> float:
    return float(row["steps_to_goal"] or row["steps"])


def _ratio(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """The ratio of medians, with a bootstrap interval over runs."""

    def ratio(a: Scores, b: Scores) -> float:
        return float(np.median(a[""]) / np.median(b[""]))

    interval = stratified_bootstrap(ratio, {"": first}, {"": second})
    return {"ratio": ratio({"": first}, {"": second}), "low": interval.low, "high": interval.high}


def _figures(rows: Sequence[Mapping[str, Any]], goal: float, window: int) -> dict[str, Any]:
    steps = [np.inf if row["steps_to_goal"] is None else row["steps_to_goal"] for row in rows]
    median = float(np.median(steps))
    return {
        "runs": len(rows),
        **{name: _with_interval({"": [row[name] for row in rows]}) for name in ("area", "final")},
        "goal": goal,
        "reached_goal": int(np.isfinite(steps).sum()),
        "median_steps_to_goal": median if np.isfinite(median) else None,  # of all runs; none where half of them never reached it
        "collapsed": sum(collapsed(row["curve"], window) for row in rows),
        "seconds": float(np.mean([row["seconds"] for row in rows])),
    }


def _with_interval(found: Scores) -> dict[str, float]:
    interval = stratified_bootstrap(aggregate_iqm, found)
    return {"iqm": aggregate_iqm(found), "low": interval.low, "high": interval.high}


def _improvement(first: Scores, second: Scores) -> dict[str, Any]:
    shared = sorted(set(first) & set(second))
    pair = ({task: first[task] for task in shared}, {task: second[task] for task in shared})
    interval: Interval = stratified_bootstrap(probability_of_improvement, *pair)
    return {"tasks": shared, "probability": probability_of_improvement(*pair), "low": interval.low, "high": interval.high}


def tables(found: Mapping[str, Any]) -> list[Table]:
    """The report for a terminal: for each task the results and speed of the contenders, then the comparison over all tasks."""
    by_task = [
        (task, [row for row in found["tasks"] if row["task"] == task]) for task in dict.fromkeys(row["task"] for row in found["tasks"])
    ]
    made = []
    for task, rows in by_task:
        made.append(_learned(task, rows))
        if raced := [row for row in found["sooner"] if row["task"] == task]:
            made.append(_sooner(task, raced))
    better = Table("contender", "beats", "on tasks", "probability of improvement")
    for row in found["pairs"]:
        span = f"{row['probability']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        better.add_row(row["first"], row["second"], str(len(row["tasks"])), span)
    return [*made, better, *([verdict.table(found["verdict"])] if "verdict" in found else [])]


def _learned(task: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    caption = f"there: runs that reached {rows[0]['goal']:.0%}; steps: their median; lost: runs that ended under half of their best"
    table = Table("contender", "runs", "area (IQM)", "final (IQM)", "there", "steps", "lost", "s", title=task, caption=caption)
    for row in rows:
        steps = row["median_steps_to_goal"]
        spans = [f"{row[x]['iqm']:.2f} [{row[x]['low']:.2f}, {row[x]['high']:.2f}]" for x in ("area", "final")]
        told = [f"{steps:,.0f}" if steps else "–", str(row["collapsed"]), f"{row['seconds']:.0f}"]
        table.add_row(row["contender"], str(row["runs"]), *spans, f"{row['reached_goal']} of {row['runs']}", *told)
    return table


def _sooner(task: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("contender", "against", "steps to goal, ratio of medians", "never there", title=f"{task}: who is sooner")
    for row in rows:
        span, never = f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]", f"{row['never'][0]} and {row['never'][1]}"
        table.add_row(row["first"], row["second"], span, never)
    return table
