"""The sites' benchmark on a few episodes, and the table that it writes."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.sites import SITES, Played, crosstalk, markdown, measure, percentile, write
from tests.webgym.pages import run
from webgym.errors import UsageError
from webgym.packs import registry

ROOT = Path(__file__).parents[2]
PAIR = ["shop.redirect-order", "shop.redirect-order-sent"]
ROW = {"task": "a.b", "difficulty": 3, "turns": 10.0, "max_turns": 18, "twin": "a.c", "what": "Do it."}
ROW |= {"compact_p50": 200, "compact_p95": 300, "full_p50": 400, "full_p95": 500}


def test_episodes_at_once_are_what_they_are_alone():
    result = run(measure(PAIR, at_once=6, seeds=1, pages=2, tell=lambda words: None))
    assert result["episodes_at_once"] == 6 and result["crosstalk"] == [] and result["failed"] == []
    assert [row["task"] for row in result["templates"]] == PAIR[::-1], "fewer turns first"
    assert [row["turns"] for row in result["templates"]] == [3, 6]
    figures = result["figures"]
    assert 0 < figures["server_share"] < 1 and set(result["load_by_site"]) == {"shop", "empty"}
    assert 50 < figures["compact_p50"] <= 400 and 50 < figures["full_p50"] <= 1500


def test_crosstalk_is_told_by_episode_and_turn():
    solo = Played("a.b", 1, True, ["p", "q", "r"], "state")
    assert crosstalk([solo], [replace(solo)]) == []
    assert crosstalk([solo], [replace(solo, hashes=["p", "x", "r"])]) == [
        "a.b (seed 1): the page of turn 1 differs from that of the episode alone"
    ]
    assert crosstalk([solo], [replace(solo, success=False, state="other")]) == [
        "a.b (seed 1): its oracle fails among others",
        "a.b (seed 1): the site's final state differs from that of the episode alone",
    ]


def test_the_table_counts_long_templates_and_pairs():
    text = markdown([ROW, {**ROW, "task": "a.c", "twin": "a.b", "turns": 21.0}], "SmolLM2")
    assert "| `a.b` | 3 | 10 | 18 | 200 / 300 | 400 / 500 | Do it. |" in text
    assert "2 templates, 1 pairs of twins; 2 need ten turns or more, 1 twenty or more." in text


def test_percentiles_by_hand():
    assert [percentile(range(101), share) for share in (0, 0.5, 0.95, 1)] == [0, 50, 95, 100]


def test_the_table_goes_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- templates: written by `make bench-sites` -->\nold\n<!-- end of templates -->\nafter\n")
    write(page, "new")
    assert page.read_text().splitlines() == [
        "before",
        "<!-- templates: written by `make bench-sites` -->",
        "new",
        "<!-- end of templates -->",
        "after",
    ]
    page.write_text("no marks")
    with pytest.raises(UsageError, match="expected the lines"):
        write(page, "new")


def test_the_page_about_the_sites_lists_every_template():
    text = (ROOT / "docs/sites.md").read_text("utf-8")
    missing = [task_id for task_id in registry.select(SITES) if f"| `{task_id}` |" not in text]
    assert missing == [], "run `make bench-sites`"
