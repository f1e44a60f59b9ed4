"""What is kept of real applications, and the tables of it."""

import json

import pytest

from benchmarks import webapps
from webgym.packs import applications

COSTS = {
    "tasks": 16, "episodes": 6, "install_s": 104.2, "bytes": 22_000_000, "prepare_s": 15.5, "start_ms": 4600.0, "resident_mb": 55.0,
    "own_reset_ms": 20.0, "reset_ms": 450.0, "step_ms": 65.0, "step_p90_ms": 230.0,
}  # fmt: skip


@pytest.fixture
def kept(tmp_path):
    return webapps.Kept(tmp_path / "kept.jsonl")


def test_what_was_found_is_known_while_the_pack_is_what_it_was(kept, tmp_path):
    kept.add("trac", "trust", "trac.close-ticket oracle", policy="oracle", seeds=20, won=20, episodes=20)
    again = webapps.Kept(tmp_path / "kept.jsonl")
    assert again.knows("trac", "trust", "trac.close-ticket oracle", seeds=20)
    assert not again.knows("trac", "trust", "trac.close-ticket oracle", seeds=40) and not again.knows(
        "trac", "trust", "trac.hand-over oracle"
    )
    line = json.loads((tmp_path / "kept.jsonl").read_text())
    (tmp_path / "kept.jsonl").write_text(json.dumps({**line, "files": "of another day"}) + "\n")
    stale = webapps.Kept(tmp_path / "kept.jsonl")
    assert not stale.knows("trac", "trust", "trac.close-ticket oracle", seeds=20) and stale.of("trac", "trust") == []


def test_the_tables_have_what_was_found(kept, tmp_path):
    for task, won in (("trac.close-ticket", 20), ("trac.hand-over", 19)):
        kept.add("trac", "trust", f"{task} oracle", policy="oracle", seeds=20, won=won, episodes=20)
    kept.add("trac", "costs", "", **{**COSTS, "step_ms": 1.0})
    kept.add("trac", "costs", "", **COSTS)
    kept.add("oscar", "crowd", "", sessions=16, processes=16, won=16, retries=3, seconds=61.2, resident_mb=1400.0)
    tables = webapps.markdown(kept, ["trac", "oscar"])
    assert tables["trust"].splitlines()[2] == "| trac | 16 | 39 of 40, 2 tasks | not yet | not yet | not yet |"
    assert tables["costs"].splitlines()[2:] == [
        "| trac | 16 | 104 s, 22 MB | 15.5 s | 4.6 s | 55 MB | 20 ms | 450 ms | 65 / 230 ms |"
    ], "the newest line counts"  # fmt: skip
    assert tables["crowd"].splitlines()[1:] == ["|---|---|---|---|---|---|---|", "| oscar | 16 | 16 | 16 | 3 | 61 s | 1400 MB |"]
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- begin: benchmarks.webapps {name} -->\nold\n<!-- end: benchmarks.webapps {name} -->\n" for name in tables)
    )
    webapps.write(page, tables)
    assert "39 of 40" in page.read_text() and "old" not in page.read_text()
    with pytest.raises(SystemExit, match="has no marks"):
        webapps.write(tmp_path / "kept.jsonl", tables)


def test_the_page_has_a_place_for_every_table():
    text = (webapps.Path(__file__).parents[2] / "docs/applications.md").read_text("utf-8")
    assert all(f"<!-- {edge}: benchmarks.webapps {name} -->" in text for name in webapps.TABLES for edge in ("begin", "end"))
    assert all(f"| `{name}` |" in text for name in applications.recipes())
