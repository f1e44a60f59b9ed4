"""The `compact` dialect: one short line, for small models and their grammar.

A ref is `#3`, or `*3` where the prompt marks the thing so (:mod:`webgym.prompts.prompt`); both mean the same.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from webgym.actions.verbs import (
    BUTTONS,
    CHOICES,
    DIRECTIONS,
    MAX_DEPTH,
    NUMBER,
    SCROLL_PX,
    THINK_TAG,
    Need,
    Wrong,
    figure,
    read_button,
    read_keys,
    read_modifiers,
    read_ms,
    read_number,
    shown,
)
from webgym.errors import did_you_mean
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

_LINE = re.compile(r"(?:action:\s*+)?([A-Za-z]{1,30})(?:[ \t]++(.*))?", re.DOTALL | re.IGNORECASE)
_COMPACT_REF = re.compile(r"[#*](\d{1,9})(?!\S)[ \t]*+", re.ASCII)
_COMPACT_POINT = re.compile(rf"({NUMBER.pattern})[ \t]{{0,3}},[ \t]{{0,3}}({NUMBER.pattern})[ \t]*+", re.ASCII)
_GOAL_STRING = re.compile(r"\$(\d{1,4})", re.ASCII)


def goal_strings(goal: str) -> tuple[str, ...]:
    """The double-quoted substrings of a goal in their order: what the compact dialect's `$1`, `$2` ... point at.

    >>> goal_strings('Enter "ann" as name and "s3cret" twice')
    ('ann', 's3cret')
    """
    return tuple(re.findall(r'"([^"]*)"', goal))


class _Rest:
    """Text after a compact verb, read from left to right."""

    def __init__(self, text: str, goal: str) -> None:
        self.text, self.goal = text.strip(), goal

    def ref(self) -> int:
        if (ref := self.maybe_ref()) is None:
            raise Wrong(f"a ref such as #3 is missing before {shown(self.text)}" if self.text else "a ref such as #3 is missing")
        return ref

    def maybe_ref(self) -> int | None:
        match = _COMPACT_REF.match(self.text)
        if match is None:
            return None
        self.text = self.text[match.end() :]
        return int(match[1])

    def maybe_point(self) -> tuple[float, float] | None:
        match = _COMPACT_POINT.match(self.text)
        if match is None:
            return None
        self.text = self.text[match.end() :]
        return read_number(float(match[1])), read_number(float(match[2]))

    def point(self) -> tuple[float, float]:
        if (point := self.maybe_point()) is None:
            raise Wrong("a point such as 10,20 is missing")
        return point

    def words(self) -> list[str]:
        """The remaining words, at most a few."""
        words, self.text = self.text.split(None, 8), ""
        return words

    def nothing(self) -> None:
        if self.text:
            raise Wrong(f"{shown(self.text)} is too much")

    def value(self) -> str:
        """The rest as text: a goal string, a JSON string, or as it stands."""
        if match := _GOAL_STRING.fullmatch(self.text):
            return self._goal_string(int(match[1]))
        if len(self.text) >= 2 and self.text[0] == self.text[-1] == '"':
            try:
                return json.loads(self.text, strict=False)
            except ValueError:
                return self.text
        return self.text

    def required_value(self) -> str:
        if not self.text:
            raise Wrong("the text is missing")
        return self.value()

    def token(self, what: str) -> str:
        """Like :meth:`value`, but one word where it stands bare, so that prose is not taken for it."""
        if not self.text or (not self.text.startswith('"') and len(self.text.split(None, 1)) > 1):
            raise Wrong(f"{what} must be one word; got {shown(self.text)}")
        return self.value()

    def values(self) -> tuple[str, ...]:
        """The rest as texts: a JSON list, goal strings, or one text."""
        if self.text.startswith("[") and self.text.endswith("]"):
            try:
                items = json.loads(self.text, strict=False) if self.text.count("[") <= MAX_DEPTH else None
            except ValueError:
                items = None
            if isinstance(items, list) and all(isinstance(item, str) for item in items):
                return tuple(items)
        words = self.text.split(None, 20)
        if len(words) > 1 and all(_GOAL_STRING.fullmatch(word) for word in words):
            return tuple(self._goal_string(int(word[1:])) for word in words)
        return (self.required_value(),)

    def _goal_string(self, number: int) -> str:
        strings = goal_strings(self.goal)
        if not 1 <= number <= len(strings):
            raise Wrong(f"the goal has no quoted string ${number}, it has {len(strings)}")
        return strings[number - 1]


def _c_click(rest: _Rest) -> Action:
    point = rest.maybe_point()
    ref = rest.ref() if point is None else 0
    button, count, modifiers = "left", 1, []
    for word in rest.words():
        if word in BUTTONS:
            button = word
        elif re.fullmatch(r"x(?:[1-9]|10)", word):
            count = int(word[1:])
        elif word[0] == "+" and point is None:
            modifiers.append(word[1:])
        else:
            raise Wrong(f"{shown(word)} is too much")
    names = read_modifiers(modifiers)
    side = cast(Literal["left"], button)
    return Click(ref, side, count, names) if point is None else MouseClick(*point, side, count)


def _c_button(rest: _Rest) -> Literal["left", "middle", "right"]:
    words = rest.words() or ["left"]
    if len(words) > 1:
        raise Wrong(f"{shown(words[1])} is too much")
    return cast(Literal["left"], read_button(words[0]))


def _c_press(rest: _Rest) -> Action:
    ref = rest.maybe_ref()
    return Press(read_keys(rest.token("the key")), ref)


def _c_scroll(rest: _Rest) -> Action:
    ref = rest.maybe_ref()
    if point := rest.maybe_point():
        rest.nothing()
        return Scroll(*point, ref)
    if rest.text not in DIRECTIONS:
        raise Wrong("expected up, down, left, right, or pixels such as 0,300")
    right, down = DIRECTIONS[rest.text]
    return Scroll(right * SCROLL_PX, down * SCROLL_PX, ref)


def _c_drag(rest: _Rest) -> Action:
    if (start := rest.maybe_point()) is not None:
        action: Action = MouseDrag(*start, *rest.point())
    else:
        action = Drag(rest.ref(), rest.ref())
    rest.nothing()
    return action


def _c_tab(rest: _Rest) -> Action:
    match rest.text:
        case "new":
            return NewTab()
        case "close":
            return CloseTab()
    if not re.fullmatch(r"\d{1,9}", rest.text, re.ASCII):
        raise Wrong("expected a tab's number, new or close")
    return FocusTab(int(rest.text))


def _c_wait(rest: _Rest) -> Action:
    if not rest.text:
        return Wait()
    if not NUMBER.fullmatch(rest.text):
        raise Wrong("expected milliseconds")
    return Wait(read_ms(float(rest.text)))


def _c_dialog(rest: _Rest) -> Action:
    word, _, text = rest.text.partition(" ")
    if word.lower() not in CHOICES:
        raise Wrong("expected accept, dismiss, or accept with a text")
    rest.text = text.strip()
    return Dialog(CHOICES[word.lower()], rest.value() if rest.text else None)


def _c_bare(action: Action) -> Callable[[_Rest], Action]:
    def read(rest: _Rest) -> Action:
        rest.nothing()
        return action

    return read


def _c_ref(makes: Callable[[int], Action]) -> Callable[[_Rest], Action]:
    def read(rest: _Rest) -> Action:
        action = makes(rest.ref())
        rest.nothing()
        return action

    return read


def _c_move(rest: _Rest) -> Action:
    point = rest.point()
    rest.nothing()
    return MouseMove(*point)


@dataclass(frozen=True, slots=True)
class _CompactVerb:
    read: Callable[[_Rest], Action]
    syntax: str
    help: str
    needs: Need = ""


_COMPACT: Mapping[str, _CompactVerb] = {
    "click": _CompactVerb(_c_click, "click #3", "click a thing, also click #3 right x2 +Shift, or a point: click 10,20"),
    "type": _CompactVerb(
        lambda r: Fill(r.ref(), r.required_value()),
        "type #3 text",
        "replace what a field holds; $1 is the goal's first quoted string",
    ),
    "clear": _CompactVerb(_c_ref(Clear), "clear #3", "empty a field"),
    "select": _CompactVerb(lambda r: Select(r.ref(), r.values()), "select #3 option", 'choose an option, or a list: select #3 ["a", "b"]'),
    "press": _CompactVerb(_c_press, "press Enter", "press a key or chord, also on a thing: press #3 Control+a"),
    "write": _CompactVerb(lambda r: Type(r.required_value()), "write text", "type text into what has the focus"),
    "scroll": _CompactVerb(_c_scroll, "scroll down", "scroll up, down, left or right, or by pixels; also around a thing: scroll #3 0,300"),
    "hover": _CompactVerb(_c_ref(Hover), "hover #3", "move the mouse over a thing"),
    "focus": _CompactVerb(_c_ref(Focus), "focus #3", "give a thing the focus"),
    "drag": _CompactVerb(_c_drag, "drag #3 #4", "drag a thing onto another, or between points: drag 10,20 30,40"),
    "upload": _CompactVerb(lambda r: Upload(r.ref(), r.values()), "upload #3 name", "give a file field files by name"),
    "move": _CompactVerb(_c_move, "move 10,20", "move the mouse to a point"),
    "down": _CompactVerb(lambda r: MouseDown(*r.point(), _c_button(r)), "down 10,20", "press the mouse button at a point and hold it"),
    "up": _CompactVerb(lambda r: MouseUp(*r.point(), _c_button(r)), "up 10,20", "release the mouse button at a point"),
    "dialog": _CompactVerb(
        _c_dialog, "dialog accept", "accept the dialog that is open, also with a text: dialog accept text; or dialog dismiss", "dialog"
    ),
    "goto": _CompactVerb(lambda r: Goto(r.token("the address")), "goto url", "open an address"),
    "back": _CompactVerb(_c_bare(Back()), "back", "go back one page"),
    "forward": _CompactVerb(_c_bare(Forward()), "forward", "go forward one page"),
    "reload": _CompactVerb(_c_bare(Reload()), "reload", "load the page again"),
    "tab": _CompactVerb(_c_tab, "tab 1", "go to a tab by its number, also tab new, tab close"),
    "wait": _CompactVerb(_c_wait, "wait", "let the page's time pass, also wait 500 (milliseconds)"),
    "message": _CompactVerb(lambda r: Message(r.required_value()), "message text", "say something to the user and go on"),
    "stop": _CompactVerb(lambda r: Stop(r.value()), "stop", "end, with the answer where one is asked for: stop 42"),
    "infeasible": _CompactVerb(lambda r: Infeasible(r.value()), "infeasible", "end because the goal cannot be reached"),
}


def read(text: str, goal: str) -> Action:
    """From the last line upwards, the first line that is an action or clearly meant to be one."""
    fallback = ""
    for line in _lines_from_the_end(text):
        match = _LINE.fullmatch(line)
        word, rest = (match[1].lower(), (match[2] or "").strip()) if match else ("", "")
        verb = _COMPACT.get(word)
        if verb is None:
            fallback = fallback or _no_compact(line)
            continue
        try:
            return verb.read(_Rest(rest, goal))
        except Wrong as wrong:
            error = f"{word}: {wrong}; expected {verb.syntax}"
            if not rest or rest[0] in '#*$"-0123456789':
                raise Wrong(error) from None
            fallback = fallback or error  # "type the name first" is prose: look further up
    raise Wrong(fallback or "no action found in an empty text; end with one action, such as click #3")


def _lines_from_the_end(text: str) -> Iterator[str]:
    for line in reversed(text.split("\n")):
        line = line.strip()
        if len(line) >= 2 and line[0] == line[-1] == "`":
            line = line.strip("`").strip()
        if line and line.strip("`"):
            yield line


def _no_compact(line: str) -> str:
    word = line.split(None, 1)[0][:30]
    return f"no action found in {shown(line)}{did_you_mean(word.lower(), _COMPACT, limit=1)}; end with one action, such as click #3"


def _bare(text: str) -> str:
    """A text as it stands where that reads back, else as a JSON string."""
    plain = text and text == text.strip() and text[0] not in '"[$#`' and "\n" not in text and not THINK_TAG.search(text)
    if plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("<", "\\u003c") if THINK_TAG.search(quoted) else quoted


def _bare_word(text: str) -> str:
    return _bare(text) if len(text.split()) == 1 else json.dumps(text, ensure_ascii=False).replace("<", "\\u003c")


def _bare_list(texts: tuple[str, ...]) -> str:
    return _bare(texts[0]) if len(texts) == 1 else json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")


def _xy(x: float, y: float) -> str:
    return f"{figure(x)},{figure(y)}"


def write(action: Action) -> str:
    """The action as text of the `compact` dialect."""
    match action:
        case Click():
            return _click_words(f"click #{action.ref}", action.button, action.count, action.modifiers)
        case MouseClick():
            return _click_words(f"click {_xy(action.x, action.y)}", action.button, action.count, ())
        case MouseDown() | MouseUp():
            word = "down" if isinstance(action, MouseDown) else "up"
            return _click_words(f"{word} {_xy(action.x, action.y)}", action.button, 1, ())
        case Scroll():
            on = "" if action.ref is None else f"#{action.ref} "
            way = next((w for w, (r, d) in DIRECTIONS.items() if (action.dx, action.dy) == (r * SCROLL_PX, d * SCROLL_PX)), None)
            return f"scroll {on}{way or _xy(action.dx, action.dy)}"
        case Press():
            return f"press {'' if action.ref is None else f'#{action.ref} '}{_bare_word(action.keys)}"
        case Stop() | Infeasible():
            word, text = ("stop", action.answer) if isinstance(action, Stop) else ("infeasible", action.reason)
            return f"{word} {_bare(text)}" if text else word
        case Wait():
            return "wait" if action == Wait() else f"wait {figure(action.ms)}"
        case Fill(ref, text):
            return f"type #{ref} {_bare(text)}"
        case Select(ref, options):
            return f"select #{ref} {_bare_list(options)}"
        case Upload(ref, files):
            return f"upload #{ref} {_bare_list(files)}"
        case Dialog(accept, text):
            return f"dialog {'accept' if accept else 'dismiss'}{'' if text is None else ' ' + _bare(text)}"
        case Goto(url):
            return f"goto {_bare_word(url)}"
        case Type(text) | Message(text):
            return f"{'write' if isinstance(action, Type) else 'message'} {_bare(text)}"
        case _:
            return _write_plain(action)


def _write_plain(action: Action) -> str:
    """Actions whose arguments are refs, points and numbers only, or that have none."""
    match action:
        case Clear(ref) | Hover(ref) | Focus(ref):
            return f"{type(action).__name__.lower()} #{ref}"
        case Drag(source, target):
            return f"drag #{source} #{target}"
        case MouseMove(x, y):
            return f"move {_xy(x, y)}"
        case MouseDrag(from_x, from_y, to_x, to_y):
            return f"drag {_xy(from_x, from_y)} {_xy(to_x, to_y)}"
        case FocusTab(index):
            return f"tab {index}"
        case NewTab():
            return "tab new"
        case CloseTab():
            return "tab close"
        case _:
            return type(action).__name__.lower()  # Back, Forward, Reload


def _click_words(start: str, button: str, count: int, modifiers: tuple[str, ...]) -> str:
    words = [start, *([button] if button != "left" else []), *([f"x{count}"] if count != 1 else []), *(f"+{m}" for m in modifiers)]
    return " ".join(words)


def help_text(needs: Need = "", refs: bool = True) -> str:
    """Help of the `compact` dialect: a line per action."""
    return "\n".join(f"{verb.syntax}: {verb.help}" for verb in _COMPACT.values() if verb.needs == needs)
