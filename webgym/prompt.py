"""What a policy is shown: goal, history and page as a prompt. Pure: the same observation and settings give the same text.

Two styles. `chat` is for pretrained language models: a system message with the action help, and a user message with the page.
`compact` is for small models trained from scratch: few tokens, one line per thing, lower case, and two helps that stand in for
the matching of words that a small model learns late (string-overlap features have a long history in agents for MiniWoB):

- a mark behind a page text says how it meets the goal: `*` stands in the goal as it is, `+` holds one of the goal's names
  (quoted strings, capitalised words, @handles, numbers), `++` two, `+++` three or more; `*` takes the place of the `#` of a ref,
  so that the thing to act on is found and copied in one step (docs/lab-notes.md has what that gains);
- `$1`, `$2` ... in goal and action stand for the goal's quoted strings, so that an answer can point instead of spelling.

And two contexts. A `window` tells a turn anew each time: goal, the last actions in a line each, the page in full. A `conversation` only
grows: each prompt is the one before, the answer to it, and the new page, so that nothing is read twice and no page is forgotten, for
models that read enough tokens. Its prompts here are the new message only; whoever samples puts it behind the tokens that are there.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from webgym.actions import DIALECTS, describe, goal_strings, render
from webgym.errors import ConfigError, did_you_mean
from webgym.page import compact_line, full_line
from webgym.types import Action, Fill, Node, Observation, Select, Turn, Type


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How prompts are made; part of a model's checkpoint, because a model reads only the prompts that it was trained on.

    `history` is how many of the last actions are listed (window only); `max_nodes` how many lines of the page are shown (a cut is
    announced); `marks` whether page texts are marked against the goal (compact only); `errors` whether the last action's error and
    notices are told. Without history and errors, a prompt is a function of the page and the turns left: the policy has no memory.
    """

    style: Literal["chat", "compact"] = "chat"
    dialect: Literal["call", "compact", "json"] = "call"
    history: int = 5
    max_nodes: int = 400
    marks: bool = False
    context: Literal["window", "conversation"] = "window"
    errors: bool = True

    @property
    def memoryless(self) -> bool:
        """Whether a prompt tells nothing of the turns before."""
        return self.history == 0 and not self.errors and self.context == "window"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PromptSettings":
        """Raises ConfigError for an unknown key or dialect."""
        known = [f.name for f in fields(cls)]
        for key in data:
            if key not in known:
                raise ConfigError(f"unknown prompt setting {key!r}{did_you_mean(key, known)}; expected one of {', '.join(known)}")
        settings = cls(**data)
        if settings.dialect not in DIALECTS or settings.style not in ("chat", "compact"):
            raise ConfigError(f"prompt style {settings.style!r} with dialect {settings.dialect!r} is not known")
        if settings.context not in ("window", "conversation"):
            near = did_you_mean(str(settings.context), ("window", "conversation"))
            raise ConfigError(f"prompt context {settings.context!r}: expected window or conversation{near}")
        if settings.history < 0 or settings.max_nodes < 1:
            raise ConfigError(f"expected history >= 0 and max_nodes >= 1, got {settings.history} and {settings.max_nodes}")
        return settings


COMPACT = PromptSettings(style="compact", dialect="compact", history=4, max_nodes=120, marks=True)
"""The settings of webgym-tiny."""


CUE = "\n\nAction:"
"""What ends a prompt in the chat style for a model without a chat template."""


