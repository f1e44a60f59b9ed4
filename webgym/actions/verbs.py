"""Verbs: the actions that an agent can name, their arguments, and how a value of agent text becomes an argument."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

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

MAX_WAIT_MS = 60_000.0
SCROLL_PX = 500.0  # what `scroll down` of the compact dialect means
MODIFIERS = ("Alt", "Control", "ControlOrMeta", "Meta", "Shift")
BUTTONS = ("left", "middle", "right")
NUMBER = re.compile(r"[-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][-+]?\d{1,4})?(?![\w.])", re.ASCII)
DIRECTIONS: Mapping[str, tuple[int, int]] = {"down": (0, 1), "up": (0, -1), "right": (1, 0), "left": (-1, 0)}
CHOICES: Mapping[str, bool] = {
    **dict.fromkeys(("accept", "yes", "ok", "true"), True),
    **dict.fromkeys(("dismiss", "decline", "no", "cancel", "false"), False),
}
Need = Literal["", "dialog"]
"""Condition under which a verb is offered: "dialog" is that a dialog waits for an answer. Prompts and grammars of other pages lack it."""

MAX_DEPTH = 20  # of brackets in JSON: far below the interpreter's recursion limit


class Wrong(Exception):
    """Agent text that is no action; its message is the agent's error. Never leaves this module."""


THINK_TAG = re.compile(r"</?think")  # inside an argument its "<" is written as an escape, so that no text splits an action


def shown(value: object, limit: int = 40) -> str:
    """A short repr of agent text for an error sentence."""
    if isinstance(value, str):
        return repr(value if len(value) <= limit else value[:limit] + "…")
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(value)


def last_line(text: str) -> str:
    """The last line that holds more than blanks and backticks, without them."""
    stripped = text.rstrip("` \t\r\n")
    return stripped[stripped.rfind("\n") + 1 :].strip("` \t\r")


def read_ref(value: object) -> int:
    """The number of a thing, from a number or texts such as '12', '#12' and '[12]'. Raises Wrong."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 999_999_999:
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"#?(\d{1,9})|\[(\d{1,9})\]", value.strip(), re.ASCII)):
        return int(match[1] or match[2])
    raise Wrong(f"must be the number of a thing on the page, such as '12'; got {shown(value)}")


def read_index(value: object) -> int:
    """The number of a tab, from 0. Raises Wrong."""
    try:
        return read_ref(value)
    except Wrong:
        raise Wrong(f"must be the number of a tab, counted from 0; got {shown(value)}") from None


def read_text(value: object) -> str:
    """A text. Raises Wrong."""
    if isinstance(value, str):
        return value
    raise Wrong(f"must be a quoted string; got {shown(value)}")


def read_texts(value: object) -> tuple[str, ...]:
    """One text or a list of them. Raises Wrong."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise Wrong(f"must be a quoted string or a list of them; got {shown(value)}")


def read_keys(value: object) -> str:
    """The name of a key or a chord. Raises Wrong."""
    if isinstance(value, str) and value:
        return value
    raise Wrong(f"must name a key or chord, such as 'Enter' or 'Control+a'; got {shown(value)}")


def read_number(value: object) -> float:
    """A finite number. Raises Wrong."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise Wrong(f"must be a finite number; got {shown(value) if not isinstance(value, int) else 'a huge one'}")


def read_ms(value: object) -> float:
    """Milliseconds from 0 to :data:`MAX_WAIT_MS`. Raises Wrong."""
    ms = read_number(value)
    if not 0 <= ms <= MAX_WAIT_MS:
        raise Wrong(f"must be 0 to {MAX_WAIT_MS:.0f} milliseconds; got {ms:g}")
    return ms


def read_count(value: object) -> int:
    """A number of clicks, 1 to 10. Raises Wrong."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10:
        return value
    raise Wrong("must be 1 to 10")


def read_button(value: object) -> str:
    """A mouse button. Raises Wrong."""
    if value in BUTTONS:
        return cast(str, value)
    raise Wrong(f"must be 'left', 'middle' or 'right'; got {shown(value)}")


def read_modifiers(value: object) -> tuple[str, ...]:
    """Modifier keys. Raises Wrong."""
    names = read_texts(value)
    if unknown := [name for name in names if name not in MODIFIERS]:
        raise Wrong(f"must be some of {', '.join(MODIFIERS)}; got {shown(unknown[0])}{did_you_mean(unknown[0][:20], MODIFIERS)}")
    return names


