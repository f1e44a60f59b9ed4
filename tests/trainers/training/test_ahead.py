"""Batches that are collected several updates ahead: their versions, their metrics, and runs that are resumed in the middle of them."""

from pathlib import Path

import pytest
import torch

from tests.trainers.text_runs import finish, start, state, timeless, write_model
from trainers.config import resolve
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError
from webgym.record import layout
from webgym.record.store import load

LEARNS = {"loss": {"entropy_coef": 0.01}}
THREE = {"overlap": True, "staleness": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model")


def versions(run: Trainer) -> list[set[int]]:
    """The versions of the policy that wrote each iteration's turns."""
    return [
        {turn.completion.policy_version for x in load(run.run.trajectory_path(i)) for turn in x.turns} for i in range(1, run.iteration + 1)
    ]


def test_batches_are_as_far_behind_as_is_allowed_and_a_resumed_run_is_the_straight_one(model: Path, tmp_path: Path) -> None:
    straight = finish(start(model, tmp_path, "straight", "reinforce", rollout=THREE, length={"iterations": 6}, algorithm=LEARNS))
    assert versions(straight) == [{0}, {0}, {0}, {0}, {1}, {2}]
    rows = timeless(straight.run.path / layout.METRICS)
    assert [row["rollout/staleness"] for row in rows] == [0, 1, 2, 3, 3, 3]
    assert rows[2]["rollout/staleness_2"] == rows[5]["rollout/staleness_3"] == 1.0 and "rollout/staleness_3" not in rows[2]
    finish(start(model, tmp_path, "parts", "reinforce", rollout=THREE, length={"iterations": 2}, algorithm=LEARNS))
    parts = finish(Trainer.resume(tmp_path / "parts", changes={"length": {"iterations": 6}}))
    assert timeless(parts.run.path / layout.METRICS) == rows
    assert all(torch.equal(x, y) for x, y in zip(state(parts), state(straight), strict=True))


def test_a_run_may_be_resumed_with_a_smaller_bound_or_none(model: Path, tmp_path: Path) -> None:
    finish(start(model, tmp_path, "run", "reinforce", rollout=THREE, length={"iterations": 4}, algorithm=LEARNS))
    closer = finish(Trainer.resume(tmp_path / "run", changes={"length": {"iterations": 7}, "rollout": {"staleness": 1}}))
    assert versions(closer)[4:] == [{1}, {4}, {5}], "the batch that was planned next keeps its weights"
    lockstep = finish(Trainer.resume(tmp_path / "run", changes={"length": {"iterations": 9}, "rollout": {"overlap": False}}))
    assert versions(lockstep)[7:] == [{6}, {8}]
    row = timeless(lockstep.run.path / layout.METRICS)[-1]
    assert (row["rollout/staleness"], row["rollout/staleness_0"]) == (0, 1)


def test_what_cannot_go_with_it_is_said() -> None:
    with pytest.raises(ConfigError, match=r"rollout\.staleness=2 has no effect with rollout\.overlap=false"):
        resolve({"rollout": {"staleness": 2}})
    with pytest.raises(ConfigError, match="whose critic asks the policy for proposals beside the update"):
        resolve({"algo": "archer_q", "rollout": {"overlap": True, "staleness": 2}})
    with pytest.raises(ConfigError, match="less than or equal to 8"):
        resolve({"rollout": {"overlap": True, "staleness": 9}})
