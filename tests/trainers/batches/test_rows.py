import dataclasses
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainers.episodes import trajectory, turn
from trainers.batches import packing
from trainers.batches import rows as r
from webgym.errors import UsageError
from webgym.types import EpisodeKey, Sampling, Trajectory

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)


@st.composite
def trajectories(draw: st.DrawFn) -> Trajectory:
    """Turns whose prompt continues the last turn, nearly continues it, or restarts; few ids, so that accidents happen."""
    turns, seen = [], ()
    for _ in range(draw(st.integers(0, 5))):
        fresh = draw(TOKENS)
        prompt = draw(st.sampled_from([seen + fresh, fresh, seen[:-1] + fresh, seen])) or fresh
        action = draw(st.lists(st.integers(0, 3), max_size=4).map(tuple))
        turns.append(turn(prompt, action, logprobs=[-float(draw(st.integers(1, 9))) for _ in action]))
        seen = prompt + action
    return trajectory(turns)


BATCHES = st.lists(trajectories(), min_size=1, max_size=5)


def streams(many: list[Trajectory], advantage: float = 1.0) -> r.Streams:
    return r.streams_of(many, [np.full(len(x), advantage) for x in many], [np.ones(len(x)) for x in many])


# --- rows ----------------------------------------------------------------------------------------------------------------


def test_merge_by_hand() -> None:
    rows = r.rows_of(trajectory([turn([1, 2], [3]), turn([1, 2, 3, 4], [5, 6]), turn([9], [8])]), index=4, first_turn=10)
    assert rows == [
        r.Row(4, 10, (1, 2, 3, 4, 5, 6), (r.Span(0, 1, 2, 3, offset=0), r.Span(1, 3, 4, 6, offset=1))),
        r.Row(4, 10, (9, 8), (r.Span(2, 0, 1, 2, offset=3),)),
    ]


@pytest.mark.parametrize("prompt", [[1, 2, 3, 4], [1, 2, 9, 4], [2, 3, 4], [1, 2]])
def test_a_row_goes_on_only_where_the_prompt_repeats_prompt_and_action(prompt: list[int]) -> None:
    rows = r.rows_of(trajectory([turn([1, 2], [3]), turn(prompt, [5])]))
    assert len(rows) == (1 if prompt == [1, 2, 3, 4] else 2)


@pytest.mark.parametrize(("keys", "rows"), [(("", ""), 1), (("red", "red"), 1), (("red", "blue"), 2), (("", "red"), 2), (("red", ""), 2)])
def test_a_row_goes_on_only_beside_the_same_pictures(keys: tuple[str, str], rows: int) -> None:
    turns = [turn([1, 2], [3], key=keys[0]), turn([1, 2, 3, 4], [5], key=keys[1])]
    found = r.rows_of(trajectory(turns))
    assert len(found) == rows
    assert [row.ids for row in found] == ([(1, 2, 3, 4, 5)] if rows == 1 else [(1, 2, 3), (1, 2, 3, 4, 5)])


@given(trajectories())
@settings(max_examples=200, deadline=None)
def test_rows_keep_every_id_and_spans_cover_exactly_the_sampled_tokens(x: Trajectory) -> None:
    rows = r.rows_of(x)
    spans = [(row, span) for row in rows for span in row.spans]
    assert [span.turn for _, span in spans] == list(range(len(x)))
    offset = 0
    for (row, span), recorded in zip(spans, x.turns, strict=True):
        assert row.ids[: span.start] == recorded.completion.prompt_ids
        assert row.ids[span.start : span.end] == recorded.completion.action_ids
        assert span.prompt_end == span.start - 1
        assert span.offset == offset
        offset += span.size
    for row in rows:
        assert row.spans[-1].end == len(row)
    seen = [t.completion.prompt_ids + t.completion.action_ids for t in x.turns]
    breaks = sum(t.completion.prompt_ids[: len(s)] != s for s, t in zip(seen, x.turns[1:], strict=False))
    assert len(rows) == (breaks + 1 if x.turns else 0)


