"""Pages that want to be misread are read as they are, and a click on them works."""

import pytest

from benchmarks.hacks import readers


@pytest.mark.parametrize("name", readers.OTHERS)
def test_a_hostile_page_is_read_as_it_is(name):
    assert readers.misread(readers.OTHERS[name]) == ""
