"""The commands as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from webgym.commands import doctor
from webgym.commands.doctor import Check
from webgym.errors import WebGymError
from webgym.packs import registry
from webgym.packs import sets as task_sets

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
        (("--policy", "oracle", "--split", "tset"), "--split 'tset': expected one of train, valid, test"),
    ],
)
def test_eval_says_what_it_needs(arguments, words):
    result = invoke("eval", *arguments)
    assert isinstance(result.exception, WebGymError) and words in str(result.exception)
