"""One visitor for the tests of a file, with time enough for a busy machine."""

import pytest

from tests.webgym.pages import Visitor, visitor


@pytest.fixture(scope="module")
def shared():
    with visitor() as found:
        yield found


@pytest.fixture
def at(shared) -> Visitor:
    if shared.env._session is not None:
        shared.env.session.action_timeout_s = 60.0  # a busy machine is no failure; tests of the deadline set their own
    return shared
