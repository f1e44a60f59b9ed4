"""The study of forks from rows that are committed: its report, the law that it tests, and plots of both.

The break-even law is of deterministic pages, noise that falls evenly over T turns, and one fork at turn τT with b children, all of them
trained with their path weights. Signal-to-noise per sampled step, RLOO's = 1:

    1 / {[τ² + τ(1−τ)/b + (1−τ)²/(b−1)] · [τ + b(1−τ)]}

The first bracket is the noise, the second the cost in episodes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.studies.choices import Problem
from trainers.studies.forks import Contender, ForkGrid, reported
from trainers.studies.plots import SIZE, pyplot
from webgym.errors import UsageError

Rows = list[dict[str, Any]]
"""Rows of cells, as the study writes them."""

HALF = 0.5
"""Share of the yardstick's steps that the question asks for."""


def committed(file: Path) -> tuple[Rows, Rows]:
    """The signal rows and the measured rows of a file with one row a line. Raises UsageError where a line is no row."""
    rows: dict[str, Rows] = {"signal": [], "tune": [], "measure": []}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            rows[row["cell"].partition("/")[0]].append(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            words = "expected a JSON object with the name of its cell, such as signal/t12-0, under `cell`"
            raise UsageError(f"{file}, line {number}: {words}") from None
    return rows["signal"], rows["measure"]


def break_even(at: float, children: int) -> float:
    """The law: signal-to-noise per sampled step as a ratio to RLOO's, for a fork at this share of the turns.

    >>> round(break_even(0.5, 2), 2), round(break_even(0.3, 4), 2)
    (1.07, 1.05)
    """
    noise = at**2 + at * (1 - at) / children + (1 - at) ** 2 / (children - 1)
    return 1 / (noise * (at + children * (1 - at)))


def law_of(contender: Contender, problem: Problem) -> tuple[float, int] | None:
    """Place of the fork as a share of the turns, and the number of children; None for an estimator that the law does not cover."""
    _, config = contender.resolved()
    read = config.model_dump()
    if contender.algo != "tree" or (read["where"], read["most"], read["train"]) != ("fixed", 1, "all") or read["every"] >= problem.turns:
        return None
    return read["every"] / problem.turns, read["children"]


def plot_law(grid: ForkGrid, signal: Rows, folder: Path) -> list[Path]:
    """Writes the law as a curve for each number of children, with what was measured; returns the file."""
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    measured = {(row["problem"], row["estimator"]): row["ratio_C1"] for row in reported(grid, signal, [])["signal"]}
    points = [
        (problem, contender.label, *law, measured[problem.name, contender.label])
        for problem in grid.signal.problems
        for contender in grid.signal.estimators
        if (law := law_of(contender, problem)) and (problem.name, contender.label) in measured
    ]
    shares = np.linspace(0.02, 0.98, 97)
    colours = {children: f"C{n}" for n, children in enumerate(sorted({point[3] for point in points}))}
    for children, colour in colours.items():
        axis.plot(shares, [break_even(float(x), children) for x in shares], color=colour, label=f"law, {children} children")
    markers = dict(zip((problem.name for problem in grid.signal.problems), "osD^vP*X", strict=False))
    apart = {name: 0.006 * (n - 1) for n, name in enumerate(markers)}
    for problem, label, at, children, found in points:
        error = [[max(found["mean"] - found["low"], 0)], [max(found["high"] - found["mean"], 0)]]
        style = {"color": colours[children], "marker": markers[problem.name], "linestyle": "none", "markersize": 6}
        axis.errorbar([at + apart[problem.name]], [found["mean"]], yerr=error, label=f"{label}, {problem.name}", **style)
    axis.axhline(1.0, color="grey", linewidth=0.8)
    axis.axhline(grid.stop, color="grey", linewidth=0.8, linestyle="--")
    axis.annotate(f"the stop rule asks for {grid.stop:g}", (0.02, grid.stop), xytext=(0, 3), textcoords="offset points", fontsize=7)
    axis.set(xlabel="turn of the fork, as a share of all turns", ylabel="signal-to-noise per sampled step, ratio to rloo", ylim=(0, None))
    figure.legend(loc="outside right center", fontsize=7)
    return _saved(plt, figure, folder / "forks-law.png")


def plot_runs(measured: Sequence[Mapping[str, Any]], labels: Sequence[str], folder: Path) -> list[Path]:
    """Writes the steps of every measured run, a point each, a line at the median; returns the file."""
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    problems = list(dict.fromkeys(row["problem"] for row in measured))
    figure, axes = plt.subplots(1, len(problems), figsize=SIZE, sharey=True, squeeze=False, layout="constrained")
    for axis, problem in zip(axes[0], problems, strict=True):
        for place, label in enumerate(reversed(labels)):
            runs = [row for row in measured if (row["problem"], row["label"]) == (problem, label)]
            for reached, face in ((True, "C0"), (False, "none")):
                steps = [row["fresh"] for row in runs if row["reached"] == reached]
                axis.scatter(steps, [place] * len(steps), s=18, alpha=0.7, facecolors=face, edgecolors="C0")
            if runs:
                middle = float(np.median([row["fresh"] for row in runs]))
                axis.plot([middle, middle], [place - 0.3, place + 0.3], color="C1", linewidth=2)
                if label == labels[0]:
                    axis.axvline(HALF * middle, color="grey", linestyle="--", linewidth=0.8)
        axis.set(xscale="log", title=problem, yticks=range(len(labels)), yticklabels=list(reversed(labels)))
        axis.title.set_fontsize(8)
        low, high = axis.get_xlim()
        ticks = [x for x in (500, 1000, 2000, 5000, 10_000, 20_000, 50_000) if low <= x <= high]
        axis.minorticks_off()
        axis.set_xticks(ticks, [f"{x:,}" for x in ticks], fontsize=7)
        axis.grid(axis="x", alpha=0.3)
    figure.supxlabel(f"sampled steps until the goal, a point a run (hollow: given up); dashed: half of {labels[0]}'s median", fontsize=9)
    return _saved(plt, figure, folder / "forks-runs.png")


def _saved(plt: Any, figure: Any, file: Path) -> list[Path]:
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return [file]
