"""Chat templates: messages as text and ids, the token that ends an answer, and page text that is never read as a control token.

A template belongs to a tokenizer and is written by its makers in Jinja. Families differ in what it takes and writes: a system role or none,
contents as text or as parts, a beginning-of-sequence token or none, `<|im_end|>`, `<end_of_turn>` or `<|end|>` behind an answer while
`eos_token` is another. :class:`ChatTemplate` finds this out from the template itself, by rendering short messages.

Control tokens that a page or a goal spells (`<|im_end|>`) are encoded as letters: the text is cut inside each of them, and each piece is
encoded by itself. So the text stays as it is, and no piece holds the token. Markup that a template writes in plain letters (`[INST]` of
Llama-2, `USER:` of Vicuna, `### Response:` of Alpaca) has no token of its own; it gets a space inside. transformers'
`sanitize_control_tokens` does the first of the two, but ends with an error where a tokenizer rebuilds the token, and a page must not be
able to end a run.
"""

import datetime
import json
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from webgym.errors import UsageError
from webgym.types import well_formed

Said = tuple[str, str]
"""A message: its role and its text."""

ANSWER = "answer-5d1f"  # stands for the model's answer when a template is asked what comes behind one
TODAY = datetime.date(2025, 1, 1)
"""The date that templates with a date are given, because a prompt is a function of the page and not of the day."""

