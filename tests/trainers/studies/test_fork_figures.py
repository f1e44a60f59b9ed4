"""The break-even law, the committed rows of the study of forks, and that the page says what they say."""

from pathlib import Path

import numpy as np
import pytest

from trainers.studies.fork_figures import break_even, committed, law_of, plot_law, plot_runs
from trainers.studies.forks import FORKS, read_grid, reported
from trainers.studies.intervals import said
from webgym.errors import UsageError

DOCS = Path(__file__).parents[3] / "docs"
ROWS = DOCS / "lab-notes/forks-rows.jsonl"


def test_the_law_at_its_ends() -> None:
    """A fork before the first turn is a group of b episodes, whose baseline is a mean of b − 1; one at the end is nothing."""
    for children in (2, 3, 4):
        assert break_even(0.0, children) == pytest.approx((children - 1) / children)
        assert break_even(1.0, children) == pytest.approx(1.0)
    assert break_even(0.5, 2) == pytest.approx(16 / 15)


def test_trees_with_one_fork_are_where_the_law_says() -> None:
    """Signal² over noise and steps, by the committed rows, where the noise falls evenly: t12 and t20."""
    grid, (signals, _) = read_grid(FORKS), committed(ROWS)
    checked = 0
    for problem in grid.signal.problems[:2]:
        cells = [row["estimators"] for row in signals if row["problem"] == problem.name]

        def per_step(label: str, cells: list = cells) -> float:
            mean = {name: np.mean([cell[label][name] for cell in cells]) for name in ("signal", "noise", "fresh")}
            return float(mean["signal"] ** 2 / mean["noise"] / mean["fresh"])

        for contender in grid.signal.estimators:
            if law := law_of(contender, problem):
                assert per_step(contender.label) / per_step("rloo") == pytest.approx(break_even(*law), rel=0.1)
                checked += 1
    assert checked == 4, "tree-one and tree-one-of-4"


def test_the_tables_of_learning_are_those_of_the_rows() -> None:
    grid, (_, measured) = read_grid(FORKS), committed(ROWS)
    page = (DOCS / "credit-assignment-details.md").read_text("utf-8").splitlines()
    rows = [line for line in page if line.startswith("|")]
    found = reported(grid, [], measured)["learning"]
    assert len(found) == 3 * len(grid.learning.contenders)
    for row in found:
        wanted = [f"{row['steps_C1']:,.0f}", said(row["ratio_C1"]), said(row["ratio_C2"])]
        fits = [line for line in rows if line.startswith(f"| {row['contender']} |") and " | ".join(wanted) in line]
        assert fits, f"{row['problem']}, {row['contender']}: the page lacks {' | '.join(wanted)}"


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    for line in ("{", "[1]", '{"seed": 1}', '{"cell": "other/1"}'):
        (tmp_path / "rows.jsonl").write_text('{"cell": "signal/t12-0"}\n' + line)
        with pytest.raises(UsageError, match=r"rows\.jsonl, line 2: expected a JSON object with the name of its cell"):
            committed(tmp_path / "rows.jsonl")


def test_plots_are_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    grid, (signals, measured) = read_grid(FORKS), committed(ROWS)
    files = [*plot_law(grid, signals[:2], tmp_path), *plot_runs(measured, [x.label for x in grid.learning.contenders], tmp_path)]
    assert [file.name for file in files] == ["forks-law.png", "forks-runs.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
