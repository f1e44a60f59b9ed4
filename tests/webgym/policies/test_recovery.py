"""After a slip, the page on which it happened comes back, and what was meant there is done."""

from dataclasses import replace

import pytest

from webgym.policies.recovery import Recovery
from webgym.types import Back, Click, Fill, Goto, Node, Observation, Select, Stop

FORM = Observation(
    "",
    "http://s/form",
    "",
    (
        Node("textbox", "Name", 0, value="Ann"),
        Node("combobox", "Size", 1, value="M"),
        Node("checkbox", "Gift", 2, states=("checked",)),
        Node("radio", "Card", 3, states=("checked",)),
        Node("radio", "Bill", 4),
        Node("button", "Send", 5),
    ),
)
SEND = Click(5)
ELSEWHERE = Observation("", "http://s/other", "", (Node("link", "Home", 0),))


def changed(page, ref, **changes):
    return replace(page, nodes=tuple(replace(node, **changes) if node.ref == ref else node for node in page.nodes))


def slipped(page=FORM, meant=SEND):
    found = Recovery()
    found.slip(page, meant)
    return found


def test_where_nothing_came_of_the_slip_what_was_meant_is_done():
    found = slipped()
    assert found.needed and found.step(FORM) == SEND and not found.needed


def test_another_page_is_left_by_going_back_then_by_its_address():
    found = slipped()
    assert [found.step(ELSEWHERE), found.step(ELSEWHERE), found.step(FORM)] == [Back(), Goto(FORM.url), SEND]
    found = slipped()
    assert [found.step(ELSEWHERE), found.step(ELSEWHERE)] == [Back(), Goto(FORM.url)]
    with pytest.raises(LookupError, match="leads to http://s/other"):
        found.step(ELSEWHERE)
    found.slip(ELSEWHERE, Back())  # a slip on the way back: the page to come back to stays, and there is a way again
    assert [found.step(ELSEWHERE), found.step(FORM)] == [Back(), SEND]


@pytest.mark.parametrize(
    ("ref", "now", "action"),
    [
        (0, {"value": "Bob"}, Fill(0, "Ann")),
        (1, {"value": "L"}, Select(1, ("M",))),
        (2, {"states": ()}, Click(2)),
        (3, {"states": ()}, Click(3)),
    ],
)
def test_a_field_that_was_changed_is_put_right(ref, now, action):
    found = slipped()
    assert [found.step(changed(FORM, ref, **now)), found.step(FORM)] == [action, SEND]


def test_what_was_meant_is_found_under_its_new_ref():
    moved = replace(FORM, nodes=(Node("link", "You have 1 message", 0), *(replace(n, ref=(n.ref or 0) + 1) for n in FORM.nodes)))
    assert slipped().step(moved) == Click(6)


def test_of_things_with_one_name_the_same_is_found():
    page = Observation("", "http://s/list", "", (Node("button", "Delete", 0), Node("button", "Delete", 1), Node("button", "Delete", 2)))
    later = replace(page, nodes=(Node("link", "New", 0), *(replace(n, ref=(n.ref or 0) + 1) for n in page.nodes)))
    assert slipped(page, Click(1)).step(later) == Click(2)


def test_what_a_click_had_opened_is_opened_again_on_a_fresh_page():
    shut = Observation("", "http://s/list", "", (Node("button", "Filters", 0), Node("link", "Help", 1)))
    opened = replace(shut, nodes=(*shut.nodes, Node("checkbox", "Direct only", 2)))
    found = Recovery()
    found.took(shut, Click(0))
    found.slip(opened, Click(2))
    assert [found.step(shut), found.step(shut), found.step(opened)] == [Goto(shut.url), Click(0), Click(2)]


def test_a_page_that_does_not_come_back_is_told():
    found, bare = slipped(), replace(FORM, nodes=())
    assert found.step(bare) == Goto(FORM.url)
    with pytest.raises(LookupError, match="does not come back"):
        found.step(bare)


def test_an_answer_needs_no_thing_of_the_page():
    assert slipped(meant=Stop("42")).step(replace(FORM, nodes=())) == Stop("42")