def messages(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> list[dict[str, str]]:
    """The prompt as chat messages, for a model with a chat template; behind the first turn of a conversation, the new message only."""
    user = {"role": "user", "content": _full(observation, history, settings)}
    return [user] if _continues(history, settings) else [{"role": "system", "content": _system(settings)}, user]


def prompt_text(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> str:
    """The prompt as one text, as it is recorded and as a model without a chat template reads it."""
    if settings.style == "compact":
        return _compact(observation, history, settings)
    return "\n\n".join(message["content"] for message in messages(observation, history, settings)) + CUE


def as_messages(prompt: str, settings: PromptSettings) -> list[dict[str, str]]:
    """The chat messages that a recorded prompt was made of: :func:`messages` again from :func:`prompt_text`."""
    if settings.style == "compact":
        return [{"role": "user", "content": prompt}]
    system, text = _system(settings), prompt.removesuffix(CUE)
    if not text.startswith(f"{system}\n\n"):
        return [{"role": "user", "content": text}]
    return [{"role": "system", "content": system}, {"role": "user", "content": text[len(system) + 2 :]}]


def _system(settings: PromptSettings) -> str:
    return (
        "You are an agent that operates a web browser. Each turn you see the page; a thing that can be acted on bears a ref in "
        "square brackets. Think briefly if you must, then end with exactly one action on its own line. Actions:\n"
        + describe(settings.dialect)
    )


def _continues(history: Sequence[Turn], settings: PromptSettings) -> bool:
    """Whether a prompt stands behind others, so that goal and past actions were told already."""
    return settings.context == "conversation" and len(history) > 0


def demonstration(action: Action, observation: Observation, settings: PromptSettings) -> str:
    """How a model that saw this observation should have written `action`.

    In the compact dialect a ref is written as the prompt has it, and a text points at the goal's strings where it can: `type *3 $1`.
    """
    if settings.dialect != "compact":
        return render(action, settings.dialect)
    strings = goal_strings(observation.goal)
    match action:
        case Fill(_, text) | Type(text) | Select(_, (text,)) if text in strings:
            written = f"{render(_with_text(action, 'x'), 'compact')[:-1]}${strings.index(text) + 1}"
        case _:
            written = render(action, "compact")
    if not settings.marks:
        return written
    found = marks(observation.nodes, observation.goal)
    marked = {str(node.ref) for node, mark in zip(observation.nodes, found, strict=True) if mark == "*"}
    return _REFS.sub(lambda refs: re.sub(r"#(\d+)", lambda ref: f"*{ref[1]}" if ref[1] in marked else ref[0], refs[0]), written)


_REFS = re.compile(r"\A\w+ #\d+(?: #\d+\Z)?")  # the verb and its one or two refs; texts come later


def _with_text(action: Action, text: str) -> Action:
    match action:
        case Fill(ref):
            return Fill(ref, text)
        case Select(ref):
            return Select(ref, (text,))
        case _:
            return Type(text)


# --- chat ------------------------------------------------------------------------------------------------------------------


def _full(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> str:
    parts = [f"Turns left: {observation.turns_left}"]
    if not _continues(history, settings):
        parts.insert(0, f"Goal: {observation.goal}")
    if recent := _recent(history, settings):
        parts.append("Your last actions, oldest first:\n" + "\n".join(_past(turn) for turn in recent))
    if settings.errors and observation.error:
        parts.append(f"The last action did not work: {observation.error}")
    parts.extend(f"Note: {notice}" for notice in observation.notices if settings.errors)
    if len(observation.tabs) > 1:
        parts.append("Tabs:\n" + "\n".join(f"{i}: {tab}" for i, tab in enumerate(observation.tabs)))
    shown = observation.nodes[: settings.max_nodes]
    cut = [f"... {len(observation.nodes) - len(shown)} more lines are not shown"] if len(shown) < len(observation.nodes) else []
    page = "\n".join([*(full_line(node) for node in shown), *cut])
    parts.append(f"Page {observation.title!r} at {observation.url}:\n{page}")
    return "\n\n".join(parts)


def _recent(history: Sequence[Turn], settings: PromptSettings) -> Sequence[Turn]:
    """The past turns that a prompt lists."""
    return history[-settings.history :] if settings.history and settings.context == "window" else ()


def _past(turn: Turn) -> str:
    words = turn.action or "(no action)"
    return f"{words}  -> {turn.error}" if turn.error else words


# --- compact ---------------------------------------------------------------------------------------------------------------


def _compact(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> str:
    lines = [f"left {observation.turns_left}"]
    if not _continues(history, settings):
        lines.insert(0, f"goal: {_pointed(_plain(observation.goal))}")
    lines.extend(f"done: {_named(turn)}" for turn in _recent(history, settings))
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
