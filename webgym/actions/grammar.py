"""Grammars of the dialects: the texts that a model constrained to the action syntax may write. Pure.

:func:`webgym.actions.parse` reads every text of a grammar as an action. Each text is one action on one line, as
:func:`webgym.actions.render` or :func:`webgym.prompts.prompt.demonstration` would write it, with no reasoning before it. The readers
accept more: in a grammar, numbers have a few digits, and a text that begins like a ref, a pointer or a list stands in quotes.

A grammar has a short name. The name is recorded with every turn, so that a trainer can make the grammar again:

>>> grammar_name("compact", 'Enter "ann" as name', refs=3)
'compact strings=1 refs=3'

In `compact strings=1 refs=3` the refs are #0 to #2, and `$1` is the only pointer into the goal. A grammar with ` dialog` behind its name
has the answers to a dialog too:

>>> grammar_name("compact", "", refs=3, dialog=True)
'compact strings=0 refs=3 dialog'
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from webgym.actions.automaton import Node, Part, State, automaton, chain, either, end, maybe, one_of, repeat, text, texts
from webgym.actions.compact import goal_strings
from webgym.actions.verbs import (
    BUTTONS,
    DIRECTIONS,
    MODIFIERS,
    REQUIRED,
    VERBS,
    Parameter,
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
)
from webgym.errors import UsageError

_NAME = re.compile(r"(compact|call) strings=(\d{1,6}) refs=(\d{1,6})( dialog)?", re.ASCII)

_PRINTABLE = frozenset(range(0x21, 0x7F))
_HIGH = frozenset(range(0x80, 0x100))  # bytes of characters beyond ASCII
_BLANKS = [chr(c).encode() for c in range(0x80, 0x3001) if chr(c).isspace()] + ["▁".encode(), "⌁".encode()]
# what str.strip takes away beyond ASCII, and the marks of words, which the tokenizer of webgym-tiny takes away


def grammar_name(dialect: str, goal: str, refs: int, dialog: bool = False) -> str:
    """The name of the grammar for a page whose refs are 0 to `refs` − 1, with a dialog open on it or not.

    Raises UsageError for a dialect without a grammar.
    """
    strings = len(goal_strings(goal)) if dialect == "compact" else 0
    name = f"{dialect} strings={strings} refs={refs}{' dialog' if dialog else ''}"
    if not _NAME.fullmatch(name):
        raise UsageError(f"there is no grammar for the dialect {dialect!r}, only for compact and call: leave grammar out")
    return name


@lru_cache(maxsize=1024)
def grammar(name: str) -> State:
    """The automaton of a grammar, before the first byte. Raises UsageError for a name that :func:`grammar_name` does not give."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"unknown grammar {name!r}: expected one such as 'compact strings=1 refs=3'")
    strings, refs, dialog = int(found[2]), int(found[3]), found[4] is not None
    return automaton(_compact(strings, refs, dialog)(_END) if found[1] == "compact" else _call(refs, dialog)(_END))


# --- what both dialects have -----------------------------------------------------------------------------------------------

_END = end()  # one for all grammars, so that they share the states of what they end in
_DIGIT = one_of(b"0123456789")
_HEX = one_of(b"0123456789abcdefABCDEF")
_WHOLE = either(text("0"), chain(one_of(b"123456789"), repeat(_DIGIT, 0, 5)))  # to 999,999
_NUMBER = chain(maybe(text("-")), _WHOLE, maybe(chain(text("."), repeat(_DIGIT, 1, 17))))
_MS = either(text("60000"), text("0"), chain(one_of(b"12345"), repeat(_DIGIT, 0, 4)), chain(one_of(b"6789"), repeat(_DIGIT, 0, 3)))
_INDEX = either(_DIGIT, chain(one_of(b"123456789"), _DIGIT))  # of a tab
_COUNT = texts(str(n) for n in range(1, 11))


def _characters(allowed: frozenset[int], escape: Part | None = None, least: int = 0) -> Part:
    """Bytes of `allowed`, or escapes, as many as you like; never `<t` or `</`, which could open or close a block of reasoning."""

    def part(then: Node) -> Node:
        more = Node(empty=[then])  # `least` bytes have been read
        angle = Node(empty=[then])  # behind a <
        fine = allowed - {*b"<"}
        for node in (more, angle):
            node.edges.append((fine - {*b"t/"} if node is angle else fine, more))
            if ord("<") in allowed:
                node.edges.append((frozenset(b"<"), angle))
            if escape:
                node.empty.append(escape(more))
        return more if least == 0 else Node(more.edges, more.empty[1:])

    return part


def _json_string(least: int = 0) -> Part:
    """A text in JSON's double quotes."""
    surrogate_free = either(
        chain(one_of(b"0123456789abcefABCEF"), repeat(_HEX, 3, 3)), chain(one_of(b"dD"), one_of(b"01234567"), _HEX, _HEX)
    )
    escape = chain(text("\\"), either(one_of(b'"\\/bfnrt'), chain(text("u"), surrogate_free)))
    return chain(text('"'), _characters((_PRINTABLE | _HIGH | {*b" "}) - {*b'"\\'}, escape, least), text('"'))


# --- compact ---------------------------------------------------------------------------------------------------------------


def _ref(refs: int) -> Part:
    return chain(one_of(b"#*"), texts(str(n) for n in range(refs)))


