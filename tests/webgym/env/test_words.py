"""What an episode keeps of its agent's own words, and that a page which repeats them shows nothing."""

import pytest

from webgym import echoes
from webgym.env import words as w
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.task import Evidence
from webgym.types import Action, Click, Fill, Goto, Message, Node, Press, Stop, Type


def searched(*actions: tuple[Action, str], goal: str = "") -> w.Words:
    """The words behind actions in a search field, each with what the field then holds."""
    words, before = w.Words(goal), [Node("link", "Inbox", 0), Node("searchbox", "Search", 1, value="")]
    for number, (action, value) in enumerate(actions, start=1):
        after = [Node("link", "Inbox", 0), Node("searchbox", "Search", 1, value=value, states=("focused",))]
        words.note(action, number)
        words.note_fields(action, before, after, number)
        before = after
    return words


def showed(words: w.Words, answer: str, page: str) -> bool:
    pages = ((),) * 9 + ((Node("text", page),),)
    return Evidence(0, "u", pages=pages, written=words.written).showed(answer)


@pytest.mark.parametrize(
    "actions",
    [
        [(Fill(1, "4821"), "4821"), (Press("Backspace", 0), "4821")],  # on a link, where it takes nothing away
        [(Fill(1, "48213"), "48213"), (Press("Backspace", 1), "4821")],
        [(Fill(1, "47821"), "47821"), (Press("Home", 1), "47821"), (Press("ArrowRight"), "47821"), (Press("Delete"), "4821")],
        [(Type("x4"), "x4"), (Press("Control+Backspace"), ""), (Type("4-8-21"), "4821")],  # a field that takes digits only
        [(Type("1284"), "4821")],  # one that turns what is typed round
        [(Goto("http://mail.localhost/search?q=48%2021"), "")],
    ],
)
def test_no_way_of_editing_makes_a_page_show_what_the_agent_wrote(actions: list[tuple[Action, str]]) -> None:
    assert not showed(searched(*actions), "4821", "No results for 4821")
    assert showed(searched(*actions), "0815", "Locker 0815")


def test_short_answers_are_no_exception() -> None:
    words = searched((Fill(1, "173"), "173"), (Press("Home", 1), "173"), (Press("Delete"), "73"))
    assert not showed(words, "73", "No results for 73")


def test_what_a_field_held_before_came_with_the_page() -> None:
    """An agent that goes by Tab to the phone number of a contact was shown it."""
    field = Node("textbox", "Phone", 3, value="4821")
    words = w.Words("")
    words.note_fields(Press("Tab"), [field], [Node("textbox", "Phone", 3, value="4821", states=("focused",))], 1)
    words.note_fields(Click(4), [], [Node("textbox", "Sum", 5, value="99", states=("focused",))], 2)
    words.note_fields(Type("3"), [], [Node("textbox", "A", 6, value="3", states=("focused",)), Node("textbox", "Sum", 5, value="99")], 3)
    assert [text for _, text in words.written] == ["3"]


def test_a_text_of_the_goal_is_none_of_its_own() -> None:
    words = searched((Fill(1, "Ann Lee"), "Ann Lee"), goal="What is the phone number of Ann Lee?")
    assert words.written == [] and showed(words, "Ann Lee", "Ann Lee, 4821")


def test_what_is_kept_is_bounded() -> None:
    words = w.Words("")
    for number in range(60):
        words.note(Type(chr(0x1F600 + number) * 340_000), number)
    assert sum(len(text) for _, text in words.written) <= w.MOST + 1 and words.written[-1] == (w.MOST // echoes.LONGEST, echoes.FULL)
    pages = [(Node("text", "Locker 32"),)] * 60
    assert Evidence(0, "u", pages=pages, written=words.written).showed("32"), "it was shown while all was kept"
    assert not Evidence(0, "u", pages=[(), *[()] * 20, *pages], written=words.written).showed("32")


def test_messages_are_bounded_in_words() -> None:
    words = w.Words("")
    assert words.say("a" * w.MOST) == "" and words.messages == ["a" * w.MOST]
    assert words.say("b") == "nothing was said: the messages of this episode have 400,000 characters by now, of at most 400,000; say less"
    assert words.messages == ["a" * w.MOST]


def test_a_text_is_read_once_for_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's texts, read again for each page, once held up a server for 40 s."""
    words, pages, plain, read = w.Words(""), [()], echoes._plain, []
    monkeypatch.setattr(echoes, "_plain", lambda text: read.append(len(text)) or plain(text))
    for number in range(1, 300):
        words.note(Fill(1, f"x4821x {number} " + "ab " * 5_000), number)
        pages.append((Node("text", "x4821x " * 10),))
    assert not Evidence(0, "u", pages=pages, written=words.written).showed("4821")
    assert sum(read) <= 1.1 * w.MOST


def test_an_answer_from_elsewhere_earns_nothing_in_the_browser() -> None:
    """The search of mail repeats what stands in its field, however it came there."""
    env, run = AsyncWebEnv(), loop_thread().run
    try:
        for way in ("a key elsewhere", "deleted"):
            seen = run(env.reset("mail.look-up", 3_000_003))
            field = next(node.ref for node in seen.nodes if node.role == "searchbox")
            link = next(node.ref for node in seen.nodes if node.role == "link")
            text, keys = (
                ("4821", [Press("Backspace", link)]) if way == "a key elsewhere" else ("14821", [Press("Home", field), Press("Delete")])
            )
            for action in (Fill(field, text), *keys, Press("Enter", field)):
                seen = run(env.step(action)).observation
            assert any("4821" in f"{node.text} {node.value}" for node in seen.nodes)
            evidence = Evidence(0, "", pages=env._pages, written=env._words.written)
            assert not evidence.showed("4821")
            run(env.step(Message("done")))
            assert run(env.step(Stop("4821"))).reward == 0.0
    finally:
        run(env.close())
