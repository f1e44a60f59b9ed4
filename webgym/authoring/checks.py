"""Success checks for tasks that are written down as data: of site state, address, page and answer, combined by all, any and not.

A check is read from one mapping whose key says its kind (`{answer: {number: "{total}"}}`), and has one method, :meth:`Check.unmet`:
"" when it is met, else the reason in words. To add a kind, write a class whose only field is the new key and put it in `KINDS`. A
judge that reads the episode against a rubric fits in the same way, because it needs the evidence and the values, and answers in words.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PrivateAttr, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from webgym.authoring.answers import composed, read_date, read_items, read_number, squash
from webgym.authoring.placeholders import Values, fill, lookup
from webgym.errors import JudgeFault, did_you_mean
from webgym.task import Evidence


class Entry(BaseModel):
    """A mapping in a task file. A key that it does not know is an error that says what was meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        known = [entry.alias or name for name, entry in cls.model_fields.items()]
        for key in data if isinstance(data, Mapping) else ():
            if key not in known:
                words = f"there is no field {str(key)!r}{did_you_mean(str(key), known)} (expected: {', '.join(known)})"
                raise PydanticCustomError("unknown_field", "{words}", {"words": words, "field": str(key)})
        return data


def exactly_one(entry: Entry, *fields: str) -> None:
    """Raises ValueError unless exactly one of these fields is given."""
    given = [name.rstrip("_") for name in fields if name in entry.model_fields_set]
    if len(given) != 1:
        names = [name.rstrip("_") for name in fields]
        raise ValueError(f"expected exactly one of {', '.join(names)}; got {' and '.join(given) or 'none'}")


class Check(Entry):
    """One kind of check."""

    def unmet(self, evidence: Evidence, values: Values) -> str:
        """The reason in words why the check is not met; "" when it is."""
        raise NotImplementedError

    def parts(self) -> Iterable["Check"]:
        """The check itself and all that it is made of."""
        yield self

    def unknown(self, evidence: Evidence) -> bool:
        """True where the check asks a page that cannot be read, as while a dialog is open: that it is not met says nothing then."""
        return not isinstance(evidence.page_state, Mapping) and any(isinstance(part, PageCheck) for part in self.parts())


# --- state of the site -----------------------------------------------------------------------------------------------------


class SiteState(Entry):
    """State of the site. `path` leads into it: keys and numbers with dots between (`orders.0.name`; -1 is the last)."""

    path: str
    equals: Any = None
    contains: Any = None  # of a list: this entry (of mappings: one with at least these values); of text: this part
    count: int | str | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _one(self) -> "SiteState":
        exactly_one(self, "equals", "contains", "count", "exists")
        return self


class SiteCheck(Check):
    """Check of a site's state."""

    site: SiteState

    def unmet(self, evidence: Evidence, values: Values) -> str:
        return _state_unmet(self.site, evidence, values)


class StateCheck(Check):
    """The state that a reader of the file's application gives; the path begins with the reader's name."""

    state: SiteState

    def unmet(self, evidence: Evidence, values: Values) -> str:
        return _state_unmet(self.state, evidence, values)


def _state_unmet(wanted: SiteState, evidence: Evidence, values: Values) -> str:
    try:
        found = lookup(evidence.site_state, wanted.path) if wanted.path else evidence.site_state
    except LookupError as error:
        nothing = wanted.exists is False or ("count" in wanted.model_fields_set and same(fill(wanted.count, values), 0))
        return "" if nothing else f"site state {wanted.path!r}: {error}"
    where = f"site state {wanted.path!r} is {shown(found)}"
    if wanted.exists is not None:
        return "" if wanted.exists else f"{where}, expected nothing there"
    if wanted.count is not None:
        number = len(found) if isinstance(found, (list, Mapping)) else -1
        expected = fill(wanted.count, values)
        return "" if same(number, expected) else f"{where}, expected {expected} entries"
    if "contains" in wanted.model_fields_set:
        part = fill(wanted.contains, values)
        return "" if holds(found, part) else f"{where}, expected it to contain {shown(part)}"
    expected = fill(wanted.equals, values)
    return "" if same(found, expected) else f"{where}, expected {shown(expected)}"


def same(found: Any, expected: Any) -> bool:
    """Equality in which a form's text stands for a number: "3" is 3, "yes" is not true.

    >>> same("3", 3), same({"a": ["1"]}, {"a": [1]}), same("03", 3), same(True, 1)
    (True, True, False, False)
    """
    match found, expected:
        case (Mapping(), Mapping()):
            return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in found)
        case (list() | tuple(), list() | tuple()):
            return len(found) == len(expected) and all(same(a, b) for a, b in zip(found, expected, strict=True))
        case (bool(), _) | (_, bool()):
            return found is expected
        case (str(), int() | float()) | (int() | float(), str()):
            return str(found) == str(expected)
        case _:
            return found == expected


