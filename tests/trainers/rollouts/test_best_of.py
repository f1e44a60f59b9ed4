import asyncio
from collections.abc import Sequence

from trainers.rollouts.best_of import BestOf
from webgym.types import Completion, EpisodeKey, Observation, Turn


class Says:
    """A policy that always writes one token."""

    dialect = "compact"

    def __init__(self, token: int) -> None:
        self.token = token

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        return Completion("", "", (1, 2), (self.token,), (-1.0,))

    def prompt_ids(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> tuple[int, ...]:
        return (1, 2)


def chosen(explore: float, seeds: int = 1) -> list[int]:
    asked: list[tuple] = []

    def best(prompt: tuple[int, ...], actions: Sequence[tuple[int, ...]]) -> int:
        asked.append((prompt, list(actions)))
        return 2

    policy = BestOf([Says(t) for t in (7, 8, 9)], best, explore)
    page = Observation("goal", "http://page", "", ())
    found = [asyncio.run(policy.act(page, (), EpisodeKey("pack.task", seed))).action_ids[0] for seed in range(seeds)]
    assert all(call == ((1, 2), [(7,), (8,), (9,)]) for call in asked)
    return found


def test_the_best_proposal_is_performed() -> None:
    assert chosen(0.0) == [9]


def test_exploring_turns_take_the_first_unseen_and_the_same_ones_every_time() -> None:
    found = chosen(0.3, seeds=100)
    assert set(found) == {7, 9} and 15 <= found.count(7) <= 45
    assert found == chosen(0.3, seeds=100)
    assert chosen(1.0) == [7]


def test_what_would_be_read_next_is_told_without_drawing() -> None:
    policy = BestOf([Says(t) for t in (7, 8)], lambda prompt, actions: 0)
    assert policy.prompt_ids(Observation("goal", "http://page", "", ()), (), EpisodeKey("pack.task", 0)) == (1, 2)
