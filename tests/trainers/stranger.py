"""An algorithm as somebody else writes it, for tests that put it into a file outside of the repository."""

SIGNS = '''"""Signs: what ended well is right in every turn, what did not is wrong.

A_t = 2R − 1.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trainers.credit import credit as c
from trainers.credit.algorithm import AlgorithmConfig
from webgym.types import Group

METRICS = {"rollout/right": "share of turns that are called right"}


class Config(AlgorithmConfig):
    """Options of signs."""

    scale: float = 1.0
    """Factor on the advantage."""


def needs_values(config: Config) -> Literal[""]:
    """No critic."""
    return ""


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """2R − 1 for each turn."""
    many = c.flatten(groups)
    weights = c.turn_weights(many)
    advantages = c.masked([np.full(len(x), config.scale * (2 * c.rewards(x).sum() - 1)) for x in many], weights)
    right = float(np.mean(np.concatenate([np.zeros(1), *advantages]) > 0))
    return c.Credit(advantages, weights, None, c.rollout_stats(groups) | {"rollout/right": right})
'''
