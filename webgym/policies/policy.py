"""Protocol of policies, which choose actions.

A policy is asked once a turn and writes text in its dialect. Its random choices come from :func:`webgym.types.seed_from` over the
episode's key and the turn, so that an episode can be made again.
"""

from collections.abc import Sequence
from typing import Protocol

from webgym.types import Completion, EpisodeKey, Observation, Turn


class Policy(Protocol):
    """Chooses the next action from what the agent sees.

    `dialect` is the one that its completions are written in. `history` holds the turns of this episode so far. Calls for different
    episodes overlap; those of one episode do not. When the machinery failed, the collector replays the recorded actions without
    asking again, so that within an episode each turn is asked for once (turn 0 again only if nothing was chosen yet).
    """

    dialect: str

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        """The completion for this turn. May raise Fault when the machinery behind the policy failed."""
        ...
