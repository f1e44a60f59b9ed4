"""Quality of estimates of the advantage, where the truth is known. Pure functions.

Estimates of different algorithms have different scales, for which learning rates and whitening compensate. So each is first divided by its

    slope      Σ Â A / Σ A²       1 in expectation for every estimator whose gradient is unbiased, whatever its baseline

and then compared with the true advantage A(s, a), everything in units of the root mean square of A:

    bias         of E[Â | s, a] − A, over the visited pairs of state and action
    action_bias  the same without the part that depends on the state alone, because only the rest changes the gradient
    std          of Â given s and a: the noise that more episodes average out
    idle         root mean square of Â in the turns without a stake (A = 0)

Both biases are corrected for the noise of the means that they are taken from: they use pairs that were visited twice at least.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

Turns = Float[np.ndarray, " n"]

AT_STAKE = 0.01
"""Turns with a smaller true advantage are idle; they have no sign."""


@dataclass(frozen=True, eq=False)
class Visits:
    """The turns of many episodes, flat: true advantages, which state and which pair of state and action each is, and its turn."""

    truth: Turns
    state: Int[np.ndarray, " n"]
    pair: Int[np.ndarray, " n"]
    turn: Int[np.ndarray, " n"]


def slope(estimate: Turns, truth: Turns) -> float:
    """Σ Â A / Σ A²; NaN where all true advantages are 0."""
    power = float(truth @ truth)
    return float(estimate @ truth) / power if power > 0 else float("nan")


def errors(estimate: Turns, visits: Visits) -> dict[str, float]:
    """slope, bias, action_bias, std and idle, as the module says; all but the slope are NaN where it is not above 0."""
    factor = slope(estimate, visits.truth)
    if not factor > 0:
        return {"slope": factor, **dict.fromkeys(("bias", "action_bias", "std", "idle"), float("nan"))}
    scaled = estimate / factor
    power = float(np.mean(visits.truth**2))
    _, pair, count = np.unique(visits.pair, return_inverse=True, return_counts=True)
    mean = np.bincount(pair, scaled) / count
    spread = np.bincount(pair, (scaled - mean[pair]) ** 2)
    often = count >= 2
    n, total = count[often], float(count[often].sum())
    variance = spread[often] / (n - 1)
    off = mean[often] - (np.bincount(pair, visits.truth) / count)[often]
    first = np.unique(pair, return_index=True)[1][often]
    found = {
        "slope": factor,
        "bias": _root((n * off**2 - variance).sum() / total / power) if total else float("nan"),
        "action_bias": _root(_within_states(off, n, variance, visits.state[first]) / total / power) if total else float("nan"),
        "std": _root((n * variance).sum() / total / power) if total else float("nan"),
    }
    idle = np.abs(visits.truth) < AT_STAKE
    return found | {"idle": _root(float(np.mean(scaled[idle] ** 2)) / power) if idle.any() else float("nan")}


def _within_states(off: Turns, n: Turns, variance: Turns, state: Int[np.ndarray, " n"]) -> float:
    """Σ n (off − its mean in the state)², less the part added by the noise of the pairs' means."""
    _, place = np.unique(state, return_inverse=True)
    weight = np.bincount(place, n)
    centred = off - (np.bincount(place, n * off) / weight)[place]
    return float((n * centred**2 - variance * (1 - n / weight[place])).sum())


def _root(x: float) -> float:
    return float(np.sqrt(max(float(x), 0.0)))


def signs(estimate: Turns, visits: Visits) -> list[tuple[float, int]]:
    """Number of estimates with the sign of the truth (an estimate of 0 counts half), and number at stake, by turn from 0."""
    live = np.abs(visits.truth) >= AT_STAKE
    right = np.where(estimate == 0, 0.5, np.sign(estimate) == np.sign(visits.truth))
    turns = range(int(visits.turn.max()) + 1) if len(visits.turn) else range(0)
    return [(float(right[live & (visits.turn == t)].sum()), int((live & (visits.turn == t)).sum())) for t in turns]


def gradient_quality(
    draws: Float[np.ndarray, "draws d"],
    gram: Float[np.ndarray, "d d"],
    with_exact: Float[np.ndarray, " d"],
    exact: float,
    groups: int,
    of: int,
) -> dict[str, float]:
    """Comparison of the gradients g of batches with the exact gradient g*, in units of |g*|.

    `draws` are the weights of d scores in the gradient of each batch, `gram` the scores' inner products, `with_exact` those with g*,
    `exact` is |g*|². Each batch holds `groups` groups, drawn without replacement out of `of`; variances are those of independent groups.

        cosine     mean of g·g* / |g| |g*|
        signal     E[g]·g* / |g*|²       1 for an unbiased estimator
        noise      E|g − E g|² / |g*|²
        expected   |E g|² / |g*|²        less the noise's part; signal / √expected is the limit of the cosine for ever more episodes

    The signal-to-noise ratio is signal² / noise.
    """
    along = draws @ with_exact
    squares = np.einsum("bd,de,be->b", draws, gram, draws, optimize=True)
    mean = draws.mean(0)
    mean_square = float(mean @ gram @ mean)
    number = len(draws)
    drawn_variance = max(float(squares.mean()) - mean_square, 0.0) * number / max(number - 1, 1)
    variance = drawn_variance * of / max(of - groups, 1)  # drawn without putting back: S²/n · (1 − n/N)
    expected = mean_square - drawn_variance / number - variance * groups / of
    lengths = np.sqrt(np.maximum(squares, 1e-30) * exact)
    return {
        "cosine": float(np.mean(np.where(squares > 0, along / lengths, 0.0))),
        "signal": float(along.mean() / exact),
        "noise": variance / exact,
        "expected": expected / exact,
    }
