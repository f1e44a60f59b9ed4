"""Thinking blocks in the loss: `update.thinking=false` learns from actions alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainers.credit.credit import Credit
from trainers.models.prompt_ids import Context
from webgym.types import Trajectory


def spoken(credit: Credit, trajectories: Sequence[Trajectory], context: Context) -> Credit:
    """The credit with weight 0 for the tokens of thinking blocks, so that they are in no loss and in no divisor of one."""
    weights = [_spoken(w, x, context) for w, x in zip(credit.weights, trajectories, strict=True)]
    return replace(credit, weights=weights)


def _spoken(weight: np.ndarray, trajectory: Trajectory, context: Context) -> np.ndarray:
    """Weights per token: those of the turns, or of the tokens, 0 where a token is of a thinking block."""
    answers = [turn.completion.action_ids for turn in trajectory.turns]
    sizes = [len(ids) for ids in answers]
    per_token = np.repeat(weight, sizes) if len(weight) == len(sizes) else weight.copy()
    first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    for start, ids in zip(first, answers, strict=False):
        per_token[start : start + context.thinking(ids)] = 0
    return per_token
