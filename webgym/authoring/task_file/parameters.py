"""Parameters: the values that differ from episode to episode. They are drawn from the seed, and can be read back from the goal."""

import random
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from webgym.authoring.checks import Entry
from webgym.authoring.placeholders import DATE_FORMS, fill_text, lookup
from webgym.errors import did_you_mean

Option = str | int | float | dict[str, Any]


class Parameter(Entry):
    """A value that the seed decides."""

    def draw(self, rng: random.Random) -> Any:
        """One value."""
        raise NotImplementedError

    def examples(self) -> list[Any]:
        """Values of every shape that may be drawn."""
        raise NotImplementedError

    def texts(self, path: str) -> list[str] | str:
        """Texts that may stand for this path into the value ("" for itself): a list of all, or a regular expression."""
        raise NotImplementedError

    def recover(self, texts: Mapping[str, str]) -> Any:
        """The value of which these texts tell, by path. Raises LookupError when it may be several."""
        raise NotImplementedError


class Choice(Parameter):
    """One of these; mappings hold values that belong together (`{item.title}`, `{item.price}`)."""

    choice: list[Option] = Field(min_length=1)

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.choice)

    def examples(self) -> list[Any]:
        return list(self.choice)

    def texts(self, path: str) -> list[str]:
        return [_said(option, path) for option in self.choice]

    def recover(self, texts: Mapping[str, str]) -> Any:
        found = [option for option in self.choice if all(_said(option, path) == text for path, text in texts.items())]
        if any(option != found[0] for option in found):
            raise LookupError(f"{dict(texts)} may be several of the options: say more of it in the goal")
        return found[0]


class Integer(Parameter):
    """A whole number from the first to the last, both included."""

    integer: tuple[int, int]

    @model_validator(mode="after")
    def _rising(self) -> "Integer":
        return _rising(self, *self.integer)

    def draw(self, rng: random.Random) -> int:
        return rng.randint(*self.integer)

    def examples(self) -> list[Any]:
        return [self.integer[0]]

    def texts(self, path: str) -> str:
        return r"-?\d+"

    def recover(self, texts: Mapping[str, str]) -> int:
        return int(next(iter(texts.values())))


class Day(Parameter):
    """A date from the first to the last, both included: `{day}` is 2026-01-05, `{day.long}` 5 January 2026, `{day.us}` 01/05/2026."""

    date: tuple[date, date]

    @model_validator(mode="after")
    def _rising(self) -> "Day":
        return _rising(self, *self.date)

    def draw(self, rng: random.Random) -> Any:
        first, last = self.date
        return first + timedelta(days=rng.randint(0, (last - first).days))

    def examples(self) -> list[Any]:
        return [self.date[0]]

    def texts(self, path: str) -> str:
        return {"long": r"\d+ [A-Z][a-z]+ \d+", "us": r"\d\d/\d\d/\d+", "": r"\d+-\d\d-\d\d", "iso": r"\d+-\d\d-\d\d"}.get(path, r"\d+")

    def recover(self, texts: Mapping[str, str]) -> Any:
        first, last = self.date
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        found = [day for day in days if all(DATE_FORMS[path or "iso"](day) == text for path, text in texts.items())]
        if len(found) != 1:
            raise LookupError(f"{dict(texts)} may be {len(found)} days: say more of it in the goal")
        return found[0]


class Sample(Parameter):
    """Sample of several different ones of these, in any order: `{cities.0}`, `{cities.1}`."""

    sample: list[Option] = Field(min_length=1)
    count: int = Field(ge=1)

    @model_validator(mode="after")
    def _enough(self) -> "Sample":
        if self.count > len(self.sample):
            raise ValueError(f"expected a count of at most {len(self.sample)}, as many as there are to take; got {self.count}")
        return self

    def draw(self, rng: random.Random) -> list[Any]:
        return rng.sample(self.sample, self.count)

    def examples(self) -> list[Any]:
        return [[option] * self.count for option in self.sample]

    def texts(self, path: str) -> list[str]:
        _, _, rest = path.partition(".")
        return [_said(option, rest) for option in self.sample]

    def recover(self, texts: Mapping[str, str]) -> list[Any]:
        found: list[Any] = [None] * self.count
        for index in {path.partition(".")[0] for path in texts}:
            said = {path.partition(".")[2]: text for path, text in texts.items() if path.partition(".")[0] == index}
            found[int(index)] = Choice(choice=self.sample).recover(said)
        return found


def _rising(entry: Any, first: Any, last: Any) -> Any:
    if first > last:
        raise ValueError(f"expected [first, last] in rising order; got [{first}, {last}]")
    return entry


def _said(option: Any, path: str) -> str:
    return str(lookup(option, path) if path else option)


KINDS: Mapping[str, type[Parameter]] = {"choice": Choice, "integer": Integer, "date": Day, "sample": Sample}


def _one_kind(value: Any) -> Any:
    if isinstance(value, list):
        return {"choice": value}
    kinds = [key for key in KINDS if isinstance(value, Mapping) and key in value]
    if len(kinds) != 1:
        expected = f"expected a list to choose from, or a mapping with one of the keys {', '.join(KINDS)}"
        keys = list(map(str, value)) if isinstance(value, Mapping) else []
        raise ValueError(f"{expected}; got {', '.join(keys) or repr(value)}{did_you_mean(keys[0], KINDS) if keys else ''}")
    return value


AnyParameter = Annotated[
    Annotated[Choice, Tag("<choice>")]
    | Annotated[Integer, Tag("<integer>")]
    | Annotated[Day, Tag("<date>")]
    | Annotated[Sample, Tag("<sample>")],
    Discriminator(lambda value: next(f"<{key}>" for key in KINDS if key in value)),
    BeforeValidator(_one_kind),
]


def read_goal(goal: str, wordings: Sequence[str], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The values that the goal names, recovered by matching it with the wordings. Raises LookupError when it fits none, or says too little.

    >>> read_goal("Buy 3 of Tea.", ["Buy {n} of {item.title}."], {"n": Integer(integer=(1, 9)), "item": Choice(choice=[{"title": "Tea", "price": 4}])})
    {'n': 3, 'item': {'title': 'Tea', 'price': 4}}
    """  # noqa: E501
    for wording in wordings:
        pattern, paths = _pattern(wording, parameters)
        match = re.fullmatch(pattern, goal)
        if match is None:
            continue
        said: dict[str, dict[str, str]] = {}
        for group, path in enumerate(paths, 1):
            name, _, rest = path.partition(".")
            said.setdefault(name, {})[rest] = match[group]
        return {name: parameters[name].recover(texts) for name, texts in said.items()}
    raise LookupError(f"the goal {goal!r} fits none of the task's wordings")


def _pattern(wording: str, parameters: Mapping[str, Parameter]) -> tuple[str, list[str]]:
    """A regular expression for the goals that this wording may become, and the path of each of its groups."""
    paths: list[str] = []
    pattern = ""
    for literal, path in re.findall(r"((?:[^{}]|\{\{|\}\})*)(?:\{([\w.-]+)\})?", wording):
        pattern += re.escape(fill_text(literal, {}))
        if path:
            name, _, rest = path.partition(".")
            texts = parameters[name].texts(rest)
            longest_first = (
                texts if isinstance(texts, str) else "|".join(re.escape(text) for text in sorted(set(texts), key=len, reverse=True))
            )
            pattern += f"({longest_first})"
            paths.append(path)
    return pattern, paths
