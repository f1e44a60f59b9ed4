"""The settings of a critic."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trainers.critics.critic import HeadConfig
from trainers.critics.fit import FitConfig


class CriticConfig(BaseModel):
    """The critic of algorithms that want values."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    head: HeadConfig = HeadConfig()
    """Input of the scalar head, and its loss."""
    fit: FitConfig = FitConfig(epochs=1, lr=5e-4)
    """Fit to each batch's targets."""
    values_from: Literal["earlier", "cross_fit", "same"] = "earlier"
    """Values of the critic as it was before this batch, of critics fitted on the other folds of task groups, or (as published) of the
    critic fitted on this very batch, which can memorise its outcomes and drive advantages to 0."""
    folds: int = Field(default=4, ge=2)
    """Folds of cross-fitting; each costs one fit."""
    target_lam: float = Field(default=1.0, ge=0, le=1)
    """λ of the critic's targets: 1 is the outcome (Monte Carlo), 0 is r + γ V of the next turn, values between give λ-returns."""
    start: str = ""
    """A run or checkpoint whose critic this one starts from, head and all, instead of a new head on the policy; "" for none. The episodes
    that it was fitted to are no part of this run's steps."""
    warmup_iterations: int = Field(default=2, ge=0)
    """Iterations that fit the critic only; their episodes count as training episodes."""
