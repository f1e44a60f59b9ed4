"""GSPO: GRPO with one importance ratio for the whole trajectory.

Zheng et al. (2025), arXiv 2507.18071, eq. 5 to 7: the ratio is the geometric mean over the trajectory's sampled tokens,
s_i = (π_θ(o_i)/π_old(o_i))^{1/|o_i|}, and the clip holds or frees all of them together. Against GRPO as published:

    ratio_level        sequence
    clip_low, _high    3e-4 and 4e-4 (section 5.1): a mean of logarithms moves far less than one token's does
    kl                 none (section 5.1)

1/|o_i| stays: with it each trajectory has the gradient of s_i · Â_i.
"""

from trainers.algorithms._group_relative import GroupConfig, credit, needs_values, practice
from trainers.learning.losses import LossSpec

__all__ = ["Config", "credit", "needs_values", "practice"]


class Config(GroupConfig):
    """Options of GSPO."""

    loss: LossSpec = LossSpec(ratio_level="sequence", clip_low=3e-4, clip_high=4e-4, divisor="trajectories")
    """Loss of the policy."""
