"""Text as the key events of a US keyboard, sent all at once, because the browser keeps their order and waiting for each takes time."""

from typing import Any

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
} | {"\n": ("Enter", "Enter", 13, "\r"), "\r": ("Enter", "Enter", 13, "\r")}
"""By character: `key`, `code` and `keyCode` of its events, and the text that it types. Shift is not pressed, as a program's typing does."""


def typed(text: str) -> list[tuple[str, dict[str, Any]]]:
    """CDP commands that type `text`: a key down and up for each character, or its insertion where no key has it.

    >>> [method for method, _ in typed("a\N{EURO SIGN}")]
    ['Input.dispatchKeyEvent', 'Input.dispatchKeyEvent', 'Input.insertText']
    """
    commands: list[tuple[str, dict[str, Any]]] = []
    for character in text:
        if character not in KEYS:
            commands.append(("Input.insertText", {"text": character}))
            continue
        key, code, number, written = KEYS[character]
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        commands.append(("Input.dispatchKeyEvent", {"type": "keyDown", **event, "text": written, "unmodifiedText": written}))
        commands.append(("Input.dispatchKeyEvent", {"type": "keyUp", **event}))
    return commands
