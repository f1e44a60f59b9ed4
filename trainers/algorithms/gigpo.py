"""GiGPO: the advantage of the episode in its group, plus that of the step among steps taken from the same state.

Feng et al. (2025), "Group-in-group policy optimization", arXiv 2505.10978, eq. 3 to 8:

    A_E(i)     = (R_i − mean) / F                       over the group's members
    A_S(i, t)  = (G_t − mean) / F                       over the steps of the group whose state is s_t (the anchor), G_t with `gamma`
    A(i, t)    = A_E(i) + ω A_S(i, t)

F is the standard deviation (`std`) or 1. A state that was met once has A_S = 0. The anchor is the turn's `state_hash` (site state,
URL, page and form values, without history or turns left), which repeats where the raw text of an observation rarely does. A member
that comes to a state twice counts twice, as in the paper. The published statistics of A_E run over members, not over rows, so long
episodes weigh no more than short ones.

Differences from the paper (eq. 9 and its appendix on settings):

    F           1, the paper's second choice; the first is the standard deviation (`std`), which has Dr. GRPO's bias
    clip        1 − 0.2 to 1 + 0.28 in place of 1 ± 0.2
    divisor     a constant in place of the number of tokens
    KL          none in place of β = 0.01; `--set loss.kl=k3 --set loss.kl_coef=0.01` gives it
    weights     every trajectory alike; the paper weighs groups alike, and counts turns
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from trainers.credit import credit as c
from trainers.credit.algorithm import Discounted, Practice
from trainers.learning.losses import LossSpec
from webgym.types import Group

METRICS = {"rollout/anchored": "share of turns whose state another turn of the group was taken from"}


class Config(Discounted):
    """Options of GiGPO."""

    gamma: float = Field(default=0.95, gt=0, le=1)
    """Discount per turn of the steps' returns."""
    omega: float = Field(default=1.0, ge=0)
    """ω, the weight of the step's advantage; at 0 this is GRPO."""
    std: bool = False
    """Divide both advantages by their group's standard deviation (the paper's first choice)."""
    loss: LossSpec = LossSpec(clip_low=0.2, clip_high=0.28)
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """Only the steps' returns are discounted."""
        return {"gamma": "omega=0"} if self.omega == 0 else {}


def needs_values(config: Config) -> Literal[""]:
    """No critic: other visits of the same state take its place."""
    return ""


def practice(config: Config) -> Practice:
    """On-policy, in groups."""
    return Practice(members=2)


def credit(groups: Sequence[Group], values: c.Values | None, config: Config) -> c.Credit:
    """A_E + ω A_S for each turn."""
    advantages = [a for group in groups for a in _of_group(group, config)]
    weights = c.turn_weights(c.flatten(groups))
    stats = c.rollout_stats(groups) | {"rollout/advantage_std": c.live_std(advantages, weights), "rollout/anchored": _anchored(groups)}
    return c.Credit(advantages, weights, None, stats)


def _of_group(group: Group, config: Config) -> list[np.ndarray]:
    live = [x for x in group if c.learnable(x)]
    episode = iter(c.group_standardise(np.array([c.rewards(x).sum() for x in live]), config.std))
    returns = c.monte_carlo_targets(live, config.gamma)
    anchors = [turn.state_hash for x in live for turn in x.turns]
    flat = np.concatenate(returns) if returns else np.zeros(0)
    steps = np.zeros(len(flat))
    for anchor in set(anchors) - {""}:  # a turn without a hash matches no other turn
        same = [k for k, a in enumerate(anchors) if a == anchor]
        steps[same] = c.group_standardise(flat[same], config.std)
    parts = iter(np.split(steps, np.cumsum([len(x) for x in live])[:-1]) if live else [])
    return [next(episode) + config.omega * next(parts) if c.learnable(x) else np.zeros(len(x)) for x in group]


def _anchored(groups: Sequence[Group]) -> float:
    """The share of turns whose state another turn of the group was taken from."""
    seen = [[t.state_hash for x in group if c.learnable(x) for t in x.turns] for group in groups]
    turns = sum(map(len, seen))
    return sum(a != "" and hashes.count(a) > 1 for hashes in seen for a in hashes) / turns if turns else float("nan")
