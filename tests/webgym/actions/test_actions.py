"""Three dialects: what a text means, what is wrong with it, and that nothing an agent writes breaks the reader."""

import doctest
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webgym.actions
import webgym.actions.compact
from webgym.actions import DIALECTS, MODIFIERS, describe, goal_strings, parse, render
from webgym.errors import UsageError
from webgym.types import (
    Action,
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
    Press,
    Reload,
    Scroll,
    Select,
    Stop,
    Type,
    Upload,
    Wait,
)

refs = st.integers(0, 999_999_999)
numbers = st.floats(allow_nan=False, allow_infinity=False)
buttons = st.sampled_from(["left", "middle", "right"])
counts = st.integers(1, 10)
# Plain text, and the words that mean something to one of the readers.
awkward = st.sampled_from(
    [
        "</think>",
        "<think>",
        "```",
        '"',
        "'",
        "\\",
        "\n",
        "$1",
        "#3",
        "click('1')",
        '{"name": "stop"}',
        "stop",
        "[",
        "\r",
        "\u2028",
        "\ud800",
    ]
)
texts = st.one_of(st.text(max_size=20), st.lists(st.one_of(awkward, st.text(max_size=3)), max_size=4).map("".join))
lists = st.lists(texts, max_size=3).map(tuple)
actions = st.one_of(
    st.builds(Click, refs, buttons, counts, st.lists(st.sampled_from(MODIFIERS), max_size=3).map(tuple)),
    st.builds(Fill, refs, texts),
    st.builds(Type, texts),
    st.builds(Press, texts.filter(bool), st.none() | refs),
    st.builds(Select, refs, lists),
    st.builds(Hover, refs),
    st.builds(Focus, refs),
    st.builds(Clear, refs),
    st.builds(Scroll, numbers, numbers, st.none() | refs),
    st.builds(Drag, refs, refs),
    st.builds(Upload, refs, lists),
    st.builds(MouseMove, numbers, numbers),
    st.builds(MouseClick, numbers, numbers, buttons, counts),
    st.builds(MouseDown, numbers, numbers, buttons),
    st.builds(MouseUp, numbers, numbers, buttons),
    st.builds(MouseDrag, numbers, numbers, numbers, numbers),
    st.builds(Goto, texts),
    st.sampled_from([Back(), Forward(), Reload(), NewTab(), CloseTab()]),
    st.builds(FocusTab, refs),
    st.builds(Dialog, st.booleans(), st.none() | texts),
    st.builds(Wait, st.floats(0, 60_000)),
    st.builds(Message, texts),
    st.builds(Stop, texts),
    st.builds(Infeasible, texts),
)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=400, deadline=None)
@given(action=actions)
def test_reading_undoes_writing(dialect: str, action: Action) -> None:
    assert parse(render(action, dialect), dialect) == action


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=150, deadline=None)
@given(action=actions, thought=texts)
def test_reasoning_before_an_action_changes_nothing(dialect: str, action: Action, thought: str) -> None:
    assert parse(f"<think>{thought}</think>\n{render(action, dialect)}", dialect) == action


def test_the_strategy_covers_every_action() -> None:
    kinds = set()

    @settings(max_examples=1000, deadline=None, database=None)
    @given(actions)
    def look(action: Action) -> None:
        kinds.add(type(action))

    look()
    assert kinds == set(Action.__args__)