def holds(found: Any, part: Any) -> bool:
    """True if `found` contains `part`.

    >>> holds([{"name": "Ann", "size": "L"}], {"name": "Ann"}), holds("green tea", "tea"), holds(["1"], 1), holds(None, "a")
    (True, True, True, False)
    """
    if isinstance(found, str):
        return isinstance(part, str) and part in found
    if isinstance(found, Mapping):
        return isinstance(part, Mapping) and all(key in found and same(found[key], part[key]) for key in part)
    return isinstance(found, (list, tuple)) and any(
        same(entry, part) or (isinstance(entry, Mapping) and holds(entry, part)) for entry in found
    )


def shown(value: Any, limit: int = 200) -> str:
    """A value in an error message."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = repr(text) if isinstance(value, str) else text
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- address and page ------------------------------------------------------------------------------------------------------


class Address(Entry):
    """The address of the page that the agent looks at. A part that is not given may be anything."""

    host: str | None = None
    path: str | None = None
    query: dict[str, Any] = Field(default_factory=dict)  # these and possibly others, each with this one value, or this list of values
    fragment: str | None = None


def _path_alone(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class UrlCheck(Check):
    """Check of the address."""

    url: Annotated[Address, BeforeValidator(_path_alone)]

    def unmet(self, evidence: Evidence, values: Values) -> str:
        parts, wanted = urlsplit(evidence.url), self.url
        found = {"host": parts.hostname or "", "path": unquote(parts.path), "fragment": unquote(parts.fragment)}
        for name, value in found.items():
            expected = getattr(wanted, name)
            if expected is not None and value != fill(expected, values):
                return f"the address has the {name} {value!r}, expected {fill(expected, values)!r}"
        query = parse_qs(parts.query, keep_blank_values=True)
        for name, expected in fill(wanted.query, values).items():
            given = query.get(name, [])
            if not same(given, expected) and not (len(given) == 1 and same(given[0], expected)):  # several values are no choice of one
                return f"the address has the query {parts.query!r}, expected {name}={expected}"
        return ""


class PageContent(Entry):
    """Content of the page that the agent looks at. Text is compared with white space collapsed."""

    text: str | None = None  # visible text of the page, or of an element that `selector` finds, contains this
    selector: str | None = None  # CSS
    value: str | None = None  # what a field found by `selector` holds
    count: int | None = None  # how many `selector` finds; at least one when nothing is said

    @model_validator(mode="after")
    def _something(self) -> "PageContent":
        if self.selector is None and self.text is None:
            raise ValueError("expected text or a selector; got neither")
        if self.selector is None and (self.value is not None or self.count is not None):
            raise ValueError("expected a selector beside value or count; got none")
        return self


def _text_alone(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class PageCheck(Check):
    """Check of a value on the page."""

    page: Annotated[PageContent, BeforeValidator(_text_alone)]

    def unmet(self, evidence: Evidence, values: Values) -> str:
        wanted, state = self.page, evidence.page_state
        if not isinstance(state, Mapping):
            return "the page could not be read"
        text = None if wanted.text is None else squash(str(fill(wanted.text, values)))
        if wanted.selector is None:
            assert text is not None
            return "" if text in squash(state["text"]) else f"the page does not say {text!r}"
        found = state["found"][wanted.selector]
        if isinstance(found, str):
            raise ValueError(f"the page cannot look for {wanted.selector!r}: {found}")
        if text is not None:
            found = [element for element in found if text in squash(element["text"])]
        if wanted.value is not None:
            found = [element for element in found if element["value"] == str(fill(wanted.value, values))]
        what = f"elements {wanted.selector!r}" + (f" that say {text!r}" if text is not None else "")
        what += f" that hold {fill(wanted.value, values)!r}" if wanted.value is not None else ""
        if wanted.count is None:
            return "" if found else f"the page has no {what}"
        return "" if len(found) == wanted.count else f"the page has {len(found)} {what}, expected {wanted.count}"


_PROBE = """(() => {
  const look = (selector) => {
    try {
      return [...document.querySelectorAll(selector)].map((e) => ({text: e.innerText ?? e.textContent ?? "", value: e.value === undefined ? null : String(e.value)}));
    } catch (error) { return String(error); }
  };
  return {text: document.body?.innerText ?? "", found: Object.fromEntries(%s.map((selector) => [selector, look(selector)]))};
})()"""  # noqa: E501


def probe(checks: Iterable[Check]) -> str | None:
    """The JavaScript that reads what the page checks among these need, or None where there is none."""
    pages = [part.page for check in checks for part in check.parts() if isinstance(part, PageCheck)]
    selectors = list(dict.fromkeys(page.selector for page in pages if page.selector is not None))
    return _PROBE % json.dumps(selectors) if pages else None


# --- answer ----------------------------------------------------------------------------------------------------------------


class Answer(Entry):
    """Answer that the agent gives when it stops.

    `exact`: this text, white space collapsed (and upper and lower case alike with `ignore_case`). `number`: the only number in the
    answer, within `tolerance`. `date`: the only date in it, as 2026-01-05, 5 January 2026 or January 5, 2026. `set`: these items, in
    any order, separated by commas, semicolons, lines or "and", or as a JSON list. `shown`: this text stood on a page that the agent was
    shown in this episode, so that an answer from elsewhere does not count.
    """

    exact: str | None = None
    number: float | str | None = None
    date: str | None = None
    set: list[str | int | float] | str | None = None
    tolerance: float = Field(default=0.0, ge=0)
    ignore_case: bool = False
    shown: str = ""

    @field_validator("number", mode="before")
    @classmethod
    def _no_bool(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"expected a number or a placeholder; got {value}")
        return value

    @model_validator(mode="after")
    def _one(self) -> "Answer":
        exactly_one(self, "exact", "number", "date", "set")
        for kind, read in (("number", read_number), ("date", read_date)):
            wanted = getattr(self, kind)
            if wanted is not None and not _filled_in(wanted) and read(str(wanted)) is None:
                raise ValueError(f"expected a {kind} or a placeholder; got {shown(wanted)}")
        if isinstance(self.set, str) and not _filled_in(self.set):
            raise ValueError(f"expected a list or a placeholder; got {shown(self.set)}")
        return self


def _filled_in(wanted: Any) -> bool:
    """True for what an episode's values decide."""
    return isinstance(wanted, str) and "{" in wanted


