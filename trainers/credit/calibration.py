"""Quality of predictions of an outcome: explained variance (also within cells), calibration and ranking. Pure functions.

`target` is the outcome (returns G), `prediction` the forecast (values V), one number per turn. Everything is float64 numpy.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Numbers = Float[np.ndarray, " n"]


def explained_variance(target: Numbers, prediction: Numbers) -> float:
    """1 − Var(G − V)/Var(G): 1 is perfect, 0 no better than a constant; NaN when there is nothing to explain."""
    variance = float(np.var(target)) if len(target) else 0.0
    return 1 - float(np.var(target - prediction)) / variance if variance > 0 else float("nan")


def explained_variance_within(target: Numbers, prediction: Numbers, cells: Int[np.ndarray, " n"]) -> float:
    """Explained variance after the mean of each cell is subtracted from G and from V; NaN when no cell has any spread.

    With a cell for each task and turn it measures the critic's knowledge beyond "this task is hard" and "this turn is late":
    1 − Σ_c Σ_i ((G_i − Ḡ_c) − (V_i − V̄_c))² / Σ_c Σ_i (G_i − Ḡ_c)².
    """
    g, v = _centred(target, cells), _centred(prediction, cells)
    total = float(g @ g)
    return 1 - float((g - v) @ (g - v)) / total if total > 1e-12 else float("nan")


def explained_variance_of_noisy(target: Numbers, prediction: Numbers, error: Numbers, cells: Int[np.ndarray, " n"]) -> float:
    """Explained variance of the truth that `target` estimates with standard errors `error`, within cells (one cell for all: pooled).

    The estimates' own noise adds Σ e² (1 − 1/n_c) to both sums of squares and is subtracted from them; NaN where only noise is left.
    """
    g, v = _centred(target, cells), _centred(prediction, cells)
    _, place, counts = np.unique(cells, return_inverse=True, return_counts=True)
    noise = float(error**2 @ (1 - 1 / counts[place])) if len(error) else 0.0
    total, left = float(g @ g) - noise, float((g - v) @ (g - v)) - noise
    return 1 - left / total if total > 1e-12 else float("nan")


def _centred(x: Numbers, cells: Int[np.ndarray, " n"]) -> Numbers:
    _, place = np.unique(cells, return_inverse=True)
    counts = np.bincount(place)
    return x - (np.bincount(place, weights=x) / np.maximum(counts, 1))[place] if len(x) else x


class Bin(NamedTuple):
    """Predictions of one interval: their number, their mean, and the mean of the outcomes."""

    count: int
    prediction: float
    target: float


def calibration_curve(target: Numbers, prediction: Numbers, bins: int = 10) -> list[Bin]:
    """Bins of equal width over [0, 1], empty ones left out; predictions outside are counted in the nearest bin."""
    place = np.clip((prediction * bins).astype(np.int64), 0, bins - 1)
    chosen = (place == b for b in range(bins))
    return [Bin(int(x.sum()), float(prediction[x].mean()), float(target[x].mean())) for x in chosen if x.any()]


def calibration_error(target: Numbers, prediction: Numbers, bins: int = 10) -> float:
    """Expected calibration error, Σ_b n_b/n |V̄_b − Ḡ_b| (Naeini et al. 2015); NaN for no predictions."""
    curve = calibration_curve(target, prediction, bins)
    total = sum(b.count for b in curve)
    return sum(b.count * abs(b.prediction - b.target) for b in curve) / total if total else float("nan")


def auc(success: Numbers, prediction: Numbers) -> float:
    """The chance that a success was given a higher value than a failure, ties counting half (Mann-Whitney); NaN without both."""
    good, bad = prediction[success > 0.5], prediction[success <= 0.5]
    if not len(good) or not len(bad):
        return float("nan")
    ordered = np.sort(bad)
    below, up_to = np.searchsorted(ordered, good, "left"), np.searchsorted(ordered, good, "right")
    return float((below + up_to).sum() / (2 * len(good) * len(bad)))
