"""The `call` dialect: BrowserGym's function calls, read without running them."""

import re
from typing import Any, NoReturn, cast

from webgym.actions.verbs import (
    NUMBER,
    REQUIRED,
    THINK_TAG,
    VERBS,
    Need,
    Parameter,
    Wrong,
    build,
    figure,
    last_line,
    offered,
    read_ref,
    read_texts,
    shown,
    spell,
)
from webgym.types import Action

# Reading starts at every `name(` from left to right and skips what it could read. Two readings that are alive at the same place are
# in different quote states (one outside, one in '...', one in "..."), because a reading that meets another `name(` outside quotes
# ends there; so each character is read at most three times.
_OPENING = re.compile(
    r"(?<![\w.])([A-Za-z_]\w{0,40})[ \t]{0,2}\("
    r"(?=\s*+(?:['\"#\[)+\-.\dTFNtfn]|[A-Za-z_]\w{0,40}\s{0,3}=|\Z))",  # what an argument may begin with
    re.ASCII,
)
_BLANK = re.compile(r"\s*+")
_STRING = re.compile(r"'((?:[^'\\]++|\\.)*+)'|\"((?:[^\"\\]++|\\.)*+)\"", re.DOTALL)
_WORD = re.compile(r"#\d{1,9}(?!\w)|(?:True|False|None|true|false|null)\b", re.ASCII)
_KEYWORD = re.compile(r"([A-Za-z_]\w{0,40})\s{0,3}=(?!=)", re.ASCII)
_CONSTANTS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_LINE_BEFORE = re.compile(r"(?:\A|\n)[ \t`]{0,8}\Z")
_LINE_AFTER = re.compile(r"[ \t`;]{0,8}(?:\n|\Z)")


class _Malformed(Exception):
    def __init__(self, unclosed: bool) -> None:
        self.unclosed = unclosed  # the text ended inside the call


class _Arguments:
    """A reader of `'12', "text", [..], name=value)`, from the place after the opening parenthesis."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at

    def read(self) -> tuple[list[object], dict[str, object]]:
        """The arguments up to the closing parenthesis; `at` is the place after it."""
        positional: list[object] = []
        named: dict[str, object] = {}
        while not self._take(")"):
            if keyword := _KEYWORD.match(self.text, self.at):
                self.at = keyword.end()
                named[keyword[1]] = self._value()
            elif named:
                raise _Malformed(False)
            else:
                positional.append(self._value())
            if not self._take(","):
                if not self._take(")"):
                    self._fail()
                break
        return positional, named

    def _take(self, mark: str) -> bool:
        """Skip white space, and `mark` if it comes next. True if it did."""
        self.at = cast(re.Match[str], _BLANK.match(self.text, self.at)).end()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def _fail(self) -> NoReturn:
        raise _Malformed(self.at >= len(self.text))

    def _value(self) -> object:
        if not self._take("["):
            return self._scalar()
        items: list[object] = []
        while not self._take("]"):
            items.append(self._scalar())
            if not self._take(","):
                if not self._take("]"):
                    self._fail()
                break
        return items

    def _scalar(self) -> object:
        self._take("")
        parts = []
        while match := _STRING.match(self.text, self.at):  # adjacent literals join, which also reads '''...'''
            parts.append(_unescape(match[1] if match[1] is not None else match[2]))
            self.at = match.end()
        if self.text[self.at : self.at + 1] in ("'", '"'):
            raise _Malformed(True)
        if parts:
            return "".join(parts)
        if match := NUMBER.match(self.text, self.at):
            self.at = match.end()
            return int(match[0]) if match[0].lstrip("+-").isdigit() else float(match[0])
        if match := _WORD.match(self.text, self.at):
            self.at = match.end()
            return _CONSTANTS.get(match[0], match[0])
        self._fail()


_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    "0": "\0",
}


def _unescape(body: str) -> str:
    """The text that a quoted literal's body stands for; an unknown escape stays as it is, as in Python."""

    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is None:
            return _ESCAPED.get(match[4], match[0])
        return chr(int(code, 16)) if int(code, 16) <= 0x10FFFF else match[0]

    return _ESCAPE.sub(one, body) if "\\" in body else body


def _quoted(text: str) -> str:
    """A Python-like literal that :func:`_unescape` reads back."""
    text = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if THINK_TAG.search(text):
        text = text.replace("<", "\\x3c")
    return f"'{text}'"


def read(text: str, goal: str) -> Action:
    """The action that text of the `call` dialect ends in. Raises Wrong."""
    last: tuple[str, list[object], dict[str, object]] | str = ""
    at = 0
    while opening := _OPENING.search(text, at):
        name, at = opening[1], opening.end()
        arguments = _Arguments(text, at)
        try:
            positional, named = arguments.read()
        except _Malformed as malformed:
            if name in VERBS and _is_attempt(text, opening):
                last = f"{name}(...: check quotes, commas and the closing parenthesis; expected {VERBS[name].signature}"
                if malformed.unclosed:
                    break  # what follows is inside of it
            continue
        at = arguments.at
        if name in VERBS or _alone(text, opening.start(), at):
            last = (name, positional, named)
    if isinstance(last, str):
        raise Wrong(last or _no_call(text))
    return build(*last)


def _is_attempt(text: str, opening: re.Match[str]) -> bool:
    """True if an unreadable `click(...` was meant as an action. Prose such as "click (the button)" or "click(the button)" was not."""
    following = text[opening.end() : opening.end() + 1]
    return opening[0][-2] not in " \t" and not following.isalpha()


def _alone(text: str, start: int, end: int) -> bool:
    """True if its line holds nothing but the call. An unknown name is then a mistake, not a word of the reasoning."""
    return bool(_LINE_BEFORE.search(text[max(0, start - 10) : start]) or start == 0) and bool(_LINE_AFTER.match(text, end))


def _no_call(text: str) -> str:
    line = last_line(text)
    if line in VERBS:
        return f"write the action as a call: {VERBS[line].signature}"
    found = f"in {shown(line)}" if line else "in an empty text"
    return f"no action found {found}; end with one action, such as click('12')"


def write(action: Action) -> str:
    """The action as text of the `call` dialect."""
    verb, values = spell(action)
    parts = []
    for parameter in verb.parameters:
        if parameter.name in values:
            value = _literal(parameter, values[parameter.name])
            parts.append(value if parameter.default is REQUIRED or len(verb.parameters) == 1 else f"{parameter.name}={value}")
    return f"{verb.name}({', '.join(parts)})"


def _literal(parameter: Parameter, value: Any) -> str:
    if parameter.read is read_ref:
        return f"'{value}'"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, tuple):
        return _quoted(value[0]) if len(value) == 1 and parameter.read is read_texts else f"[{', '.join(map(_quoted, value))}]"
    return figure(value)


def help_text(needs: Need = "", refs: bool = True) -> str:
    """Help of the `call` dialect: a line per action."""
    return "\n".join(f"{verb.signature}: {verb.help}" for verb in offered(needs, refs).values())