class AnswerCheck(Check):
    """Check of the agent's answer."""

    answer: Answer

    def unmet(self, evidence: Evidence, values: Values) -> str:
        if evidence.ended != "stop":
            return "the agent gave no answer: it must stop with one"
        wanted, given = self.answer, evidence.answer
        if not evidence.showed(page := str(fill(wanted.shown, values))):
            return f"no page that the agent was shown says {shown(page)}"
        if wanted.number is not None:
            return _number_unmet(given, fill(wanted.number, values), wanted.tolerance)
        if wanted.date is not None:
            expected, found = read_date(str(fill(wanted.date, values))), read_date(given)
            if expected is None:
                raise ValueError(f"expected a date to compare the answer with, got {fill(wanted.date, values)!r}")
            return "" if found == expected else f"the answer {shown(given)} is not the date {expected.isoformat()}"
        if wanted.set is not None:
            return _set_unmet(given, fill(wanted.set, values), wanted.ignore_case)
        expected = str(fill(wanted.exact, values))
        alike = _alike(given, wanted.ignore_case) == _alike(expected, wanted.ignore_case)
        return "" if alike else f"the answer is {shown(given)}, expected {shown(expected)}"


def _alike(text: str, ignore_case: bool) -> str:
    text = squash(composed(text))
    return text.casefold() if ignore_case else text


def _number_unmet(given: str, expected: Any, tolerance: float) -> str:
    wanted, found = read_number(str(expected)), read_number(given)
    if wanted is None:
        raise ValueError(f"expected a number to compare the answer with, got {expected!r}")
    if found is None:
        return f"the answer {shown(given)} does not hold exactly one number, expected {wanted:g}"
    near = abs(found - wanted) <= tolerance + 1e-9 * max(1.0, abs(wanted))
    return "" if near else f"the answer is {found:g}, expected {wanted:g}" + (f" within {tolerance:g}" if tolerance else "")


def _set_unmet(given: str, expected: Any, ignore_case: bool) -> str:
    if not isinstance(expected, list):
        raise ValueError(f"expected a list to compare the answer with, got {expected!r}")
    wanted, found = ([_alike(str(item), ignore_case) for item in items] for items in (expected, read_items(given)))
    missing, wrong = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if not missing and not wrong:
        return "" if len(found) == len(set(found)) else f"the answer {shown(given)} names an item twice"
    return f"the answer {shown(given)} lacks {missing} and has {wrong} too many" if wrong else f"the answer {shown(given)} lacks {missing}"


