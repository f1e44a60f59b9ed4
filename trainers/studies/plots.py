"""Plots of the studies' reports, drawn with matplotlib (the extra `plots`), which is imported when it is asked for."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.studies.curves import smoothed
from webgym.errors import UsageError
from webgym.evaluation.aggregate import iqm

_Rows = Mapping[tuple[str, str], Mapping[str, Any]]  # of task and estimator
_Tasks = Sequence[Mapping[str, Any]]

SIZE = (9.0, 5.0)
"""Inches of a plot."""


def pyplot() -> Any:
    """matplotlib's pyplot, drawing to files only. Raises UsageError where it is not installed."""
    try:
        importlib.import_module("matplotlib").use("agg")
        return importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise UsageError("plots need matplotlib: install it with `pip install 'webgym-rl[plots]'`") from None


def plot_estimators(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes the signal-to-noise ratio by horizon, the cosine by episodes, and the sign by turn; returns the files."""
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    rows = {(row["task"], row["estimator"]): row for row in report["estimators"]}
    labels = list(dict.fromkeys(row["estimator"] for row in report["estimators"]))
    families: dict[str, list[Mapping[str, Any]]] = {}
    for task in report["tasks"]:
        families.setdefault("late" if "-late" in task["task"] else "at once", []).append(task)
    first = sorted(next(iter(families.values())), key=lambda task: task["horizon"])
    style = _styles(labels)
    return [
        _saved(plt, folder / "estimators-snr.png", lambda axes: _snr(axes, rows, labels, first, style), columns=1),
        _saved(plt, folder / "estimators-cosine.png", lambda axes: _cosine(axes, rows, labels, first, style), columns=len(first)),
        _saved(plt, folder / "estimators-sign.png", lambda axes: _sign(axes, rows, labels, first[-1:], style), columns=1),
    ]


def _styles(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line and colour of each estimator: dashed and dotted where the critic is given, not learned."""
    lines = {"-seen": "--", "-exact": ":"}
    return {
        label: {
            "color": f"C{n % 10}",
            "linestyle": next((line for end, line in lines.items() if label.endswith(end)), "-"),
            "marker": "osD^vP*X"[n // 10 % 8],
            "markersize": 4,
            "label": label,
        }
        for n, label in enumerate(labels)
    }


def _saved(plt: Any, file: Path, draw: Callable[[Any], None], columns: int) -> Path:
    figure, axes = plt.subplots(1, columns, figsize=SIZE, sharey=True, squeeze=False, layout="constrained")
    draw(axes[0])
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=7)
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return file


def _errors(found: Sequence[Mapping[str, float]]) -> list[list[float]]:
    return [[max(x["mean"] - x["low"], 0.0) for x in found], [max(x["high"] - x["mean"], 0.0) for x in found]]


def _snr(axes: Any, rows: _Rows, labels: Sequence[str], tasks: _Tasks, style: Mapping[str, Any]) -> None:
    axis = axes[0]
    for n, label in enumerate(labels):
        gradients = [rows[task["task"], label]["gradient"] for task in tasks]
        last = list(gradients[0])[-1]
        found = [gradient[last]["snr"] for gradient in gradients]
        shifted = [task["horizon"] * (1 + 0.01 * (n - len(labels) / 2)) for task in tasks]
        axis.errorbar(shifted, [max(x["mean"], 1e-4) for x in found], _errors(found), elinewidth=0.6, **style[label])
        axis.set_ylabel(f"signal-to-noise ratio of the gradient, {last} episodes")
    axis.set(xscale="log", yscale="log", xlabel="horizon (pages)")
    axis.set_xticks([task["horizon"] for task in tasks], [str(task["horizon"]) for task in tasks])
    axis.minorticks_off()


def _cosine(
    axes: Any, rows: Mapping[Any, Any], labels: Sequence[str], tasks: Sequence[Mapping[str, Any]], style: Mapping[str, Any]
) -> None:
    for axis, task in zip(axes, tasks, strict=True):
        for label in labels:
            gradient = rows[task["task"], label]["gradient"]
            found = [part["cosine"] for part in gradient.values()]
            axis.errorbar([int(n) for n in gradient], [x["mean"] for x in found], _errors(found), elinewidth=0.6, **style[label])
        axis.set(xscale="log", xlabel="episodes", title=f"horizon {task['horizon']}")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("cosine with the exact policy gradient")


def _sign(axes: Any, rows: _Rows, labels: Sequence[str], tasks: _Tasks, style: Mapping[str, Any]) -> None:
    for axis, task in zip(axes, tasks, strict=True):
        for label in labels:
            found = [(t, x) for t, x in enumerate(rows[task["task"], label]["sign_by_turn"]) if x is not None]
            axis.plot([t for t, _ in found], [x for _, x in found], linewidth=1, **style[label])
        axis.axhline(0.5, color="grey", linewidth=0.6)
        axis.set(xlabel=f"turn ({task['task']})", ylabel="share of advantages with the right sign")


def plot_critic(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes calibration, AUC by turn and error by distance to the end; returns the file."""
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    figure, (calibration, ranking, distance) = plt.subplots(1, 3, figsize=(11.0, 3.6), layout="constrained")
    calibration.plot([0, 1], [0, 1], color="grey", linewidth=0.6)
    for name, row in report["sets"].items():
        calibration.plot([x["prediction"] for x in row["curve"]], [x["target"] for x in row["curve"]], marker="o", markersize=3, label=name)
        ranking.plot(row["auc_by_turn"], marker="o", markersize=3, label=name)
        near = row["by_distance"]
        (line,) = distance.plot(
            [x["distance"] for x in near], [x["error"] for x in near], marker="o", markersize=3, label=f"{name}, outcome"
        )
        distance.plot([x["distance"] for x in near], [x["truth_error"] for x in near], "--", color=line.get_color(), label=f"{name}, truth")
    calibration.set(xlabel="V", ylabel="mean of what came", title="calibration")
    ranking.set(xlabel="turn", ylabel="AUC for eventual success", title="ranking")
    distance.set(xlabel="turns to the end", ylabel="root mean square error", title="error")
    for axis in (calibration, ranking, distance):
        axis.legend(fontsize=7)
    file = folder / "critic.png"
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return [file]


def plot_learning(rows: Sequence[Mapping[str, Any]], labels: Sequence[str], goal: float, window: int, folder: Path) -> list[Path]:
    """Writes a panel a task: success by environment steps, a thin line a run, a thick one of interquartile means; returns the file."""
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = sorted({row["task"] for row in rows}, key=lambda task: (max(row["steps"] for row in rows if row["task"] == task), task))
    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4 * columns + 1, 3 * lines), sharey=True, squeeze=False, layout="constrained")
    colours = {label: f"C{n % 10}" for n, label in enumerate(labels)}
    for axis, task in zip(axes.flat, tasks, strict=False):
        axis.axhline(goal, color="grey", linewidth=0.6)
        for n, label in enumerate(labels):
            runs = [row for row in rows if (row["task"], row["label"]) == (task, label) and len(row["curve"]) >= window]
            if not runs:
                continue
            grid = np.linspace(0, runs[0]["steps"], 200)
            drawn = []
            for row in runs:
                steps = [point["steps"] for point in row["curve"]][window - 1 :]
                drawn.append(np.interp(grid, steps, smoothed(row["curve"], window), left=np.nan))
                axis.plot(grid, drawn[-1], color=colours[label], linewidth=0.5, alpha=0.4)
            middle = [np.nan if np.isnan(there).any() else iqm(there) for there in np.stack(drawn, axis=1)]
            axis.plot(grid, middle, color=colours[label], linestyle="-" if n < 10 else "--", linewidth=1.8, label=label)
        axis.set(title=task, xlabel="environment steps", ylim=(0, 1))
        axis.title.set_fontsize(8)
    for axis in list(axes.flat)[len(tasks) :]:
        axis.set_visible(False)
    axes[0][0].set_ylabel(f"success, mean of {window} iterations")
    named = {name: line for axis in axes.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside right center", fontsize=8)
    file = folder / "learning.png"
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return [file]


def plot_forks(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes the study of forks: signal-to-noise as a ratio to the first estimator's, and steps to the goal to the first contender's."""
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    parts = (("signal", "estimator", "signal-to-noise per step"), ("learning", "contender", "steps to the goal"))
    for part, name, words in ((part, name, words) for part, name, words in parts if report[part]):
        problems = list(dict.fromkeys(row["problem"] for row in report[part]))
        figure, axes = plt.subplots(1, len(problems), figsize=SIZE, sharey=True, squeeze=False, layout="constrained")
        for axis, problem in zip(axes[0], problems, strict=True):
            rows = [row for row in report[part] if row["problem"] == problem]
            for cost, colour, apart in (("C1", "C0", 0.15), ("C2", "C1", -0.15)):
                found = [row[f"ratio_{cost}"] for row in rows]
                places = np.arange(len(rows))[::-1] + apart
                label = f"{cost}: {'sampled steps' if cost == 'C1' else 'and replayed ones'}"
                axis.errorbar([x["mean"] for x in found], places, xerr=_errors(found), fmt="o", ms=4, color=colour, label=label)
            axis.set(xscale="log", title=problem, yticks=np.arange(len(rows))[::-1], yticklabels=[row[name] for row in rows])
            low, high = axis.get_xlim()
            ticks = [x for x in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= x <= high]
            axis.minorticks_off()
            axis.set_xticks(ticks, [f"{x:g}" for x in ticks], fontsize=7)
            axis.axvline(1.0, color="grey", linewidth=0.8)
            if part == "learning":
                axis.axvline(0.5, color="grey", linewidth=0.8, linestyle="--")
            axis.title.set_fontsize(8)
        figure.supxlabel(f"{words}, ratio to {report[part][0][name]}", fontsize=9)
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper right", fontsize=7)
        written.append(folder / f"forks-{part}.png")
        figure.savefig(written[-1], dpi=110)
        plt.close(figure)
    return written
