"""Text as the key events of a US keyboard, sent all at once, because the browser keeps their order and waiting for each takes time."""

import re
from typing import Any, Literal

_DIGITS = ")!@#$%^&*("  # with Shift, from 0 on
_PLACES = {
    "Backquote": (192, "`~"),
    "Minus": (189, "-_"),
    "Equal": (187, "=+"),
    "Backslash": (220, "\\|"),
    "BracketLeft": (219, "[{"),
    "BracketRight": (221, "]}"),
    "Semicolon": (186, ";:"),
    "Quote": (222, "'\""),
    "Comma": (188, ",<"),
    "Period": (190, ".>"),
    "Slash": (191, "/?"),
    "Space": (32, " "),
    **{f"Key{letter}": (ord(letter), letter.lower() + letter) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    **{f"Digit{n}": (ord(str(n)), f"{n}{_DIGITS[n]}") for n in range(10)},
}
KEYS: dict[str, tuple[str, str, int, str]] = {
    character: (character, code, number, character) for code, (number, characters) in _PLACES.items() for character in characters
} | {"\n": ("Enter", "Enter", 13, "\r"), "\r": ("Enter", "Enter", 13, "\r"), "\t": ("Tab", "Tab", 9, "")}
"""By character: `key`, `code` and `keyCode` of its events, and the text that it types. Shift is not pressed, as a program's typing does."""


Command = tuple[str, dict[str, Any]]  # a CDP method and its parameters
Kind = Literal["line", "text", "rich"]
"""Kind of a field: of one line, a text area, or edited markup."""


def typed(text: str, inserted: bool = False, tabs: bool = True) -> list[Command]:
    """CDP commands that type `text`: a key down and up for each character, or its insertion where no key has it.

    A line break is the Enter key, and a tab is its key unless `tabs` says that it is text. `inserted` inserts all else at once.

    >>> [method for method, _ in typed("a\N{EURO SIGN}")]
    ['Input.dispatchKeyEvent', 'Input.dispatchKeyEvent', 'Input.insertText']
    >>> [parameters.get("text") for _, parameters in typed("ab\\nc", inserted=True)]
    ['ab', '\\r', None, 'c', None]
    """
    commands: list[Command] = []
    for part in re.findall(r"[\r\n\t]|[^\r\n\t]+", text) if inserted else text:
        struck = part in KEYS and (tabs or part != "\t")
        commands += _struck(part) if struck else [("Input.insertText", {"text": part})]
    return commands


def written(text: str, kind: Kind, inserted: bool = False) -> list[Command]:
    """Like :func:`typed`, with line breaks as text, in which no form hears an Enter.

    A text area gets the break itself, and markup the key with Shift, which breaks the line. In a field of one line it is a space, as when
    a text is pasted there, and nothing at the end.

    >>> [parameters["text"] for _, parameters in written("a\\nb\\n", "line", inserted=True)]
    ['a b']
    >>> [parameters["text"] for _, parameters in written("a\\nb", "text", inserted=True)]
    ['a\\nb']
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    if kind == "line":
        plain = plain.rstrip("\n").replace("\n", " ")
    if kind != "rich" and inserted:
        return [("Input.insertText", {"text": plain})] if plain else []
    commands: list[Command] = []
    for number, line in enumerate(plain.split("\n")):
        if number:
            commands += [("Input.insertText", {"text": "\n"})] if kind == "text" else _struck("\n", shift=True)
        commands += typed(line, inserted, tabs=False)
    return commands


def _struck(character: str, shift: bool = False) -> list[Command]:
    key, code, number, text = KEYS[character]
    event = {"key": key, "code": code, "windowsVirtualKeyCode": number, **({"modifiers": 8} if shift else {})}
    down = {"type": "keyDown", **event, "text": text, "unmodifiedText": text} if text else {"type": "rawKeyDown", **event}
    return [("Input.dispatchKeyEvent", down), ("Input.dispatchKeyEvent", {"type": "keyUp", **event})]
