"""Text that pages only repeat: an agent wrote it itself, and no page has shown it.

An answer that only visits show is no guess where a page of the episode had it (:meth:`webgym.task.Evidence.showed`). A search field and a
page of results repeat what was written, in parts, joined, cut off or without its signs, and show nothing by that. So an episode keeps
what its agent wrote (:mod:`webgym.env.words`), as it was written and as it then stood in the field.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from webgym.types import Node

CUT = "\b"  # among what an agent wrote: from here on some of it may be taken away
FULL = "\0"  # the same: from here on nothing more is kept, so that no later page shows anything
LONGEST = 20_000  # characters of a text of the agent's that a page is taken to repeat
SHORTEST_CUT, LONGEST_CUT = 4, 200  # letters of what a page says and is sought in parts; two or three are in many honest texts
MOST_PIECES, MOST_TRIED = 200, 5_000  # texts of an agent that make another one, and ways to put them together
MOST_PAGES = 50  # that have the text: behind them the agent has written so much of it that it was not shown

Written = Sequence[tuple[int, str]]
"""Texts of the agent's own in their order, a key being one too, each with the number of pages that it was shown before."""


@dataclass(frozen=True, slots=True)
class _Own:
    """A text of the agent's own, its letters and digits, and the same between its other signs."""

    since: int
    words: str
    plain: str
    parts: tuple[str, ...]


def shown(pages: Sequence[Sequence[Node]], written: Written, text: str) -> bool:
    """True if one of the pages had the text by itself, white space and capitals aside; also for a text of nothing."""
    if not (wanted := _alike(text)):
        return True
    known = min((since for since, words in written if words == FULL), default=len(pages))
    holding = [number for number, page in enumerate(pages[:known]) if wanted in _alike(" ".join(_texts(page)))]
    if not holding:
        return False
    own = [_own(since, words[:LONGEST]) for since, words in written]
    for number in holding[:MOST_PAGES]:
        before = [one for one in own if one.since <= number]
        if _wrote(wanted, before):
            return False  # on this page, and on every later one
        if _shows(pages[number], wanted, before):
            return True
    return False


def _own(since: int, words: str) -> _Own:
    return _Own(since, words, _plain(words), tuple(filter(None, re.split(r"[\W_]+", words.casefold()))))


def _texts(page: Sequence[Node]) -> list[str]:
    return [*(node.text for node in page), *(node.value or "" for node in page)]


def _shows(page: Sequence[Node], wanted: str, own: Sequence[_Own]) -> bool:
    """True if the page has the text, whatever the agent has written before.

    What a field holds and can be the agent's own is none of the page's. Neither is a word that holds the wanted text, where the agent
    wrote all of it.
    """
    everything = "".join(one.plain for one in own)
    fields = (node.value or "" for node in page)
    values = (value for value in fields if not (small := _plain(value)) or not _held(small, own, everything))
    found = _alike(" ".join([*(node.text for node in page), *values]))
    for echo in filter(lambda words: wanted in words, (_alike(one.words) for one in own)):
        found = found.replace(echo, " ")
    return any(word == wanted or _plain(word) not in everything for word in _words_with(wanted, found))


def _words_with(wanted: str, text: str) -> set[str]:
    """The places of the text that hold the wanted one, each with the letters and digits around it."""
    words, at = set[str](), 0
    while (at := text.find(wanted, at)) >= 0:
        begin, end = at, at + len(wanted)
        while begin and text[begin - 1].isalnum():
            begin -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        words.add(text[begin:end])
        at = end
    return words


def _wrote(wanted: str, own: Sequence[_Own]) -> bool:
    """True if words that follow each other are the wanted text, in one text or over several; of a number its digits are enough.

    A text of one letter or digit is in too many others.
    """
    target, plain = _plain(wanted), [one.plain for one in own]
    if len(target) < 2:
        return False
    if target.isdigit():
        plain = ["".join(filter(str.isdigit, words)) for words in plain]
    orders = (plain, [one.plain for one in own], *(one.parts for one in own))
    if any(_joined(target, parts) for parts in orders) or _assembled(target, plain):
        return True
    return _is_cut(own) and SHORTEST_CUT <= len(target) <= LONGEST_CUT and _patched(target, plain)


def _held(value: str, own: Sequence[_Own], everything: str) -> bool:
    """True if a field's value, by its letters and digits, can be the agent's own."""
    plain = [one.plain for one in own]
    if len(value) == 1:
        return value in plain
    return value in everything or _assembled(value, plain) or (_is_cut(own) and (len(value) > LONGEST_CUT or _patched(value, plain)))


def _is_cut(own: Sequence[_Own]) -> bool:
    return any(one.words == CUT for one in own)


def _assembled(target: str, plain: Sequence[str]) -> bool:
    """True if some of the texts, each once, make the target in any order, as they do where an agent moves the caret between them.

    A search that does not end finds it.
    """
    pieces = Counter(part for part in plain if part and part in target)
    kinds, tried = list(pieces), set[tuple[int, tuple[int, ...]]]()
    if pieces.total() > MOST_PIECES:
        return True

    def fits(at: int, left: tuple[int, ...]) -> bool:
        if at == len(target) or len(tried) > MOST_TRIED:
            return True
        if (at, left) in tried:
            return False
        tried.add((at, left))
        return any(
            count and target.startswith(kinds[k], at) and fits(at + len(kinds[k]), (*left[:k], count - 1, *left[k + 1 :]))
            for k, count in enumerate(left)
        )

    return fits(0, tuple(pieces.values()))


def _patched(target: str, plain: Sequence[str]) -> bool:
    """True if the target is made of parts of the texts, of two letters and more each, as where an agent has taken others away."""
    ends = {0}  # of what can be made
    for at in range(len(target)):
        if at in ends:
            for end in range(at + 2, len(target) + 1):
                if not any(target[at:end] in words for words in plain):
                    break
                ends.add(end)
    return len(target) in ends


def _joined(target: str, parts: Sequence[str]) -> bool:
    """True if some parts that follow each other make the target."""
    parts = [part for part in parts if part]
    for first in range(len(parts)):
        made = ""
        for place in range(first, len(parts)):
            made += parts[place]
            if made == target:
                return True
            if not target.startswith(made):
                break
    return False


def _plain(text: str) -> str:
    """The letters and digits of a text, in lower case."""
    return "".join(filter(str.isalnum, text.casefold()))


def _alike(text: str) -> str:
    return " ".join(text.split()).casefold()
