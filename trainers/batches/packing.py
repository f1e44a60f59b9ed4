"""Rows packed to a token budget without padding, and the steps of an update planned over them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainers.batches.rows import (
    Held,
    Row,
    Span,
    Streams,
    Whole,
)
from webgym.errors import UsageError
from webgym.types import seed_from


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """S rows laid end to end: N tokens, of which A were sampled, in V turns. No padding.

    `action_index` says at which token the logits predict an action token (one before it); `value_index` is the last prompt token
    of each turn, `prompt_start` where the turn's prompt begins (in a merged row: behind the turn before), `action_end` its last
    sampled token. `turn_size` and `sequence_size` count the sampled tokens with weight > 0 of the token's turn and of its whole
    trajectory, also those that lie in other batches. Streams that :func:`pack` was not given are NaN.
    Log-probabilities of turns that were `held` to a grammar are over the tokens that it allowed (:mod:`trainers.models.token_grammar`).
    """

    ids: Int[Tensor, " n"]  # [N] int64
    positions: Int[Tensor, " n"]  # [N] int64, from 0 in every row
    cu_seqlens: Int[Tensor, " ends"]  # [S+1] int32, where rows begin and end
    action_index: Int[Tensor, " a"]  # [A] int64
    action_ids: Int[Tensor, " a"]  # [A] int64
    turn_of_action: Int[Tensor, " a"]  # [A] int64, global turn id
    sequence_of_action: Int[Tensor, " a"]  # [A] int64, index of the trajectory
    turn_size: Int[Tensor, " a"]  # [A] int64
    sequence_size: Int[Tensor, " a"]  # [A] int64
    value_index: Int[Tensor, " v"]  # [V] int64
    value_turn: Int[Tensor, " v"]  # [V] int64, global turn id
    prompt_start: Int[Tensor, " v"]  # [V] int64
    action_end: Int[Tensor, " v"]  # [V] int64
    advantage: Float[Tensor, " a"]  # [A] float32
    weight: Float[Tensor, " a"]  # [A] float32
    behaviour_logprob: Float[Tensor, " a"]  # [A] float32
    old_logprob: Float[Tensor, " a"] | None = None  # [A] float32
    reference_logprob: Float[Tensor, " a"] | None = None  # [A] float32
    held: tuple[Held, ...] = ()  # one per turn where any was sampled under a grammar

    @property
    def tokens(self) -> int:
        """N, all tokens that the forward pass reads."""
        return self.ids.shape[0]

    @property
    def longest(self) -> int:
        """Length of the longest row, which varlen attention asks for."""
        return int((self.cu_seqlens[1:] - self.cu_seqlens[:-1]).max()) if len(self.cu_seqlens) > 1 else 0

    def to(self, device: torch.device | str) -> "PackedBatch":
        """The same batch on another device."""
        tensors: dict[str, Any] = {f.name: x for f in fields(self) if isinstance(x := getattr(self, f.name), Tensor)}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


def idle() -> PackedBatch:
    """A batch of one row, [0, 0], whose one sampled token has weight 0: for a pass that a process makes only because others do."""
    zero, one = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    nothing = torch.zeros(1)
    return PackedBatch(
        ids=torch.zeros(2, dtype=torch.int64),
        positions=torch.arange(2),
        cu_seqlens=torch.tensor([0, 2], dtype=torch.int32),
        action_index=zero,
        action_ids=zero,
        turn_of_action=zero,
        sequence_of_action=zero,
        turn_size=one,
        sequence_size=one,
        value_index=zero,
        value_turn=zero,
        prompt_start=zero,
        action_end=one,
        advantage=nothing,
        weight=nothing,
        behaviour_logprob=nothing,
    )


def pack(rows: Sequence[Row], token_budget: int, streams: Streams | None = None, *, whole: Whole = "row") -> list[PackedBatch]:
    """Micro-batches of at most `token_budget` tokens by first-fit decreasing; the same rows give the same batches.

    A row longer than the budget gets a batch of its own; so does, with `whole="trajectory"`, a trajectory.
    """
    if token_budget < 1:
        raise UsageError(f"expected a token budget of at least 1, got {token_budget}")
    sizes = _live_sizes(rows, streams)
    return [_packed(batch, streams, sizes) for batch in _first_fit(_units(rows, whole), token_budget)]


def _units(rows: Sequence[Row], whole: Whole) -> list[list[Row]]:
    if whole == "row":
        return [[row] for row in rows]
    units: dict[int, list[Row]] = {}
    for row in sorted(rows, key=_place):
        units.setdefault(row.trajectory, []).append(row)
    return list(units.values())


def _place(row: Row) -> tuple[int, int]:
    return row.trajectory, row.spans[0].turn


def _first_fit(units: list[list[Row]], budget: int) -> list[list[Row]]:
    """Units in decreasing length, each into the first batch with room; inside a batch in order of trajectory and turn."""

    def length(unit: list[Row]) -> int:
        return sum(len(row) for row in unit)

    batches: list[list[list[Row]]] = []
    room: list[int] = []
    for unit in sorted(units, key=lambda u: (-length(u), _place(u[0]))):
        need = length(unit)
        found = next((i for i, free in enumerate(room) if free >= need), None)
        if found is None:
            batches.append([unit])
            room.append(budget - need)
        else:
            batches[found].append(unit)
            room[found] -= need
    return [sorted((row for unit in batch for row in unit), key=_place) for batch in batches]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Sampled tokens with weight > 0, by global turn id and by trajectory."""

    turn: dict[int, int]
    sequence: dict[int, int]


