from dataclasses import replace

import numpy as np

from tests.trainers.episodes import episode
from trainers.critics.probe import probe_rows, probe_set
from webgym.record.store import TrajectoryStore


def test_the_probe_set_takes_every_group_in_turn_and_no_faults(tmp_path) -> None:
    played = [episode(float(m), 2, seed=g) for g in range(3) for m in range(2)]
    played = [replace(x, key=replace(x.key, iteration=1, group=i // 2, member=i % 2)) for i, x in enumerate(played)]
    broken = replace(episode(float("nan"), 1, "fault"), key=replace(played[0].key, group=9))
    with TrajectoryStore(tmp_path / "t.jsonl") as store:
        for x in [*played, broken, replace(episode(0.0, 0), key=replace(played[0].key, group=8))]:
            store.append(x)
    chosen = probe_set(tmp_path / "t.jsonl", limit=4)
    assert [(x.key.group, x.key.member) for x in chosen] == [(0, 0), (1, 0), (2, 0), (0, 1)]


def test_a_row_says_who_what_and_how_it_ended() -> None:
    x = replace(episode(1.0, 3, seed=7), key=replace(episode(1.0, 3, seed=7).key, iteration=1, group=4, member=2))
    (row,) = probe_rows([x], [np.array([0.1, 0.5, 0.9])], 12)
    assert row == {
        "policy_version": 12,
        "task_id": "pack.task",
        "seed": 7,
        "group": 4,
        "member": 2,
        "trajectory_iteration": 1,
        "values": [0.1, 0.5, 0.9],
        "reward": 1.0,
    }
