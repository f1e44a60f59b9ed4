"""The control's figures: its budget is the run's, and what each gained is compared on the same episodes."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.control import Contest, minutes_of
from tests.trainers.episodes import episode
from trainers.runs.run_folder import RunFolder
from webgym.errors import UsageError
from webgym.evaluation.assessment import Assessment
from webgym.types import EpisodeKey, Trajectory


def test_the_budget_is_the_time_of_the_runs_iterations(tmp_path: Path) -> None:
    with RunFolder.create("grpo", {}, 0, parent=tmp_path, name="run") as run:
        run.log(0, {"eval/success": 0.4})
        with pytest.raises(UsageError, match="has had no iteration yet"):
            minutes_of(run.path)
        run.log(1, {"time/iteration_s": 30.0})
        run.log(2, {"time/iteration_s": 60.0})
    assert minutes_of(run.path) == 1.5


def played(wins: int) -> list[Trajectory]:
    """Twenty episodes of two tasks, of which the first ones are won."""
    keys = [EpisodeKey(f"miniwob.click-{'button' if n % 2 else 'option'}", n) for n in range(20)]
    return [replace(episode(float(n < wins), 2), key=key) for n, key in enumerate(keys)]


def test_all_three_are_compared_seed_by_seed() -> None:
    wanted = Assessment(("miniwob.click-button", "miniwob.click-option"))
    contest = Contest.of("sampled", wanted, {"start": played(8), "run": played(16), "control": played(10)})
    assert (contest.run_gain.difference, contest.control_gain.difference) == pytest.approx((0.4, 0.1))
    assert contest.run_over_control.wins == 6 and contest.run_over_control.losses == 0
    assert contest.lines()[0].startswith("sampled: start 40.0% [") and "control 50.0% [" in contest.lines()[0]
    assert "+30.0 points" in contest.lines()[3]
    assert contest.to_json()["run"]["success"] == 0.8 and contest.to_json()["run_gain"]["pairs"] == 20
