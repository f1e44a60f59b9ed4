"""A grammar over token ids: the tokens that a model constrained to the action syntax may sample, and their replay for a learner.

The grammars are languages of bytes (:mod:`webgym.actions.grammar`). Here a tokenizer's entries become the bytes that they are decoded
to, once. The set that may be sampled next is a function of the ids sampled so far, the grammar's name and the tokens that are left:

    allowed(ids, left) = { v : some ending of ids · v is in the grammar and takes at most left − 1 bytes }

So each completion is an action, also where `max_tokens` cuts it, and it does not depend on other requests. (Bytes bound tokens from
above, because any byte is a token by itself.) A learner that replays the ids gets the same sets, and its log-probabilities are those of
the distribution that was sampled from.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from trainers.batches.rows import Held
from trainers.models.model import end_ids
from trainers.models.tiny import JOIN, WORD
from webgym.actions.automaton import INFINITE, State
from webgym.actions.grammar import grammar, grammar_name
from webgym.errors import UsageError
from webgym.prompts.page import shown_nodes
from webgym.prompts.settings import PromptSettings
from webgym.types import Observation

MOST_LISTED = 2_000_000  # ids that places are kept for (some 200 MB); then they are found anew

Context = int
"""Context of decoding besides the entry itself: START until something was written, JOINED behind a mark that joins words, LOW and
HIGH behind an entry that is a byte below or beyond ASCII (where bytes that follow each other are no UTF-8, all of them are lost)."""

START, JOINED, LOW, HIGH = 1, 2, 4, 8


def grammar_for(observation: Observation, prompts: PromptSettings) -> str:
    """The name of the grammar of a page as its prompt shows it. Raises UsageError for a dialect that has none."""
    refs = (node.ref for node in shown_nodes(observation, prompts.max_nodes) if node.ref is not None)
    return grammar_name(prompts.dialect, observation.goal, 1 + max(refs, default=-1), observation.dialog != "")


# --- entries as bytes ------------------------------------------------------------------------------------------------------


Spell = Callable[[str, Context], tuple[bytes, Context] | None]
"""An entry and the context before it → its bytes and the context behind it; None where it has no bytes of its own there."""


def _tiny(entry: str, context: Context) -> tuple[bytes, Context] | None:
    """webgym-tiny's marks: see :mod:`trainers.models.tiny`."""
    written = bytearray()
    context &= START | JOINED
    for character in entry:
        if context & JOINED:
            if character != WORD:
                return None  # a mark that joins nothing would be read as itself
            context &= ~JOINED
        elif character == JOIN:
            context |= JOINED
        elif character == WORD:
            written += b"" if context & START else b" "
            context &= ~START
        else:
            written += character.encode()
            context &= ~START
    return bytes(written), context


def _sentencepiece(entry: str, context: Context) -> tuple[bytes, Context] | None:
    """A mark for each space; the first space of a text is dropped."""
    plain = entry.replace(WORD, " ")
    return (plain[1:] if context & START and plain.startswith(" ") else plain).encode(), 0


def _byte_level(entry: str, context: Context) -> tuple[bytes, Context] | None:
    """One character a byte (GPT-2)."""
    return bytes(_BYTE_OF[character] for character in entry), 0


def _printable() -> Mapping[str, int]:
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


_BYTE_OF = _printable()


def _spelling(tokenizer: Any) -> Spell | None:
    """Spelling by which the tokenizer's decoder reads entries; None for one of another kind."""
    decoder = json.loads(tokenizer.backend_tokenizer.to_str())["decoder"] or {}
    steps = decoder["decoders"] if decoder.get("type") == "Sequence" else [decoder]
    kinds = [step.get("type") for step in steps]
    replaced = {(step["pattern"].get("String"), step["content"]) for step in steps if step.get("type") == "Replace"}
    if kinds == ["ByteLevel"]:
        return _byte_level
    if (JOIN + WORD, "") in replaced:
        return _tiny
    if kinds == ["Replace", "ByteFallback", "Fuse", "Strip"] and (WORD, " ") in replaced:
        return _sentencepiece
    return None


