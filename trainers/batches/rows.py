"""Trajectories → token rows → packed micro-batches. Ids stay as sampled; text is never tokenised again.

Three steps, each exact:

1. :func:`rows_of` merges consecutive turns into one *row* exactly where the next prompt begins with the previous prompt and action,
   token for token; anywhere else a new row begins. Each turn is an explicit :class:`Span`, so no search is needed later.
2. :class:`Streams` holds the inputs of the loss for each sampled token.
3. :func:`pack` lays rows end to end up to a token budget, without padding, as one :class:`PackedBatch`;
   :func:`plan` does so for one or more optimiser steps and counts the divisor of each.

Ids of turns and sequences are global: trajectory i has sequence id i, and its turn t has id `first_turn + t`, where `first_turn`
counts the turns of all trajectories before it. So a critic's values are one flat array over all turns of an iteration.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from webgym.errors import UsageError
from webgym.types import Completion, Trajectory, Turn

Whole = Literal["row", "trajectory"]
"""Units that must not be divided between micro-batches."""


# --- rows ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """Constraint under which a turn of `tokens` tokens was sampled: the grammar's name ("" for none) and the limit of tokens."""

    grammar: str
    max_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Span:
    """One turn inside a row: `row.ids[start:end]` are its sampled tokens, `prompt_end` is the last token of its prompt.

    The value V(s_t) is read at `prompt_end` and `start == prompt_end + 1`. `offset` is the place of the turn's first sampled
    token among all sampled tokens of the trajectory, the index into :class:`Streams`. `held` is set for a turn under a grammar.
    """

    turn: int
    prompt_end: int
    start: int
    end: int
    offset: int
    held: Held | None = None

    @property
    def size(self) -> int:
        """Number of tokens sampled in this turn."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens that one forward pass reads as one sequence: one turn, or several that continue each other."""

    trajectory: int
    first_turn: int  # global id of the trajectory's turn 0
    ids: tuple[int, ...]
    spans: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.ids)


def rows_of(trajectory: Trajectory, index: int = 0, first_turn: int = 0) -> list[Row]:
    """The rows of one trajectory, in order of turns; none for a trajectory without turns.

    Turns share a row where a prompt's ids begin with all of the row's, and both were shown the same pictures or none.
    Raises UsageError where a turn has no prompt ids (its policy is no model) or its log-probabilities do not match its ids.
    """
    rows: list[Row] = []
    ids: tuple[int, ...] = ()
    key = ""
    spans: list[Span] = []
    offset = 0
    for t, turn in enumerate(trajectory.turns):
        prompt, action = turn.completion.prompt_ids, turn.completion.action_ids
        if not prompt:
            raise UsageError(
                f"{_name(trajectory)}, turn {t}: expected the token ids of a model's prompt, got none; nothing can learn from it"
            )
        if (found := len(turn.completion.behaviour_logprobs)) != len(action):
            raise UsageError(f"{_name(trajectory)}, turn {t}: expected {len(action)} behaviour_logprobs, one per action id, got {found}")
        if spans and (prompt[: len(ids)] != ids or turn.completion.key != key):
            rows.append(Row(index, first_turn, ids, tuple(spans)))
            spans = []
        ids, key = prompt + action, turn.completion.key
        spans.append(Span(t, len(prompt) - 1, len(prompt), len(ids), offset, _held(turn.completion)))
        offset += len(action)
    if spans:
        rows.append(Row(index, first_turn, ids, tuple(spans)))
    return rows


def _held(completion: Completion) -> Held | None:
    sampling = completion.sampling
    return Held(sampling.grammar, sampling.max_tokens, len(completion.action_ids)) if sampling and sampling.grammar else None


def rows_of_all(trajectories: Iterable[Trajectory]) -> list[Row]:
    """The rows of many trajectories with their global sequence and turn ids."""
    rows: list[Row] = []
    first_turn = 0
    for index, trajectory in enumerate(trajectories):
        rows += rows_of(trajectory, index, first_turn)
        first_turn += len(trajectory)
    return rows


def final_rows(trajectories: Sequence[Trajectory]) -> tuple[list[Row], list[int]]:
    """The rows that end with the prompt behind a trajectory's last turn, and the global turn id of s_T of every trajectory.

    s_T counts as one more turn, of no sampled token: trajectory i has T_i + 1 of them here. One without a prompt has no row.
    """
    after = [Turn(Completion("", prompt_ids=x.final_prompt_ids), "", "", 0.0, False, False, "", "") for x in trajectories]
    longer = [replace(x, turns=(*x.turns, turn)) for x, turn in zip(trajectories, after, strict=True)]
    last = [rows_of(x, i)[-1:] if x.final_prompt_ids else [] for i, x in enumerate(longer)]
    starts = np.concatenate([[0], np.cumsum([len(x) + 1 for x in trajectories], dtype=np.int64)])
    rows = [replace(row, first_turn=int(starts[row.trajectory])) for found in last for row in found]
    return rows, [int(start) + len(x) for start, x in zip(starts, trajectories, strict=False)]


