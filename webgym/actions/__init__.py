"""Text ↔ :data:`webgym.types.Action` in three dialects. Pure; text is read, never executed, and no text makes it raise.

`call`
    BrowserGym's function names and argument order, so that its agents and prompts carry over, and a few more:

    >>> parse("The box is empty.\\nfill('3', 'Ann')", "call")
    Fill(ref=3, text='Ann')
    >>> parse("<think>click('1')?</think> press('5', 'Enter')", "call")
    Press(keys='Enter', ref=5)

`compact`
    One short line for small models. A ref is written `#3`; `$2` stands for the goal's second double-quoted string:

    >>> parse("type #3 $2", "compact", goal='Enter "ann" and "s3cret"')
    Fill(ref=3, text='s3cret')
    >>> parse("type #3 some text", "compact"), parse("click 10,20", "compact")
    (Fill(ref=3, text='some text'), MouseClick(x=10.0, y=20.0, button='left', count=1))

`json`
    A tool call by the names of `call`; also the computer-use forms of Qwen-VL, Anthropic and OpenAI models:

    >>> parse('<tool_call>{"name": "click", "arguments": {"ref": 12}}</tool_call>', "json")
    Click(ref=12, button='left', count=1, modifiers=())
    >>> parse('{"action": "left_click", "coordinate": [10, 20]}', "json")
    MouseClick(x=10.0, y=20.0, button='left', count=1)

Reasoning comes first (`<think>...</think>` is split off, and of gpt-oss's channels only `final` is read) and of several actions in one
text the last one counts. A text that is no action gives an :class:`~webgym.types.InvalidAction` whose sentence says what was expected:

>>> parse("clik('3')", "call").error
"unknown action 'clik'; did you mean 'click'?"
>>> parse("fill('3')", "call").error
"fill: 'text' is missing; expected fill(ref, text)"

Every action can be written in every dialect, and reading undoes writing:

>>> from webgym.types import Select
>>> [render(Select(4, ("a", "b")), dialect) for dialect in ("call", "compact")]
["select_option('4', ['a', 'b'])", 'select #4 ["a", "b"]']

Limits of what is read: refs and tab numbers 0 to 999,999,999, click counts 1 to 10, waits 0 to 60,000 ms, finite coordinates, and
the modifiers Alt, Control, ControlOrMeta, Meta, Shift. Reading takes time linear in the length of the text.
"""

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Literal, cast

from webgym.actions import call, compact, tool_call
from webgym.actions.compact import goal_strings
from webgym.actions.verbs import MAX_WAIT_MS, MODIFIERS, SCROLL_PX, Need, Wrong
from webgym.errors import UsageError, did_you_mean
from webgym.types import Action, InvalidAction

__all__ = [
    "DIALECTS",
    "MAX_WAIT_MS",
    "MODIFIERS",
    "SCROLL_PX",
    "Dialect",
    "describe",
    "goal_strings",
    "known_dialect",
    "parse",
    "render",
    "tool_specs",
]

Dialect = Literal["call", "compact", "json"]
DIALECTS: tuple[Dialect, ...] = ("call", "compact", "json")

_MODULES: Mapping[Dialect, ModuleType] = {"call": call, "compact": compact, "json": tool_call}


_CHANNEL = "<|channel|>"
_FINAL = re.compile(r"<\|channel\|>final\b.{0,40}?<\|message\|>")


def parse(text: str, dialect: str, goal: str = "") -> Action | InvalidAction:
    """The action that agent text ends in, or an :class:`InvalidAction` that says what was wrong. Raises on an unknown dialect only.

    `goal` gives the compact dialect's `$1`, `$2` ... their meaning (:func:`goal_strings`).
    """
    module = _MODULES[known_dialect(dialect)]
    try:
        return module.read(_without_reasoning(text), goal)
    except Wrong as wrong:
        return InvalidAction(str(wrong))


def render(action: Action, dialect: str) -> str:
    """The action as text of the dialect; :func:`parse` gives the same action back."""
    return _MODULES[known_dialect(dialect)].write(action)


def describe(dialect: str, needs: Need = "", refs: bool = True) -> str:
    """Help for prompts: one line per action, as the dialect writes it; with `needs`, of the actions that such a page calls for; without
    `refs`, of those that need none (`call`, `json`).

    >>> describe("compact").splitlines()[0]
    'click #3: click a thing, also click #3 right x2 +Shift, or a point: click 10,20'
    >>> describe("call", needs="dialog")
    'dialog(accept, text=None): accept (True) or decline (False) the dialog that is open, with a text for a prompt'
    """
    return _MODULES[known_dialect(dialect)].help_text(needs, refs)


tool_specs = tool_call.specs


def known_dialect(dialect: str) -> Dialect:
    """The dialect, or a UsageError that names the known ones."""
    if dialect not in DIALECTS:
        raise UsageError(f"unknown action dialect {dialect!r}: expected one of {', '.join(DIALECTS)}{did_you_mean(dialect, DIALECTS)}")
    return cast(Dialect, dialect)


def _without_reasoning(text: str) -> str:
    """Text after the last closed `<think>` block and before one that was never closed; of channels the final one's."""
    if text.lstrip().startswith(_CHANNEL):
        final = _FINAL.search(text)
        text = text[final.end() :] if final else ""
    for tag in ("think", "thinking"):
        end = text.rfind(f"</{tag}>")
        text = text[end + len(tag) + 3 :] if end >= 0 else text
        text = text.partition(f"<{tag}>")[0]
    return text
