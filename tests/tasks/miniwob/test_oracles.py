from importlib import import_module

import pytest

from webgym import registry
from webgym.types import Node, Observation

PACK = registry._pack("miniwob").__name__  # packs are loaded by path, under a private name
oracles, mail, reading = (import_module(f"{PACK}.{name}") for name in ("oracles", "oracles.mail", "oracles.reading"))

ROWS = ("Jo Ann Sed. Amet..", "Karla Quis. Dolor..", "Paul Ante. Nulla..")


def page(goal, *nodes):
    return Observation(goal, "", "", nodes)


def inbox(goal):
    return page(goal, *(Node("clickable", row, ref) for ref, row in enumerate(ROWS)))


@pytest.mark.parametrize(
    ("goal", "request_"),
    [
        ("Delete the email Karla sent me.", ("delete", "Karla", "")),
        ("I don't want Karla's email in my inbox.", ("delete", "Karla", "")),
        ("Please find the email Karla sent me and file it as important", ("star", "Karla", "")),
        ('Will you respond to Karla\'s email and tell her that it "Integer mattis."?', ("reply", "Karla", "Integer mattis.")),
        ("I'd like to email Tammi the email I got from Karla.", ("forward", "Karla", "Tammi")),
        ("Tammi wants the email Karla sent to you.", ("forward", "Karla", "Tammi")),
        ("Send Dee Dee the email from Jo Ann.", ("forward", "Jo Ann", "Dee Dee")),
        ("Send Paul the email from Karla.", ("forward", "Karla", "Paul")),  # Paul has written a mail, too
        ("Please forward Karla's email to Paul.", ("forward", "Karla", "Paul")),
        ("Karla wants his or her message to be sent to Paul.", ("forward", "Karla", "Paul")),
    ],
)
def test_goals_of_any_wording(goal, request_):
    assert mail.read_request(inbox(goal)) == mail.Request(*request_)


def test_find_prefers_exact_case_and_what_can_be_clicked():
    nodes = (Node("text", "Ok"), Node("button", "ok", 0), Node("button", "Ok", 1), Node("link", "OK", 2))
    assert reading.find(page("", *nodes), "Ok").ref == 1
    assert reading.find(page("", *nodes), "oK").ref == 0
    assert reading.find(page("", *nodes), "Ok", "link").ref == 2
    assert reading.seek(page("", *nodes), "Cancel") is None
    with pytest.raises(LookupError, match="Cancel"):
        reading.find(page("", *nodes), "Cancel")


def test_tick_clicks_wrong_boxes_only():
    boxes = [Node("checkbox", "a", 0, states=("checked",)), Node("checkbox", "b", 1), Node("checkbox", "c", 2)]
    assert reading.tick(boxes, [boxes[0], boxes[2]]).ref == 2
    assert reading.tick(boxes, []).ref == 0
    assert reading.tick(boxes, [boxes[0]]) is None


def test_oracle_with_memory_begins_afresh_each_episode():
    make = oracles.oracle("find-greatest")
    cards = page("", Node("clickable", "3", 0), Node("clickable", "8", 1), Node("button", "Submit", 2))
    for _ in range(2):
        play = make()
        assert [play(cards).ref, play(cards).ref] == [1, 2]


def test_two_oracles_for_one_task_are_refused():
    with pytest.raises(ValueError, match="click-test"):
        oracles.solves("click-test")(lambda page: None)
    with pytest.raises(ValueError, match="click-test"):
        oracles.remembers("click-test")(lambda page: None)


def test_no_oracle():
    assert oracles.oracle("no-such-task") is None