def _live_sizes(rows: Iterable[Row], streams: Streams | None) -> _Sizes:
    turn: dict[int, int] = {}
    sequence: dict[int, int] = {}
    for row in rows:
        for span in row.spans:
            size = span.size if streams is None else int((_cut(streams.weight, row, span) > 0).sum())
            turn[row.first_turn + span.turn] = size
            sequence[row.trajectory] = sequence.get(row.trajectory, 0) + size
    return _Sizes(turn, sequence)


def _cut(stream: Sequence[np.ndarray], row: Row, span: Span) -> np.ndarray:
    return stream[row.trajectory][span.offset : span.offset + span.size]


def _packed(rows: Sequence[Row], streams: Streams | None, sizes: _Sizes) -> PackedBatch:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.fromiter((i for row in rows for i in row.ids), dtype=np.int64, count=int(starts[-1]))
    spans = [(int(start), row, span) for start, row in zip(starts, rows, strict=False) for span in row.spans]
    counts = np.array([span.size for _, _, span in spans], dtype=np.int64)
    turns = np.array([row.first_turn + span.turn for _, row, span in spans], dtype=np.int64)
    sequences = np.array([row.trajectory for _, row, _ in spans], dtype=np.int64)
    action = _join([np.arange(start + span.start, start + span.end) for start, _, span in spans], np.int64)

    def repeat(per_span: np.ndarray | list[int]) -> Tensor:
        return torch.from_numpy(np.repeat(np.asarray(per_span, dtype=np.int64), counts))

    def gather(stream: Sequence[np.ndarray] | None) -> Tensor | None:
        return None if stream is None else torch.from_numpy(_join([_cut(stream, row, span) for _, row, span in spans], np.float32))

    unknown = torch.full((len(action),), float("nan"))
    given = None if streams is None else [gather(s) for s in (streams.advantage, streams.weight, streams.behaviour_logprob)]
    advantage, weight, behaviour = given or [unknown, unknown, unknown]
    assert advantage is not None and weight is not None and behaviour is not None
    return PackedBatch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(np.arange(len(ids)) - np.repeat(starts[:-1], lengths)),
        cu_seqlens=torch.from_numpy(starts.astype(np.int32)),
        action_index=torch.from_numpy(action - 1),
        action_ids=torch.from_numpy(ids[action]),
        turn_of_action=repeat(turns),
        sequence_of_action=repeat(sequences),
        turn_size=repeat([sizes.turn[int(t)] for t in turns]),
        sequence_size=repeat([sizes.sequence[int(s)] for s in sequences]),
        value_index=torch.tensor([start + span.prompt_end for start, _, span in spans], dtype=torch.int64),
        value_turn=torch.from_numpy(turns),
        prompt_start=torch.tensor([start + _prompt_start(row, span) for start, row, span in spans], dtype=torch.int64),
        action_end=torch.tensor([start + span.end - 1 for start, _, span in spans], dtype=torch.int64),
        advantage=advantage,
        weight=weight,
        behaviour_logprob=behaviour,
        old_logprob=None if streams is None else gather(streams.old_logprob),
        reference_logprob=None if streams is None else gather(streams.reference_logprob),
        held=tuple(s.held or Held("", 0, s.size) for _, _, s in spans) if any(s.held for _, _, s in spans) else (),
    )


def _prompt_start(row: Row, span: Span) -> int:
    """Position in the row at which this turn's own prompt begins."""
    before = [other.end for other in row.spans if other.turn < span.turn]
    return max(before, default=0)


def unpack(batches: Sequence[PackedBatch], values: Sequence[Float[Tensor, " _"]], trajectories: int) -> list[np.ndarray]:
    """Numbers per sampled token [A] of each batch as one array per trajectory, the layout of :class:`Streams`.

    The batches must hold every turn of the trajectories, each once.
    """
    turn = torch.cat([b.turn_of_action.cpu() for b in batches] or [torch.zeros(0, dtype=torch.int64)])
    sequence = torch.cat([b.sequence_of_action.cpu() for b in batches] or [torch.zeros(0, dtype=torch.int64)])
    flat = torch.cat([v.detach().float().cpu() for v in values] or [torch.zeros(0)])
    order = torch.argsort(turn, stable=True)  # tokens of one turn lie together and in order
    sizes = torch.bincount(sequence, minlength=trajectories).tolist()
    return [part.numpy() for part in flat[order].split(sizes)]


