from itertools import combinations

import pytest

from webgym.errors import TaskFileError, UnknownTaskError
from webgym.packs import registry
from webgym.packs.sets import TaskSet, choose, seeds_of, task_sets


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


def test_what_is_held_out_is_in_no_set_for_training():
    held_out = {task for chosen in task_sets().values() if chosen.held_out for task in chosen.tasks}
    assert held_out
    for name, chosen in task_sets().items():
        assert chosen.held_out or not held_out & set(chosen.tasks), name


def test_a_held_out_site_is_held_out_as_a_whole():
    packs = {task.partition(".")[0] for task in task_sets()["test-site"].tasks}
    known = {task for task in registry.task_ids() if task.partition(".")[0] in packs}
    assert set(task_sets()["test-site"].tasks) == known


def test_twins_are_in_the_same_sets():
    for name, chosen in task_sets().items():
        for task_id in chosen.tasks:
            twin = registry.task(task_id).twin
            assert not twin or twin in chosen.tasks, f"{name} has {task_id} without its twin"


def test_the_long_set_is_long_and_the_easy_one_is_not():
    assert all(registry.task(task_id).difficulty >= 4 for task_id in task_sets()["long"].tasks)
    assert all(registry.task(task_id).difficulty <= 3 for task_id in task_sets()["easy"].tasks)


def test_a_set_of_what_is_not_there_is_named():
    with pytest.raises(TaskFileError, match=r"sets\.toml: in the set 'mine', no task matches 'mniwob\.click-button'; did you mean"):
        _ = TaskSet("mine", "", ("mniwob.click-button",)).tasks


def test_the_name_of_a_pack_means_all_its_tasks_and_is_no_name_of_a_set():
    assert not set(task_sets()) & set(registry.manifests())
    assert choose(["mail"]) == choose(["mail.*"]) == [task_id for task_id in registry.task_ids() if task_id.startswith("mail.")]
    with pytest.raises(UnknownTaskError, match=r"no task set is called 'mial'; did you mean 'mail'\? \(sets: default"):
        choose(["mial"])
