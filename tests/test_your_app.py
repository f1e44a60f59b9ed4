"""The applications, task files and programs of docs/your-app.md work; those that need other packages, where these are there."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import cli
from webgym import trust
from webgym.authoring.task_file import TaskEntry, read
from webgym.authoring.task_file.application import Application
from webgym.packs import registry
from webgym.rollout.arena import Arena

PAGE = (Path(__file__).parents[1] / "docs/your-app.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FILES = {text.partition("\n")[0].removeprefix("# "): text for kind, text in BLOCKS if kind in ("python", "yaml")}
(HTML,) = (text for kind, text in BLOCKS if kind == "html")


@pytest.fixture(autouse=True)
def _home(tmp_path_factory, monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    before = set(registry._registered)
    yield
    for task_id in set(registry._registered) - before:
        registry.forget(task_id)


@pytest.fixture
def folder(tmp_path):
    """A folder with the files of the page that stand in one of its own, by its name there."""

    def write(below=""):
        target = tmp_path / (below or "notes")
        for name, text in FILES.items():
            if name.startswith(f"{below}/") if below else not name.startswith(("django/", "node/", "at/", "staging/")):
                file = target / name.removeprefix(f"{below}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
        return target

    return write


def audited(path, seeds=3):
    with Arena(1) as arena:
        for task_id in registry.load(path, trust=True):
            found = trust.audit(task_id, arena, trust.audit_seeds(seeds), ("no-op", "stop"))
            assert found.problems == (), found.lines()


@pytest.mark.slow
def test_the_application_is_a_gym_in_ten_lines(folder):
    target = folder()
    lines = FILES["tasks.yaml"].splitlines()
    assert lines.index("tasks:") - 1 <= 10
    audited(target)


def test_the_python_tasks_begin_and_their_program_gives_a_verdict(folder):
    target = folder()
    ids = registry.load(target / "pack.py")
    with Arena(1) as arena:
        found = trust.audit(ids[0], arena, (0,), ("no-op",), oracle=False)
    assert found.problems == (), found.lines()
    text = (target / "tasks.yaml").read_text()
    asked = 'check: {state: {path: notes, contains: {owner: ann, title: "{title}"}}}'
    assert asked in text
    (target / "tasks.yaml").write_text(text.replace(asked, "check: {verify: checks/lunch.py}"))
    (task, _), _ = read(target / "tasks.yaml", trust=True)
    assert task.ends == "stop"


def test_the_task_files_of_servers_that_run_already_are_read(folder, monkeypatch):
    monkeypatch.setenv("STAGING_SESSION", "abc-def")
    (mine,), (site,) = read(folder("at") / "tasks.yaml", trust=True)
    assert site.at == "http://localhost:8000" and mine.id == "mine.read"
    (staging,), _ = read(folder("staging") / "tasks.yaml", trust=True)
    assert staging.start(0).cookies == {"session": "abc-def"} and staging.start(0).url == "https://staging.example/about"


@pytest.mark.skipif(importlib.util.find_spec("django") is None, reason="Django is not installed")
def test_django(folder):
    target = folder("django")
    environment = {**os.environ, "DJANGO_SUPERUSER_PASSWORD": "pass-1234"}
    for command in (
        "-m django startproject staff .",
        "manage.py migrate",
        "manage.py createsuperuser --noinput --username ann --email ann@example.org",
    ):
        subprocess.run([sys.executable, *shlex.split(command)], cwd=target, env=environment, check=True, capture_output=True)
    audited(target)


@pytest.mark.skipif(not os.environ.get("WEBGYM_TEST_NODE_MODULES"), reason="WEBGYM_TEST_NODE_MODULES names no folder with json-server")
def test_node(folder):
    target = folder("node")
    (target / "node_modules").symlink_to(Path(os.environ["WEBGYM_TEST_NODE_MODULES"]).resolve())
    (target / "public").mkdir()
    (target / "public/index.html").write_text(HTML)
    (target / "db.json").write_text('{"cards": [{"id": 1, "words": "Buy milk"}]}')
    assert shutil.which("node")
    audited(target)


def test_the_tables_name_every_key():
    for model in (Application, TaskEntry):
        known = {field.alias or name for name, field in model.model_fields.items()}
        if model is Application:
            assert not [name for name in known - {"shared", "remote"} if f"`{name}`" not in PAGE]
    assert all(f"`{{{name}" in PAGE or f"{{{name}:" in PAGE for name in ("sqlite", "copy", "post", "get", "command", "python", "file"))


def test_the_commands_exist():
    lines = [line.partition("  #")[0] for _, text in BLOCKS for line in text.splitlines() if line.startswith("webgym ")]
    assert len(lines) >= 4
    root = typer.main.get_command(cli.app)
    for line in lines:
        command, words = root, shlex.split(line)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line
