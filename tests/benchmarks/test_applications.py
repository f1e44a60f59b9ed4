"""The benchmark of applications: its figures from a short run, and that its two kinds of pages are the same."""

from benchmarks.applications import costs, crowd, neighbours, summary
from webgym.loop_thread import loop_thread


def test_a_short_run_has_the_figures_of_both_kinds(tmp_path):
    found = loop_thread().run(costs(1, tmp_path, lambda words: None))
    assert found["over_ms"] == found["reset_ms"] - found["own_ms"] and found["step_ratio"] == found["step_ms"] / found["step_in_process_ms"]
    assert min(found["reset_ms"], found["own_ms"], found["step_ms"], found["step_in_process_ms"]) > 0
    assert summary({**found, "missed": []}).row_count == len(found)


def test_neighbours_and_crowds_are_measured():
    assert loop_thread().run(neighbours(1, 0.5, lambda words: None))["neighbours_ratio"] > 0
    found = loop_thread().run(crowd(2))
    assert found["processes"] == found["sessions"] == 2 and found["resident_mb"] > 0
