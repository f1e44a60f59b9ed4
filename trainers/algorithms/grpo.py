"""GRPO: the group's mean return is the baseline, one advantage for the whole trajectory.

Shao et al. (2024), arXiv 2402.03300, eq. 3 and section 4.1.2: Â_i = r_i − mean(r) over the group, for better and worse members alike;
clipped surrogate per token. |o_i| counts the *sampled* tokens of all turns; pages are no part of it.

Differences from the paper, whose own form is `grpo_published`:

    published                       here
    divided by the group's std      not divided. Division favours tasks that are nearly solved or hopeless (Dr. GRPO, arXiv 2503.20783);
                                    here it lowered the gradient's signal-to-noise where instances differ: 0.5 [0.3, 0.8] against RLOO's 1.6
                                    [1.1, 2.6] on wizard.h12-k8-x4, equal elsewhere (`webgym study estimators`, docs/credit-assignment.md)
    1/|o_i|                         a constant divisor (Dr. GRPO: 1/|o_i| lets long failures off lightly)
    clip 1 ± 0.2                    1 − 0.2 to 1 + 0.28 (clip-higher of DAPO, arXiv 2503.14476)
    β = 0.04                        no KL, no reference model in memory (both papers)
    groups without spread stay      dropped from numerator and denominator, and counted (dynamic sampling of DAPO)

Members that faulted are masked, so a group may have fewer of them; its mean is over the others. `grpo_positive` is the same without
negative advantages. Until 30 November 2026 that was the meaning of the name `grpo`.
"""

from trainers.algorithms._group_relative import GroupConfig, credit, needs_values, practice
from trainers.learning.losses import LossSpec

__all__ = ["Config", "credit", "needs_values", "practice"]


class Config(GroupConfig):
    """Options of GRPO."""

    std: bool = False
    """Divide by the standard deviation of the group."""
    drop_dead_groups: bool = True
    """Leave groups whose members all have the same return out of the loss, its divisor and its KL."""
    loss: LossSpec = LossSpec(clip_low=0.2, clip_high=0.28)
    """Loss of the policy."""