def test_a_span_says_which_grammar_held_it() -> None:
    """A turn without one, or of which nothing is known, was held by none."""
    turns = [turn([1], [2, 3], sampling=Sampling(grammar="compact", max_tokens=9)), turn([4], [5], sampling=Sampling()), turn([6], [7])]
    spans = [span for row in r.rows_of(trajectory(turns)) for span in row.spans]
    assert [span.held for span in spans] == [r.Held("compact", 9, 2), None, None]


def test_global_turn_ids_count_turns_of_all_trajectories_before() -> None:
    many = [trajectory([turn([1], [2])] * 3), trajectory([]), trajectory([turn([1], [2])] * 2)]
    assert [(row.trajectory, row.first_turn) for row in r.rows_of_all(many)] == [(0, 0)] * 3 + [(2, 3)] * 2


def test_turns_without_a_model_are_refused() -> None:
    with pytest.raises(UsageError, match=r"pack\.task \(seed 0, member 0\), turn 1: expected the token ids"):
        r.rows_of(trajectory([turn([1], [2]), turn([], [])]))
    with pytest.raises(UsageError, match="expected 2 behaviour_logprobs, one per action id, got 1"):
        r.rows_of(trajectory([turn([1], [2, 3], logprobs=[-1.0])]))


def test_a_row_longer_than_the_context_is_named() -> None:
    many = [trajectory([turn([1], [2]), turn([3] * 8, [4] * 3)])]
    rows = r.rows_of_all(many)
    r.check_context(rows, many, 11)
    with pytest.raises(UsageError, match=r"turn 1 \(http://page\): prompt and action take 11 tokens, but the model reads at most 10"):
        r.check_context(rows, many, 10)


def test_sampling_must_be_uncut_and_of_one_temperature() -> None:
    warm, cold = Sampling(temperature=1.5), Sampling(temperature=0.5)
    assert r.sampling_temperature([trajectory([turn([1], [2], sampling=warm)] * 2)]) == 1.5
    assert r.sampling_temperature([]) == r.sampling_temperature([trajectory([turn([1], [2])])]) == 1.0, "nothing else is known"
    with pytest.raises(UsageError, match=r"one temperature, got \[0\.5, 1\.5\]"):
        r.sampling_temperature([trajectory([turn([1], [2], sampling=warm), turn([1], [2], sampling=cold)])])
    for cut in (Sampling(top_k=2), Sampling(top_p=0.9), Sampling(greedy=True)):
        with pytest.raises(UsageError, match="cut distribution"):
            r.sampling_temperature([trajectory([turn([1], [2], sampling=cut)])])


# --- streams and packing -------------------------------------------------------------------------------------------------


def test_credit_per_turn_is_broadcast_to_its_tokens() -> None:
    x = trajectory([turn([1], [2, 3], logprobs=[-1, -2]), turn([1], [4], logprobs=[-3])])
    found = r.streams_of([x], [np.array([0.5, -2.0])], [np.array([1.0, 0.0])])
    np.testing.assert_array_equal(found.advantage[0], [0.5, 0.5, -2.0])
    np.testing.assert_array_equal(found.weight[0], [1, 1, 0])
    np.testing.assert_array_equal(found.behaviour_logprob[0], [-1, -2, -3])
    per_token = r.streams_of([x], [np.array([1.0, 2.0, 3.0])], [np.ones(3)])
    np.testing.assert_array_equal(per_token.advantage[0], [1, 2, 3])
    with pytest.raises(ValueError, match=r"per turn \[2\] or per sampled token \[3\], got shape \[4\]"):
        r.streams_of([x], [np.ones(4)], [np.ones(2)])