def read_choice(value: object) -> bool:
    """True to accept, False to decline, from a bool or a word of :data:`CHOICES`. Raises Wrong."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (word := value.strip().lower()) in CHOICES:
        return CHOICES[word]
    raise Wrong(f"must be True to accept the dialog or False to decline it; got {shown(value)}")


def read_ignored(value: object) -> None:
    """None, for an argument that has no meaning here."""
    return None


REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument; its name is the field of the action that it fills. `also` are other names for it (BrowserGym's)."""

    name: str
    read: Callable[[object], Any]
    default: Any = REQUIRED
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """One action name: the arguments in their order and the class that they make."""

    name: str
    makes: Callable[..., Action]
    parameters: tuple[Parameter, ...] = ()
    help: str = ""
    fixed: tuple[tuple[str, Any], ...] = ()  # fields that the name itself decides
    needs: Need = ""

    @property
    def needs_ref(self) -> bool:
        """True if it cannot be said without the ref of a thing on the page."""
        return any(p.read is read_ref and p.default is REQUIRED for p in self.parameters)

    @property
    def signature(self) -> str:
        shown = [p for p in self.parameters if p.read is not read_ignored]
        parts = [p.name if p.default is REQUIRED else f"{p.name}={_default_shown(p.default)}" for p in shown]
        return f"{self.name}({', '.join(parts)})"


def _default_shown(default: object) -> str:
    if isinstance(default, float):
        return figure(default)
    return "[]" if default == () else repr(default)


_REF = Parameter("ref", read_ref, also=("bid",))
_BUTTON = Parameter("button", read_button, "left")
_MODIFIERS = Parameter("modifiers", read_modifiers, ())
_COUNT = Parameter("count", read_count, 1)
_X, _Y = Parameter("x", read_number), Parameter("y", read_number)
_TEXT = Parameter("text", read_text, also=("value", "content"))
_WAIT = (Parameter("ms", read_ms, 1000.0, ("wait_ms",)),)
_ANSWER = (Parameter("answer", read_text, "", ("text", "message")),)
_REASON = (Parameter("reason", read_text, "", ("text", "message")),)
_DRAG = (Parameter("source", read_ref, also=("from_bid",)), Parameter("target", read_ref, also=("to_bid",)))
_POINTS = tuple(Parameter(name, read_number) for name in ("from_x", "from_y", "to_x", "to_y"))
_PRESSED = Parameter("keys", read_keys, also=("key_comb", "key"))
# BrowserGym's menu flag has no meaning here: pages run on virtual time, so that a menu is there when the turn ends.
_MENU = Parameter("enable_autocomplete_menu", read_ignored, False)

VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("click", Click, (_REF, _BUTTON, _MODIFIERS, _COUNT), "click a thing"),
        Verb("dblclick", Click, (_REF, _BUTTON, _MODIFIERS), "double-click a thing", (("count", 2),)),
        Verb("fill", Fill, (_REF, _TEXT, _MENU), "replace what a field holds"),
        Verb("clear", Clear, (_REF,), "empty a field"),
        Verb("select_option", Select, (_REF, Parameter("options", read_texts)), "choose one option, or a list of them"),
        Verb("hover", Hover, (_REF,), "move the mouse over a thing"),
        Verb("focus", Focus, (_REF,), "give a thing the focus"),
        Verb("press", Press, (_REF, _PRESSED), "press a key or chord on a thing"),
        Verb("keyboard_press", Press, (_PRESSED,), "press a key or chord on what has the focus"),
        Verb("keyboard_type", Type, (_TEXT,), "type text into what has the focus"),
        Verb("keyboard_insert_text", Type, (_TEXT,)),
        Verb(
            "scroll",
            Scroll,
            (
                Parameter("dx", read_number, also=("delta_x",)),
                Parameter("dy", read_number, also=("delta_y",)),
                Parameter("ref", read_ref, None, ("bid",)),
            ),
            "scroll the page, or the box around a thing, by pixels",
        ),
        Verb("drag_and_drop", Drag, _DRAG, "drag a thing onto another"),
        Verb("upload_file", Upload, (_REF, Parameter("files", read_texts, also=("file",))), "give a file field files by name"),
        Verb("mouse_move", MouseMove, (_X, _Y), "move the mouse to a point"),
        Verb("mouse_click", MouseClick, (_X, _Y, _BUTTON, _COUNT), "click a point"),
        Verb("mouse_dblclick", MouseClick, (_X, _Y, _BUTTON), "double-click a point", (("count", 2),)),
        Verb("mouse_down", MouseDown, (_X, _Y, _BUTTON), "press a mouse button at a point and hold it"),
        Verb("mouse_up", MouseUp, (_X, _Y, _BUTTON), "release a mouse button at a point"),
        Verb("mouse_drag_and_drop", MouseDrag, _POINTS, "drag from a point to a point"),
        Verb(
            "dialog",
            Dialog,
            (Parameter("accept", read_choice), Parameter("text", read_text, None, ("value", "prompt_text"))),
            "accept (True) or decline (False) the dialog that is open, with a text for a prompt",
            needs="dialog",
        ),
        Verb("goto", Goto, (Parameter("url", read_text),), "open an address"),
        Verb("go_back", Back, (), "go back one page"),
        Verb("go_forward", Forward, (), "go forward one page"),
        Verb("reload", Reload, (), "load the page again"),
        Verb("new_tab", NewTab, (), "open a new tab"),
        Verb("tab_focus", FocusTab, (Parameter("index", read_index),), "go to a tab by its number"),
        Verb("tab_close", CloseTab, (), "close this tab"),
        Verb("wait", Wait, _WAIT, "let the page's time pass"),
        Verb("noop", Wait, _WAIT),
        Verb("send_msg_to_user", Message, (_TEXT,), "say something to the user and go on"),
        Verb("stop", Stop, _ANSWER, "end, with the answer where one is asked for"),
        Verb("infeasible", Infeasible, _REASON, "end because the goal cannot be reached"),
        Verb("report_infeasible", Infeasible, _REASON),
    )
}