# --- the automaton over ids ------------------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class _Branch:
    """A place in the tree of all entries' bytes."""

    below: "dict[int, _Branch]" = field(default_factory=dict)
    entries: list[tuple[int, Context]] = field(default_factory=list)  # that end here, and the context behind them


@dataclass(eq=False, slots=True)
class Place:
    """Position of a completion in the grammar, which decides what may be sampled next. `need` more tokens are enough to end it."""

    need: int
    ids: Int[Tensor, " n"]  # ids that the grammar allows, for any number of tokens left
    needs: Int[Tensor, " n"]  # number of further tokens that is enough after each
    most: int  # the highest of `needs`
    states: Mapping[int, tuple[State, Context]]  # behind each; end tokens have none


class TokenGrammar:
    """The grammars over one tokenizer's ids; `size` is the length of the model's logits, `ends` the ids that end a completion.

    Raises UsageError for a tokenizer whose decoding is not known, or that lacks a byte.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, ends: Iterable[int], size: int) -> None:
        self.size = size
        self._ends = sorted(ends)
        self._trees: dict[Context, _Branch] = {}
        self._places: dict[tuple[State, Context], Place] = {}
        self._listed = 0  # ids of all these places together
        self._entries = self._read(tokenizer)
        self._start = self._context_at_start()

    @classmethod
    def of(cls, model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> "TokenGrammar":
        """The grammars for a model and its tokenizer."""
        loaded: Any = model
        return cls(tokenizer, end_ids(model, tokenizer), loaded.get_output_embeddings().weight.shape[0])

    def start(self, name: str, max_tokens: int) -> Place:
        """The place before the first token. Raises UsageError where no action fits in `max_tokens`, or there is no such grammar."""
        place = self._place(grammar(name), self._start)
        if place.need > max_tokens:
            raise UsageError(
                f"the shortest action of the grammar {name!r} may take {place.need} tokens: raise max_tokens (now {max_tokens})"
            )
        return place

    def allowed(self, place: Place, left: int) -> Bool[Tensor, " vocabulary"]:
        """Tokens that may be sampled next, where `left` tokens may still be sampled."""
        mask = torch.zeros(self.size, dtype=torch.bool)
        mask[place.ids[place.needs < left]] = True
        return mask

    def after(self, place: Place, token: int) -> Place | None:
        """The place behind a token; None where that is not allowed, or ends the completion."""
        behind = place.states.get(token)
        return self._place(*behind) if behind else None

    def replay(self, held: Sequence[Held], ids: Sequence[int]) -> tuple[Bool[Tensor, "m vocabulary"], Int[Tensor, " a"]]:
        """Tokens that could be sampled at each of the ids, turn after turn: different sets as rows, and the row of each id.

        Raises UsageError where an id was not allowed, because then it was sampled by another tokenizer or another grammar.
        """
        rows: dict[tuple[Place | None, int], int] = {}
        masks: list[Tensor] = []
        found: list[int] = []
        at = 0
        for turn in held:
            place = self.start(turn.grammar, turn.max_tokens) if turn.grammar else None
            for n, token in enumerate(ids[at : at + turn.tokens]):
                left = turn.max_tokens - n
                key = (place, min(left, 1 + place.most) if place else 0)
                if key not in rows:
                    rows[key] = len(masks)
                    masks.append(self.allowed(place, left) if place else torch.ones(self.size, dtype=torch.bool))
                if not masks[rows[key]][token]:
                    raise UsageError(
                        f"token {token} cannot have been sampled under the grammar {turn.grammar!r} at place {n} of its turn: "
                        "the turn comes from another tokenizer or another version of the grammar, and nothing can learn from it"
                    )
                found.append(rows[key])
                place = self.after(place, token) if place else None
            at += turn.tokens
        return torch.stack(masks) if masks else torch.ones(1, self.size, dtype=torch.bool), torch.tensor(found, dtype=torch.int64)

    # --- making it -----------------------------------------------------------------------------------------------------------

    def _place(self, state: State, context: Context) -> Place:
        place = self._places.get((state, context))
        if place is None:
            if self._listed > MOST_LISTED:
                self._places.clear()
                self._listed = 0
            place = self._places.setdefault((state, context), self._made(state, context))
            self._listed += len(place.ids)
        return place

    def _made(self, state: State, context: Context) -> Place:
        """All tokens whose bytes lead on from here, found by walking the tree of entries and the grammar together."""
        states: dict[int, tuple[State, Context]] = {}
        left = [(self._tree(context), state)]
        while left:
            branch, reached = left.pop()
            states.update((token, (reached, behind)) for token, behind in branch.entries if self._goes_on(reached, behind))
            for byte, below in branch.below.items():
                if (following := reached.step(byte)) is not None:
                    left.append((below, following))
        needs = {token: _need(*behind) for token, behind in states.items()}
        if state.ends and not context & JOINED:
            needs |= dict.fromkeys(self._ends, 0)
        ids = sorted(needs)
        counts = [needs[i] for i in ids]
        return Place(_need(state, context), torch.tensor(ids, dtype=torch.int64), torch.tensor(counts), max(counts, default=0), states)

    def _tree(self, context: Context) -> _Branch:
        tree = self._trees.get(context)
        if tree is None:
            tree = _Branch()
            for token, (entry, spell) in self._entries.items():
                if (spelt := spell(entry, context)) is not None:
                    branch = tree
                    for byte in spelt[0]:
                        branch = branch.below.setdefault(byte, _Branch())
                    branch.entries.append((token, spelt[1]))
            self._trees[context] = tree
        return tree

    def _read(self, tokenizer: Any) -> dict[int, tuple[str, Spell]]:
        """Each id that writes text, with its entry and how that is spelt. Ends of a completion write no text, nor do added entries."""
        spelling = _spelling(tokenizer)
        if spelling is None:
            raise UsageError(
                f"no grammar can be laid over {type(tokenizer).__name__}: its decoder is neither byte-level, nor SentencePiece with byte "
                "fallback, nor webgym-tiny's; leave grammar out"
            )
        bytewise = spelling is _byte_level
        entries: dict[int, tuple[str, Spell]] = {}
        for entry, token in tokenizer.get_vocab().items():
            if token in tokenizer.added_tokens_decoder or token in self._ends or token >= self.size:
                continue
            byte = None if bytewise else _fallback(entry)
            entries[token] = (entry, spelling if byte is None else _one_byte(byte))
        return entries

    def _context_at_start(self) -> Context:
        """START, after a check that every byte that a grammar may ask for is an entry by itself in every context."""
        for context in (START, 0):
            if missing := set(range(0x21 if context else 0x20, 0x7F)) - self._alone(context):  # no action begins with a blank
                raise UsageError(f"no grammar can be laid over a tokenizer that has no token for {bytes([min(missing)])!r} alone")
        return START

    def _alone(self, context: Context) -> set[int]:
        """The bytes that are an entry by themselves."""
        return {byte for byte, branch in self._tree(context).below.items() if branch.entries}

    def _goes_on(self, state: State, context: Context) -> bool:
        """True if the shortest ending can be written from here, byte by byte; behind a byte beyond ASCII some may be missing."""
        if not context & HIGH or state.need == 0:
            return True
        return any((after := state.step(byte)) is not None and after.need < state.need for byte in self._alone(context))


def _need(state: State, context: Context) -> int:
    return min(INFINITE, state.need + (1 if context & JOINED else 0))


def _fallback(entry: str) -> int | None:
    """The byte that an entry such as <0x0A> stands for."""
    return int(entry[3:5], 16) if len(entry) == 6 and entry.startswith("<0x") and entry.endswith(">") else None


def _one_byte(byte: int) -> Spell:
    other, own = (HIGH, LOW) if byte < 0x80 else (LOW, HIGH)
    return lambda entry, context: None if context & (JOINED | other) else (bytes([byte]), own)
