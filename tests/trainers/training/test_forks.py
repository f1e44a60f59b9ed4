"""Runs whose episodes fork: what is counted, trained, stored, restored and resumed, on the text twin and in a browser."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.episodes import episode, trajectory, turn
from tests.trainers.text_runs import finish, start, state, timeless
from trainers.batches.rows import rows_of_all, streams_of
from trainers.config import resolve
from trainers.credit.credit import turn_weights
from trainers.training.metrics import fresh_turns, rollout_metrics, sampled_tokens
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.record.store import decode, encode, load
from webgym.types import Trajectory, groups_of
from webgym.view.runs import Library

TASK = "wizard.h4-slack0"


def fork(trunk: Trajectory, at: int, member: int) -> Trajectory:
    """A fork of a hand-made episode that does at its own turns what the episode did."""
    copied = [replace(x, completion=replace(x.completion, origin=trunk.key)) for x in trunk.turns[:at]]
    return replace(trunk, key=replace(trunk.key, member=member), turns=(*copied, *trunk.turns[at:]))


def test_copied_turns_are_no_steps_and_have_no_weight() -> None:
    trunk = trajectory([turn([1], [7, 7]), turn([2], [7]), turn([3], [7, 7, 7], 1.0)])
    batch = [trunk, fork(trunk, 2, 1)]
    assert [x.forked_at for x in batch] == [0, 2]
    assert fresh_turns(batch) == 4 and sampled_tokens(batch) == 9
    assert [w.tolist() for w in turn_weights(batch)] == [[1, 1, 1], [0, 0, 1]]
    ones = [np.ones(3), np.ones(3)]
    assert [w.tolist() for w in streams_of(batch, ones, ones).weight] == [[1] * 6, [0, 0, 0, 1, 1, 1]], "whatever credit says"
    assert len(rows_of_all(batch)) == 6
    lost = fork(episode(0.0, 3), 1, 2)
    row = rollout_metrics([*batch, lost], 1)
    assert (row["rollout/success"], row["rollout/forks"], row["rollout/turns"]) == (1.0, 2, 3.0), "success is of episodes from the start"


def test_the_store_keeps_the_origin() -> None:
    trunk = trajectory([turn([1], [7]), turn([2], [7], 1.0)])
    copy = fork(trunk, 1, 3)
    assert decode(encode(copy)) == copy and copy.turns[0].copied and not copy.turns[1].copied
    assert b"origin" not in encode(trunk)
    with pytest.raises(TypeError):
        decode(encode(copy).replace(b'"origin":["pack.task",0,0,0,0]', b'"origin":["pack.task",0,0,0,"x"]'))


@pytest.mark.parametrize(("algo", "options"), [("tree", {"every": 1, "most": 2}), ("taught", {"chance": 0.4})])
def test_a_run_with_forks_counts_fresh_steps_and_resumes_bitwise(algo: str, options: dict, tmp_path: Path) -> None:
    settings = {"algorithm": options, "tasks": (TASK,), "max_tokens": 16, "rollout": {"groups": 2, "group_size": 2}, "iterations": 2}
    settings["critic"] = {"head": {"backbone": "bigrams"}, "warmup_iterations": 0}
    whole = finish(start("webgym-tiny", tmp_path, "whole", algo, **settings))
    finish(start("webgym-tiny", tmp_path, "part", algo, **{**settings, "iterations": 1}))
    resumed = finish(Trainer.resume(tmp_path / "part", changes={"length": {"iterations": 2}}))
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))
    logged = [timeless(trainer.run.path / "metrics.jsonl") for trainer in (whole, resumed)]
    assert logged[0] == logged[1]
    batches = [load(whole.run.trajectory_path(i)) for i in (1, 2)]
    everything = [x for batch in batches for x in batch]
    last = logged[0][-1]
    assert last["rollout/turns_total"] == sum(len(x) - x.forked_at for x in everything)
    assert last["rollout/replayed_total"] == sum(x.forked_at for x in everything) > 0
    assert last["rollout/tokens_total"] == sampled_tokens(everything)
    for batch, row in zip(batches, logged[0], strict=True):
        assert row["rollout/forks"] == sum(x.forked_at > 0 for x in batch) == row["rollout/episodes"] - 4
        for group in groups_of(batch):
            _check_tree(group)
    data = Library.open(whole.run.path).run("whole").group("iter-000001", 1)
    assert {m["member"]: m["forked_at"] for m in data["members"]} == {x.key.member: x.forked_at for x in batches[0] if x.key.group == 0}
    assert all(t["copied"] == (n < m["forked_at"]) for m in data["members"] for n, t in enumerate(m["turns"]))


def _check_tree(group: list[Trajectory]) -> None:
    """Copies are what was sampled, in the same states; a fork's own turns were sampled anew."""
    by_key = {x.key: x for x in group}
    assert [x.key.member for x in sorted(group, key=lambda x: x.key.member)] == list(range(len(group)))
    for x in group:
        for t, copied in enumerate(x.turns[: x.forked_at]):
            origin = copied.completion.origin
            assert origin is not None
            source = by_key[origin].turns[t]
            assert replace(copied.completion, origin=None) == source.completion
            assert (copied.state_hash, copied.observation_hash, copied.action) == (
                source.state_hash,
                source.observation_hash,
                source.action,
            )
        if x.forked_at:
            source = by_key[x.turns[x.forked_at - 1].completion.origin]  # type: ignore[index]
            assert x.turns[x.forked_at].state_hash == source.turns[x.forked_at].state_hash


def test_forks_by_a_critic_cannot_be_collected_beside_its_update() -> None:
    with pytest.raises(ConfigError, match="cannot go with taught, which chooses its forks by the values that the update is changing"):
        resolve({"algo": "taught", "rollout": {"overlap": True}})
    assert resolve({"algo": "tree", "rollout": {"overlap": True}})[0].rollout.overlap