def check_context(rows: Iterable[Row], trajectories: Sequence[Trajectory], context: int) -> None:
    """Raises UsageError naming the longest row, if it does not fit in a model that reads `context` tokens."""
    longest = max(rows, key=len, default=None)
    if longest is None or len(longest) <= context:
        return
    trajectory = trajectories[longest.trajectory]
    last = longest.spans[-1].turn
    page = trajectory.turns[last].url or "unknown page"
    raise UsageError(
        f"{_name(trajectory)}, turn {last} ({page}): prompt and action take {len(longest):,} tokens, "
        f"but the model reads at most {context:,}; show less of the page or fewer past turns in the prompt, "
        "or take a model with a longer context"
    )


def sampling_temperature(trajectories: Iterable[Trajectory]) -> float:
    """The one temperature at which all turns were sampled; log-probabilities must be computed at it.

    Raises UsageError where temperatures differ, and where top-k, top-p or greedy choice cut the sampler's distribution: then the
    ratio of policy to behaviour has another support than the recorded log-probabilities and cannot be computed.
    """
    found: set[float] = set()
    for trajectory in trajectories:
        for sampling in (turn.completion.sampling for turn in trajectory.turns):
            if sampling is not None and sampling.truncated_support:
                raise UsageError(
                    f"{_name(trajectory)} was sampled with a cut distribution ({sampling}), so no policy ratio can be computed; "
                    "sample with top_p=1, top_k=0 and greedy=False to train on it"
                )
            found.add(1.0 if sampling is None else sampling.temperature)
    if len(found) > 1:
        raise UsageError(f"expected turns sampled at one temperature, got {sorted(found)}; train on them apart")
    return found.pop() if found else 1.0


def _name(trajectory: Trajectory) -> str:
    return f"{trajectory.key.task_id} (seed {trajectory.key.seed}, member {trajectory.key.member})"


# --- streams -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Streams:
    """Inputs of the loss for each sampled token: one array per trajectory, over its sampled tokens in order of turns.

    `weight` 0 takes a token out of the loss and out of every divisor. `old_logprob` (the learner's own, at the start of an update)
    and `reference_logprob` (of a frozen model) are None where the loss does not need them.
    """

    advantage: Sequence[np.ndarray]
    weight: Sequence[np.ndarray]
    behaviour_logprob: Sequence[np.ndarray]
    old_logprob: Sequence[np.ndarray] | None = None
    reference_logprob: Sequence[np.ndarray] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where a stream is of other tokens than the rest."""
        sizes = [len(x) for x in self.behaviour_logprob]
        for name in ("advantage", "weight", "old_logprob", "reference_logprob"):
            stream = getattr(self, name)
            if stream is not None and (found := [len(x) for x in stream]) != sizes:
                raise ValueError(f"expected {name} of {sizes} sampled tokens by trajectory, as behaviour_logprob has, got {found}")


def streams_of(
    trajectories: Sequence[Trajectory], advantages: Sequence[np.ndarray], weights: Sequence[np.ndarray], *, per_token: bool = False
) -> Streams:
    """Streams from credit: arrays [T_i] per turn are broadcast to the turn's tokens, arrays [n_i] per token are taken as is.

    A trajectory of as many tokens as turns is taken to have arrays per turn, unless `per_token` says otherwise. Copied turns of forks have
    weight 0, whatever credit says, because they are trained where they were sampled.
    """
    sizes = [np.array([len(t.completion.action_ids) for t in x.turns], dtype=np.int64) for x in trajectories]
    behaviour = [np.array([p for t in x.turns for p in t.completion.behaviour_logprobs], dtype=np.float32) for x in trajectories]
    sampled = [np.repeat([not t.copied for t in x.turns], n).astype(np.float32) for x, n in zip(trajectories, sizes, strict=True)]
    return Streams(
        advantage=[_per_token(a, n, per_token) for a, n in zip(advantages, sizes, strict=True)],
        weight=[_per_token(w, n, per_token) * fresh for w, n, fresh in zip(weights, sizes, sampled, strict=True)],
        behaviour_logprob=behaviour,
    )


def _per_token(values: np.ndarray, sizes: np.ndarray, already: bool) -> np.ndarray:
    if values.shape == sizes.shape and not already:
        return np.repeat(values, sizes).astype(np.float32)
    if values.shape == (int(sizes.sum()),):
        return values.astype(np.float32)
    expected = f"one number per turn [{len(sizes)}] or per sampled token [{sizes.sum()}]"
    raise ValueError(f"expected {expected}, got shape {list(values.shape)}")


# --- packed batches ------------------------------------------------------------------------------------------------------


# --- optimiser steps -----------------------------------------------------------------------------------------------------