@given(BATCHES, st.integers(1, 40), st.sampled_from(["row", "trajectory"]), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_packing_loses_nothing_and_keeps_the_budget(many: list[Trajectory], budget: int, whole: r.Whole, rng) -> None:
    rows = r.rows_of_all(many)
    batches = packing.pack(rows, budget, streams(many), whole=whole)
    assert sorted(tuple(row) for b in batches for row in rows_in(b)) == sorted(row.ids for row in rows)
    for batch in batches:
        units = len(batch.cu_seqlens) - 1 if whole == "row" else len(set(sequences_in(batch, rows)))
        assert batch.tokens <= budget or units == 1
        assert batch.positions.tolist() == [i for row in rows_in(batch) for i in range(len(row))]
        assert batch.longest == max(len(row) for row in rows_in(batch))
        torch.testing.assert_close(batch.ids[batch.action_index + 1], batch.action_ids)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    again = packing.pack(shuffled, budget, streams(many), whole=whole)
    for one, other in zip(batches, again, strict=True):
        for f in dataclasses.fields(packing.PackedBatch):
            a, b = getattr(one, f.name), getattr(other, f.name)
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b  # type: ignore[arg-type]


def rows_in(batch: packing.PackedBatch) -> list[list[int]]:
    ends = batch.cu_seqlens.tolist()
    return [batch.ids[a:b].tolist() for a, b in pairwise(ends)]


def sequences_in(batch: packing.PackedBatch, rows: list[r.Row]) -> list[int]:
    turn_owner = {row.first_turn + span.turn: row.trajectory for row in rows for span in row.spans}
    return [turn_owner[t] for t in batch.value_turn.tolist()]


@given(BATCHES, st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_masks_cover_exactly_the_sampled_tokens_and_unpack_inverts_pack(many: list[Trajectory], budget: int) -> None:
    batches = packing.pack(r.rows_of_all(many), budget, streams(many))
    ids = packing.unpack(batches, [b.action_ids.float() for b in batches], len(many))
    logprobs = packing.unpack(batches, [b.behaviour_logprob for b in batches], len(many))
    for x, found, p in zip(many, ids, logprobs, strict=True):
        assert found.tolist() == [i for t in x.turns for i in t.completion.action_ids]
        assert p.tolist() == [i for t in x.turns for i in t.completion.behaviour_logprobs]
    completions = [t.completion for x in many for t in x.turns]
    read = {int(t): int(b.ids[i]) for b in batches for t, i in zip(b.value_turn, b.value_index, strict=True)}
    assert read == {t: c.prompt_ids[-1] for t, c in enumerate(completions)}
    for b in batches:
        assert b.turn_size.tolist() == [len(completions[t].action_ids) for t in b.turn_of_action.tolist()]
        sizes = [sum(len(t.completion.action_ids) for t in x.turns) for x in many]
        assert b.sequence_size.tolist() == [sizes[i] for i in b.sequence_of_action.tolist()]


def test_first_fit_decreasing_by_hand() -> None:
    many = [trajectory([turn([i] * (n - 1), [i])]) for i, n in enumerate([4, 7, 3, 12, 6])]
    batches = packing.pack(r.rows_of_all(many), 10)
    # 12 alone; 7 opens a batch, 6 another, 4 fits beside 6, 3 beside 7
    assert [[row[0] for row in rows_in(b)] for b in batches] == [[3], [1, 2], [0, 4]]
    assert batches[0].advantage.isnan().all() and batches[0].weight.isnan().all()  # nothing was given, and nothing is made up


def test_nothing_to_pack() -> None:
    assert packing.pack([], 10) == []
    assert packing.unpack([], [], 0) == []
    with pytest.raises(UsageError, match="at least 1, got 0"):
        packing.pack([], 0)


def test_batches_pickle() -> None:
    x = trajectory([turn([1, 2], [3, 4])])
    batch = pickle.loads(pickle.dumps(packing.pack(r.rows_of(x), 10, streams([x]))[0]))
    assert batch.ids.tolist() == [1, 2, 3, 4]


# --- optimiser steps -----------------------------------------------------------------------------------------------------


def test_turns_that_cannot_move_the_loss_are_not_computed_but_counted() -> None:
    many = [
        trajectory([turn([1], [2, 2]), turn([1, 2, 2, 3], [4]), turn([5], [6])]),  # two rows: turns 0, 1 merged, and turn 2
        trajectory([turn([7], [8, 8, 8])]),
    ]
    given = r.streams_of(many, [np.array([1.0, 0.0, 0.0]), np.array([1.0])], [np.ones(3), np.zeros(1)])
    rows = r.rows_of_all(many)
    step = packing.step_of(rows, given, 100)
    assert step.counts == packing.Counts(tokens=4, turns=3, trajectories=1)  # the masked trajectory is in no divisor
    assert [rows_in(b) for b in step.batches] == [[[1, 2, 2]]]  # the merged row is cut behind its last turn that counts
    assert step.skipped_tokens == 8
    assert step.batches[0].turn_size.tolist() == [2, 2] and step.batches[0].sequence_size.tolist() == [4, 4]
    kept = packing.step_of(rows, given, 100, keep_zero_advantage=True)
    assert [rows_in(b) for b in kept.batches] == [[[1, 2, 2, 3, 4], [5, 6]]] and kept.counts == step.counts
    together = packing.step_of(rows, given, 100, whole="trajectory")
    assert [rows_in(b) for b in together.batches] == [[[1, 2, 2, 3, 4], [5, 6]]]


@given(BATCHES, st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_plan_deals_each_trajectory_to_one_step(many: list[Trajectory], minibatches: int, seed: int) -> None:
    rows = r.rows_of_all(many)
    steps = packing.plan(rows, streams(many), 16, minibatches=minibatches, seed=seed)
    owners = [{i for b in step.batches for i in b.sequence_of_action.tolist()} for step in steps]
    live = {i for i, x in enumerate(many) if any(t.completion.action_ids for t in x.turns)}
    assert len(steps) == min(minibatches, len(live))
    assert set().union(*owners) == live and sum(map(len, owners)) == len(live)
    assert [step.counts.trajectories for step in steps] == [len(o) for o in owners]
    again = packing.plan(rows, streams(many), 16, minibatches=minibatches, seed=seed)
    assert [[b.ids.tolist() for b in s.batches] for s in steps] == [[b.ids.tolist() for b in s.batches] for s in again]


def test_copied_turns_of_a_fork_are_in_no_loss() -> None:
    own, copied = turn([1], [2, 3]), turn([1], [4])
    copied = dataclasses.replace(copied, completion=dataclasses.replace(copied.completion, origin=EpisodeKey("pack.task", 0)))
    assert copied.copied and not own.copied
    found = r.streams_of([trajectory([copied, own])], [np.array([1.0, 2.0])], [np.array([1.0, 0.5])])
    assert found.weight[0].tolist() == [0, 0.5, 0.5] and found.advantage[0].tolist() == [1, 2, 2]


def test_streams_are_of_the_same_tokens() -> None:
    """A reference that was read on other actions has other lengths as a rule, and is refused."""
    x = trajectory([turn([1], [5, 6]), turn([1, 5, 6, 2], [7])])
    streams = r.streams_of([x], [np.ones(2)], [np.ones(2)])
    assert dataclasses.replace(streams, reference_logprob=[np.zeros(3)], old_logprob=[np.zeros(3)]).reference_logprob is not None
    for name in ("advantage", "weight", "old_logprob", "reference_logprob"):
        with pytest.raises(
            ValueError, match=rf"expected {name} of \[3\] sampled tokens by trajectory, as behaviour_logprob has, got \[2\]"
        ):
            dataclasses.replace(streams, **{name: [np.zeros(2)]})


def test_arrays_per_token_are_taken_as_they_are() -> None:
    """Two turns of 2 and 0 tokens have as many tokens as turns, so that the shape says nothing."""
    x = trajectory([turn([1], [5, 6]), turn([1, 5, 6], [])])
    values = np.array([1.0, 2.0])
    assert r.streams_of([x], [values], [values], per_token=True).advantage[0].tolist() == [1.0, 2.0]
    streams = r.streams_of([x], [values], [values])
    assert streams.advantage[0].tolist() == streams.weight[0].tolist() == [1.0, 1.0]