_BREAK = "\ufdd0"  # a character that no text may hold (Unicode calls it a noncharacter): texts are cut here before they are encoded
_SYSTEM, _USER = "system-77c0", "user-3a9e"
_TEXTS = re.compile("|".join((_SYSTEM, _USER, ANSWER)))
_TAG = re.compile(r"<[^\s<>]+>|\[(?!\d+\])[^\s\[\]]+\]|\{[^\s{}]+\}")
_CODES = {f"%{how}{what}": TODAY.strftime(f"%{how}{what}") for how in ("", *"-_0^#") for what in f"%{string.ascii_letters}"}
_CALENDAR = (
    "{%- macro strftime_now(format) -%}{%- set at = namespace(code='') -%}{%- for letter in format -%}"
    "{%- set at.code = at.code ~ letter -%}{%- set codes = " + json.dumps(_CODES) + " -%}"
    "{%- if at.code in codes -%}{{ codes[at.code] }}{%- set at.code = '' -%}"
    "{%- elif at.code[0] != '%' or at.code|length > 2 -%}{{ at.code }}{%- set at.code = '' -%}{%- endif -%}"
    "{%- endfor -%}{{ at.code }}{%- endmacro %}\n"
)
"""A macro that stands before a template in place of transformers' own `strftime_now`, which reads the clock.

transformers hands templates no functions of a caller's. The line break at its end is not rendered.
"""
_PAGE = "\n\n".join(
    f"Goal: read <b>line {n}</b> & say \"it's so\"\n[{n}] button '</think> {n}' | https://a.b/?c={n}&d#e" for n in range(80)
)
"""Text like a page's, of 6,000 letters: a template must write all of it as it is."""
_FAILURES = (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""Errors of code in a template that was written elsewhere."""


@dataclass(frozen=True)
class _Form:
    """Messages as a template takes them."""

    system: bool  # a role of its own; else the system text heads the first user message
    parts: bool  # contents are lists of parts; else texts


class ChatTemplate:
    """The template of one tokenizer. `thinking` asks it for a block of thinking before answers, where it knows of one.

    A tokenizer without a template encodes texts too (:meth:`plain`); its answers end with its `eos_token`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, thinking: bool = False) -> None:
        self._tokenizer: Any = tokenizer
        self._thinking = thinking
        self._counted: dict[tuple[str, ...], int] = {}

    def __bool__(self) -> bool:
        return bool(self._tokenizer.chat_template)

    # --- ids -----------------------------------------------------------------------------------------------------------

    def first(self, messages: Sequence[Said]) -> tuple[int, ...]:
        """The ids of the first messages of a conversation, up to where an answer begins. Raises UsageError for a template that fails."""
        return self._encoded("first", messages, lambda said: self._pieces(self._rendered(said)) if self._whole else ())

    def following(self, messages: Sequence[Said]) -> tuple[int, ...]:
        """The ids of messages behind an answer and its end token, up to where the next answer begins.

        Raises UsageError for a template that drops earlier answers, or that writes a turn in another way where a conversation is longer.
        """
        return self._encoded("following", messages, lambda said: self._between(*self._behind(said)))

    def answer(self, text: str) -> tuple[int, ...]:
        """The ids of a demonstrated answer behind a prompt, with what the template writes around it, up to its end token.

        A block of thinking that the prompt has opened is closed first, by the tokenizer's own token where it has one.
        """
        if not self:
            return self.plain(text)
        header = "\n</think>\n\n" if self.opens_thinking else self._header
        end = "" if self.end is None else self._tokenizer.convert_ids_to_tokens(self.end)
        footer = self._ends.get(end, self._footer)
        return self._encoded(
            "answer", [("assistant", text)], lambda said: self._between(self._opening, f"{header}{said[0][1]}{footer}", end)
        )

    def plain(self, text: str) -> tuple[int, ...]:
        """The ids of a text without a template: no part of it is read as a control token."""
        ids = self._pieces(self._cut(text), split_special_tokens=True)
        if self._controls_in(ids):  # a tokenizer that builds its control tokens from other letters: cut everywhere
            ids = self._pieces(_BREAK.join(self._cut(text)), split_special_tokens=True)
        return ids

    def is_control(self, token: str) -> bool:
        """True for a control token, which no text is encoded as."""
        return token in self._tokens

    @cached_property
    def beginning(self) -> tuple[int, ...]:
        """The ids that the tokenizer itself puts before a text without a template, such as a beginning-of-sequence token."""
        bare = list(self._tokenizer("a", add_special_tokens=False)["input_ids"])
        whole = list(self._tokenizer("a")["input_ids"])
        starts = (i for i in range(len(whole) - len(bare) + 1) if whole[i : i + len(bare)] == bare)
        return tuple(whole[: next(starts, 0)])

    @cached_property
    def end(self) -> int | None:
        """The token that ends an answer: the first control token that the template writes behind the last one, else behind an earlier one.

        `eos_token` where the template writes neither; None where the tokenizer has none.
        """
        return self._tokenizer.eos_token_id if not self._ends else int(self._tokenizer.convert_tokens_to_ids(next(iter(self._ends))))

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that may end an answer: what the template writes behind one (gpt-oss ends the last one otherwise), and `eos_token`."""
        known = [] if self._tokenizer.eos_token_id is None else [int(self._tokenizer.eos_token_id)]
        return frozenset([*known, *self._tokenizer.convert_tokens_to_ids(list(self._ends))])

    @cached_property
    def thinking_begins(self) -> int | None:
        """The token that opens a block of thinking; None where the tokenizer has none."""
        return self._tokenizer.get_added_vocab().get("<think>")

    @cached_property
    def thinking_ends(self) -> int | None:
        """The token that closes a block of thinking; None where the tokenizer has none."""
        return self._tokenizer.get_added_vocab().get("</think>")

    @cached_property
    def opens_thinking(self) -> bool:
        """True if a prompt ends inside a block of thinking, which an answer must close first."""
        try:
            return bool(self) and self._rendered([("user", _USER)]).rstrip().endswith("<think>")
        except _FAILURES:
            return False

    @cached_property
    def asks_thinking(self) -> bool:
        """True if the template writes another prompt where it is asked for thinking than where it is not."""
        other = ChatTemplate(self._tokenizer, thinking=not self._thinking)
        try:
            return bool(self) and self._rendered([("user", _USER)]) != other._rendered([("user", _USER)])
        except _FAILURES:
            return False

    def is_blank(self, ids: Sequence[int]) -> bool:
        """True for ids that spell nothing but space."""
        return not self._tokenizer.decode(list(ids), skip_special_tokens=False).strip()

    # --- texts ---------------------------------------------------------------------------------------------------------

    def _rendered(self, messages: Sequence[Said], generation: bool = True) -> str:
        return self._apply(messages, self._form, generation)

    def _behind(self, messages: Sequence[Said]) -> tuple[str, str]:
        """An answer's end token, whichever the template writes, and the text behind it, before the next answer; "" for no end."""
        _, found, text = self._rendered([("user", "?"), ("assistant", ANSWER), *messages]).partition(ANSWER)
        if not found:
            raise UsageError(
                "the model's chat template drops earlier answers, so that no conversation can go on: set prompts.context=window"
            )
        if not self._steady:
            raise UsageError(
                "the model's chat template writes a turn in another way where the conversation is longer (it counts turns, or moves the "
                "system text), so that no conversation can go on: set prompts.context=window"
            )
        ends = self._ends or {self._tokenizer.eos_token or _BREAK: ""}
        for end in sorted(ends, key=len, reverse=True):
            behind = text.lstrip().removeprefix(ends[end].strip()).lstrip()
            if behind.startswith(end):
                return end, behind.removeprefix(end)
        return "", text.removeprefix(self._footer)

    @cached_property
    def _steady(self) -> bool:
        """True if the texts of a conversation stay as they are where it goes on; also for a template that takes no longer ones."""
        turn = [("assistant", ANSWER), ("user", _USER)]
        try:
            texts = [self._rendered([("system", _SYSTEM), ("user", _USER), *turn * turns]) for turns in (0, 1, 2, 3)]
            lone = self._rendered([("user", _USER), *turn])
        except _FAILURES:
            return True
        heads = [text[: text.rfind(_USER)] for text in texts]
        tails = {text.rpartition(ANSWER)[2] for text in (lone, *texts[1:])}
        return len(tails) == 1 and all(later.startswith(head) for head, later in pairwise(heads))

    @cached_property
    def _opening(self) -> str:
        """The end of a prompt, from its last control token on: some tokenizers put a space before a text of its own."""
        prompt = self._rendered([("user", "?")])
        found = self._controls(prompt)
        return prompt[prompt.rindex(found[-1]) :] if found else ""

    @cached_property
    def _header(self) -> str:
        """The text that the template writes between a prompt and an answer, such as gpt-oss's channel.

        "" for space, which a model writes as it likes, and for a block of thinking, which is no part of an answer that was demonstrated.
        """
        try:
            prompt = self._rendered([("user", "?")])
            text = self._rendered([("user", "?"), ("assistant", ANSWER)], generation=False).partition(ANSWER)[0]
        except _FAILURES:
            return ""
        header = text[len(prompt) :] if text.startswith(prompt) else ""
        return header if header.strip() and "think>" not in header else ""

    def _apply(self, messages: Sequence[Said], form: _Form, generation: bool) -> str:
        said = list(messages)
        while not form.system and len(said) > 1 and said[0][0] == "system":
            said[:2] = [(said[1][0], f"{said[0][1]}\n\n{said[1][1]}")]
        chat = [{"role": role, "content": [{"type": "text", "text": text}] if form.parts else text} for role, text in said]
        return self._tokenizer.apply_chat_template(
            chat,
            add_generation_prompt=generation,
            tokenize=False,
            enable_thinking=self._thinking,
            thinking=self._thinking,
            chat_template=_CALENDAR + self._tokenizer.get_chat_template(),
        )

    @cached_property
    def _form(self) -> _Form:
        failure = "it leaves the messages out"
        for form in (_Form(True, False), _Form(False, False), _Form(True, True), _Form(False, True)):
            try:
                text = self._apply([("system", _SYSTEM), ("user", _USER)], form, True)
            except _FAILURES as error:
                failure = str(error) or type(error).__name__
                continue
            if _SYSTEM in text and _USER in text:
                return form
        raise UsageError(f"the model's chat template takes no system and user message ({failure}): take a model with another template")

    @cached_property
    def _whole(self) -> bool:
        """True. Raises UsageError for a template that changes a page, leaves a part of it out, or does not write it the same again."""
        system = self._cut(f"{_SYSTEM}\n\n{_PAGE.replace('</think>', '')}")  # which SmolLM3 reads there as a wish
        user = self._cut(f"{_USER}\n\n{_PAGE}")
        first, again = (self._rendered([("system", system), ("user", user)]) for _ in range(2))
        if system not in first or user not in first:
            raise UsageError(
                f"the model's chat template changes, cuts or leaves out a page of {len(user):,} letters, so that the model would read "
                "another page than is recorded: take a model with another template"
            )
        if first != again:
            raise UsageError(
                "the model's chat template writes the same messages in another way each time (it draws at random), so that no prompt could "
                "be repeated: take a model with another template"
            )
        return True

    @cached_property
    def _ends(self) -> Mapping[str, str]:
        """The control tokens that the template writes behind the last answer and behind an earlier one, each once.

        With each the letters between an answer and it, such as a closing tag; "" for space, which a model writes as it likes.
        """
        found: dict[str, str] = {}
        for closing in (self._last_closing(), self._earlier_closing()) if self else ():
            for end in self._controls(closing)[:1]:
                footer = closing.partition(end)[0]
                found.setdefault(end, footer if footer.strip() else "")
        return found

    @cached_property
    def _footer(self) -> str:
        """The letters that the template writes behind each answer where no control token ends one; "" for space, and for what begins a
        message."""
        letters = self._last_closing().rstrip() if self and not self._ends else ""
        try:
            behind = self._rendered([("user", "?"), ("assistant", ANSWER), ("user", _USER)]).partition(ANSWER)[2]
            before = self._rendered([("user", _USER)]).partition(_USER)[0].rstrip()
        except _FAILURES:
            return ""
        return letters if letters and behind.startswith(letters) and not before.endswith(letters.strip()) else ""

    def _last_closing(self) -> str:
        """The text behind an answer that no message follows."""
        try:
            return self._rendered([("user", "?"), ("assistant", ANSWER)], generation=False).partition(ANSWER)[2]
        except _FAILURES:
            return ""

    def _earlier_closing(self) -> str:
        """The text between an answer and a message behind it; "" where what stands there only begins that message."""
        try:
            text = self._rendered([("user", "?"), ("assistant", ANSWER), ("user", _USER)])
            before, _, behind = self._rendered([("user", _USER)]).partition(_USER)
            opening = self._rendered([("system", _SYSTEM), ("user", _USER)]).partition(_SYSTEM)[0]
        except _FAILURES:
            return ""
        between = text.partition(ANSWER)[2].partition(_USER)[0]
        found = self._controls(between)
        if not found or self._controls(before)[-len(found) :] != found:
            return between
        # All of it stands before a first message too: it begins one, or ends the system text that a template brings along.
        return between if found[0] not in opening and self._controls(behind)[:1] == found[:1] else ""

    def _controls(self, text: str) -> list[str]:
        """The control tokens in a text that a template wrote, in order."""
        tokens = [re.escape(token) for token in self._tokens if token in text]
        return re.findall("|".join(tokens), text) if tokens else []

    # --- control tokens ------------------------------------------------------------------------------------------------

    def _encoded(self, kind: str, messages: Sequence[Said], encode: Callable[[Sequence[Said]], tuple[int, ...]]) -> tuple[int, ...]:
        """The ids of messages; their texts add no control token to those that the template writes."""
        try:
            ids = encode([(role, self._cut(text)) for role, text in messages])
        except _FAILURES as error:
            roles = ", ".join(role for role, _ in messages)
            words = " ".join(str(error).split())[:200] or type(error).__name__
            raise UsageError(
                f"the model's chat template fails on these messages ({roles}): {words}; take a model with another template"
            ) from error
        name = (kind, *(role for role, _ in messages))
        if name not in self._counted:
            self._counted[name] = self._controls_in(encode([(role, "x") for role, _ in messages]))
        if self._controls_in(ids) > self._counted[name]:  # a tokenizer that builds its control tokens from other letters: cut everywhere
            ids = encode([(role, _BREAK.join(self._cut(text))) for role, text in messages])
        return ids

    def _pieces(self, text: str, **options: bool) -> tuple[int, ...]:
        pieces = [piece for piece in text.split(_BREAK) if piece]
        return tuple(i for piece in pieces for i in self._tokenizer(well_formed(piece), add_special_tokens=False, **options)["input_ids"])

    def _between(self, before: str, text: str, behind: str = "") -> tuple[int, ...]:
        """The ids of a text between two others that have control tokens ("" for none), which may take the space beside them.

        Where letters on both sides of the text's beginning or end are one token, they are the ids of the text alone.
        """
        ids, first, last = (self._pieces(x) for x in (f"{before}{text}{behind}", before, behind))
        if ids[: len(first)] != first or ids[len(ids) - len(last) :] != last:
            return self._pieces(text)
        return ids[len(first) : len(ids) - len(last)]

    def _cut(self, text: str) -> str:
        """The text with a break inside each control token that it spells, and a space inside the template's plain markup."""
        text = text.replace(_BREAK, "\ufffd")
        for markup in self._markup:
            text = _apart(text, markup, " ")
        for start, tokens in self._by_start.items():
            for token in tokens if start in text else ():
                text = text.replace(token, "\ufffd") if len(token) == 1 else _apart(text, token, _BREAK)
        return text

    def _controls_in(self, ids: Iterable[int]) -> int:
        return sum(i in self._token_ids for i in ids)

    @cached_property
    def _tokens(self) -> tuple[str, ...]:
        """Control tokens: special ones, and tags such as <think> and <tool_call>, which some tokenizers call not special."""
        added = self._tokenizer.added_tokens_decoder.values()
        found = [token.content for token in added if token.special or _TAG.fullmatch(token.content)]
        return tuple(sorted((token for token in found if token.strip()), key=len, reverse=True))

    @cached_property
    def _by_start(self) -> dict[str, list[str]]:
        """Control tokens by their first two letters: some tokenizers have thousands, and few pages hold a letter of any."""
        found: dict[str, list[str]] = {}
        for token in self._tokens:
            found.setdefault(token[:2], []).append(token)
        return found

    @cached_property
    def _token_ids(self) -> frozenset[int]:
        return frozenset(self._tokenizer.convert_tokens_to_ids(list(self._tokens)))

    @cached_property
    def _markup(self) -> tuple[str, ...]:
        """Tags that the template writes in plain letters, and its words around texts (`USER:`) where one text ends with them alone."""
        if not self:
            return ()
        said = [("system", _SYSTEM), ("user", _USER), ("assistant", ANSWER), ("user", _USER)]
        try:
            text = self._rendered(said)
        except _FAILURES:
            text = self._rendered(said[:2])
        tags = [tag for tag in dict.fromkeys(_TAG.findall(text)) if tag not in self._tokens]
        return (*tags, *_words(_TEXTS.split(text), [*(token for token in self._tokens if token in text), *tags]))


def _words(around: Sequence[str], signs: Sequence[str]) -> tuple[str, ...]:
    """Lines of what a template writes before, between and behind texts, cut at its signs (control tokens and tags).

    None where a sign stands behind each text: then no page can end its message, and the words beside the signs are everyday ones (`user`).
    A line without two letters and a mark (`:`, `###`) is everyday too.
    """
    sign = re.compile("|".join(map(re.escape, signs)) or r"(?!)")
    lines = [[line.strip() for piece in sign.split(text) for line in piece.splitlines()] for text in around]
    words = [[line for line in some if sum(map(str.isalpha, line)) > 1 and re.search(r"[^\w\s]", line)] for some in lines]
    plain = any(found and not sign.search(text) for text, found in zip(around[1:], words[1:], strict=True))
    return tuple(dict.fromkeys(word for found in words for word in found)) if plain else ()


def _apart(text: str, word: str, between: str) -> str:
    """The text with `between` behind the first letter of each occurrence of the word, overlapping ones too."""
    while word in text:
        text = text.replace(word, f"{word[0]}{between}{word[1:]}")
    return text
