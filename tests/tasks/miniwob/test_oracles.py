from importlib import import_module

import pytest

from webgym.packs import registry
from webgym.types import Node, Observation

PACK = registry._pack("miniwob").__name__  # packs are loaded by path, under a private name
oracles, mail = (import_module(f"{PACK}.{name}") for name in ("oracles", "oracles.mail"))

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
