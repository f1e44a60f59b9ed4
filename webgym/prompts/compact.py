"""Prompts in the compact style: few tokens, one line per thing, marks against the goal."""

import itertools
import re
from collections.abc import Sequence

from webgym.actions import goal_strings
from webgym.prompts.page import compact_line
from webgym.prompts.settings import PromptSettings, continues, recent_turns
from webgym.types import Node, Observation, Turn


def compact_text(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> str:
    lines = [f"left {observation.turns_left}"]
    if not continues(history, settings):
        lines.insert(0, f"goal: {_pointed(_plain(observation.goal))}")
    lines.extend(f"done: {_named(turn)}" for turn in recent_turns(history, settings))
    if settings.errors and observation.error:
        lines.append(f"error: {_plain(observation.error)[:80]}")
    lines.extend(f"note: {_plain(notice)[:80]}" for notice in observation.notices if settings.errors)
    lines.append("page:")
    nodes = observation.nodes[: settings.max_nodes]
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


def _named(turn: Turn) -> str:
    """A past action with its ref replaced by what the page line said, since refs are of that page only."""
    text = turn.completion.text.strip().splitlines()[-1] if turn.completion.text.strip() else "nothing"
    ref = re.search(r"[#*]\d+", text)
    if ref is None:
        return _plain(text)[:60]
    lines = turn.completion.prompt.splitlines()
    line = next((line for line in reversed(lines) if line.endswith(f" {ref[0]}")), "")
    name = line.removesuffix(f" {ref[0]}") if line else "?"
    failed = " failed" if turn.error else ""
    return f"{text.replace(ref[0], name, 1)[:60]}{failed}"


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
    """What a goal names: quoted strings, and outside them capitalised words inside a sentence, @handles, and words with digits.

    >>> goal_names('Find the mail by Ann to @bob and type "Hi there".')
    ['hi there', 'ann', '@bob']
    """
    quoted = [_spaced(text) for text in goal_strings(goal)]
    rest = re.sub(r'"[^"]*"', '""', goal)
    words = re.findall(r"(?<![.!?:]\s)(?<!^)(?<![\w@])([A-Z]\w+|@\w+|\w*\d\w*)", rest)
    return list(dict.fromkeys(name for name in [*quoted, *(word.casefold() for word in words)] if name))
