"""The files, fragments, Python and commands of docs/writing-tasks.md work."""

import importlib.metadata
import re
import shlex
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

import cli
from tests.documents import printed
from webgym import trust
from webgym.authoring.starter import create
from webgym.authoring.task_file import TaskEntry, read
from webgym.packs import registry
from webgym.rollout.arena import Arena
from webgym.trust import adversaries

PAGE = (Path(__file__).parents[1] / "docs/writing-tasks.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def blocks(kind):
    return [text for found, text in BLOCKS if found == kind]


def named(kind):
    """The blocks whose first line names the file that they belong to."""
    return {first.removeprefix("# "): text for text in blocks(kind) if (first := text.partition("\n")[0]).endswith((".py", ".toml"))}


FILE, *FRAGMENTS = blocks("yaml")
MODULES, TABLES = named("python"), named("toml")
SPLITS, LAMP, ADVERSARY = (text for text in blocks("python") if text not in MODULES.values())
(ENTRY_POINT,) = (text for text in blocks("toml") if text not in TABLES.values())
COMMANDS = [line.partition("  #")[0] for _, text in BLOCKS for line in text.splitlines() if line.startswith("webgym ")]


@pytest.fixture(scope="module")
def arena():
    with Arena(2) as found:
        yield found


@pytest.fixture
def forgotten():
    """Tasks that a test loads or registers are forgotten in the end."""
    yield
    for task_id in list(registry._registered):
        registry._remove(task_id)
    registry._loaded.clear()


@pytest.fixture
def tools(tmp_path, forgotten):
    """The starter pack with the goal that the page adds to it."""
    folder = tmp_path / "tools"
    create("tools", folder, "templated")
    for name, text in MODULES.items():
        (folder / name).write_text(text, "utf-8")
    for name, text in TABLES.items():
        (folder / name).write_text((folder / name).read_text("utf-8") + text.partition("\n")[2], "utf-8")
    return folder


@pytest.fixture
def tips(tmp_path, forgotten):
    """The folder of the page's two files."""
    folder = tmp_path / "tips"
    (folder / "pages").mkdir(parents=True)
    (folder / "tasks.yaml").write_text(FILE, "utf-8")
    (folder / "pages/tip.html").write_text(blocks("html")[0], "utf-8")
    return folder


def test_the_task_file_can_be_trusted(tips, arena):
    audit = trust.audit(registry.load(tips)[0], arena, trust.audit_seeds(3))
    assert audit.problems == () and audit.notes == ()


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_fragments_are_read(tmp_path, fragment):
    entry = {"name": "x", "start": "http://miniwob.localhost/", "goal": "Go.", "check": "{url: /}"}
    given = re.findall(r"^(\w+):", fragment, re.MULTILINE)
    text = "tasks:\n  - " + "\n    ".join(f"{name}: {value}" for name, value in entry.items() if name not in given)
    (tmp_path / "x.yaml").write_text(f"{text}\n{textwrap.indent(fragment, '    ')}", "utf-8")
    (task,), _ = read(tmp_path / "x.yaml")
    assert task.id == "x.x" and given and set(given) <= set(TaskEntry.model_fields)


def test_the_splits_are_as_shown(tips, monkeypatch):
    monkeypatch.chdir(tips.parent)
    shown = PAGE.partition(f"{SPLITS}```\n\n```\n")[2].partition("```")[0]
    assert shown and printed(SPLITS, "writing-tasks.md") == shown


def test_the_python_task_can_be_trusted(tips, arena):
    exec(compile(LAMP, "writing-tasks.md", "exec"), {"__name__": "lamp"})
    assert trust.audit("lamp.switch", arena, (0, 1, 2, 3)).problems == ()


def test_the_goals_that_are_added_to_the_starter_can_be_trusted(tools):
    assert set(MODULES) == {"goals/returning.py", "goals/__init__.py", "oracles/returning.py", "oracles/__init__.py"}
    ids = registry.load(tools)
    assert ids == ["tools.lend", "tools.borrower", "tools.give-back", "tools.give-back-shelved"]
    assert registry.twins(ids) == [("tools.give-back", "tools.give-back-shelved")]
    with Arena(2, backend="text") as text:  # its pages are plain
        for task_id in ids:
            audit = trust.audit(task_id, text, trust.audit_seeds(3))
            assert audit.problems == () and audit.notes == (), task_id


def test_the_goal_of_the_page_is_tried_in_the_browser(tools, arena):
    registry.load(tools)
    audit = trust.audit("tools.give-back", arena, trust.audit_seeds(2), ("no-op", "wrong target"))
    assert audit.problems == () and audit.trials[0].wins


def test_the_tree_of_the_page_is_that_of_the_starter(tools):
    tree = PAGE.partition("```\ntools/\n")[2].partition("```")[0]
    shown = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    assert shown == {path.name for path in tools.iterdir() if path.name not in ("__init__.py", "__pycache__")}


def test_the_adversary_is_held_against_tasks(tips, arena, monkeypatch):
    monkeypatch.setattr(adversaries, "ADVERSARIES", {})
    exec(compile(ADVERSARY, "writing-tasks.md", "exec"), {})
    audit = trust.audit(registry.load(tips)[0], arena, (0,))
    assert [trial.name for trial in audit.trials] == ["oracle", "enter"] and audit.trusted


def test_every_field_is_explained_and_every_adversary_named():
    fields = PAGE.partition("| field | |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in fields.splitlines()[2:]))) == set(TaskEntry.model_fields)
    tried = PAGE.partition("| policy | does | may win |")[2].partition("\n\n")[0]
    assert {name.strip() for line in tried.splitlines()[2:] for name in line.split("|")[1].split(",")} == {"oracle", *trust.ADVERSARIES}


def test_the_entry_point_is_of_our_group():
    declared = tomllib.loads(ENTRY_POINT)["project"]["entry-points"]
    assert list(declared) == [registry.ENTRY_POINTS]
    entry = importlib.metadata.EntryPoint("shop", declared[registry.ENTRY_POINTS]["shop"], registry.ENTRY_POINTS)
    assert entry.module == "acme_shop.tasks"


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist_with_their_options(line):
    command: Any = typer.main.get_command(cli.app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("webgym", words, resilient_parsing=False)
