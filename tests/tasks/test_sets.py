from itertools import combinations

from webgym import registry
from webgym.task_sets import seeds_of, task_sets


def test_sets_name_tasks_that_exist_once():
    known = set(registry.task_ids())
    for name, chosen in task_sets().items():
        assert chosen.tasks and set(chosen.tasks) <= known, name
        assert len(set(chosen.tasks)) == len(chosen.tasks), name
        assert chosen.description


def test_default_set_can_be_taught():
    """Imitation needs demonstrations, so every task of the default set has an oracle; they rise in difficulty."""
    tasks = [registry.task(task_id) for task_id in task_sets()["default"].tasks]
    assert len(tasks) >= 14
    assert all(task.oracle for task in tasks)
    assert tasks[0].max_turns < tasks[-1].max_turns


def test_splits_share_no_seed():
    splits = [seeds_of(split) for split in ("train", "valid", "test")]
    assert all(len(split) >= 10_000 for split in splits)
    assert all(a.stop <= b.start or b.stop <= a.start for a, b in combinations(splits, 2))
