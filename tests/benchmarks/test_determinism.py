"""A small run of the benchmark of determinism: its pages are the same whatever the policy's pace and the company."""

import pytest

from benchmarks import determinism
from webgym.loop_thread import loop_thread


@pytest.mark.slow
def test_generated_pages_are_equal_for_slow_policies_and_beside_other_sessions():
    parts = {seed: {part.__name__ for part in determinism.parts_of(seed)} for seed in range(11, 60)}
    seeds = [next(seed for seed in parts if kind in parts[seed]) for kind in ("worker", "stream", "storage", "animation")]
    result = loop_thread().run(determinism.measure(seeds, sessions=(1, 3), thinks_s=(0.0, 0.2)))
    assert result["different"] == [] and [row["same"] for row in result["ways"]] == [4, 4, 4, 4]


def test_a_page_that_differs_is_told_with_its_first_line():
    one, two = determinism.Play(("a",), ("x\ny",)), determinism.Play(("b",), ("x\nz",))
    assert determinism._difference([one, two]) == "turn 0: 'y' and 'z'"
    assert determinism._difference([one, determinism.Play((), (), "Fault: gone")]) == "Fault: gone"


def test_a_seed_gives_the_same_page_each_time():
    assert determinism.page_of(5) == determinism.page_of(5) != determinism.page_of(6)
