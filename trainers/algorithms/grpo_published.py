"""GRPO as published: z-scores of the group, 1/|o_i|, a KL to the reference model.

Shao et al. (2024), DeepSeekMath, arXiv 2402.03300, eq. 3 and 4, sections 4.1.1 and 4.1.2:

    Â_i = (r_i − mean(r)) / std(r),     1/G Σ_i 1/|o_i| Σ_l [ min(ρ Â_i, clip(ρ, 1 ± 0.2) Â_i) − β (e^{−d} − 1 + d) ]

with d = log π_θ − log π_ref and β = 0.04 (section 4.2). The paper gives no clip range; 0.2 is PPO's. |o_i| counts the sampled tokens of
all turns.

No option differs from the paper. Three things do: std is the population's, and 0 without spread, with no ε added to it; every trajectory
has the same weight where groups lost members to faults (trainers/algorithms/_group_relative.py); and the number of optimiser steps a
batch (`update`) is the run's, where the paper took one.
"""

from trainers.algorithms._group_relative import GroupConfig, credit, needs_values, practice

__all__ = ["Config", "credit", "needs_values", "practice"]


class Config(GroupConfig):
    """Options of GRPO as published."""
