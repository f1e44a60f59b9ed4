"""DAPO: GRPO with a wider upper clip, only groups that have spread, and every token alike.

Yu et al. (2025), arXiv 2503.14476, eq. 8 and section 3. Against GRPO as published:

    clip_high          0.28 over 0.2 below: a rare good token may rise further (clip-higher, 3.1)
    drop_dead_groups   groups whose members all did the same are left out; the paper draws others in their place until the batch is full
                       (dynamic sampling, 3.2): here `resample` rounds of it, by default none, since the curriculum makes them rare
    divisor            the tokens of the whole batch: long trajectories count by their length (3.3)
    kl                 none (2.3)

The paper's length penalty for cut-off answers (3.4) has no counterpart here: a turn is a few tokens, and a cut action is an error.
"""

from trainers.algorithms._group_relative import GroupConfig, credit, needs_values, practice
from trainers.learning.losses import LossSpec

__all__ = ["Config", "credit", "needs_values", "practice"]


class Config(GroupConfig):
    """Options of DAPO."""

    drop_dead_groups: bool = True
    """Leave groups whose members all have the same return out of the loss, its divisor and its KL."""
    loss: LossSpec = LossSpec(clip_low=0.2, clip_high=0.28, divisor="tokens")
    """Loss of the policy."""
