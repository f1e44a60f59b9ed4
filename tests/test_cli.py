"""The commands as a user types them."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner

import cli
from webgym.commands import doctor
from webgym.commands.console import PlainConsole
from webgym.commands.doctor import Check
from webgym.errors import ConfigError, WebGymError
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.record.store import TrajectoryStore, load
from webgym.types import Times

ROOT = Path(__file__).parents[1]


def webgym(*arguments):
    """Exit code, standard output and standard error of the command in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "cli", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=150)
    return done.returncode, done.stdout, done.stderr


def invoke(*arguments):
    return CliRunner().invoke(cli.app, arguments)


def test_tasks_list_as_json():
    result = invoke("tasks", "list", "--tasks", "default", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["id"] for row in rows] == task_sets.choose(["default"])
    assert rows[0] == {
        "id": "miniwob.click-button",
        "gym_id": "webgym/miniwob.click-button-v0",
        "max_turns": registry.task("miniwob.click-button").max_turns,
        "difficulty": 1,
        "turns": "1-3",
        "twin": "",
        "trust": "page",
        "oracle": True,
        "missing": "",
    }


def test_tasks_list_as_a_table():
    result = invoke("tasks", "list")
    assert result.exit_code == 0
    assert f"{len(registry.task_ids())} tasks; sets: default" in result.stdout


def test_mistakes_are_one_sentence_and_exit_code_2():
    code, out, err = webgym("tasks", "list", "--tasks", "defualt")
    assert (code, out) == (2, "")
    assert "no task set is called 'defualt'; did you mean 'default'?" in err and "Traceback" not in err


def test_help_names_the_commands():
    result = invoke("--help")
    assert all(command in result.stdout for command in ("tasks", "doctor", "demos", "sft", "train", "algos", "eval", "bench"))


def test_algos_lists_names_and_summaries_without_torch():
    result = invoke("algos", "--json")
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["grpo"] == {
        "name": "grpo",
        "summary": "GRPO: the group's mean return is the baseline, one advantage for the whole trajectory.",
        "entry_point": "",
    }
    assert sorted(rows) == list(rows) and "archer" in invoke("algos").stdout
    code = "import sys, cli; cli.app(['algos'], standalone_mode=False); print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert done.stdout.endswith("set()\n"), done.stderr


def test_algos_of_one_names_its_options():
    result = invoke("algos", "archer", "--json")
    options = {row["key"]: row["default"] for row in json.loads(result.stdout)["options"]}
    assert options["gamma"] == 0.99 and options["bootstrap_at_limit"] is False and "loss.clip_low" in options
    assert str(invoke("algos", "archr").exception).startswith("no algorithm is called 'archr'; did you mean 'archer'")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_doctor_tells_by_its_exit_code(monkeypatch, status, code):
    monkeypatch.setattr(doctor, "diagnose", lambda: [Check("browser", status, "found", "mend it")])
    result = invoke("doctor")
    assert result.exit_code == code and "mend it" in result.stdout


def test_oracle_is_evaluated_in_a_browser():
    code, out, err = webgym("eval", "--policy", "oracle", "--tasks", "miniwob.click-button", "--seeds", "1", "--sessions", "1", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["overall"]["episodes"] == result["overall"]["successes"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "either --checkpoint FOLDER or --policy"),
        (("--policy", "oracle", "--checkpoint", "x"), "either --checkpoint FOLDER or --policy"),
    ],
)
def test_eval_says_what_it_needs(arguments, words):
    result = invoke("eval", *arguments)
    assert isinstance(result.exception, WebGymError) and words in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("eval", "--policy", "oracle", "--split", "tset"), "'train', 'valid', 'test'"),
        (("eval", "--policy", "oracle", "--temperature", "-1"), "--temperature"),
        (("eval", "--policy", "oracle", "--fail-under", "2"), "--fail-under"),
        (("train", "--seed", "-1"), "--seed"),
        (("demos", "--style", "chatt"), "'compact', 'chat'"),
        (("demos", "--context", "windows"), "'window', 'conversation'"),
        (("study", "learning", "--stage", "tuning"), "'tune', 'measure', 'all'"),
        (("serve", "--protocol", "grpc"), "'http', 'openenv'"),
    ],
)
def test_closed_choices_and_ranges_are_checked_before_anything_is_loaded(arguments, words):
    result = invoke(*arguments)
    assert result.exit_code == 2 and words in result.output


def test_the_version_and_help_without_a_command():
    from webgym import __version__

    assert invoke("--version").stdout == f"webgym {__version__}\n"
    bare = invoke()
    assert bare.exit_code == 0 and bare.stdout == invoke("--help").stdout and "Exit status" in bare.stdout