class InfeasibleCheck(Check):
    """The goal cannot be reached, and the agent must say so."""

    infeasible: Literal[True]

    def unmet(self, evidence: Evidence, values: Values) -> str:
        return "" if evidence.ended == "infeasible" else "the goal cannot be reached, and the agent did not say so"


class VerifyCheck(Check):
    """The verdict of a Python file's `verify(instance, answer)` on the episode's application, outside of the sessions' loop."""

    verify: str
    _function: Any = PrivateAttr(default=None)

    def found_in(self, find: Callable[[str], Callable[..., Any]]) -> None:
        """Look the function up, which `find` does by the file's path."""
        self._function = find(self.verify)

    def unmet(self, evidence: Evidence, values: Values) -> str:
        """Raises JudgeFault where there is no verdict."""
        if self._function is None or evidence.instance is None:
            raise JudgeFault(f"{self.verify} cannot be asked: there is no application to look at")
        try:
            if inspect.iscoroutinefunction(self._function):
                found = asyncio.run(self._function(evidence.instance, evidence.answer))
            else:
                found = self._function(evidence.instance.plain, evidence.answer)
        except Exception as error:  # a program of the pack's author
            raise JudgeFault(f"{self.verify} failed: {error!r}") from error
        if not isinstance(found, bool):
            got = "None, no verdict" if found is None else f"{type(found).__name__} {shown(found)}"
            raise JudgeFault(f"{self.verify}: expected verify(instance, answer) to return True or False; got {got}")
        return "" if found else f"{self.verify} says no"


# --- combinations ----------------------------------------------------------------------------------------------------------


class AllCheck(Check):
    """Check that holds where all of its parts do."""

    all: "list[AnyCheck]" = Field(min_length=1)

    def unmet(self, evidence: Evidence, values: Values) -> str:
        return next((words for check in self.all if (words := check.unmet(evidence, values))), "")

    def parts(self) -> Iterable[Check]:
        yield self
        for check in self.all:
            yield from check.parts()


class AnyOfCheck(Check):
    """Check that holds where one of its parts does."""

    any: "list[AnyCheck]" = Field(min_length=1)

    def unmet(self, evidence: Evidence, values: Values) -> str:
        reasons = [check.unmet(evidence, values) for check in self.any]
        return "; and ".join(reasons) if all(reasons) else ""

    def parts(self) -> Iterable[Check]:
        yield self
        for check in self.any:
            yield from check.parts()


class NotCheck(Check):
    """Check that holds where its part does not."""

    not_: "AnyCheck" = Field(alias="not")

    def unmet(self, evidence: Evidence, values: Values) -> str:
        if self.not_.unknown(evidence):
            return "the page could not be read"
        return "" if self.not_.unmet(evidence, values) else f"this must not be, but is: {self.not_.model_dump(exclude_unset=True)}"

    def parts(self) -> Iterable[Check]:
        yield self
        yield from self.not_.parts()

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        return data  # its one key is an alias, and was looked at when the kind was


KINDS = {
    "site": SiteCheck,
    "url": UrlCheck,
    "page": PageCheck,
    "answer": AnswerCheck,
    "infeasible": InfeasibleCheck,
    "state": StateCheck,
    "verify": VerifyCheck,
    "all": AllCheck,
    "any": AnyOfCheck,
    "not": NotCheck,
}


def _kind(value: Any) -> str:
    """The tag of a check in the form that error locations drop."""
    return (
        f"<{next(iter(value))}>"
        if isinstance(value, Mapping)
        else f"<{next(kind for kind, cls in KINDS.items() if isinstance(value, cls))}>"
    )


def _one_kind(value: Any) -> Any:
    """A mapping with one known key. Raises with what was expected."""
    if isinstance(value, Check):
        return value
    expected = f"expected a check, a mapping with one of the keys {', '.join(KINDS)}"
    if not isinstance(value, Mapping):
        raise ValueError(f"{expected}; got {shown(value)}")
    unknown = [str(key) for key in value if key not in KINDS]
    if unknown or len(value) != 1:
        words = unknown[0] if unknown else " and ".join(map(str, value)) or "none"
        hint = did_you_mean(unknown[0], KINDS) if unknown else "; combine several with all or any" if value else ""
        raise ValueError(f"{expected}; got {words}{hint}")
    return value


if TYPE_CHECKING:
    AnyCheck = Check
else:
    AnyCheck = Annotated[
        Union[tuple(Annotated[cls, Tag(f"<{kind}>")] for kind, cls in KINDS.items())],  # noqa: UP007 - made of KINDS
        Discriminator(_kind),
        BeforeValidator(_one_kind),
    ]
for combination in (AllCheck, AnyOfCheck, NotCheck):
    combination.model_rebuild()
