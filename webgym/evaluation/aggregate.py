"""Aggregates over runs, after Agarwal et al. (2021), arXiv 2108.13264: interquartile means and probabilities of improvement.

Scores are by task: for each task one score per run. Intervals come from the stratified bootstrap: runs are drawn anew within each task,
tasks stay, because the question is what other seeds would have shown on these tasks.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from webgym.evaluation.statistics import Interval

Scores = Mapping[str, Sequence[float]]
"""By task, one score per run."""


def iqm(values: Sequence[float] | np.ndarray) -> float:
    """The mean of the middle half: a quarter of the values, rounded down, is left out at each end.

    >>> iqm([0, 1, 2, 3, 100, 5, 6, 7])
    4.0
    """
    ordered = np.sort(np.asarray(values, float))
    if not len(ordered):
        return float("nan")
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def aggregate_iqm(scores: Scores) -> float:
    """The interquartile mean over all runs of all tasks."""
    return iqm(np.concatenate([np.asarray(x, float) for x in scores.values()]) if scores else [])


def probability_of_improvement(first: Scores, second: Scores) -> float:
    """The chance that a run of `first` scores higher than one of `second` on the same task, mean over tasks; ties count half.

    Mann and Whitney's U over the number of pairs. Raises ValueError where the tasks differ.
    """
    if set(first) != set(second) or not first:
        raise ValueError(f"expected scores on the same tasks, got {sorted(first)} and {sorted(second)}")
    return float(np.mean([_better(first[task], second[task]) for task in first]))


def _better(first: Sequence[float], second: Sequence[float]) -> float:
    a, b = np.asarray(first, float)[:, None], np.asarray(second, float)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def stratified_bootstrap(
    statistic: Callable[..., float], *scores: Scores, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> Interval:
    """Percentile interval of `statistic(*scores)`, the runs of each task drawn with replacement, each set of scores by itself."""
    rng = np.random.default_rng(seed)
    found = [statistic(*(_redrawn(x, rng) for x in scores)) for _ in range(draws)]
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _redrawn(scores: Scores, rng: np.random.Generator) -> dict[str, np.ndarray]:
    arrays = {task: np.asarray(x, float) for task, x in scores.items()}
    return {task: x[rng.integers(len(x), size=len(x))] for task, x in arrays.items()}
