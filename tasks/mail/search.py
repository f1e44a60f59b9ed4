"""The search language of the mailbox: words, "phrases", and operators such as `from:ann has:attachment after:2025-12-01`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from webgym.errors import did_you_mean

from .records import Thread

Test = Callable[[Thread], bool]
HIDDEN = ("trash", "spam")  # not searched unless they are named

_PART = re.compile(r'(?:(\w+):)?(?:"([^"]*)"?|(\S+))')


class SearchError(ValueError):
    """Error of a search that cannot be read; its message says what was expected."""


@dataclass(frozen=True)
class Search:
    """A search as it was parsed."""

    tests: tuple[Test, ...]
    everywhere: bool  # true where a folder is named

    def finds(self, thread: Thread) -> bool:
        return (self.everywhere or thread.folder not in HIDDEN) and all(test(thread) for test in self.tests)


def parse(text: str, folders: Mapping[str, str], labels: Mapping[str, str]) -> Search:
    """The search that `text` means, over these folders and labels by id. Raises SearchError."""
    tests, everywhere = [], False
    for operator, phrase, word in _PART.findall(text):
        value = (phrase or word).casefold().strip()
        if not operator:
            if word.endswith(":") and word[:-1] in OPERATORS:
                raise SearchError(f"“{word}” needs a word right behind it.")
            if value:
                tests.append(_contains(value))
            continue
        if operator not in OPERATORS:
            raise SearchError(f"There is no search operator “{operator}:”{_hint(operator, OPERATORS)}")
        everywhere = everywhere or operator == "in"
        tests.append(OPERATORS[operator](value, folders if operator == "in" else labels))
    return Search(tuple(tests), everywhere)


def _hint(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that lists the alternatives."""
    return did_you_mean(word, known).replace("'", "") or "."


def _contains(words: str) -> Test:
    return lambda thread: words in thread.words


def _from(name: str, _: Mapping[str, str]) -> Test:
    return lambda thread: any(name in f"{m.sender} {m.email}".casefold() for m in thread.messages)


def _to(name: str, _: Mapping[str, str]) -> Test:
    return lambda thread: any(name in " ".join((*m.to, *m.cc)).casefold() for m in thread.messages)


def _subject(words: str, _: Mapping[str, str]) -> Test:
    return lambda thread: words in thread.subject.casefold()


def _has(thing: str, _: Mapping[str, str]) -> Test:
    if thing not in ("attachment", "invitation"):
        raise SearchError("“has:” goes with attachment or invitation.")
    return (lambda thread: thread.has_files) if thing == "attachment" else (lambda thread: any(m.event for m in thread.messages))


def _is(state: str, _: Mapping[str, str]) -> Test:
    if state not in ("unread", "read", "starred"):
        raise SearchError("“is:” goes with unread, read or starred.")
    return (lambda thread: thread.starred) if state == "starred" else (lambda thread: thread.read == (state == "read"))


def _in(name: str, folders: Mapping[str, str]) -> Test:
    if name == "any":
        return lambda thread: True
    if name == "sent":
        return lambda thread: thread.mine
    chosen = next((id for id, shown in folders.items() if name in (id, shown.casefold())), None)
    if chosen is None:
        raise SearchError(f"There is no folder “{name}”{_hint(name, folders)}")
    return lambda thread: thread.folder == chosen


def _label(name: str, labels: Mapping[str, str]) -> Test:
    chosen = next((id for id, shown in labels.items() if name in (id, shown.casefold())), None)
    if chosen is None:
        raise SearchError(f"There is no label “{name}”{_hint(name, labels)}")
    return lambda thread: chosen in thread.labels


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SearchError(f"“{text}” is no date: write it as 2025-12-31.") from error


def _after(text: str, _: Mapping[str, str]) -> Test:
    day = _day(text)
    return lambda thread: thread.last.sent.date() >= day


def _before(text: str, _: Mapping[str, str]) -> Test:
    day = _day(text)
    return lambda thread: thread.last.sent.date() < day


OPERATORS: Mapping[str, Callable[[str, Mapping[str, str]], Test]] = {
    "from": _from, "to": _to, "subject": _subject, "has": _has, "is": _is, "in": _in, "label": _label, "after": _after, "before": _before,
}  # fmt: skip
