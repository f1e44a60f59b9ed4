"""Keys and chords as people write them, and the names by which a browser knows them. Pure.

>>> chord("ctrl-a"), chord("Esc"), chord("Cmd + Shift + Up"), chord("space")
('Control+a', 'Escape', 'ControlOrMeta+Shift+ArrowUp', 'Space')

A letter in a chord is the key, whose name is in lower case; alone it is what it types. The command key is the one with which this
platform copies, so it is Control where that is Control:

>>> chord("Control+A"), chord("A"), chord("Shift+a")
('Control+a', 'A', 'Shift+A')
"""

import re
from collections.abc import Mapping

from webgym.errors import did_you_mean

MODIFIERS: Mapping[str, str] = {
    **dict.fromkeys(("ctrl", "control", "ctl", "controlleft", "controlright", "control_l", "control_r", "⌃"), "Control"),
    **dict.fromkeys(("alt", "option", "opt", "altleft", "altright", "alt_l", "alt_r", "⌥"), "Alt"),
    **dict.fromkeys(("shift", "shiftleft", "shiftright", "shift_l", "shift_r", "⇧"), "Shift"),
    **dict.fromkeys(("meta", "win", "windows", "super", "super_l", "super_r", "metaleft", "metaright"), "Meta"),
    **dict.fromkeys(("cmd", "command", "⌘", "controlormeta", "ctrlorcmd", "mod"), "ControlOrMeta"),
}
NAMED = [
    *("Enter", "Tab", "Escape", "Backspace", "Delete", "Insert", "Home", "End", "PageUp", "PageDown", "Space", "ContextMenu"),
    *("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "CapsLock", "NumLock", "ScrollLock", "PrintScreen", "Pause", "AltGraph"),
    *("NumpadEnter", "NumpadAdd", "NumpadSubtract", "NumpadMultiply", "NumpadDivide", "NumpadDecimal", "Backquote", "Minus", "Equal"),
    *("Backslash", "BracketLeft", "BracketRight", "Semicolon", "Quote", "Comma", "Period", "Slash"),
]
NAMED += [f"F{n}" for n in range(1, 13)] + [f"Key{c}" for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
NAMED += [f"{pad}{n}" for pad in ("Digit", "Numpad") for n in range(10)]
NAMES: Mapping[str, str] = {
    **{name.lower(): name for name in NAMED},
    **dict.fromkeys(("return", "kpenter", "⏎", "↵"), "Enter"),
    **dict.fromkeys(("esc",), "Escape"),
    **dict.fromkeys(("del",), "Delete"),
    **dict.fromkeys(("ins",), "Insert"),
    **dict.fromkeys(("backspc", "bksp", "bs", "⌫"), "Backspace"),
    **dict.fromkeys(("spacebar", "spc", "␣"), "Space"),
    **dict.fromkeys(("pgup", "prior"), "PageUp"),
    **dict.fromkeys(("pgdn", "pgdown", "next"), "PageDown"),
    **{side: f"Arrow{side.title()}" for side in ("up", "down", "left", "right")},
    **{f"{side}arrow": f"Arrow{side.title()}" for side in ("up", "down", "left", "right")},
    **{arrow: f"Arrow{side}" for arrow, side in zip("↑↓←→", ("Up", "Down", "Left", "Right"), strict=True)},
    **dict.fromkeys(("menu", "apps"), "ContextMenu"),
    **dict.fromkeys(("prtsc", "printscr"), "PrintScreen"),
    **dict.fromkeys(("capital", "caps"), "CapsLock"),
    **dict.fromkeys(("plus",), "+"),
    **dict.fromkeys(("altgr",), "AltGraph"),
}
WRITTEN = {"Space": " ", "Minus": "-", "Equal": "=", "Comma": ",", "Period": ".", "Slash": "/", "NumpadDecimal": ".", "NumpadDivide": "/"}
SHIFTED = dict(zip("`1234567890-=[]\\;',./", '~!@#$%^&*()_+{}|:"<>?', strict=True))
LONGEST = 100  # characters of a chord, which is read in time that grows with their square
EXAMPLES = "Enter, Tab, Escape, ArrowDown, Control+a"


class NoKey(ValueError):
    """A text that names no key; its message is a sentence for the agent."""


def chord(keys: str) -> str:
    """The modifiers and the key, joined by `+`, by a browser's names. Raises NoKey."""
    if len(keys) > LONGEST:
        raise NoKey(f"there is no key {keys[:40]!r}…: expected one key or chord of at most {LONGEST} characters; examples: {EXAMPLES}")
    if keys in ("\n", "\r", "\t"):
        return "Tab" if keys == "\t" else "Enter"
    held: list[str] = []
    rest = keys if keys.isspace() and len(keys) == 1 else keys.strip()
    while (found := re.match(r"([^\s+-]{1,20})\s*[+-]\s*(?=.)", rest)) and (name := MODIFIERS.get(found[1].lower())):
        held.append(name)
        rest = rest[found.end() :]
    if not held and (spaced := re.fullmatch(r"(\S+) (\S)", rest)) and (name := MODIFIERS.get(spaced[1].lower())):
        held, rest = [name], spaced[2]
    return "+".join([*dict.fromkeys(held), _key(rest, held, keys)])


def typed_by(keys: str) -> str:
    """The character that a key or chord writes into a field, "" for one that writes none.

    >>> typed_by("a"), typed_by("Digit3"), typed_by("Shift+b"), typed_by("space"), typed_by("Enter"), typed_by("Control+a"), typed_by("?!")
    ('a', '3', 'B', ' ', '', '', '')
    """
    try:
        name = chord(keys)
    except NoKey:
        return ""
    name = name.removeprefix("Shift+")
    if len(name) > 1:
        found = re.fullmatch(r"(?:Key|Digit|Numpad)(\w)", name)
        name = found[1].lower() if found else WRITTEN.get(name, "")
    return name


def takes_away(keys: str) -> bool:
    """True for a key or chord that may take some text of a field away, or select it, so that what is typed next takes its place.

    >>> [takes_away(keys) for keys in ("bksp", "Delete", "Shift+Home", "Control+z", "Home", "Enter", "Shift+Tab", "a", "Shift+a", "?!")]
    [True, True, True, True, False, False, False, False, False, False]
    """
    try:
        *held, key = chord(keys).rsplit("+", 1)
    except NoKey:
        return False
    named = len(key) > 1 and key not in ("Tab", "Enter")
    return key in ("Backspace", "Delete", "Insert") or (held == ["Shift"] and named) or held not in ([], ["Shift"])


def _key(word: str, held: list[str], keys: str) -> str:
    if len(word) == 1 and word.isprintable() and word.lower() not in NAMES and word not in MODIFIERS:
        return _character(word, held)
    plain = re.sub(r"[\s_-]", "", word.lower()) or word.lower()
    name = NAMES.get(plain) or MODIFIERS.get(word.lower())
    if name is None:
        raise NoKey(f"there is no key {keys[:40]!r}{did_you_mean(word[:20].title(), NAMED, limit=2) or f'; examples: {EXAMPLES}'}")
    return _character(name, held) if len(name) == 1 else name


def _character(character: str, held: list[str]) -> str:
    if "Shift" in held:
        return SHIFTED.get(character, character.upper())
    return character.lower() if held and character.isascii() else character
