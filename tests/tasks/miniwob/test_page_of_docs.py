"""docs/miniwob.md names exactly the tasks that it speaks of."""

import re
from pathlib import Path

from webgym.packs import registry

PAGE = (Path(__file__).parents[3] / "docs/miniwob.md").read_text("utf-8")
ENTRIES = registry.manifests()["miniwob"]["tasks"]


def named(heading):
    """The tasks in the first column of a section's table."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [name for row in section.splitlines() if row.startswith("| `") for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_every_flagged_task_is_listed_once():
    assert sorted(named("Tasks that upstream calls nondeterministic")) == sorted(n for n, entry in ENTRIES.items() if "flagged" in entry)


def test_every_task_without_an_oracle_is_listed_once():
    silent = sorted(name for name in ENTRIES if registry.task(f"miniwob.{name}").oracle is None)
    assert sorted(named("Tasks without an oracle")) == silent
    assert f"{len(ENTRIES) - len(silent)} tasks have an oracle" in PAGE and f"The other {len(silent)} have none" in PAGE


def test_thresholds_are_as_listed():
    listed = PAGE.partition("a matter of pixels (")[2].partition(") 0.9 is enough")[0]
    assert sorted(re.findall(r"`([^`]+)`", listed)) == sorted(name for name, entry in ENTRIES.items() if entry.get("threshold") == 0.9)
