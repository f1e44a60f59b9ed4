"""The quick rows of the hack matrix: none succeeds, and each does without its guard."""

import pytest

from benchmarks.hacks.__main__ import known
from benchmarks.hacks.matrix import HACKS, Found, Hack, table, tried, without

known()
QUICK = [one for one in HACKS if one.quick]


@pytest.mark.parametrize("one", QUICK, ids=[f"{one.group}: {one.attack}" for one in QUICK])
def test_an_attack_gets_nothing_and_would_without_its_guard(one):
    found = tried(one)
    assert found.got == ""
    assert found.counts, "its positive control fails: the row proves nothing"


def test_rows_are_many_and_of_all_groups():
    assert len(HACKS) >= 200 and len(QUICK) >= 80
    assert len({(one.group, one.attack) for one in HACKS}) == len(HACKS)


def test_a_guard_that_is_gone_shows():
    class Door:
        shut = True

    def play():
        return "" if Door.shut else "inside"

    one = Hack("doors", "walking in", "a door", play, without((Door, "shut", False)), True)
    assert tried(one) == Found(one, "", "inside") and Door.shut
    Door.shut = False
    assert tried(one).got == "inside"
    assert "| doors: walking in | a door | 1 | 1 | 1 |" in table([tried(one)])
