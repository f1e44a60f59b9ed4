"""Dr. GRPO: GRPO without its two biases.

Liu et al. (2025), "Understanding R1-Zero-like training", arXiv 2503.20783, section 3.1. Against GRPO as published:

    std         not divided by the group's std, which gives nearly solved and hopeless tasks more weight than those in between
    divisor     a constant in place of 1/|o_i|, which pushes long failures down less than short ones
    kl          none (β = 0), and so no reference model

The constant is `loss.tokens_per_trajectory`; the paper's code takes the longest completion allowed.
"""

from trainers.algorithms._group_relative import GroupConfig, credit, needs_values, practice
from trainers.learning.losses import LossSpec

__all__ = ["Config", "credit", "needs_values", "practice"]


class Config(GroupConfig):
    """Options of Dr. GRPO."""

    std: bool = False
    """Divide by the standard deviation of the group."""
    loss: LossSpec = LossSpec(divisor="constant")
    """Loss of the policy."""
