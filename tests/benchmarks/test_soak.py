"""The soak command's figures, on a few episodes."""

import pytest

from benchmarks.soak import growth, soak, table
from tests.webgym.pages import run
from webgym.errors import ConfigError


def test_few_episodes_leave_nothing_behind():
    found = run(soak(8, 2, ["miniwob.click-button", "miniwob.enter-text"]))
    assert [row["after"] for row in found] == [0, 2, 4, 6, 8]
    exact = ("contexts", "pages", "documents", "nodes", "listeners", "scripts", "episodes")
    assert all([row[key] for key in exact] == [found[0][key] for key in exact] for row in found)
    assert all(row["scripts"] > 0 and row["pss_mb"] > 10 and row["processes"] > 2 for row in found)
    assert found[-1]["documents"] >= 2
    assert table(found).row_count == len(found[0]) - 1


def test_growth_is_told_beyond_its_allowance_only():
    first = {"after": 0, "contexts": 2, "documents": 4, "pss_mb": 100.0, "python_mb": 50.0}
    assert growth([first, {**first, "after": 9}], 2) == {}
    assert growth([first, {**first, "documents": 8, "pss_mb": 190.0}], 2) == {}
    grown = growth([first, {**first, "contexts": 3, "documents": 9, "python_mb": 150.0}], 2)
    assert grown == {
        "contexts": "2 -> 3, allowed +0",
        "documents": "4 -> 9, allowed +4",
        "python_mb": "50.0 -> 150.0, allowed +50",
    }


def test_tasks_without_an_oracle_are_refused():
    with pytest.raises(ConfigError, match=r"there is no oracle for miniwob\.bisect-angle: choose tasks that have one"):
        run(soak(4, 1, ["miniwob.bisect-angle"]))
