"""Monte Carlo truth against exact values, and what happens when a state cannot be restored."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from webgym.errors import UsageError
from webgym.packs import registry
from webgym.rollout.arena import Arena
from webgym.rollout.branch import Branch, Continuations, Estimate, truth_row, truths
from webgym.rollout.contract import Retries
from webgym.types import Click, Completion, EpisodeKey, Infeasible, Stop, seed_from

TASK = "wizard.h4-x1-late1-undo-slack4"
SEED = 5


def chances_of(observation, actions):
    """A policy without memory that knows the goal most of the time, and writes nonsense now and then."""
    clicks = [action for action in actions if isinstance(action, Click)]
    agreed = {n.ref for n in observation.nodes if n.ref is not None and f'"{n.text}"' in observation.goal}
    weights = [8.0 if action.ref in agreed else 1.0 for action in clicks]
    return [0.9 * weight / sum(weights) for weight in weights] + [0.02, 0.0][: len(actions) - len(clicks)]


class Writer:
    dialect = "call"

    async def act(self, observation, history, key):
        clicks = [Click(node.ref) for node in observation.nodes if node.ref is not None]
        chances = chances_of(observation, [*clicks, Stop(), Infeasible()])
        texts = [*(f"click('{click.ref}')" for click in clicks), "stop('')", "infeasible('')", "no idea"]
        rng = random.Random(seed_from(key, len(history)))
        return Completion(rng.choices(texts, [*chances, max(0.0, 1 - sum(chances))])[0])


@pytest.fixture(scope="module")
def arena():
    with Arena(4, backend="text") as found:
        yield found


@pytest.fixture(scope="module")
def recorded(arena):
    return arena.collect(Writer(), [EpisodeKey(TASK, SEED, member=member) for member in range(3)])


def test_estimates():
    found = Estimate.of([0.0, 1.0, 1.0, 1.0])
    assert found.mean == 0.75
    many = Estimate.of(list(np.repeat([0.0, 1.0], [3000, 7000])))
    assert many.error == pytest.approx(math.sqrt(0.7 * 0.3 / 10_000), rel=1e-3)
    assert Estimate.of([1.0] * 9).error == pytest.approx(math.sqrt((9 * 0.05**2 + 0.5 * 0.95**2 + 0.5 * 0.05**2) / 10 / 9))
    assert math.isnan(Estimate.of([]).mean)
    assert Estimate(0.5, 0.3, 9).minus(Estimate(0.2, 0.4, 5)) == Estimate(0.3, 0.5, 5)


@pytest.mark.parametrize("gamma", [1.0, pytest.param(0.9, marks=pytest.mark.slow)])
def test_continuations_come_to_the_exact_values(arena, recorded, gamma):
    exact = registry.task(TASK).exact(SEED, lambda asked: [chances_of(*question) for question in asked], gamma)
    found = truths(arena.collect, Writer(), recorded, 80, gamma)
    gaps = []
    for x, turns in zip(recorded, found, strict=True):
        assert sorted(turns) == list(range(len(x)))
        for number, turn in turns.items():
            here = exact[x.turns[number].state_hash, number]
            v, q = here.v, here.of(x.turns[number].action)
            assert abs(turn.v.mean - v) < 5 * turn.v.error
            assert abs(turn.q.mean - q) <= 5 * turn.q.error + 1e-12
            assert abs(turn.advantage.mean - (q - v)) < 5 * turn.advantage.error
            gaps.append((turn.v.mean - v) / turn.v.error)
        assert turns[len(x) - 1].q == Estimate.known(x.outcome.reward)
    assert 0.3 < np.std(gaps) < 2.0  # the errors are of the size that is stated
    assert sum(turn.faults for turns in found for turn in turns.values()) == 0


def test_only_the_turns_that_are_asked_for(arena, recorded):
    (turns, *_) = truths(arena.collect, Writer(), recorded[:1], 5, turns=(1, 99))
    row = truth_row(recorded[0], turns)
    assert [math.isnan(v) for v in row["values"]] == [t != 1 for t in range(len(recorded[0]))]
    with pytest.raises(UsageError, match="no turn to branch from"):
        truths(arena.collect, Writer(), recorded, 5, turns=(99,))
    with pytest.raises(UsageError, match="at least one continuation"):
        truths(arena.collect, Writer(), recorded, 0)


def test_the_history_of_a_continuation_is_the_recorded_one(arena, recorded):
    seen = []

    class Listener(Writer):
        async def act(self, observation, history, key):
            seen.append((len(history), [turn.completion for turn in history]))
            return await super().act(observation, history, key)

    truths(arena.collect, Listener(), recorded[:1], 2, turns=(1,))
    texts = [turn.completion for turn in recorded[0].turns]
    assert {n for n, _ in seen} >= {1, 2}
    assert all([replace(c, origin=None) for c in history[:1]] == texts[:1] for n, history in seen)
    assert {history[0].origin for n, history in seen if n} == {recorded[0].key}


def test_a_state_that_cannot_be_restored_is_lost_and_counted(arena, recorded):
    x = recorded[0]
    moved = replace(x, turns=(x.turns[0], replace(x.turns[1], state_hash="another"), *x.turns[2:]))

    def collect(policy, keys):
        return arena.collect(policy, keys, retries=Retries(limit=1, backoff_s=0.0))

    (turns,) = truths(collect, Writer(), [moved], 3, turns=(0,))
    assert turns[0].v.count == 3 and math.isnan(turns[0].q.mean) and turns[0].faults == 3
    key = EpisodeKey(TASK, SEED)
    (lost,) = collect(Continuations(Writer(), {key: Branch(moved, 1)}), [key])
    assert lost.outcome.kind == "fault" and "led to another state" in lost.outcome.message


def test_branches_in_the_browser_begin_where_those_without_one_do(recorded):
    with Arena(2) as browser:
        (turns,) = truths(browser.collect, Writer(), recorded[:1], 2, turns=(1,))
    assert turns[1].v.count == 2 and turns[1].faults == 0
