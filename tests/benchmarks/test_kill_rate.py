"""The same episodes with and without kills: what is counted, and the verdict by the interval."""

import random

import pytest

from benchmarks import kill_rate
from benchmarks.chaos import PROCESSES, tasks
from benchmarks.kill_rate import Pair, interval, pair, table
from webgym.rollout.arena import Arena


def test_the_verdict_is_that_of_the_interval() -> None:
    def pairs(*ratios: float) -> list[Pair]:
        return [Pair(10, 60.0 * ratio, 60.0, {"driver": 1}, 1, 0, 0) for ratio in ratios]

    assert interval(pairs(*[0.9] * 15)) == pytest.approx((0.9, 0.9, 0.9))
    assert "| met |" in table(pairs(*[0.9] * 15), 4)
    assert "| missed |" in table(pairs(*[0.7] * 15), 4)
    assert "| undecided |" in table(pairs(*[0.7, 0.95] * 8), 4)


def test_struck_episodes_end_as_on_a_calm_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_rate, "MINUTE_S", 2.5)
    monkeypatch.setattr(kill_rate, "PROCESSES", {"browser": PROCESSES["browser"]})
    with tasks(), Arena(2) as arena:
        found = pair(arena, 1, 24, random.Random(0))
    assert found.episodes == 24 and found.other == 0
    assert sum(found.killed.values()) > 0
