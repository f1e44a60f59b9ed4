"""Oracles that are written down: steps that name things by what they say, with values that are read from the goal and the page."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from webgym import types as t
from webgym.authoring.answers import squash
from webgym.authoring.checks import Entry, exactly_one
from webgym.authoring.placeholders import fill_text
from webgym.authoring.task_file.parameters import Parameter, read_goal
from webgym.task import OracleEnded

VERBS = (
    "click", "fill", "select", "upload", "press", "hover", "goto", "back", "wait_ms", "message", "stop", "infeasible", "read", "see",
)  # fmt: skip
MOST_SHOWN = 40  # characters of a step's text in an error message
PATTERNS = ("read",)  # regular expressions: in them, braces that are no placeholder mean a number of times


class Step(Entry):
    """One step of an oracle: one of the verbs. What is acted on is named by its text; `role` and `number` tell equal names apart."""

    click: str | None = None
    fill: tuple[str, str] | None = None  # field, text
    select: tuple[str, str] | None = None  # box, option
    upload: tuple[str, str] | None = None  # file field, name of a file
    press: str | None = None  # keys, such as Enter
    hover: str | None = None
    goto: str | None = None
    back: Literal[True] | None = None
    wait_ms: float | None = Field(default=None, ge=0)
    message: str | None = None
    stop: str | None = None
    infeasible: str | None = None
    read: dict[str, str] | None = None  # name: regular expression with one group, looked for in the lines of the page
    see: str | None = None  # the page must say this
    role: str | None = None
    number: int = Field(default=1, ge=1)  # 1 is the first

    @model_validator(mode="after")
    def _one(self) -> "Step":
        exactly_one(self, *VERBS)
        return self

    @field_validator("read")
    @classmethod
    def _patterns(cls, read: dict[str, str]) -> dict[str, str]:
        for name, pattern in read.items():
            try:
                groups = re.compile(pattern).groups
            except (re.error, OverflowError, RecursionError) as error:  # a{99999999999}, ((((...
                raise ValueError(f"{name}: expected a regular expression, got {pattern!r}: {error}") from error
            if groups != 1:
                raise ValueError(f"{name}: expected a regular expression with one group for the value, got {groups} in {pattern!r}")
        return read

    @property
    def words(self) -> str:
        """The step in an error message, as its author wrote it: the verb and what it names."""
        verb = next(verb for verb in VERBS if getattr(self, verb) is not None)
        match getattr(self, verb):
            case True | "":
                return verb
            case float(ms):
                return f"{verb} {ms:g}"
            case str(text) | (text, _):
                pass
            case names:
                text = ", ".join(names)
        cut = text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
        return f"{verb} {cut!r}"

    def action(self, page: t.Observation, values: dict[str, Any]) -> t.Action | None:
        """The action to take on this page, or None for a step that only looks. `read` adds to the values. Raises LookupError."""

        def said(text: str) -> str:
            return fill_text(text, values)

        match self:
            case Step(click=str(name)):
                return t.Click(self._ref(page, said(name)))
            case Step(hover=str(name)):
                return t.Hover(self._ref(page, said(name)))
            case Step(fill=(name, text)):
                return t.Fill(self._ref(page, said(name)), said(text))
            case Step(select=(name, option)):
                return t.Select(self._ref(page, said(name)), (said(option),))
            case Step(upload=(name, file)):
                return t.Upload(self._ref(page, said(name)), (said(file),))
            case Step(press=str(keys)):
                return t.Press(said(keys))
            case Step(goto=str(url)):
                return t.Goto(said(url))
            case Step(back=True):
                return t.Back()
            case Step(wait_ms=float(ms)):
                return t.Wait(ms)
            case Step(message=str(text)):
                return t.Message(said(text))
            case Step(stop=str(text)):
                return t.Stop(said(text))
            case Step(infeasible=str(text)):
                return t.Infeasible(said(text))
            case Step(see=str(text)):
                if squash(said(text)) not in squash(" ".join(lines(page))):
                    raise LookupError(f"the page does not say {said(text)!r}")
            case Step(read=dict(patterns)):
                for name, pattern in patterns.items():
                    values[name] = _read(page, name, fill_pattern(pattern, values))
        return None

    def _ref(self, page: t.Observation, text: str) -> int:
        """The thing with this name. Exact case comes before any case."""
        found = [n for n in page.nodes if n.ref is not None and self.role in (None, n.role) and n.text.casefold() == text.casefold()]
        found = [n for n in found if n.text == text] or found
        if len(found) < self.number:
            what = f"{self.role or 'thing'} that says {text!r}"
            there = ", ".join(repr(n.text) for n in page.nodes if n.ref is not None and self.role in (None, n.role) and n.text)
            raise LookupError(f"there is no {what} on the page (there: {there[:300] or 'nothing'})")
        ref = found[self.number - 1].ref
        assert ref is not None
        return ref


def lines(page: t.Observation) -> list[str]:
    """The texts of the page, and the values of its fields."""
    return [text for node in page.nodes for text in (node.text, node.value) if text]


_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*(?:\.-?\w+)*)\}")


def names_in_pattern(pattern: str) -> list[str]:
    """The paths of the placeholders in a regular expression."""
    return _PLACEHOLDER.findall(pattern)


def fill_pattern(pattern: str, values: Mapping[str, Any]) -> str:
    r"""A regular expression in which placeholders stand for their values, letter by letter.

    >>> print(fill_pattern(r"{item}: (\d{2})", {"item": "tea (hot)"}))
    tea\ \(hot\): (\d{2})
    """
    return _PLACEHOLDER.sub(lambda token: re.escape(fill_text(token[0], values)), pattern)


def _read(page: t.Observation, name: str, pattern: str) -> str:
    found = next((match for line in lines(page) if (match := re.search(pattern, line))), None)
    if found is None:
        raise LookupError(f"no line of the page fits {pattern!r}, by which the oracle reads {name!r}")
    return found[1]


class StepsOracle:
    """One episode of an oracle that is a list of steps; implements :data:`webgym.task.Oracle`.

    It sees what an agent sees: the values in its steps come from the goal, and from what its `read` steps find on pages. A call that
    raises changes nothing: the next one begins at the same step, because a turn that failed is tried again.
    """

    def __init__(self, steps: Sequence[Step], wordings: Sequence[str], parameters: Mapping[str, Parameter]) -> None:
        self._steps, self._done = steps, 0
        self._wordings, self._parameters = wordings, parameters
        self._values: dict[str, Any] | None = None

    def __call__(self, page: t.Observation) -> t.Action:
        if self._values is None:
            self._values = read_goal(page.goal, self._wordings, self._parameters)
        for number, step in enumerate(self._steps[self._done :], self._done + 1):
            try:
                action = step.action(page, self._values)
            except LookupError as error:
                raise LookupError(f"step {number} of {len(self._steps)}, {step.words}: {error}") from error
            if action is not None:
                self._done = number
                return action
        raise OracleEnded("all steps of the oracle are done and the episode is not over")
