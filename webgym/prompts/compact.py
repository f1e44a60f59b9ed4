"""Prompts in the compact style: few tokens, one line per thing, marks against the goal."""

import itertools
import re
from collections.abc import Sequence

from webgym.actions import goal_strings
from webgym.prompts.page import compact_line, shown_nodes
from webgym.prompts.settings import PromptSettings, continues, recent_turns
from webgym.types import Mention, Node, Observation, Turn


def compact_text(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> str:
    """The prompt of the compact style: goal, last actions and page in few tokens."""
    lines = [f"left {observation.turns_left}"]
    if not continues(history, settings):
        lines.insert(0, f"goal: {_pointed(_plain(observation.goal))}")
    lines.extend(_Past(history, observation.goal, settings).lines())
    if settings.errors and observation.error:
        lines.append(f"error: {_plain(observation.error)[:80]}")
    lines.extend(f"note: {_plain(notice)[:80]}" for notice in observation.notices if settings.errors)
    lines.append("page:")
    nodes = shown_nodes(observation, settings.max_nodes)
    found = marks(nodes, observation.goal) if settings.marks else [""] * len(nodes)
    lines.extend(_line(node, mark) for node, mark in zip(nodes, found, strict=True))
    if len(nodes) < len(observation.nodes):
        lines.append(f"cut {len(observation.nodes) - len(nodes)}")
    return "\n".join([*lines, "do:"])


def _line(node: Node, mark: str) -> str:
    text = _plain(node.text)[:200]
    return compact_line(Node(node.role, text, node.ref, _plain(node.value or "")[:100] or None, node.states), mark)


def _plain(text: str) -> str:
    """Lower case on one line, with nothing in it that looks like a ref or a pointer."""
    return re.sub(r"([#$*])(?=\d)", r"\1 ", re.sub(r"\s+", " ", text).strip().lower())


def _pointed(goal: str) -> str:
    """The goal with `$k` before its k-th quoted string."""
    count = itertools.count(1)
    return re.sub(r'"[^"]*"', lambda quoted: f"${next(count)} {quoted[0]}", goal)


_REF = re.compile(r"[#*]\d+")


def mention(text: str, nodes: Sequence[Node], top: int = 0) -> Mention | None:
    """The thing of a page that agent text names first; None where its last line holds no ref, or one that nothing on the page bears.

    Its line is counted from `top` on, where the prompt of a long page that was scrolled begins.

    >>> mention("click #1", [Node("text", "Hi"), Node("button", "OK", ref=0), Node("link", "Help", ref=1)])
    Mention(node=Node(role='link', text='Help', ref=1, value=None, states=(), depth=0, box=None), line=2)
    """
    ref = _REF.search(_last_line(text))
    if ref is None:
        return None
    found = next((line for line, node in enumerate(nodes) if node.ref is not None and str(node.ref) == ref[0][1:]), None)
    return None if found is None else Mention(nodes[found], found - top if found >= top else found)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "nothing"


class _Past:
    """Past actions as a prompt lists them: each with its ref replaced by the words of the page line that bore it, as it was shown."""

    def __init__(self, history: Sequence[Turn], goal: str, settings: PromptSettings) -> None:
        self._history, self._goal, self._settings = history, goal, settings
        self._known: dict[int, str] = {}

    def lines(self) -> list[str]:
        """The lines of the prompt behind all turns."""
        return self._before(len(self._history))

    def _before(self, turn: int) -> list[str]:
        """The lines of the prompt that this turn answered."""
        recent = len(recent_turns(self._history[:turn], self._settings))
        return [self._line(t) for t in range(turn - recent, turn)]

    def _line(self, t: int) -> str:
        if t not in self._known:
            self._known[t] = f"done: {self._named(t)}"
        return self._known[t]

    def _named(self, t: int) -> str:
        turn = self._history[t]
        text = _last_line(turn.completion.text)
        ref = _REF.search(text)
        if ref is None:
            return _plain(text)[:60]
        failed = " failed" if turn.error else ""
        return f"{text.replace(ref[0], self._name(t, f' {ref[0]}'), 1)[:60]}{failed}"

    def _name(self, t: int, ref: str) -> str:
        """The words before this ref in the prompt of turn t, read from below: of a page line, else of a past action, else "?"."""
        shown = self._shown(self._history[t].mention)
        if shown.endswith(ref):
            return shown.removesuffix(ref)
        for earlier in range(t):
            self._line(earlier)  # from the first one on, so that none has to look far back
        return next((line.removesuffix(ref) for line in reversed(self._before(t)) if line.endswith(ref)), "?")

    def _shown(self, mentioned: Mention | None) -> str:
        """The page line of a thing; "" where the page was cut before it."""
        if mentioned is None or mentioned.line >= self._settings.max_nodes:
            return ""
        return _line(mentioned.node, marks([mentioned.node], self._goal)[0] if self._settings.marks else "")


def marks(nodes: Sequence[Node], goal: str) -> list[str]:
    """One mark per node: `*` when its text stands in the goal, else a `+` per name of the goal that it holds, up to three.

    >>> marks([Node("button", "Submit"), Node("text", "Ann, today"), Node("link", "Help")], "Find the mail by Ann, press Submit")
    ['*', '+', '']
    """
    lowered = _spaced(goal)
    names = goal_names(goal)
    found = []
    for node in nodes:
        text = _spaced(node.text)
        if text and f" {text} " in f" {lowered} ":
            found.append("*")
        else:
            found.append("+" * min(3, sum(name in text for name in names)) if text else "")
    return found


def _spaced(text: str) -> str:
    """Words in lower case, separated by single spaces, punctuation dropped but for what belongs to names."""
    return " ".join(re.findall(r"[\w@#./:'-]*[\w]|[\w@#]+", text.casefold()))


def goal_names(goal: str) -> list[str]:
    """Names in a goal: quoted strings, and outside them capitalised words inside a sentence, @handles, and words with digits.

    >>> goal_names('Find the mail by Ann to @bob and type "Hi there".')
    ['hi there', 'ann', '@bob']
    """
    quoted = [_spaced(text) for text in goal_strings(goal)]
    rest = re.sub(r'"[^"]*"', '""', goal)
    words = re.findall(r"(?<![.!?:]\s)(?<!^)(?<![\w@])([A-Z]\w+|@\w+|\w*\d\w*)", rest)
    return list(dict.fromkeys(name for name in [*quoted, *(word.casefold() for word in words)] if name))
