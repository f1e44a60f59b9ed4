"""Quality of a critic on held-out episodes: against their outcomes and, where it is known, against the truth.

    explained            1 − Var(G − V)/Var(G): bounded by chance, so far below 1 even for a perfect critic of a noisy policy
    explained_within     the same within task and turn: the critic's knowledge beyond the task's difficulty and the turn's number
    truth, truth_within  the same against V(s_t) itself, less the noise of a Monte Carlo truth
    calibration_error    mean distance of V from the outcomes, in ten bins of V; `curve` has the bins
    auc, auc_by_turn     the chance that a success was given a higher value than a failure at the same turn
    by_distance          by turns to the end: mean of V − G and its root mean square; against the truth too

Intervals draw instances (task and seed) anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.credit.calibration import auc, calibration_curve, calibration_error, explained_variance_of_noisy
from trainers.credit.credit import monte_carlo_targets, task_turn_cells
from webgym.types import Trajectory


@dataclass(frozen=True, eq=False)
class Judged:
    """Turns, flat: values, returns, success of the episode, task-and-turn cell, turn, turns to the end, instance, and the truth with its
    standard error (NaN where it is unknown)."""

    value: np.ndarray
    outcome: np.ndarray
    success: np.ndarray
    cell: np.ndarray
    turn: np.ndarray
    distance: np.ndarray
    instance: np.ndarray
    truth: np.ndarray
    error: np.ndarray

    @classmethod
    def of(
        cls,
        trajectories: Sequence[Trajectory],
        values: Sequence[np.ndarray],
        gamma: float,
        truth: Sequence[np.ndarray] | None = None,
        errors: Sequence[np.ndarray] | None = None,
    ) -> "Judged":
        """The turns of these episodes; without `errors` the truth is exact."""
        names = {x.key.task_id + str(x.key.seed): n for n, x in enumerate(trajectories)}
        unknown = [np.full(len(x), np.nan) for x in trajectories]
        return cls(
            np.concatenate(values),
            np.concatenate(monte_carlo_targets(trajectories, gamma)),
            _each(trajectories, lambda x: np.full(len(x), float(x.outcome.success))),
            np.concatenate(task_turn_cells(trajectories)).astype(np.int64),
            _each(trajectories, lambda x: np.arange(len(x))),
            _each(trajectories, lambda x: np.arange(len(x))[::-1]),
            _each(trajectories, lambda x: np.full(len(x), names[x.key.task_id + str(x.key.seed)])),
            np.concatenate(unknown if truth is None else truth),
            np.concatenate(errors) if errors is not None else np.zeros(sum(map(len, trajectories))),
        )

    def take(self, chosen: np.ndarray) -> "Judged":
        """Some of the turns."""
        return Judged(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def _each(trajectories: Sequence[Trajectory], read: Callable[[Trajectory], np.ndarray]) -> np.ndarray:
    return np.concatenate([read(x) for x in trajectories])


FIGURES = ("explained", "explained_within", "truth", "truth_within", "calibration_error", "auc")


def figures(judged: Judged) -> dict[str, float]:
    """The figures by name, NaN where they are undefined."""
    one, zero = np.zeros(len(judged.cell), dtype=np.int64), np.zeros(len(judged.cell))
    known = judged.take(~np.isnan(judged.truth))
    inside = known.truth, known.value, known.error
    return {
        "explained": explained_variance_of_noisy(judged.outcome, judged.value, zero, one),
        "explained_within": explained_variance_of_noisy(judged.outcome, judged.value, zero, judged.cell),
        "truth": explained_variance_of_noisy(*inside, np.zeros(len(known.cell), dtype=np.int64)),
        "truth_within": explained_variance_of_noisy(*inside, known.cell),
        "calibration_error": calibration_error(judged.outcome, judged.value),
        "auc": _weighted_auc(judged),
    }


def _weighted_auc(judged: Judged) -> float:
    """Mean over turns of the AUC there, weighed by the number of pairs."""
    pairs, total = 0.0, 0.0
    for t in np.unique(judged.turn):
        here = judged.turn == t
        good = float(judged.success[here].sum())
        weight = good * (here.sum() - good)
        if weight:
            pairs, total = pairs + weight, total + weight * auc(judged.success[here], judged.value[here])
    return total / pairs if pairs else float("nan")


def quality(judged: Judged, draws: int = 400) -> dict[str, Any]:
    """Everything, with 95% intervals of the figures, as plain data."""
    found = figures(judged)
    names = np.unique(judged.instance)
    of = {name: np.flatnonzero(judged.instance == name) for name in names}
    rng = np.random.default_rng(0)
    drawn = [figures(judged.take(np.concatenate([of[n] for n in rng.choice(names, len(names))]))) for _ in range(draws)]
    return {
        "turns": len(judged.value),
        "instances": len(names),
        "success": float(np.mean(judged.success[judged.turn == 0])) if len(judged.turn) else float("nan"),
        **{name: _with_interval(found[name], [x[name] for x in drawn]) for name in FIGURES},
        "curve": [x._asdict() for x in calibration_curve(judged.outcome, judged.value)],
        "auc_by_turn": [auc(judged.success[judged.turn == t], judged.value[judged.turn == t]) for t in range(int(judged.turn.max()) + 1)],
        "by_distance": [_at_distance(judged.take(judged.distance == d), d) for d in range(int(judged.distance.max()) + 1)],
    }


def _with_interval(found: float, drawn: Sequence[float]) -> dict[str, float]:
    usable = [x for x in drawn if np.isfinite(x)]
    low, high = np.quantile(usable, [0.025, 0.975]) if usable else (float("nan"), float("nan"))
    return {"mean": found, "low": float(low), "high": float(high)}


def _at_distance(judged: Judged, distance: int) -> dict[str, float]:
    off = judged.value - judged.outcome
    known = ~np.isnan(judged.truth)
    truth = (judged.value - judged.truth)[known]
    square = max(float(np.mean(truth**2) - np.mean(judged.error[known] ** 2)), 0.0) if known.any() else float("nan")
    return {
        "distance": distance,
        "turns": len(off),
        "bias": float(off.mean()),
        "error": float(np.sqrt(np.mean(off**2))),
        "truth_error": float(np.sqrt(square)),
    }
