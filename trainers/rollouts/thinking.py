"""Thinking blocks in the loss: `update.thinking=false` learns from actions alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainers.credit.credit import Credit
from trainers.models.prompt_ids import Context
from webgym.types import Trajectory


def spoken(credit: Credit, trajectories: Sequence[Trajectory], context: Context) -> Credit:
    """The credit per token, with weight 0 for the tokens of thinking blocks, so that they are in no loss and in no divisor of one."""
    sizes = [[len(turn.completion.action_ids) for turn in x.turns] for x in trajectories]
    advantages, weights = (
        [_per_token(values, n, credit.per_token) for values, n in zip(arrays, sizes, strict=True)]
        for arrays in (credit.advantages, credit.weights)
    )
    for weight, trajectory in zip(weights, trajectories, strict=True):
        start = 0
        for turn in trajectory.turns:
            weight[start : start + context.thinking(turn.completion.action_ids)] = 0
            start += len(turn.completion.action_ids)
    return replace(credit, advantages=advantages, weights=weights, per_token=True)


def _per_token(values: np.ndarray, sizes: Sequence[int], already: bool) -> np.ndarray:
    """A copy of values per token, or of values per turn with one for each of the turn's tokens."""
    return values.copy() if already or len(values) != len(sizes) else np.repeat(values, sizes)
