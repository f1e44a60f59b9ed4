"""Groups without spread are replaced: in bounded rounds, with every step counted, resumable bit for bit, overlapped or not."""

import json
from pathlib import Path

import pytest
import torch

from tests.trainers.episodes import episode
from tests.trainers.text_runs import finish, start, state, timeless
from trainers.config import resolve
from trainers.credit.credit import teaches
from trainers.rollouts.collection import in_rounds
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.record.store import load
from webgym.types import EpisodeKey, Trajectory, groups_of


def group(number: int, *results: float) -> list[Trajectory]:
    found = (episode(r, 2, "fault" if r != r else None) for r in results)
    return [Trajectory(EpisodeKey("pack.task", number, 1, number, m), "", x.turns, x.outcome) for m, x in enumerate(found)]


def played(results: dict[int, tuple[float, ...]], groups: int, rounds: int) -> tuple[list[tuple[int, int, int]], list[int]]:
    """What was asked for, and the groups that came."""
    asked: list[tuple[int, int, int]] = []

    def play(number: int, first: int, count: int) -> list[Trajectory]:
        asked.append((number, first, count))
        return [x for g in range(first, first + count) for x in group(g, *results.get(g, (0.0, 0.0)))]

    return asked, sorted({x.key.group for x in in_rounds(play, groups, rounds)})


def test_each_round_replaces_the_groups_of_the_one_before_that_had_no_spread() -> None:
    results = {0: (0.0, 1.0), 1: (1.0, 1.0), 2: (0.0, 0.0), 3: (1.0, 0.0), 4: (0.0, 0.0), 5: (0.0, 1.0)}
    assert played(results, 3, 0) == ([(0, 0, 3)], [0, 1, 2])
    assert played(results, 3, 1) == ([(0, 0, 3), (1, 3, 2)], [0, 1, 2, 3, 4])
    assert played(results, 3, 9) == ([(0, 0, 3), (1, 3, 2), (2, 5, 1)], [0, 1, 2, 3, 4, 5])
    assert len(played({}, 2, 3)[0]) == 4  # where nothing ever has spread, the bound ends it


def test_a_fault_is_no_spread() -> None:
    assert not teaches(group(0, float("nan"), 1.0)) and not teaches(group(0, float("nan"), float("nan")))
    assert teaches(group(0, float("nan"), 1.0, 0.0))


@pytest.mark.parametrize("overlap", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_run_that_resamples_counts_every_step_and_resumes_bitwise(overlap: bool, tmp_path: Path) -> None:
    settings = {"algorithm": {"resample": 2}, "overlap": overlap, "max_tokens": 16}
    whole = finish(start("webgym-tiny", tmp_path, "whole", "dapo", **settings))
    finish(start("webgym-tiny", tmp_path, "part", "dapo", **{**settings, "iterations": 2}))
    resumed = finish(Trainer.resume(tmp_path / "part", changes={"length": {"iterations": 3}}))
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))
    logged = [timeless(trainer.run.path / "metrics.jsonl") for trainer in (whole, resumed)]
    assert logged[0] == logged[1]
    batches = [load(whole.run.trajectory_path(i)) for i in (1, 2, 3)]
    assert logged[0][-1]["rollout/turns_total"] == sum(len(x) for batch in batches for x in batch)
    for batch, row in zip(batches, logged[0], strict=True):
        groups = groups_of(batch)
        assert [x[0].key.group for x in groups] == list(range(len(groups)))
        assert row["rollout/groups_resampled"] == len(groups) - 3 <= 6
        assert row["rollout/groups_dropped"] == sum(not teaches(g) for g in groups)
    assert any(row["rollout/groups_resampled"] for row in logged[0]) and any(row["optim/steps"] for row in logged[0])
    assert len({(x.key.task_id, x.key.seed) for batch in batches for x in batch}) == sum(len(groups_of(batch)) for batch in batches)


def test_replaced_groups_must_be_out_of_the_loss() -> None:
    with pytest.raises(ConfigError, match=r"^algorithm gspo: resample plays other groups .* set drop_dead_groups=true"):
        resolve({"algo": "gspo", "algorithm": {"resample": 1}})
    assert json.dumps(resolve({"algo": "gspo", "algorithm": {"resample": 1, "drop_dead_groups": True}})[0].algorithm)
