"""Dialogs of a page: a question waits for the agent, who may accept, decline, write, or do something else."""

import pytest

from tests.webgym.pages import HOST, lines
from webgym.types import Action, Click, Dialog, Wait

ASK = """<title>t</title><button onclick="document.title = confirm('Delete all?') ? 'deleted' : 'kept'">Delete</button>
    <button onclick="document.title = 'hello ' + prompt('Your name?', 'Bob')">Name</button>
    <button onclick="document.title = [confirm('one'), prompt('two'), confirm('three')]">Many</button>
    <button onclick="while (!confirm('again?'));">Nag</button>"""
ANSWERS: list[tuple[str, Action, str]] = [
    ("Delete", Dialog(True), "deleted"),
    ("Delete", Dialog(False), "kept"),
    ("Delete", Wait(1), "deleted"),
    ("Name", Dialog(True, "Ann"), "hello Ann"),
    ("Name", Dialog(True), "hello Bob"),
    ("Name", Dialog(True, ""), "hello"),
    ("Name", Dialog(False), "hello null"),
    ("Name", Wait(1), "hello null"),
]


@pytest.mark.parametrize("name, answer, title", ANSWERS)
def test_a_question_waits_for_its_answer(at, name, answer, title):
    before = at.open(ASK)
    asked = at.do(Click(at.ref(name)))
    kind = "confirm" if name == "Delete" else "prompt"
    assert (asked.dialog, asked.title, lines(asked)) == (kind, "t", lines(before))
    assert f'{kind} dialog "' in asked.notices[0] and "is open: answer it with dialog" in asked.notices[0]
    answered = at.do(answer)
    assert (answered.dialog, answered.title) == ("", title)
    assert at.do(Wait(1)).notices == ()


def test_questions_one_after_the_other(at):
    at.open(ASK)
    at.do(Click(at.ref("Many")))
    at.do(Dialog(False))
    assert at.observation.dialog == "prompt"
    at.do(Dialog(True, "x"))
    assert at.do(Dialog(True)).title == "false,x,true"
    assert at.fails(Dialog(True)) == "no dialog is open"
    at.do(Click(at.ref("Nag")))
    for _ in range(3):
        assert at.do(Dialog(False)).dialog == "confirm"
    assert at.do(Dialog(True)).dialog == ""


def test_another_action_answers_first_and_is_done(at):
    at.open(ASK)
    at.do(Click(at.ref("Many")))
    clicked = at.do(Click(at.ref("Delete")))
    answered = [notice.partition(" was ")[0] for notice in clicked.notices[:3]]
    assert answered == ['confirm dialog "one"', 'prompt dialog "two"', 'confirm dialog "three"']
    assert (clicked.dialog, clicked.title) == ("confirm", "t")  # the page is shown as it was before
    assert at.do(Dialog(False)).title == "kept"


def test_an_open_question_ends_with_its_episode(at):
    at.open(ASK)
    at.do(Click(at.ref("Delete")))
    at.open("<title>next</title><p>page")
    assert (at.observation.title, at.observation.dialog, at.observation.notices) == ("next", "", ())
    at.open("<script>asked = confirm('at once')</script>")
    assert at.js("asked") is True and at.observation.notices == ('confirm dialog "at once" was accepted',)


def test_a_question_of_a_timer_and_of_a_link(at):
    at.open("""<button onclick="setTimeout(() => document.title = confirm('later'), 100)">Later</button>
        <a href=/next onclick="return confirm('Leave?')">Go</a>""", {"/next": "<p>next"})  # fmt: skip
    assert at.do(Click(at.ref("Later"))).dialog == "confirm"
    assert at.do(Dialog(False)).title == "false"
    at.do(Click(at.ref("Go")))
    assert at.do(Dialog(False)).url == f"http://{HOST}/"
    at.do(Click(at.ref("Go")))
    assert lines(at.do(Dialog(True))) == ["text next"]
