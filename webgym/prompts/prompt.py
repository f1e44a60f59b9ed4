"""Prompts that a policy is shown: goal, history and page. Pure: the same observation and settings give the same text.

Two styles. `chat` is for pretrained language models: a system message with the action help, and a user message with the page.
`compact` is for small models trained from scratch: few tokens, one line per thing, lower case, and two helps that stand in for
the matching of words that a small model learns late (string-overlap features have a long history in agents for MiniWoB):

- a mark behind a page text says how it meets the goal: `*` stands in the goal as it is, `+` holds one of the goal's names
  (quoted strings, capitalised words, @handles, numbers), `++` two, `+++` three or more; `*` takes the place of the `#` of a ref,
  so that the thing to act on is found and copied in one step (docs/lab-notes has what that gains);
- `$1`, `$2` ... in goal and action stand for the goal's quoted strings, so that an answer can point instead of spelling.

And two contexts. A `window` tells a turn anew each time: goal, the last actions in a line each, the page in full. A `conversation` only
grows: each prompt is the one before, the answer to it, and the new page, so that nothing is read twice and no page is forgotten, for
models that read enough tokens. Its prompts here are the new message only; the sampler puts it behind the tokens that are there.
"""

import re
from collections.abc import Sequence

from webgym.actions import describe, goal_strings, render
from webgym.prompts.compact import compact_text, marks
from webgym.prompts.page import first_shown, full_line, one_line, shown_nodes
from webgym.prompts.parts import Message, Prompt, Role, TextPart
from webgym.prompts.settings import PromptSettings, continues, recent_turns
from webgym.types import Action, Fill, Observation, Select, Turn, Type

CUE = "\n\nAction:"
"""The end of a prompt in the chat style for a model without a chat template."""


def prompt_of(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> Prompt:
    """The prompt for this observation behind these turns; behind the first turn of a conversation, the new message only."""
    if settings.style == "compact":
        return Prompt((_message("user", compact_text(observation, history, settings)),))
    user = _message("user", _full(observation, history, settings))
    return Prompt((user,) if continues(history, settings) else (_message("system", _system(settings)), user), CUE)


def prompt_text(observation: Observation, history: Sequence[Turn], settings: PromptSettings) -> str:
    """The prompt as one text, as it is recorded and as a model without a chat template reads it."""
    return prompt_of(observation, history, settings).text


def recorded_prompt(text: str, settings: PromptSettings) -> Prompt:
    """The prompt whose text was recorded: of a record of texts, such as demonstrations, the messages are needed again.

    A text that was not written with these settings is taken as one message.
    """
    if settings.style == "compact":
        return Prompt((_message("user", text),))
    cue = CUE if text.endswith(CUE) else ""
    system, words = _system(settings), text.removesuffix(CUE)
    if not words.startswith(f"{system}\n\n"):
        return Prompt((_message("user", words),), cue)
    return Prompt((_message("system", system), _message("user", words[len(system) + 2 :])), cue)


def _message(role: Role, text: str) -> Message:
    return Message(role, (TextPart(text),))


def system_text(dialect: str, refs: bool = True, tools: bool = False) -> str:
    """The system message of the chat style: a model that sees no `refs` acts by coordinates, and `tools` are described by the server."""
    shown = "; a thing that can be acted on bears a ref in square brackets" if refs else " as a picture"
    task = f"You are an agent that operates a web browser. Each turn you see the page{shown}. Think briefly if you must, then "
    if tools:
        return f"{task}call exactly one tool: it is performed, and you see the page that follows."
    return f"{task}end with exactly one action on its own line. Actions:\n{describe(dialect, refs=refs)}"


def _system(settings: PromptSettings) -> str:
    return system_text(settings.dialect)


def demonstration(action: Action, observation: Observation, settings: PromptSettings) -> str:
    """The text with which a model that saw this observation should have written `action`.

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
    if not continues(history, settings):
        parts.insert(0, f"Goal: {observation.goal}")
    if recent := recent_turns(history, settings):
        parts.append("Your last actions, oldest first:\n" + "\n".join(_past(turn) for turn in recent))
    if settings.errors and observation.error:
        parts.append(f"The last action did not work: {one_line(observation.error)}")
    parts.extend(f"Note: {one_line(notice)}" for notice in observation.notices if settings.errors)
    if observation.dialog:
        parts.append(f"While the dialog is open there is one more action:\n{describe(settings.dialect, needs='dialog')}")
    if len(observation.tabs) > 1:
        parts.append("Tabs:\n" + "\n".join(f"{i}: {one_line(tab)}" for i, tab in enumerate(observation.tabs)))
    shown, above = shown_nodes(observation, settings.max_nodes), first_shown(observation, settings.max_nodes)
    below = len(observation.nodes) - len(shown) - above
    over = [f"... {above} lines above are not shown: scroll up to read them"] if above else []
    under = [f"... {below} more lines are not shown: scroll down to read on"] if below else []
    page = "\n".join([*over, *(full_line(node) for node in shown), *under])
    parts.append(f"Page {observation.title!r} at {one_line(observation.url)}:\n{page}")
    return "\n\n".join(parts)


def _past(turn: Turn) -> str:
    words = turn.action or "(no action)"
    return one_line(f"{words}  -> {turn.error}" if turn.error else words)


# --- compact ---------------------------------------------------------------------------------------------------------------
