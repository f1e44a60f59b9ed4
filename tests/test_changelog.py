"""The tables of moves in CHANGELOG.md lead from paths that are gone to paths that exist."""

import re

import pytest

from tests.documents import ROOT

ROWS = re.findall(r"^\| `([^`]+)`(.*?) \| `([^`]+)` \|$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_the_tables_are_found():
    assert {old.split("/")[0] for old, _, _ in ROWS} == {"webgym", "trainers", "tasks"} and len(ROWS) > 100


@pytest.mark.parametrize(("old", "names", "new"), ROWS)
def test_each_new_path_exists_and_old_modules_are_gone(old, names, new):
    assert (ROOT / new).exists()
    if not names:  # else only some names left the module, which may still be there
        assert not list((ROOT / old).rglob("*.py")) and not (ROOT / old).is_file()
    for name in re.findall(r"`(\w+)`", names):
        assert re.search(rf"^(class |def |async def )?{name}\b", (ROOT / new).read_text("utf-8"), re.MULTILINE), f"{new} has no {name}"