def laid_out(
    rows: Sequence[Row], batches: Sequence[PackedBatch], values: Sequence[Float[Tensor, " _"]], sizes: Sequence[int]
) -> list[np.ndarray]:
    """Numbers per sampled token [A] of each batch as one array [n_i] per trajectory, NaN for tokens in none of the batches.

    `rows` are those that the batches were made of, or more; `sizes` are the sampled tokens of every trajectory.
    """
    found = [np.full(size, np.nan, dtype=np.float32) for size in sizes]
    place = {row.first_turn + span.turn: (row.trajectory, span.offset) for row in rows for span in row.spans}
    for batch, value in zip(batches, values, strict=True):
        turn, numbers = batch.turn_of_action.cpu().numpy(), value.detach().float().cpu().numpy()
        begins = np.flatnonzero(np.diff(turn, prepend=-1))  # tokens of one turn lie together
        for begin, end in zip(begins, [*begins[1:], len(turn)], strict=True):
            trajectory, offset = place[int(turn[begin])]
            found[trajectory][offset : offset + end - begin] = numbers[begin:end]
    return found


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of tokens, turns and trajectories of a step with weight > 0: the divisors that a loss may choose from."""

    tokens: int
    turns: int
    trajectories: int


@dataclass(frozen=True, eq=False)
class Step:
    """The micro-batches of one optimiser step and the counts for its single divisor.

    `counts` include turns whose advantage is 0; the batches may leave them out (`skipped_tokens`), since they add nothing.
    """

    batches: tuple[PackedBatch, ...]
    counts: Counts
    skipped_tokens: int = 0


def step_of(rows: Sequence[Row], streams: Streams, token_budget: int, *, whole: Whole = "row", keep_zero_advantage: bool = False) -> Step:
    """One optimiser step from these rows.

    Tokens of weight 0 are in no divisor. Parts that cannot move the loss are not computed: rows whose every turn has weight 0 or
    advantage 0 (with `whole="trajectory"`: trajectories), and the tail of a row behind its last turn that can move the loss.
    With `keep_zero_advantage` (a KL or entropy term acts on every turn) only weight 0 counts as nothing.
    """
    sizes = _live_sizes(rows, streams)
    counts = Counts(
        tokens=sum(sizes.turn.values()),
        turns=sum(n > 0 for n in sizes.turn.values()),
        trajectories=sum(n > 0 for n in sizes.sequence.values()),
    )

    def moves(row: Row, span: Span) -> bool:
        weight, advantage = _cut(streams.weight, row, span), _cut(streams.advantage, row, span)
        return bool(((weight > 0) & (keep_zero_advantage | (advantage != 0))).any())

    if whole == "trajectory":
        moving = {row.trajectory for row in rows if any(moves(row, span) for span in row.spans)}
        kept = [row for row in rows if row.trajectory in moving]
    else:
        kept = [cut for row in rows if (cut := _without_tail(row, [moves(row, span) for span in row.spans]))]
    batches = tuple(_packed(batch, streams, sizes) for batch in _first_fit(_units(kept, whole), token_budget))
    return Step(batches, counts, sum(map(len, rows)) - sum(map(len, kept)))


def _without_tail(row: Row, moves: list[bool]) -> Row | None:
    """The row up to its last span that moves the loss; causal attention never looks further."""
    if not any(moves):
        return None
    spans = row.spans[: len(moves) - moves[::-1].index(True)]
    return replace(row, ids=row.ids[: spans[-1].end], spans=spans)


def plan(
    rows: Sequence[Row],
    streams: Streams,
    token_budget: int,
    *,
    minibatches: int = 1,
    seed: int = 0,
    whole: Whole = "row",
    keep_zero_advantage: bool = False,
) -> list[Step]:
    """One epoch: the trajectories that have any weight, shuffled by `seed` and dealt to at most `minibatches` optimiser steps.

    A trajectory's rows stay in one step, so that its size and its sequence ratio are known there.
    """
    live = {row.trajectory for row in rows if any((_cut(streams.weight, row, span) > 0).any() for span in row.spans)}
    order = sorted(live, key=lambda i: seed_from(seed, "minibatch", i))
    parts = [set(order[k::minibatches]) for k in range(min(minibatches, len(order)))]
    chosen = ([row for row in rows if row.trajectory in part] for part in parts)
    return [step_of(x, streams, token_budget, whole=whole, keep_zero_advantage=keep_zero_advantage) for x in chosen]
