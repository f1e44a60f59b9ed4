"""The `json` dialect: tool calls by our names, and the forms of computer-use models."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from webgym.actions.verbs import (
    BUTTONS,
    DIRECTIONS,
    MAX_DEPTH,
    MAX_WAIT_MS,
    MODIFIERS,
    REQUIRED,
    THINK_TAG,
    VERBS,
    Need,
    Verb,
    Wrong,
    build,
    last_line,
    offered,
    read_button,
    read_choice,
    read_count,
    read_ignored,
    read_index,
    read_keys,
    read_modifiers,
    read_ms,
    read_number,
    read_ref,
    read_text,
    read_texts,
    shown,
    spell,
)
from webgym.types import Action, Infeasible, MouseClick, MouseDown, MouseDrag, MouseMove, MouseUp, Press, Scroll, Stop, Type, Wait

_JSON_RESTARTS = 8  # how many unclosed braces of the prose before the action are forgiven
_JSON_TO_BRACE = re.compile(r'(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+([{}])', re.DOTALL)
_JSON_START = re.compile(r'\{\s*+["}]')


def read(text: str, goal: str) -> Action:
    """The action that text of the `json` dialect ends in. Raises Wrong."""
    found = ""
    start, restarts = 0, 0
    unclosed = False
    while restarts <= _JSON_RESTARTS and (opening := _JSON_START.search(text, start)):
        end = _object_end(text, opening.start())
        unclosed = end is None
        if end is None:
            start, restarts = opening.start() + 1, restarts + 1
        else:
            found, start = text[opening.start() : end], end
    if unclosed or not found:
        line = last_line(text)
        reason = "the JSON object is not closed" if unclosed else f"no JSON object found in {shown(line)}" if line else "the text is empty"
        raise Wrong(f'{reason}; end with one action, such as {{"name": "click", "arguments": {{"ref": 12}}}}')
    return _of_object(_loaded(found))


def _object_end(text: str, start: int) -> int | None:
    """The place after the object that opens at `start`, or None when the text ends inside of it."""
    depth, at = 0, start
    while brace := _JSON_TO_BRACE.match(text, at):
        at = brace.end()
        depth += 1 if brace[1] == "{" else -1
        if depth == 0:
            return at
    return None


def _loaded(text: str) -> dict[str, Any]:
    """A JSON object from agent text, or a sentence on what is wrong with it."""
    deepest = depth = 0
    for mark in re.findall(r'[\[{\]}]|"(?:[^"\\]++|\\.)*+"', text, re.DOTALL):
        if mark[0] == '"':
            continue  # brackets in a text nest nothing
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise Wrong("the JSON object is nested too deeply")
    try:
        value = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        raise Wrong(f"not valid JSON: {error.msg} at character {error.pos} of {shown(text)}") from None
    except ValueError:  # an integer of thousands of digits
        raise Wrong("not valid JSON: a number is too long") from None
    if not isinstance(value, dict):
        raise Wrong(f"expected a JSON object; got {shown(value)}")
    return value


def _of_object(call: dict[str, Any]) -> Action:
    """The action of a tool call: `{name, arguments}`, `{function: {...}}`, `{action, ...}` or `{type, ...}`."""
    if isinstance(call.get("function"), dict):
        call = call["function"]
    key = next((k for k in ("name", "action", "type") if isinstance(call.get(k), str)), None)
    if key is None:
        raise Wrong('the JSON object names no action; expected {"name": ..., "arguments": {...}}')
    name, arguments = call[key], call.get("arguments", call.get("parameters", call.get("args")))
    if arguments is None:
        arguments = {k: v for k, v in call.items() if k != key}
    if isinstance(arguments, str):
        arguments = _loaded(arguments)
    if not isinstance(arguments, dict):
        raise Wrong(f"{shown(name)}: the arguments must be an object; got {shown(arguments)}")
    if name in ("computer_use", "computer", "browser_use"):
        inner = next((k for k in ("action", "type") if isinstance(arguments.get(k), str)), None)
        if inner is None:
            raise Wrong(f'{name}: expected arguments {{"action": "left_click", "coordinate": [x, y]}}')
        return _named(arguments[inner], {k: v for k, v in arguments.items() if k != inner})
    return _named(name, arguments)


def _named(name: str, arguments: dict[str, Any]) -> Action:
    """The action of our own name with our own arguments, else that of a computer-use model."""
    verb = VERBS.get(name)
    words = {word for p in verb.parameters for word in (p.name, *p.also)} if verb else set()
    ours = verb is not None and words >= set(arguments)
    try:
        action = None if ours else _computer_use(name, arguments)
    except Wrong as wrong:
        raise Wrong(f"{name}: {wrong}") from None
    return action or build(name, (), arguments)


def write(action: Action) -> str:
    """The action as text of the `json` dialect."""
    verb, values = spell(action)
    text = json.dumps({"name": verb.name, "arguments": values}, ensure_ascii=False)
    return text.replace("<", "\\u003c") if THINK_TAG.search(text) else text


def help_text(needs: Need = "", refs: bool = True) -> str:
    """Help of the `json` dialect: a line per action."""
    lines = []
    for verb in offered(needs, refs).values():
        shown = {p.name: "..." if p.default is REQUIRED else p.default for p in verb.parameters if p.read is not read_ignored}
        lines.append(f"{json.dumps({'name': verb.name, 'arguments': shown})}: {verb.help}")
    return "\n".join(lines)


# --- tools of a server ------------------------------------------------------------------------------------------------------

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_SCHEMAS: Mapping[Callable[[object], Any], Mapping[str, Any]] = {
    read_ref: {"type": "integer", "minimum": 0, "description": "number of a thing on the page"},
    read_index: {"type": "integer", "minimum": 0, "description": "number of a tab, from 0"},
    read_text: _TEXT,
    read_texts: _TEXTS,
    read_keys: {**_TEXT, "description": "a key or chord, such as Enter or Control+a"},
    read_number: {"type": "number"},
    read_ms: {"type": "number", "minimum": 0, "maximum": MAX_WAIT_MS, "description": "milliseconds"},
    read_count: {"type": "integer", "minimum": 1, "maximum": 10},
    read_choice: {"type": "boolean"},
    read_button: {**_TEXT, "enum": list(BUTTONS)},
    read_modifiers: {"type": "array", "items": {**_TEXT, "enum": list(MODIFIERS)}},
}


def specs(refs: bool = True, needs: Need = "") -> list[dict[str, Any]]:
    """The actions as tools of the OpenAI protocol (function calling, JSON schema); without `refs`, those that act by coordinates.

    With `needs`, they are those that only such a page calls for.

    >>> next(spec["function"]["parameters"] for spec in specs() if spec["function"]["name"] == "clear")["required"]
    ['ref']
    """
    return [{"type": "function", "function": _spec(verb)} for verb in offered(needs, refs).values()]


def _spec(verb: Verb) -> dict[str, Any]:
    listed = [p for p in verb.parameters if p.read is not read_ignored]
    schema = {
        "type": "object",
        "properties": {p.name: dict(_SCHEMAS[p.read]) for p in listed},
        "required": [p.name for p in listed if p.default is REQUIRED],
        "additionalProperties": False,
    }
    return {"name": verb.name, "description": verb.help, "parameters": schema}


# The forms of computer-use models. Coordinates are taken as CSS pixels of the viewport, so code that shows the model a scaled picture
# must scale them back. A wheel click is 100 pixels.

_CLICKS: Mapping[str, tuple[str, int]] = {
    "click": ("left", 1),
    "left_click": ("left", 1),
    "right_click": ("right", 1),
    "middle_click": ("middle", 1),
    "double_click": ("left", 2),
    "triple_click": ("left", 3),
}
_WHEEL_PX = 100.0
_KEY_NAMES: Mapping[str, str] = {
    **{name: "Control" for name in ("ctrl", "control", "control_l", "control_r")},
    **{name: "Meta" for name in ("cmd", "command", "meta", "super", "super_l", "win")},
    **{name: "Alt" for name in ("alt", "alt_l", "alt_r", "option")},
    **{name: "Shift" for name in ("shift", "shift_l", "shift_r")},
    **{name: "Enter" for name in ("enter", "return", "kp_enter")},
    **{name: "Escape" for name in ("esc", "escape")},
    **{name: "Delete" for name in ("del", "delete")},
    **{name: "PageUp" for name in ("pageup", "page_up", "pgup", "prior")},
    **{name: "PageDown" for name in ("pagedown", "page_down", "pgdn", "next")},
    **{
        name.lower(): name
        for name in ("Backspace", "Tab", "Home", "End", "Insert", "Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight")
    },
    **{side: f"Arrow{side.title()}" for side in ("up", "down", "left", "right")},
    **{f"f{n}": f"F{n}" for n in range(1, 13)},
}


def _computer_use(name: str, arguments: dict[str, Any]) -> Action | None:
    """The action of a computer-use model (Qwen-VL, Anthropic, OpenAI), or None when the name is not one of theirs."""
    if name in _CLICKS:
        button, count = _CLICKS[name]
        if name == "click" and "button" in arguments:
            button = read_button(arguments["button"])
        x, y = _point(arguments)
        return MouseClick(x, y, cast(Literal["left"], button), count)
    if name in ("mouse_move", "move"):
        return MouseMove(*_point(arguments))
    if name in ("left_mouse_down", "left_mouse_up"):
        return (MouseDown if name.endswith("down") else MouseUp)(*_point(arguments))
    if name in ("left_click_drag", "drag"):
        return MouseDrag(*_drag_points(arguments))
    if name in ("scroll", "hscroll"):
        return _scroll(name, arguments)
    if name == "type":
        return Type(_text_of(arguments, "text"))
    if name in ("key", "keypress", "hotkey"):
        return Press(_chord(arguments))
    if name == "wait":
        return Wait(read_ms(read_number(arguments.get("time", arguments.get("duration", 1.0))) * 1000))
    if name == "answer":
        return Stop(_text_of(arguments, "text"))
    if name == "terminate":
        return Stop() if arguments.get("status", "success") == "success" else Infeasible()
    if name in ("screenshot", "cursor_position", "zoom"):
        raise Wrong("each turn already shows the page; name an action on it")
    return None


def _pair(value: object) -> tuple[float, float]:
    if isinstance(value, dict):
        value = [value.get("x"), value.get("y")]
    if not isinstance(value, list) or len(value) != 2:
        raise Wrong(f"a point must be [x, y]; got {shown(value)}")
    try:
        return read_number(value[0]), read_number(value[1])
    except Wrong as wrong:
        raise Wrong(f"x and y {wrong}") from None


def _point(arguments: dict[str, Any]) -> tuple[float, float]:
    if "coordinate" not in arguments and "x" not in arguments:
        raise Wrong('where? Expected "coordinate": [x, y]')
    return _pair(arguments.get("coordinate", arguments))


def _drag_points(arguments: dict[str, Any]) -> tuple[float, float, float, float]:
    path = arguments.get("path")
    if isinstance(path, list) and len(path) >= 2:
        return (*_pair(path[0]), *_pair(path[-1]))
    end = arguments.get("coordinate", arguments.get("end_coordinate"))
    if "start_coordinate" not in arguments or end is None:
        raise Wrong('from where to where? Expected "start_coordinate": [x, y] and "coordinate": [x, y]')
    return (*_pair(arguments["start_coordinate"]), *_pair(end))


def _scroll(name: str, arguments: dict[str, Any]) -> Action:
    if "pixels" in arguments:  # Qwen-VL: positive scrolls up, or right
        pixels = read_number(arguments["pixels"])
        return Scroll(pixels, 0.0) if name == "hscroll" else Scroll(0.0, -pixels)
    if "scroll_x" in arguments or "scroll_y" in arguments:  # OpenAI
        return Scroll(read_number(arguments.get("scroll_x", 0)), read_number(arguments.get("scroll_y", 0)))
    direction = arguments.get("scroll_direction", arguments.get("direction"))
    if isinstance(direction, str) and direction in DIRECTIONS:  # Anthropic
        right, down = DIRECTIONS[direction]
        clicks = read_number(arguments.get("scroll_amount", 5)) * _WHEEL_PX
        return Scroll(right * clicks, down * clicks)
    raise Wrong('how far? Expected "dx" and "dy", or "pixels"')


def _text_of(arguments: dict[str, Any], key: str) -> str:
    if not isinstance(arguments.get(key), str):
        raise Wrong(f'expected a string "{key}"')
    return arguments[key]


def _chord(arguments: dict[str, Any]) -> str:
    keys = arguments.get("keys", arguments.get("text", arguments.get("key")))
    names = keys.split("+") if isinstance(keys, str) and len(keys) > 1 else [keys] if isinstance(keys, str) else keys
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
        raise Wrong('which keys? Expected "keys": ["ctrl", "a"]')
    return "+".join(_KEY_NAMES.get(n.strip().lower(), n) for n in names)
