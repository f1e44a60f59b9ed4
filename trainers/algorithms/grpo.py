"""GRPO: the group's mean return is the baseline, one advantage for the whole trajectory.

Shao et al. (2024), arXiv 2402.03300, eq. 3 and section 4.1.2: Â_i = (r_i − mean(r)) / std(r) over the group; clipped surrogate per
token, 1/|o_i| per trajectory, KL to a reference as k3. |o_i| counts the *sampled* tokens of all turns; pages are no part of it.

The default differs from the paper where later work found it biased; :meth:`Config.published` gives the paper's form:

    published                       default
    divided by the group's std      not divided (Dr. GRPO, arXiv 2503.20783: std favours tasks that are nearly solved or hopeless)
    1/|o_i|                         a constant divisor (same paper: 1/|o_i| lets long failures off lightly)
    clip 1 ± 0.2                    1 − 0.2 to 1 + 0.28 (clip-higher of DAPO, arXiv 2503.14476)
    β = 0.04                        no KL, no reference model in memory
    groups without spread stay      dropped from numerator and denominator, and counted (dynamic sampling of DAPO)
    negative advantages count       left out: with few episodes, pushing failures down unlearns more than it teaches (docs/lab-notes)

Members that faulted are masked, so a group may have fewer of them; its mean is over the others.
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
    negative: float = 0.0
    """Factor on negative advantages: at 0 only members better than their group are learned from, at 1 worse ones are pushed down too."""
    loss: LossSpec = LossSpec(clip_low=0.2, clip_high=0.28)
    """Loss of the policy."""

    @classmethod
    def published(cls, kl_coef: float = 0.04) -> "Config":
        """The form of the paper."""
        loss = LossSpec(clip_low=0.2, clip_high=0.2, divisor="trajectories", kl="k3", kl_coef=kl_coef)
        return cls(std=True, drop_dead_groups=False, negative=1.0, loss=loss)