FRAGMENTS = (
    "click fill type press select stop ( ) [ ] { } , : = ' \" \\ # $1 $9 3 1e999 -0 .5 ` ``` null true NaN <think> </think> "
    '<tool_call> "name" "arguments" "action" "coordinate" x2 +Shift 10,20 scroll_direction modifiers=[ bid= 99999999999999999999'
)
fragments = st.sampled_from([*FRAGMENTS.split(), "\n"])


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=500, deadline=None)
@given(text=st.text(max_size=80) | st.lists(fragments, max_size=14).map("".join) | st.lists(fragments, max_size=14).map(" ".join))
def test_no_text_makes_a_reader_raise(dialect: str, text: str) -> None:
    result = parse(text, dialect, goal='say "a" and "b"')
    if isinstance(result, InvalidAction):
        assert result.error and len(result.error) < 600
    else:
        assert parse(render(result, dialect), dialect) == result


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["click", "left_click", "scroll", "type", "key", "ctrl+a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "arguments", "action", "coordinate", "ref", "text", "keys", "type", "function", "x", "y", "pixels", "path"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(value=st.dictionaries(st.sampled_from(["name", "arguments", "action", "type", "coordinate", "text", "ref", "status"]), json_values))
def test_no_json_makes_the_reader_raise(value: dict) -> None:
    result = parse(json.dumps(value), "json")
    assert isinstance(result, InvalidAction) or parse(render(result, "json"), "json") == result


MEGABYTE = 1_000_000
UNITS = [
    *(
        "a",
        " ",
        "\n",
        "'",
        '"',
        "`",
        "{",
        "}",
        "[",
        "(",
        "\\",
        "#",
        "$",
        "0",
        "9.",
        "x=",
        "stop ",
        "press a b\n",
        "wait x\n",
        "```json\n",
    ),
    *(
        "click(",
        "click('",
        'click("',
        "click(',",
        "click('\",",
        "f(f(",
        "f('',",
        "f('",
        "click(   ",
        "click(x=",
        "\\'click('",
        "click('1') ",
    ),
    *("fill('1', \"", "fill('1','fill(\"1\",\"", "click #3\n", 'type #1 "\n', "<think>", "</think>", "<think></think>"),
    *('{"', '{"a":', '{"a":"', '{"a":[', "[[", "{ ", '{"a":1}'),
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_megabyte_of_anything_takes_linear_time(dialect: str) -> None:
    """A quadratic reader would take hours on one of these; the suite's timeout is three minutes."""
    openings = ("click('", "click #1 ", '{"name": "', "")
    for number, unit in enumerate(UNITS):
        text = unit * ((MEGABYTE if number % 12 == 0 else MEGABYTE // 10) // len(unit))
        for case in (openings[number % 4] + text, text + "\nclick('3')"):
            result = parse(case, dialect)
            assert not isinstance(result, InvalidAction) or len(result.error) < 600


CALLS = {
    "click('12')": Click(12),
    'click("12")': Click(12),
    "click(12)": Click(12),
    "click(#12)": Click(12),
    "click(bid='12')": Click(12),
    "click('b22')": None,
    "click('12', button=\"right\")": Click(12, "right"),
    "click('48', button=\"middle\", modifiers=[\"Shift\"])": Click(48, "middle", 1, ("Shift",)),
    "click('48', 'right', ['Alt', 'Control'])": Click(48, "right", 1, ("Alt", "Control")),
    "click('3', count=3)": Click(3, count=3),
    "dblclick('12')": Click(12, count=2),
    "dblclick('178', button=\"middle\", modifiers=[\"Shift\"])": Click(178, "middle", 2, ("Shift",)),
    "fill('237', 'example value')": Fill(237, "example value"),
    "fill('45', \"multi-line\\nexample\")": Fill(45, "multi-line\nexample"),
    "fill('45', \"multi-line\nexample\")": Fill(45, "multi-line\nexample"),
    "fill('12', \"example with \\\"quotes\\\"\")": Fill(12, 'example with "quotes"'),
    "fill('12', '''it''s''')": Fill(12, "its"),
    'fill("12", """two "words""")': None,
    "fill('12', \"it's\")": Fill(12, "it's"),
    "fill('12', 'a', True)": Fill(12, "a"),
    "fill('12', 'a', enable_autocomplete_menu=True)": Fill(12, "a"),
    "fill(bid='12', value='a')": Fill(12, "a"),
    "fill('12', 'caf\\xe9 \\u20ac \\U0001f600 \\d')": Fill(12, "café € 😀 \\d"),
    "fill('12', '\\U00110000')": Fill(12, "\\U00110000"),
    "select_option('48', \"blue\")": Select(48, ("blue",)),
    'select_option(\'48\', ["red", "green", "blue"])': Select(48, ("red", "green", "blue")),
    "hover('8')": Hover(8),
    "press('88', 'Backspace')": Press("Backspace", 88),
    "keyboard_press('Control+a')": Press("Control+a"),
    "keyboard_type('Hello world!')": Type("Hello world!"),
    "keyboard_insert_text('Hello')": Type("Hello"),
    "focus('455')": Focus(455),
    "clear('996')": Clear(996),
    "scroll(0, 200)": Scroll(0, 200),
    "scroll(-50.2, -100.5)": Scroll(-50.2, -100.5),
    "scroll(delta_x=0, delta_y=1e2)": Scroll(0, 100),
    "scroll(0, 200, '4')": Scroll(0, 200, 4),
    "drag_and_drop('56', '498')": Drag(56, 498),
    "upload_file('572', 'my_receipt.pdf')": Upload(572, ("my_receipt.pdf",)),
    "upload_file('63', [\"a.pdf\", \"b.txt\"])": Upload(63, ("a.pdf", "b.txt")),
    "mouse_move(65.2, 158.5)": MouseMove(65.2, 158.5),
    "mouse_click(56, 712.56, 'right')": MouseClick(56, 712.56, "right"),
    "mouse_dblclick(5, 236)": MouseClick(5, 236, count=2),
    "mouse_down(458, 254.5, 'middle')": MouseDown(458, 254.5, "middle"),
    "mouse_up(250, 120)": MouseUp(250, 120),
    "mouse_drag_and_drop(10.7, 325, 235.6, 24.54)": MouseDrag(10.7, 325, 235.6, 24.54),
    "goto('http://www.example.com')": Goto("http://www.example.com"),
    "go_back()": Back(),
    "go_forward()": Forward(),
    "reload()": Reload(),
    "new_tab()": NewTab(),
    "tab_focus(2)": FocusTab(2),
    "dialog(True)": Dialog(True),
    "dialog(False)": Dialog(False),
    "dialog('accept', 'Ann')": Dialog(True, "Ann"),
    "dialog(accept=True, text='')": Dialog(True, ""),
    "tab_close()": CloseTab(),
    "noop()": Wait(1000),
    "noop(500)": Wait(500),
    "noop(wait_ms=500)": Wait(500),
    "wait(20)": Wait(20),
    "send_msg_to_user(\"Based on the results, 1751.\")": Message("Based on the results, 1751."),
    "stop()": Stop(),
    "stop('42')": Stop("42"),
    "report_infeasible(\"no email field\")": Infeasible("no email field"),
    "infeasible()": Infeasible(),
    " ```python\nclick('3')\n```": Click(3),
    "`click('3')`": Click(3),
    "I don't know. It's (maybe) best to click (the button).\nclick('3')": Click(3),
    "First click('1'), then\nclick('2')": Click(2),
    "click('1')\nfill('3', \"click('5')\")": Fill(3, "click('5')"),
    "fill('3', 'click(\"5\")') is what I do, it's right (yes)": Fill(3, 'click("5")'),
    "f('x')\nclick('1') # as f('x') said": Click(1),
    "<think>click('1')</think>\nclick('2')": Click(2),
    "<think>a</think><think>click('1')</think> click('2')": Click(2),
    "click('2')\n<think>or click('1')": Click(2),
    "<thinking>click('1')</thinking>go_back()": Back(),
    "<|channel|>analysis<|message|>click('1')?<|end|><|start|>assistant<|channel|>final<|message|>go_back()": Back(),
    "<|channel|>final<|message|>fill('3', '<|channel|>final<|message|>x')": Fill(3, "<|channel|>final<|message|>x"),
}  # fmt: skip


@pytest.mark.parametrize("text", CALLS)
def test_call(text: str) -> None:
    result = parse(text, "call")
    if CALLS[text] is None:
        assert isinstance(result, InvalidAction)
    else:
        assert result == CALLS[text]


COMPACT = {
    "click #3": Click(3),
    "Click #3": Click(3),
    "click #3 right": Click(3, "right"),
    "click #3 x2": Click(3, count=2),
    "click #3 middle x3 +Shift +Alt": Click(3, "middle", 3, ("Shift", "Alt")),
    "click 10,20": MouseClick(10, 20),
    "click 10.5, -20 right": MouseClick(10.5, -20, "right"),
    "type #1 $2": Fill(1, "b c"),
    "type #1 $1": Fill(1, "a"),
    "type #1 some text": Fill(1, "some text"),
    'type #1 "some text"': Fill(1, "some text"),
    'type #1 ""': Fill(1, ""),
    'type #1 "say" it': Fill(1, '"say" it'),
    'type #1 "$1"': Fill(1, "$1"),
    "type #1 $1 or $2": Fill(1, "$1 or $2"),
    "type #1 $2.50": Fill(1, "$2.50"),
    "select #4 $1": Select(4, ("a",)),
    "select #4 $1 $2": Select(4, ("a", "b c")),
    "select #4 Two words": Select(4, ("Two words",)),
    'select #4 ["x", "y z"]': Select(4, ("x", "y z")),
    "select #4 []": Select(4, ()),
    "press Enter": Press("Enter"),
    "press #2 Control+a": Press("Control+a", 2),
    "write hello": Type("hello"),
    "scroll down": Scroll(0, 500),
    "scroll up": Scroll(0, -500),
    "scroll #2 left": Scroll(-500, 0, 2),
    "scroll 0,300": Scroll(0, 300),
    "hover #1": Hover(1),
    "focus #1": Focus(1),
    "clear #1": Clear(1),
    "drag #1 #2": Drag(1, 2),
    "drag 1,2 3,4": MouseDrag(1, 2, 3, 4),
    "upload #1 a.txt": Upload(1, ("a.txt",)),
    "move 1,2": MouseMove(1, 2),
    "down 1,2": MouseDown(1, 2),
    "up 1,2 right": MouseUp(1, 2, "right"),
    "goto http://x.test/?q=1": Goto("http://x.test/?q=1"),
    "back": Back(),
    "forward": Forward(),
    "reload": Reload(),
    "tab 1": FocusTab(1),
    "dialog accept": Dialog(True),
    "dialog no": Dialog(False),
    "dialog accept Ann Lee": Dialog(True, "Ann Lee"),
    'dialog accept ""': Dialog(True, ""),
    "tab new": NewTab(),
    "tab close": CloseTab(),
    "wait": Wait(),
    "wait 250": Wait(250),
    "message I am done": Message("I am done"),
    "stop": Stop(),
    "stop the answer": Stop("the answer"),
    "stop $1": Stop("a"),
    "infeasible": Infeasible(),
    "infeasible no such button": Infeasible("no such button"),
    "I will type the name.\ntype #1 Bob\n": Fill(1, "Bob"),
    "click #1\nclick #2": Click(2),
    "click #1\nwait for the page to change": Click(1),
    "Action: click #2": Click(2),
    "```\nclick #2\n```": Click(2),
    "`click #2`": Click(2),
    "<think>click #1</think> click #2": Click(2),
    "<|channel|>analysis<|message|>click #1<|end|><|start|>assistant<|channel|>final <|constrain|>text<|message|>click #2": Click(2),
    "type #1 <|channel|>final<|message|>click #2": Fill(1, "<|channel|>final<|message|>click #2"),
}


@pytest.mark.parametrize("text", COMPACT)
def test_compact(text: str) -> None:
    assert parse(text, "compact", goal='Choose "a" or "b c".') == COMPACT[text]


JSON = {
    '{"name": "click", "arguments": {"ref": 12}}': Click(12),
    '{"name": "click", "arguments": {"bid": "12", "button": "right"}}': Click(12, "right"),
    '{"name": "click", "arguments": "{\\"ref\\": 12}"}': Click(12),
    '{"name": "go_back", "arguments": {}}': Back(),
    '{"name": "go_back"}': Back(),
    '{"action": "fill", "ref": 3, "text": "a}b\\"{"}': Fill(3, 'a}b"{'),
    '{"function": {"name": "stop", "arguments": "{\\"answer\\": \\"4\\"}"}}': Stop("4"),
    'I {think} so.\n```json\n{"name": "hover",\n "arguments": {"ref": "4"}}\n```': Hover(4),
    '<tool_call>\n{"name": "stop"}\n</tool_call>\n<tool_call>{"name": "click", "arguments": {"ref": 2}}</tool_call>': Click(2),
    'a stray {" brace, then {"name": "click", "arguments": {"ref": 2}}': Click(2),
    '[{"name": "click", "arguments": {"ref": 2}}]': Click(2),
    '<think>{"name": "stop"}</think>{"name": "click", "arguments": {"ref": 2}}': Click(2),
    '{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [10, 20]}}': MouseClick(10, 20),
    '{"action": "left_click", "coordinate": [10.5, 20]}': MouseClick(10.5, 20),
    '{"action": "right_click", "coordinate": [10, 20]}': MouseClick(10, 20, "right"),
    '{"action": "middle_click", "coordinate": [10, 20]}': MouseClick(10, 20, "middle"),
    '{"action": "double_click", "coordinate": [10, 20]}': MouseClick(10, 20, "left", 2),
    '{"action": "triple_click", "coordinate": [10, 20]}': MouseClick(10, 20, "left", 3),
    '{"action": "mouse_move", "coordinate": [10, 20]}': MouseMove(10, 20),
    '{"action": "left_click_drag", "start_coordinate": [1, 2], "coordinate": [3, 4]}': MouseDrag(1, 2, 3, 4),
    '{"action": "type", "text": "hi"}': Type("hi"),
    '{"action": "key", "keys": ["ctrl", "a"]}': Press("Control+a"),
    '{"action": "key", "text": "Return"}': Press("Enter"),
    '{"action": "key", "text": "ctrl+Page_Down"}': Press("Control+PageDown"),
    '{"action": "key", "text": "+"}': Press("+"),
    '{"action": "scroll", "coordinate": [1, 2], "pixels": -300}': Scroll(0, 300),
    '{"action": "hscroll", "pixels": 300}': Scroll(300, 0),
    '{"action": "scroll", "coordinate": [1, 2], "scroll_direction": "down", "scroll_amount": 3}': Scroll(0, 300),
    '{"action": "wait", "time": 2}': Wait(2000),
    '{"action": "terminate", "status": "success"}': Stop(),
    '{"action": "terminate", "status": "failure"}': Infeasible(),
    '{"action": "answer", "text": "7"}': Stop("7"),
    '{"type": "click", "x": 1, "y": 2, "button": "right"}': MouseClick(1, 2, "right"),
    '{"type": "double_click", "x": 1, "y": 2}': MouseClick(1, 2, count=2),
    '{"type": "keypress", "keys": ["CTRL", "c"]}': Press("Control+c"),
    '{"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": 50}': Scroll(0, 50),
    '{"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 9, "y": 9}, {"x": 3, "y": 4}]}': MouseDrag(1, 2, 3, 4),
    '{"type": "move", "x": 1, "y": 2}': MouseMove(1, 2),
}


@pytest.mark.parametrize("text", JSON)
def test_json(text: str) -> None:
    assert parse(text, "json") == JSON[text]


WRONG = [
    ("call", "", "no action found in an empty text"),
    ("call", "I am done.", "no action found in 'I am done.'"),
    ("call", "go_back", "write the action as a call: go_back()"),
    ("call", "clik('3')", "did you mean 'click'?"),
    ("call", "type('3', 'a')", "use fill('12', 'text')"),
    ("call", "check('3')", "use click('12')"),
    ("call", "click()", "click: 'ref' is missing; expected click(ref, button='left', modifiers=[], count=1)"),
    ("call", "click('3', 'left', [], 1, 5)", "5 arguments are too many"),
    ("call", "click('a51')", "must be the number of a thing on the page"),
    ("call", "click(True)", "must be the number"),
    ("call", "click('3', button='big')", "'button' must be 'left', 'middle' or 'right'; got 'big'"),
    ("call", "click('3', modifiers=['Shft'])", "did you mean 'Shift'?"),
    ("call", "click('3', count=99)", "'count' must be 1 to 10"),
    ("call", "click(ref='3', bid='4')", "'ref' is given twice"),
    ("call", "click('3', bid='4')", "'ref' is given twice"),
    ("call", "click('3', where='x')", "no argument is called 'where'"),
    ("call", "fill('3', 42)", "'text' must be a quoted string; got 42"),
    ("call", "fill('3', 'don't')", "check quotes"),
    ("call", "click('1')\nfill('3', 'unfinish", "fill(..."),  # cut off: the earlier one must not count
    ("call", "click('1')\nfill('3', \"click('5')", "fill(..."),
    ("call", "click('1')\nclik('2')", "unknown action 'clik'"),
    ("call", "mouse_click(1e999, 3)", "must be a finite number"),
    ("call", "mouse_click('1', 3)", "must be a finite number; got '1'"),
    ("call", "wait(-1)", "must be 0 to 60000 milliseconds"),
    ("call", "wait(1e9)", "must be 0 to 60000 milliseconds"),
    ("call", "tab_focus('x')", "must be the number of a tab"),
    ("call", "select_option('3', [1])", "must be a quoted string or a list of them"),
    ("call", "__import__('os').system('ls')", "no action found"),
    ("call", "<think>click('3')", "no action found"),
    ("call", "<|channel|>analysis<|message|>click('3')<|end|>", "no action found"),
    ("call", "click('9999999999')", "must be the number"),
    ("compact", "", "no action found in an empty text"),
    ("compact", "clck #3", "did you mean 'click'?"),
    ("compact", "click", "click: a ref such as #3 is missing; expected click #3"),
    ("compact", "click 3", "a ref such as #3 is missing"),
    ("compact", "click #3 soon", "'soon' is too much"),
    ("compact", "click #3 x11", "'x11' is too much"),
    ("compact", "click #3 +Shft", "did you mean 'Shift'?"),
    ("compact", "click #1\ntype #3", "type: the text is missing; expected type #3 text"),
    ("compact", "type #1 $3", "the goal has no quoted string $3, it has 2"),
    ("compact", "type #1 $0", "the goal has no quoted string $0"),
    ("compact", "press the button", "the key must be one word"),
    ("compact", "scroll sideways", "expected up, down, left, right"),
    ("compact", "wait 1e9", "must be 0 to 60000"),
    ("compact", "tab x", "expected a tab's number"),
    ("compact", "back to start", "'to start' is too much"),
    ("compact", "drag #1", "a ref such as #3 is missing"),
    ("json", "", "the text is empty"),
    ("json", "click it", "no JSON object found in 'click it'"),
    ("json", '{"name": "click"', "is not closed"),
    ("json", '{"name": "click", "arguments": {"ref": 1}} then {"name": "fi', "is not closed"),
    ("json", '{"name": "click", "arguments": {"ref": 1},}', "not valid JSON"),
    ("json", '{"ref": 1}', "names no action"),
    ("json", '{"name": "clik", "arguments": {"ref": 1}}', "did you mean 'click'?"),
    ("json", '{"name": "click", "arguments": {}}', "click: 'ref' is missing"),
    ("json", '{"name": "fill", "arguments": {"ref": 1}}', "fill: 'text' is missing"),
    ("json", '{"name": "fill", "arguments": {"ref": 1, "text": 5}}', "must be a quoted string; got 5"),
    ("json", '{"name": "fill", "arguments": [1]}', "the arguments must be an object"),
    ("json", '{"action": "left_click"}', "where? Expected"),
    ("json", '{"action": "left_click", "coordinate": [1]}', "a point must be [x, y]"),
    ("json", '{"action": "left_click", "coordinate": [NaN, 1]}', "must be a finite number"),
    ("json", '{"action": "left_click_drag", "coordinate": [1, 2]}', "from where to where?"),
    ("json", '{"action": "screenshot"}', "each turn already shows the page"),
    ("json", '{"name": "computer_use", "arguments": {}}', "expected arguments"),
    ("json", '{"name": "wait", "arguments": {"ms": ' + "9" * 5000 + "}}", "a number is too long"),
    ("json", '{"name": "click", "arguments": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
]


@pytest.mark.parametrize(("dialect", "text", "part"), WRONG)
def test_what_is_wrong_is_said(dialect: str, text: str, part: str) -> None:
    result = parse(text, dialect, goal='"a" "b"')
    assert isinstance(result, InvalidAction), result
    assert part in result.error


def test_an_unknown_dialect_is_the_callers_mistake() -> None:
    for function in (lambda: parse("x", "cal"), lambda: render(Back(), "cal"), lambda: describe("cal")):
        with pytest.raises(UsageError, match=r"did you mean 'call'\?"):
            function()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_help_names_every_action(dialect: str) -> None:
    lines = describe(dialect).splitlines()
    assert all(": " in line for line in lines)
    samples = [
        Click(1),
        Fill(1, "a"),
        Select(1, ("a",)),
        Press("a"),
        Stop(),
        Infeasible(),
        Wait(),
        Goto("u"),
        NewTab(),
        FocusTab(1),
        Scroll(0, 1),
    ]
    for action in samples:
        word = {"call": "(", "compact": " ", "json": ","}[dialect]
        start = render(action, dialect).partition(word)[0].rstrip(")}")
        assert any(line.startswith(start) for line in lines), action


def test_compact_help_lines_are_actions() -> None:
    for line in describe("compact").splitlines():
        assert not isinstance(parse(line.partition(":")[0], "compact"), InvalidAction), line


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialog_is_answered_where_one_is_open_only(dialect: str) -> None:
    assert "dialog" not in describe(dialect)
    assert "decline" in describe(dialect, needs="dialog") or "dismiss" in describe(dialect, needs="dialog")
    assert len(describe(dialect, needs="dialog").splitlines()) == 1
    assert isinstance(parse(render(Dialog(False), dialect), dialect), Dialog)


def test_goal_strings() -> None:
    assert goal_strings('Enter "a b" and "" then "c') == ("a b", "")
    assert goal_strings("none") == ()


def test_a_number_is_written_exactly() -> None:
    for x in (0.1, 1e300, -5e-324, 123456789012345680.0, math.pi, 10.0):
        for dialect in DIALECTS:
            assert parse(render(MouseMove(x, -x), dialect), dialect) == MouseMove(x, -x)
    assert render(MouseMove(10.0, 0.5), "call") == "mouse_move(10, 0.5)"


@pytest.mark.parametrize("module", [webgym.actions, webgym.actions.compact])
def test_documentation_examples(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted and not result.failed


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["[" * 500, "{" * 500, '\\"[' * 50, "]" * 30])
def test_brackets_in_a_text_nest_nothing(dialect, text):
    assert parse(render(Stop(text), dialect), dialect) == Stop(text)