def test_shells_can_complete_commands():
    environment = {**os.environ, "_WEBGYM_COMPLETE": "complete_bash", "COMP_WORDS": "webgym ta", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'webgym'; from cli import run; run()"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150)
    assert "tasks" in done.stdout and "train" not in done.stdout


def test_a_pipe_gets_plain_lines_and_a_narrow_terminal_whole_ids(monkeypatch):
    lines = invoke("tasks", "list", "-t", "quick").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines[1:-1]] == task_sets.choose(["quick"])
    assert lines[0].split("\t") == ["id", "level", "turns", "limit", "oracle", "trust", "description"]
    terminal = PlainConsole(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(cli, "console", terminal)
    invoke("tasks", "list")
    shown = terminal.file.getvalue()
    assert "…" not in shown and all(task_id in shown for task_id in registry.task_ids())
    assert max(len(line) for line in shown.splitlines() if line.split(" ")[0] in registry.task_ids()) <= 80


def test_no_table_is_cut_in_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    heads = [f"figure number {number} of a study" for number in range(7)]
    table = Table("contender", *heads)
    table.add_row("archer_q/k12-x8-late8-seen", *["0.528 [0.489, 0.567]"] * 7)
    shown = {}
    for columns in (None, 80, 200):
        file = io.StringIO()
        PlainConsole(file=file, **({"width": columns} if columns else {})).print(table)
        shown[columns] = file.getvalue()
    assert "archer_q/k12-x8-late8-seen" in shown[None] and all(head in shown[None] for head in heads) and "…" not in shown[None]
    assert max(map(len, shown[80].splitlines())) <= 80 and max(map(len, shown[200].splitlines())) <= 200


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "the disk is full: runs/x is incomplete"),
        (OSError(errno.EROFS, "Read-only file system", "/ro/runs"), "/ro/runs cannot be written or read: read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/runs"), "/root/runs cannot be written or read: permission denied"),
        (ConfigError("seed: expected a number"), "seed: expected a number"),
    ],
)
def test_errors_are_one_sentence_without_the_name_of_a_class(monkeypatch, capsys, error, words):
    def fails(**_):
        raise error

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert ended.value.code == 2 and capsys.readouterr().err.startswith(f"error: {words}")


def test_the_title_of_an_oracle_says_nothing_of_sampling():
    result = invoke("eval", "--policy", "oracle", "--tasks", "wizard.h1", "--seeds", "2", "--backend", "text")
    assert result.stdout.splitlines()[0].strip() == "oracle, test seeds"


# --- demonstrations --------------------------------------------------------------------------------------------------------

RECORD = ("demos", "-t", "wizard.h3", "-t", "wizard.h1", "--backend", "text", "--episodes", "8", "--slips", "0.3", "--out")


def recorded(folder):
    """The trajectories of a recording without their times."""
    trajectories = load(folder / "demos.jsonl")
    return [replace(x, turns=tuple(replace(turn, times=Times()) for turn in x.turns)) for x in trajectories]


def test_a_recording_that_was_stopped_goes_on_to_the_same_demonstrations(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert invoke(*RECORD, str(whole)).exit_code == 0
    kept = (whole / "demos.jsonl").read_bytes().splitlines(keepends=True)
    shutil.copytree(whole, stopped)
    (stopped / "demos.jsonl").write_bytes(b"".join(kept[:5]) + kept[5][:40])  # killed in the middle of a line
    assert "exists already: go on with --resume" in str(invoke(*RECORD, str(stopped)).exception)
    assert invoke(*RECORD, str(stopped), "--resume").exit_code == 0
    assert recorded(stopped) == recorded(whole)


def test_a_recording_goes_on_with_its_own_settings_only(tmp_path):
    assert invoke(*RECORD, str(tmp_path)).exit_code == 0
    changed = invoke(*RECORD, str(tmp_path), "--resume", "--seed", "3")
    assert "was recorded with seed=0, asked for is 3" in str(changed.exception)
    nothing = invoke("demos", "--out", str(tmp_path / "none"), "--resume")
    assert "there is nothing to go on with" in str(nothing.exception)


def test_demonstrations_are_written_as_their_episodes_end(tmp_path, monkeypatch):
    seen = []
    append = TrajectoryStore.append

    def watched(self, trajectory):
        append(self, trajectory)
        seen.append(len(load(self.path)))
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrajectoryStore, "append", watched)
    stopped = invoke(*RECORD, str(tmp_path))
    assert stopped.exit_code == 130 and "--resume goes on" in stopped.stdout and seen == [1, 2, 3]


def test_a_strangers_task_file_commands_no_terminal(tmp_path):
    (tmp_path / "a.html").write_text("<p>hello")
    task = 'pack: esc\nsite: {pages: .}\ntasks: [{name: a, start: /a.html, goal: "Press \\e[2J it", check: {answer: {exact: hi}}}]\n'
    (tmp_path / "tasks.yaml").write_text(task)
    result = invoke("tasks", "show", f"{tmp_path}/tasks.yaml#esc.a")
    assert "Press \ufffd[2J it" in result.output and "\x1b" not in result.output
