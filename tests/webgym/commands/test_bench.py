"""What `webgym bench step` tells: its figures on a small run, and which bar they miss."""

import pytest

from webgym.commands.bench import BARS, bench, missed, tables
from webgym.errors import ConfigError


def row(sessions, turns_per_s, best=40.0, mb=15.0):
    return {"sessions": sessions, "turns_per_s": turns_per_s, "share": turns_per_s / best, "session_mb": mb, "unsolved": 0}


def test_every_bar_that_is_missed_is_told():
    good = {"all": {"ratio": 2.5, "unsolved": 0}, "throughput": [row(1, 30.0), row(2, 40.0), row(4, 37.0)]}
    assert missed(good) == []
    bad = {"all": {"ratio": 3.5, "unsolved": 2}, "throughput": [row(1, 30.0, 36.0), row(2, 36.0, 36.0), row(4, 30.0, 36.0, mb=26.0)]}
    assert missed(bad) == [
        "a step takes 3.50 times the bare commands, bar 3",
        "the best count of sessions (2) is 1.20 times as fast as one, bar 1.25",
        "4 sessions reach 83% of the best count, bar 90%",
        "4 sessions take 26.0 MB each, bar 25",
        "2 episodes were not solved: their actions ran past their deadlines",
    ]


def test_a_small_run_has_all_figures():
    found = bench(["miniwob.click-button", "miniwob.bisect-angle"], episodes=1, sessions=(2, 1))
    assert list(found["tasks"]) == ["miniwob.click-button"]  # the other one has no oracle
    assert [each["sessions"] for each in found["throughput"]] == [1, 2]
    for each in found["throughput"]:
        assert 0 < each["share"] <= 1 and 0 < each["cpu_s_per_turn"] < 60 and 1 < each["session_mb"] < 500
    steps, rates = tables(found)
    assert steps.row_count == 2 and rates.row_count == 2 and set(BARS) == {"ratio", "gain", "share", "session_mb"}


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ConfigError, match="expected counts of sessions from 1 on"):
        bench(["miniwob.click-button"], sessions=(0, 1))
    with pytest.raises(ConfigError, match="none of these tasks has an oracle"):
        bench(["miniwob.bisect-angle"])
