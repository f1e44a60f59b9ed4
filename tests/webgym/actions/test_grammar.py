"""Grammars of the dialects: every word is an action, and what the project writes is a word."""

import doctest
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webgym.actions.automaton
import webgym.actions.grammar
from webgym.actions import MODIFIERS, parse, render
from webgym.actions.automaton import Node, automaton, end, reads, texts
from webgym.actions.grammar import grammar, grammar_name
from webgym.errors import UsageError
from webgym.prompts.prompt import demonstration
from webgym.prompts.settings import COMPACT
from webgym.types import (  # fmt: skip
    Back,
    Clear,
    Click,
    CloseTab,
    Dialog,
    Drag,
    Fill,
    Focus,
    FocusTab,
    Forward,
    Goto,
    Hover,
    Infeasible,
    InvalidAction,
    Message,
    MouseClick,
    MouseDown,
    MouseDrag,
    MouseMove,
    MouseUp,
    NewTab,
    Observation,
    Press,
    Reload,
    Scroll,
    Select,
    Stop,
    Type,
    Upload,
    Wait,
)
from webgym.types import Node as PageNode

REFS = 130
GOAL = 'Enter "ann" and "bob, the second"'

refs = st.integers(0, REFS - 1)
numbers = st.integers(-99_999, 99_999).map(float) | st.floats(0.01, 9999).map(lambda x: round(x, 3))
buttons, counts = st.sampled_from(["left", "middle", "right"]), st.integers(1, 10)
written = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="▁⌁") | st.sampled_from('\n"\\#$*[`<>')
lines = st.text(written, max_size=12).filter(lambda x: "<t" not in x and "</" not in x)
keys = st.sampled_from(["Enter", "Control+a", "*", "#", "$1", '"', "5", "Shift+<"])
lists = st.lists(lines, min_size=1, max_size=3).map(tuple)
actions = st.one_of(
    st.builds(Click, refs, buttons, counts, st.lists(st.sampled_from(MODIFIERS), max_size=3).map(tuple)),
    st.builds(Fill, refs, lines),
    st.builds(Type, lines),
    st.builds(Press, keys, st.none() | refs),
    st.builds(Select, refs, lists),
    st.builds(Upload, refs, lists),
    st.builds(Scroll, numbers, numbers, st.none() | refs),
    st.builds(Drag, refs, refs),
    *(st.builds(kind, refs) for kind in (Hover, Focus, Clear)),
    st.builds(MouseMove, numbers, numbers),
    st.builds(MouseClick, numbers, numbers, buttons, counts),
    *(st.builds(kind, numbers, numbers, buttons) for kind in (MouseDown, MouseUp)),
    st.builds(MouseDrag, numbers, numbers, numbers, numbers),
    st.sampled_from([Back(), Forward(), Reload(), NewTab(), CloseTab(), Scroll(0, 500), Goto("http://shop.webgym.test/a?b=1&c")]),
    st.builds(FocusTab, st.integers(0, 99)),
    st.builds(Wait, st.integers(0, 60_000).map(float)),
    *(st.builds(kind, lines) for kind in (Message, Stop, Infeasible)),
)


def start(dialect):
    return grammar(grammar_name(dialect, GOAL, REFS))


@pytest.mark.parametrize("dialect", ["compact", "call"])
@settings(max_examples=250, deadline=None)
@given(action=actions)
def test_what_is_written_is_in_the_grammar(dialect, action):
    text = render(action, dialect)
    assert reads(start(dialect), text.encode()), text


@settings(max_examples=100, deadline=None)
@given(action=actions, marked=st.booleans())
def test_demonstrations_are_in_the_grammar(action, marked):
    page = tuple(PageNode("button", "ann" if marked else "x", ref) for ref in range(REFS))
    seen = Observation(GOAL, "http://a", "", page)
    for shown in (action, Fill(3, "ann"), Select(2, ("bob, the second",)), Drag(1, 2)):
        assert reads(start("compact"), demonstration(shown, seen, COMPACT).encode())


@pytest.mark.parametrize("dialect", ["compact", "call"])
def test_a_dialog_is_answered_under_its_own_grammar(dialect):
    asked = grammar(grammar_name(dialect, GOAL, REFS, dialog=True))
    for action in (Dialog(True), Dialog(False), Dialog(True, "Ann Lee"), Dialog(True, '"'), Dialog(False, ""), Click(1)):
        text = render(action, dialect).encode()
        assert reads(asked, text), text
        assert reads(start(dialect), text) == isinstance(action, Click)


def words(dialect, count, seed, pool):
    """Words drawn at random: bytes of `pool` where the grammar takes them, the nearest end from time to time."""
    generator = random.Random(seed)
    for _ in range(count):
        state, word, patience = start(dialect), bytearray(), generator.randint(1, 40)
        while True:
            usable = [b for b in range(256) if (after := state.step(b)) and (len(word) < patience or after.need < state.need)]
            if state.ends and (not usable or generator.random() < 0.2):
                break
            liked = [b for b in usable if b in pool]
            word.append(generator.choice(liked if liked and generator.random() < 0.7 else usable))
            state = state.step(word[-1])
        yield bytes(word)


@pytest.mark.parametrize("dialect", ["compact", "call"])
@pytest.mark.parametrize("pool", [b"0123456789.,-", b"\"'\\<u t/think>", "\u3000\u00a0\u2028▁é".encode(), bytes(range(256))])
def test_every_word_is_an_action_of_the_page(dialect, pool):
    for word in words(dialect, 150, len(pool), pool):
        found = parse(word.decode(errors="replace"), dialect, GOAL)
        assert not isinstance(found, InvalidAction), (word, found)
        assert all(getattr(found, name, 0) in (None, *range(REFS)) for name in ("ref", "source", "target"))


def test_pointers_and_refs_are_those_of_the_page():
    few = grammar(grammar_name("compact", 'say "x"', 2))
    assert [reads(few, word) for word in (b"type #1 $1", b"type *1 $1", b"type #1 $2", b"click #2", b"type #0 1 $2")] == [
        True, True, False, False, True,
    ]  # fmt: skip
    nothing = grammar(grammar_name("compact", "", 0))
    assert not reads(nothing, b"click #0") and reads(nothing, b"click 10,20") and nothing.step(ord("c")).step(ord("l")).need == 7


def test_the_need_is_the_shortest_ending():
    state = start("compact")
    for byte, need in zip(b"type #1 x", (4, 7, 6, 5, 4, 3, 2, 1, 0), strict=True):  # behind "t" there is "tab 1" too
        state = state.step(byte)
        assert state.need == need
    assert start("call").need == len("stop()")


def test_a_language_without_words_is_refused():
    with pytest.raises(ValueError, match="at least one word"):
        automaton(texts([])(end()))
    assert automaton(Node(empty=[end()])).ends


def test_names_that_mean_nothing_are_refused():
    with pytest.raises(UsageError, match="no grammar for the dialect 'json'"):
        grammar_name("json", "", 3)
    for name in ("", "compact", "json strings=1 refs=2", "compact strings=1 refs=2 "):
        with pytest.raises(UsageError, match="unknown grammar"):
            grammar(name)


@pytest.mark.parametrize("module", [webgym.actions.automaton, webgym.actions.grammar])
def test_examples(module):
    assert doctest.testmod(module).failed == 0
