"""Thinking blocks in the loss: `update.thinking=false` learns from actions alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainers.credit.credit import Credit
from trainers.models.prompt_ids import Context
from webgym.types import Trajectory


def spoken(credit: Credit, trajectories: Sequence[Trajectory], context: Context) -> Credit:
    """The credit per token, with weight 0 for the tokens of thinking blocks, so that they are in no loss and in no divisor of one."""
    answers = [[turn.completion.action_ids for turn in x.turns] for x in trajectories]

    def tokens(values: Sequence[np.ndarray]) -> list[np.ndarray]:
        if credit.per_token:
            return [value.copy() for value in values]
        sizes = ([len(ids) for ids in x] for x in answers)
        return [np.repeat(value, n) if len(value) == len(n) else value.copy() for value, n in zip(values, sizes, strict=True)]

    weights = tokens(credit.weights)
    for weight, turns in zip(weights, answers, strict=True):
        first = 0
        for ids in turns:
            weight[first : first + context.thinking(ids)] = 0
            first += len(ids)
    return replace(credit, advantages=tokens(credit.advantages), weights=weights, per_token=True)
