"""The soak command's figures, on a few episodes, and what it makes of them."""

import math

import numpy as np
import pytest

from benchmarks.soak import BARS, markdown, slope, soak, table, verdict
from tests.webgym.pages import run
from webgym.errors import ConfigError

CALM: dict[str, float] = {
    "contexts": 2, "pages": 2, "episodes": 2, "documents": 4, "nodes": 90, "listeners": 4, "scripts": 6, "handles": 30, "memory_mb": 400.0,
    "heap_mb": 20.0, "driver_objects": 900,
}  # fmt: skip


def test_few_episodes_leave_nothing_behind():
    found = run(soak(8, 2, ["miniwob.click-button", "miniwob.enter-text"], every=4, warm_up=4))
    assert found[0]["turns"] == 0 and found[-1]["turns"] >= 8
    exact = ("contexts", "pages", "documents", "nodes", "listeners", "scripts", "episodes")
    assert all([row[key] for key in exact] == [found[0][key] for key in exact] for row in found)
    assert all(row["scripts"] > 0 and row["memory_mb"] > 10 and row["processes"] > 2 and row["handles"] > 5 for row in found)
    assert all(row["step_ms"] > 0 and row["cpu_ms"] > 0 for row in found[1:])
    assert found[-1]["documents"] >= 2
    assert table(found).row_count == len(found[-1]) - 1


def rows(memory: float = 0.0, time: float = 0.0, **last: float) -> list[dict[str, float]]:
    """Figures of 20,000 turns in which memory (MB) and time (a share) grow by so much for every 1,000."""
    wave = [math.sin(7.0 * i) for i in range(41)]
    found = [{"turns": 500.0 * i, **CALM, "memory_mb": 400 + memory * i / 2 + wave[i]} for i in range(41)]
    for i, row in enumerate(found[1:], 1):
        row |= {"step_ms": 10 * (1 + time * i / 2) + wave[i] / 10, "cpu_ms": 20 * (1 + time * i / 2)}
    found[-1] |= last
    return found


def test_what_stays_as_it_is_passes():
    told = verdict(rows(), 2)
    assert told["passed"] and not told["grown"]
    assert all(told["slopes"][key]["low"] <= 0 <= told["slopes"][key]["high"] for key in ("memory_mb", "step_ms"))
    assert "| memory_mb |" in markdown(rows(), told)


@pytest.mark.parametrize(
    ("found", "grown"),
    [
        (rows(memory=1.0), {"memory_mb"}),
        (rows(time=0.02), {"step_ms", "cpu_ms"}),
        (rows(contexts=3), {"contexts"}),
        (rows(documents=9, handles=39), {"documents", "handles"}),
        (rows(heap_mb=31.0, driver_objects=9900), {"heap_mb", "driver_objects"}),
    ],
)
def test_growth_beyond_its_bar_is_told(found: list[dict[str, float]], grown: set[str]):
    told = verdict(found, 2)
    assert set(told["grown"]) == grown and not told["passed"]


def test_growth_within_its_allowance_passes():
    assert verdict(rows(memory=0.5, time=0.005, documents=8, handles=38), 2)["passed"]


def test_a_run_too_short_for_a_slope_does_not_pass():
    assert set(verdict(rows()[:3], 2)["grown"]) == set(BARS)


def test_the_slope_is_that_of_least_squares_with_newey_and_wests_error():
    rng = np.random.default_rng(0)
    turns = np.arange(30) * 700.0
    values = 5 + 0.002 * turns + rng.normal(size=30)
    rise, half = slope(turns.tolist(), values.tolist())
    design = np.stack([np.ones(30), turns / 1000], 1)
    wanted, *_ = np.linalg.lstsq(design, values, rcond=None)
    assert rise == pytest.approx(wanted[1])
    off, bread, meat = values - design @ wanted, np.linalg.inv(design.T @ design), np.zeros((2, 2))
    for i in range(30):  # the sandwich, entry by entry; the lag is 3 for 30 values
        for j in range(30):
            meat += max(0.0, 1 - abs(i - j) / 4) * off[i] * off[j] * np.outer(design[i], design[j])
    assert half == pytest.approx(1.96 * math.sqrt((bread @ meat @ bread)[1, 1] * 30 / 28))


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    turns = np.arange(40) * 500.0
    held = 0
    for _ in range(400):
        rise, half = slope(turns.tolist(), (0.3 * turns / 1000 + rng.normal(size=40)).tolist())
        held += abs(rise - 0.3) <= half
    assert 0.86 <= held / 400 <= 0.98


def test_tasks_without_an_oracle_are_refused():
    with pytest.raises(ConfigError, match=r"there is no oracle for miniwob\.bisect-angle: choose tasks that have one"):
        run(soak(4, 1, ["miniwob.bisect-angle"]))
