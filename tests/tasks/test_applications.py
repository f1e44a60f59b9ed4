"""Packs on applications that are installed apart: what holds of them without the application."""

import re

import pytest
from typer.testing import CliRunner

import cli
from webgym.errors import UsageError
from webgym.packs import applications, registry
from webgym.packs.rehearsal import rehearse
from webgym.task import SEEDS, SPLITS, Evidence

PACKS = sorted(applications.recipes())
WITHOUT_SIGN_IN = {"fava"}
TASKS = [task_id for task_id in registry.task_ids() if task_id.partition(".")[0] in PACKS]


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No application is installed."""
    monkeypatch.setenv("WEBGYM_APPLICATIONS", str(tmp_path / "none"))


def test_there_are_packs():
    assert {"trac", "oscar", "spirit", "fava"} <= set(PACKS)


def test_the_list_has_tasks_that_are_not_installed_and_says_what_installs_them(nowhere):
    result = CliRunner().invoke(cli.app, ["tasks", "list", "--tasks", PACKS[0], "--tasks", "miniwob.click-test"])
    assert result.exit_code == 0
    assert f"the application {PACKS[0]} is not installed: run `webgym sites install {PACKS[0]}`" in result.stdout


def test_what_is_not_installed_cannot_begin_and_is_left_out_of_an_audit(nowhere):
    with pytest.raises(UsageError, match=f"run `webgym sites install {PACKS[0]}`"):
        rehearse([next(task_id for task_id in TASKS if task_id.startswith(f"{PACKS[0]}."))])
    with pytest.raises(UsageError, match=f"run `webgym sites install {PACKS[0]}`"):
        applications.playable(TASKS[:1])
    found, notes = applications.playable([TASKS[0], "miniwob.click-test"])
    assert found == ["miniwob.click-test"] and len(notes) == 1
    assert applications.missing("miniwob.click-test") == ""


def test_an_unknown_application_is_told_with_what_was_meant():
    with pytest.raises(UsageError, match=r"no application 'trak'; did you mean 'trac'"):
        applications.recipe("trak")


def test_sites_list_names_them_all(nowhere):
    result = CliRunner().invoke(cli.app, ["sites", "list"])
    assert result.exit_code == 0 and all(name in result.stdout for name in PACKS)


@pytest.mark.parametrize("task_id", TASKS)
def test_goals_differ_by_seed_and_their_checks_want_more_than_nothing(task_id):
    task = registry.task(task_id)
    for split in SPLITS:
        goals = {task.start(seed).goal for seed in SEEDS[split][:200]}
        assert len(goals) >= 4 and not any(re.search(r"[{}]", goal) for goal in goals)
    for seed in range(200):
        assert bool(task.start(seed).cookies) == (task_id.partition(".")[0] not in WITHOUT_SIGN_IN)
        assert task.check(Evidence(seed, "", {"changes": {}}, ended="stop")).kind == "failure"
