"""Rows of credit/iter-*.jsonl: V(s_t) and the advantage of every turn, as a batch was trained with them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trainers.credit.credit import Credit, Values, turn_sizes
from webgym.types import Trajectory


def identity(trajectory: Trajectory) -> dict[str, Any]:
    """The fields by which rows name a trajectory of their run."""
    key = trajectory.key
    return {"task_id": key.task_id, "seed": key.seed, "group": key.group, "member": key.member, "trajectory_iteration": key.iteration}


def rounded(numbers: np.ndarray) -> list[float]:
    """The numbers as they stand in a row."""
    return [round(float(number), 6) for number in numbers]


def credit_rows(trajectories: Sequence[Trajectory], values: Values | None, credit: Credit) -> Iterator[dict[str, Any]]:
    """One row per trajectory that has turns: its identity, `advantages` [T], and with a critic `values` [T], V(s_t) before the batch.

    The advantage is null at a turn that nothing is learned from. Of an algorithm with one number per token, the row has the mean over
    the turn's tokens, and V before its first token.
    """
    for i, trajectory in enumerate(trajectories):
        if not len(trajectory):
            continue
        sizes = turn_sizes(trajectory)
        weights, advantages = (_per_turn(each[i], sizes, credit.per_token, first=False) for each in (credit.weights, credit.advantages))
        row = identity(trajectory)
        row["advantages"] = [a if w > 0 else None for a, w in zip(rounded(advantages), weights, strict=True)]
        if values is not None and len(values.turns[i]):
            row["values"] = rounded(_per_turn(values.turns[i], sizes, credit.per_token, first=True))
        yield row


def _per_turn(numbers: np.ndarray, sizes: Sequence[int], per_token: bool, *, first: bool) -> np.ndarray:
    """Numbers per turn as they are; of numbers per token the first, or the mean, of each turn; NaN for a turn without tokens."""
    if len(numbers) == len(sizes) and not per_token:
        return numbers
    turns = np.split(numbers, np.cumsum(sizes)[:-1])
    return np.array([np.nan if not len(tokens) else tokens[0] if first else tokens.mean() for tokens in turns])