_CANONICAL: Mapping[Callable[..., Action], str] = {verb.makes: verb.name for verb in reversed(VERBS.values()) if verb.help}

_HINTS: Mapping[str, str] = {
    "check": "use click('12') on a box that is not checked",
    "uncheck": "use click('12') on a box that is checked",
    "type": "use fill('12', 'text')",
    "input": "use fill('12', 'text')",
    "tap": "use click('12')",
    "select": "use select_option('12', 'label')",
    "drag": "use drag_and_drop('12', '13')",
    "back": "use go_back()",
    "answer": "use stop('answer')",
    "finish": "use stop('answer')",
    "finished": "use stop('answer')",
    "keyboard_down": "use keyboard_press('Shift+a') for a chord",
    "keyboard_up": "use keyboard_press('Shift+a') for a chord",
    "mouse_upload_file": "use upload_file('12', 'name')",
}


def offered(needs: Need = "", refs: bool = True) -> Mapping[str, Verb]:
    """The verbs that are offered always, or those that are offered where there is such a need; without `refs`, those that need none."""
    return {name: verb for name, verb in VERBS.items() if verb.help and verb.needs == needs and (refs or not verb.needs_ref)}


def build(name: str, positional: Sequence[object], named: Mapping[str, object]) -> Action:
    """The action that a name and its arguments make."""
    verb = VERBS.get(name)
    if verb is None:
        raise Wrong(f"unknown action {shown(name)}{_advice(name)}")
    if len(positional) > len(verb.parameters):
        raise Wrong(f"{name}: {len(positional)} arguments are too many; expected {verb.signature}")
    given = dict(zip((p.name for p in verb.parameters), positional, strict=False))
    by_name = {word: p.name for p in verb.parameters for word in (p.name, *p.also)}
    for word, value in named.items():
        if word not in by_name:
            raise Wrong(f"{name}: no argument is called {shown(word)}; expected {verb.signature}")
        if by_name[word] in given:
            raise Wrong(f"{name}: {by_name[word]!r} is given twice; expected {verb.signature}")
        given[by_name[word]] = value
    fields: dict[str, Any] = dict(verb.fixed)
    for parameter in verb.parameters:
        if (value := _argument(verb, parameter, given)) is not REQUIRED and parameter.read is not read_ignored:
            fields[parameter.name] = value
    return verb.makes(**fields)


def _argument(verb: Verb, parameter: Parameter, given: Mapping[str, object]) -> Any:
    if parameter.name not in given or (given[parameter.name] is None and parameter.default is not REQUIRED):
        if parameter.default is REQUIRED:
            raise Wrong(f"{verb.name}: {parameter.name!r} is missing; expected {verb.signature}")
        return parameter.default
    try:
        return parameter.read(given[parameter.name])
    except Wrong as wrong:
        raise Wrong(f"{verb.name}: {parameter.name!r} {wrong}; expected {verb.signature}") from None


def _advice(name: str) -> str:
    hint = _HINTS.get(name.lower())
    return f"; {hint}" if hint else did_you_mean(name[:30].lower(), VERBS, limit=1)


def spell(action: Action) -> tuple[Verb, dict[str, Any]]:
    """The name and the arguments (in order, defaults left out) that make this action."""
    name = _CANONICAL[type(action)]
    match action:
        case Press(ref=None):
            name = "keyboard_press"
        case Click(count=2):
            name = "dblclick"
        case MouseClick(count=2):
            name = "mouse_dblclick"
    verb = VERBS[name]
    values = {p.name: getattr(action, p.name) for p in verb.parameters if p.read is not read_ignored}
    defaults = {p.name: p.default for p in verb.parameters}
    return verb, {name: value for name, value in values.items() if value != defaults[name]}


def figure(number: float) -> str:
    """The shortest text that reads back as exactly this number."""
    return str(int(number)) if abs(number) < 1e15 and number == int(number) else repr(float(number))