def _bare(then: Node) -> Node:
    """A text as it stands, to the end of the line: it begins with no blank and with nothing that means something else."""
    rest = _characters(_PRINTABLE | _HIGH | {*b" "})(then)
    angle = next(target for allowed, target in rest.edges if ord("<") in allowed)
    first = Node([(_PRINTABLE - {*b'"[$#`<'}, rest), (frozenset(b"<"), angle)])

    def beyond(node: Node, read: bytes) -> None:
        """Characters beyond ASCII that are no blanks: `read` begins a blank, and what comes next may not complete it."""
        going = {blank[len(read)] for blank in _BLANKS if blank.startswith(read) and len(blank) > len(read)}
        if read:
            node.edges += [(allowed - going, target) for allowed, target in rest.edges]
            node.empty.append(then)
        else:
            node.edges.append((_HIGH - going, rest))
        for byte in going:
            if read + bytes([byte]) not in _BLANKS:
                deeper = Node()
                beyond(deeper, read + bytes([byte]))
                node.edges.append((frozenset((byte,)), deeper))

    beyond(first, b"")
    return first


_WORD = chain(one_of(_PRINTABLE - {*b'"[$#*`<'}), _characters(_PRINTABLE))  # a key or an address
_BARE = _bare(_END)  # one node for all grammars
_JSON = _json_string()
_JSON_LIST = chain(text("["), _JSON, repeat(chain(text(", "), _JSON)), text("]"))


def _last(*parts: Part) -> Part:
    """One of the parts, or a bare text; at the end of a line only."""
    return lambda then: Node(empty=[_BARE, *(part(then) for part in parts)])


def _compact(strings: int, refs: int, dialog: bool = False) -> Part:
    """Each verb as :data:`webgym.actions.compact._COMPACT` reads it."""
    ref, space = _ref(refs), text(" ")
    point = chain(_NUMBER, text(","), _NUMBER)
    pointer = chain(text("$"), texts(str(n) for n in range(1, strings + 1)))
    value = _last(pointer, _JSON)
    button = maybe(chain(space, texts(BUTTONS)))
    count = maybe(chain(text(" x"), _COUNT))
    on = maybe(chain(ref, space))
    answer = maybe(chain(space, value))
    arguments: Mapping[str, Part] = {
        "click ": either(chain(ref, button, count, repeat(chain(text(" +"), texts(MODIFIERS)))), chain(point, button, count)),
        "type ": chain(ref, space, value),
        "select ": chain(ref, space, _last(pointer, _JSON, _JSON_LIST)),
        "upload ": chain(ref, space, _last(pointer, _JSON, _JSON_LIST)),
        "press ": chain(on, either(_WORD, text("*"), pointer, _json_string(least=1))),
        "write ": value,
        "message ": value,
        "scroll ": chain(on, either(texts(DIRECTIONS), point)),
        "drag ": either(chain(ref, space, ref), chain(point, space, point)),
        "move ": point,
        "down ": chain(point, button),
        "up ": chain(point, button),
        "goto ": either(_WORD, pointer, _JSON),
        "tab ": either(_INDEX, texts(["new", "close"])),
        "wait": maybe(chain(space, _MS)),
        "stop": answer,
        "infeasible": answer,
        **{f"{verb} ": ref for verb in ("clear", "hover", "focus")},
        **{verb: chain() for verb in ("back", "forward", "reload")},
        **({"dialog ": chain(texts(["accept", "dismiss"]), answer)} if dialog else {}),
    }
    return either(*(chain(text(verb), rest) for verb, rest in arguments.items()))


# --- call ------------------------------------------------------------------------------------------------------------------


def _quoted(least: int = 0) -> Part:
    """A text in single quotes."""
    escape = chain(text("\\"), one_of(b"\\'nrt"))
    code = chain(text("\\x"), one_of(b"234567"), _HEX)
    return chain(text("'"), _characters((_PRINTABLE | _HIGH | {*b" "}) - {*b"'\\"}, either(escape, code), least), text("'"))


def _call(refs: int, dialog: bool = False) -> Part:
    """Each verb of :data:`webgym.actions.verbs.VERBS` that has a help line: required arguments by place, the others by name."""
    quoted = _quoted()

    def listed(item: Part) -> Part:
        return chain(text("["), item, repeat(chain(text(", "), item)), text("]"))

    def one_quoted(words: Part) -> Part:
        return chain(text("'"), words, text("'"))

    literals: Mapping[Callable[[object], Any], Part] = {
        read_ref: one_quoted(texts(str(n) for n in range(refs))),
        read_index: _INDEX,
        read_text: quoted,
        read_texts: either(quoted, listed(quoted)),
        read_keys: _quoted(least=1),
        read_number: _NUMBER,
        read_ms: _MS,
        read_count: _COUNT,
        read_button: one_quoted(texts(BUTTONS)),
        read_choice: texts(["True", "False"]),
        read_modifiers: listed(one_quoted(texts(MODIFIERS))),
    }

    def argument(parameter: Parameter, place: int, alone: bool) -> Part:
        literal = literals[parameter.read]
        if parameter.default is REQUIRED:
            return chain(text(", " if place else ""), literal)
        return maybe(literal if alone else chain(text(f", {parameter.name}="), literal))

    def verb(name: str) -> Part:
        known = [p for p in VERBS[name].parameters if p.read is not read_ignored]
        return chain(text(f"{name}("), *(argument(p, i, len(known) == 1) for i, p in enumerate(known)), text(")"))

    return either(*(verb(name) for name in (*offered(), *(offered(needs="dialog") if dialog else ()))))
