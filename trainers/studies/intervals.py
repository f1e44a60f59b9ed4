"""Bootstrap intervals over cells, and how they are printed."""

from collections.abc import Callable, Mapping

import numpy as np


def interval(statistic: Callable[[np.ndarray], float], cells: np.ndarray, draws: int = 1000) -> dict[str, float]:
    """`statistic` of the cells, with the 95% percentile interval of cells drawn with replacement."""
    rng = np.random.default_rng(0)
    found = [statistic(cells[rng.integers(len(cells), size=len(cells))]) for _ in range(draws)]
    low, high = np.nanquantile(found, [0.025, 0.975]) if not np.isnan(found).all() else (float("nan"), float("nan"))
    return {"mean": statistic(cells), "low": float(low), "high": float(high)}


def said(x: Mapping[str, float], digits: int = 2) -> str:
    """mean [low, high]."""
    return f"{x['mean']:.{digits}f} [{x['low']:.{digits}f}, {x['high']:.{digits}f}]" if np.isfinite(x["mean"]) else "–"
