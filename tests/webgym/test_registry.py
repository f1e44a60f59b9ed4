"""Tasks by id: found by manifest, registered from outside, with words for what is not there."""

import gymnasium as gym
import pytest

import webgym
from webgym import registry, task_sets
from webgym.errors import TaskFileError, UnknownTaskError
from webgym.task import PENDING, Start, Task


def new_task(task_id):
    return Task(
        task_id, start=lambda seed: Start("http://mine.localhost/", "goal"), check=lambda evidence: PENDING, hosts=("mine.localhost",)
    )


class Mine:
    host = "mine.localhost"


@pytest.fixture
def clean():
    yield
    for task_id in list(registry._registered):
        del registry._registered[task_id], gym.registry[f"webgym/{task_id}-v0"]
    registry._registered_sites.clear()


def test_ids_come_from_the_manifests():
    ids = registry.task_ids()
    assert len(ids) == len(set(ids)) and len([i for i in ids if i.startswith("miniwob.")]) == 128
    assert "miniwob.click-test-2" in ids and webgym.task_ids() == ids


def test_a_task_is_found_by_either_id():
    task = registry.task("miniwob.click-test-2")
    assert registry.task("webgym/miniwob.click-test-2-v0") is task
    assert (task.id, task.gym_id) == ("miniwob.click-test-2", "webgym/miniwob.click-test-2-v0")
    assert [site.host for site in registry.sites_of(task)] == ["miniwob.localhost"]


@pytest.mark.parametrize("wrong", ["miniwob.click-tset-2", "webgym/miniwob.click-tset-2-v0", "minwob.click-test-2"])
def test_unknown_task_says_what_was_meant(wrong):
    with pytest.raises(UnknownTaskError, match=r"there is no task .*did you mean .*'miniwob\.click-test-2'"):
        registry.task(wrong)


def test_unknown_task_that_is_near_nothing():
    with pytest.raises(UnknownTaskError, match=r"^there is no task 'zzz' \(`webgym tasks list` shows all\)$"):
        registry.task("zzz")


def test_patterns_in_registry_order_each_once():
    chosen = registry.select(["miniwob.click-test-*", "webgym/miniwob.click-test-v0", "miniwob.click-test-2"])
    expected = [i for i in registry.task_ids() if i.startswith("miniwob.click-test-")]
    assert chosen == [*expected, "miniwob.click-test"] and len(expected) >= 2
    with pytest.raises(UnknownTaskError, match=r"no task matches 'miniwob\.nothing-"):
        registry.select(["miniwob.nothing-*"])


def test_own_tasks_can_be_registered(clean):
    site = Mine()
    first = registry.register(new_task("mine.one"), [site])
    registry.register(new_task("mine.two"), [site])
    assert registry.task("mine.one") is first and registry.task_ids()[-2:] == ["mine.one", "mine.two"]
    assert registry.sites_of(first) == [site]
    assert gym.spec("webgym/mine.one-v0").kwargs == {"task_id": "mine.one"}
    assert registry.select(["mine.*"]) == ["mine.one", "mine.two"]
    with pytest.raises(TaskFileError, match=r"there is a task 'mine\.one' already"):
        registry.register(new_task("mine.one"))
    with pytest.raises(TaskFileError, match=r"there is a task 'miniwob\.click-test' already"):
        registry.register(new_task("miniwob.click-test"))
    with pytest.raises(TaskFileError, match="has no pack name"):
        registry.register(new_task("one"))


def test_foreign_packs_come_by_entry_point(monkeypatch):
    class Pack:
        @staticmethod
        def tasks():
            return {"one": new_task("foreign.one")}

        @staticmethod
        def sites():
            return (Mine(),)

    monkeypatch.setattr(registry, "_foreign_packs", lambda: {"foreign": Pack})
    registry._pack.cache_clear()
    assert registry.task("foreign.one").id == "foreign.one" and "foreign.one" in registry.task_ids()
    assert [site.host for site in registry.sites_of(registry.task("foreign.one"))] == ["mine.localhost"]
    registry._pack.cache_clear()


def test_broken_manifest_is_named(tmp_path, monkeypatch):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/pack.toml").write_text("[tasks")
    monkeypatch.setattr(registry, "PACKS_FOLDER", tmp_path)
    with pytest.raises(TaskFileError, match=r"bad/pack\.toml: not valid TOML"):
        registry.manifests.__wrapped__()


def test_choose_takes_sets_ids_and_patterns():
    default = task_sets.choose(["default"])
    assert task_sets.choose(["default", default[0], "miniwob.click-test"]) == [*default, "miniwob.click-test"]
    with pytest.raises(UnknownTaskError, match=r"no task set is called 'defualt'; did you mean 'default'\? \(sets: default"):
        task_sets.choose(["defualt"])
