"""Q-learning over whole actions: the policy proposes, Q chooses the best of N.

Watkins (1989); double Q by van Hasselt et al. (2016); DigiQ: Bai et al. (2025), arXiv 2502.15760. No equation has a policy in it:

    rerank   Q_i(s_t, a_t) → r_t + γ max over N proposals a' of min_j Q̄_j(s_{t+1}, a'),   π(s) = argmax over N proposals of min_j Q_j
    digiq    the critic is fitted by expectation as in ArCHer, and the policy imitates: of N fresh actions in each state of the replay
             the one with the largest Q is learned where Q − V > `margin`, L = −log π(a* | s)

With "rerank" the language model stays unchanged, and improvement comes from the choice among its proposals, so evaluate with the same
choice. A share `explore` of the training turns takes the first proposal unseen, because Q would otherwise see only actions it prefers.

Settings with which nothing could be learned are refused: "digiq" with `q.backup=optimality`, where V is the same maximum as the Q that it
is compared with, and "rerank" with a single candidate, where nothing is chosen.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from trainers.credit import credit as c
from trainers.credit.algorithm import Practice
from trainers.critics.q_critic import ActionValueConfig, QSpec
from trainers.learning.losses import LossSpec
from webgym.types import Group


class Config(ActionValueConfig):
    """Options of Q-learning."""

    form: Literal["rerank", "digiq"] = "rerank"
    """Choose by Q when acting, or imitate what Q would choose."""
    replay: int = Field(default=8, ge=1)
    """Iterations whose episodes are kept, the newest included."""
    explore: float = Field(default=0.1, ge=0, le=1)
    """rerank: chance of a training turn to take the first proposal."""
    margin: float = Field(default=0.05, ge=0)
    """digiq: the advantage from which on an action is imitated."""
    q: QSpec = QSpec(backup="optimality", candidates=4)
    """The critic; `candidates` is N. Its `backup` is expectation for digiq, unless keys of `q` are given."""
    loss: LossSpec = LossSpec(policy="reinforce", divisor="tokens")
    """Loss of the policy in the form digiq."""

    def idle(self) -> dict[str, str]:
        """The policy stays as it is where proposals are only ranked; where they are imitated, the first is never taken unseen."""
        learns = tuple(f"loss.{name}" for name in LossSpec.model_fields)
        return dict.fromkeys((*learns, "margin"), "form=rerank") if self.form == "rerank" else {"explore": "form=digiq"}

    @model_validator(mode="before")
    @classmethod
    def _backup_by_form(cls, data: Any) -> Any:
        digiq = isinstance(data, Mapping) and data.get("form") == "digiq" and "q" not in data
        return {**data, "q": QSpec(backup="expectation", candidates=4)} if digiq else data

    @model_validator(mode="after")
    def _something_can_be_learned(self) -> Self:
        if self.form == "digiq" and self.q.backup == "optimality":
            raise ValueError(
                "form=digiq learns nothing with q.backup=optimality, because V is then the largest Q itself: set q.backup=expectation"
            )
        if self.form == "rerank" and self.q.candidates == 1:
            raise ValueError("form=rerank has nothing to choose from with q.candidates=1: set q.candidates to 2 or more")
        return self


def needs_values(config: Config) -> Literal["action"]:
    """Q(s_t, a_t), and V(s_t) for digiq."""
    return "action"


def practice(config: Config) -> Practice:
    """Replay; proposals re-ranked when acting, or imitated."""
    digiq = config.form == "digiq"
    return Practice(replay=config.replay, imitates=True, fresh=digiq, best_of=1 if digiq else config.q.candidates, explore=config.explore)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """Nothing for the policy to learn (rerank), or advantage 1 where the best of N is better than V by the margin (digiq)."""
    trajectories = c.flatten(groups)
    live = c.turn_weights(trajectories)
    q, v = c.action_values(values, trajectories), c.turn_values(values, trajectories)
    if config.form == "rerank":
        weights: list[np.ndarray] = [np.zeros_like(w) for w in live]
    else:
        weights = [w * (a - b > config.margin) for w, a, b in zip(live, q, v, strict=True)]
    stats = c.rollout_stats(groups) | {"rollout/imitated": float(sum(w.sum() for w in weights)), "rollout/advantage_std": 0.0}
    return c.Credit([w.copy() for w in weights], weights, None, stats)
