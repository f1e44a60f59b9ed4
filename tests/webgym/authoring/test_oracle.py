import pytest

from webgym.authoring import oracle
from webgym.task import OracleEnded
from webgym.types import Node, Observation


def page(goal, *nodes):
    return Observation(goal, "", "", nodes)


def test_find_prefers_exact_case_and_what_can_be_clicked():
    nodes = (Node("text", "Ok"), Node("button", "ok", 0), Node("button", "Ok", 1), Node("link", "OK", 2))
    assert oracle.find(page("", *nodes), "Ok").ref == 1
    assert oracle.find(page("", *nodes), "oK").ref == 0
    assert oracle.find(page("", *nodes), "Ok", "link").ref == 2
    assert oracle.seek(page("", *nodes), "Cancel") is None
    with pytest.raises(LookupError, match="Cancel"):
        oracle.find(page("", *nodes), "Cancel")


def test_tick_clicks_wrong_boxes_only():
    boxes = [Node("checkbox", "a", 0, states=("checked",)), Node("checkbox", "b", 1), Node("checkbox", "c", 2)]
    assert oracle.tick(boxes, [boxes[0], boxes[2]]).ref == 2
    assert oracle.tick(boxes, []).ref == 0
    assert oracle.tick(boxes, [boxes[0]]) is None


def test_an_oracle_that_remembers_begins_afresh_each_episode():
    def program(page):
        seen = page.goal
        page = yield oracle.press(page, "Next")
        yield oracle.press(page, seen)

    make = oracle.remembering(program)
    for goal in ("Tea", "Milk"):
        play = make()
        assert play(page(goal, Node("button", "Next", 7))).ref == 7
        assert play(page("another goal", Node("link", "Tea", 1), Node("link", "Milk", 2))).ref == {"Tea": 1, "Milk": 2}[goal]


def test_an_oracle_that_remembers_fails_again_as_it_failed_first():
    def program(page):
        yield oracle.press(page, "Next")
        yield oracle.press(page, "Tea")

    first, play = page("", Node("button", "Next", 7)), oracle.remembering(program)()
    assert play(first).ref == 7
    for _ in range(2):
        with pytest.raises(LookupError, match="nothing on the page says 'Tea'"):
            play(page(""))


def test_an_oracle_that_remembers_says_when_it_is_done():
    def program(page):
        yield oracle.press(page, "Next")

    first, play = page("", Node("button", "Next", 7)), oracle.remembering(program)()
    assert play(first).ref == 7
    for _ in range(2):
        with pytest.raises(OracleEnded, match="the oracle is done and the episode is not over"):
            play(first)
