"""`webgym tasks` as people use it who write tasks, in a folder of their own that has a `tasks/` and a `cli.py`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def webgym(tmp_path_factory):
    """Runs the command in a folder whose names are those of ours; exit code, standard output, standard error."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "cli.py").write_text("raise SystemExit('the wrong file was imported')\n")
    for package in ("tasks", "tasks/miniwob", "webgym", "trainers"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("raise SystemExit('the wrong folder was imported')\n")

    def run(*arguments):
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        done = subprocess.run(command, cwd=folder, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=150)
        return done.returncode, done.stdout, done.stderr

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def cafe(webgym):
    """The folder of a new pack."""
    code, out, err = webgym("tasks", "new", "cafe")
    assert code == 0, err
    assert out.splitlines()[-1] == "try it: webgym tasks validate ./cafe; then give `--tasks ./cafe` to eval, demos or train"
    assert all((webgym.folder / line).is_file() for line in out.splitlines()[:-1])
    return webgym.folder / "cafe"


def test_a_new_pack_validates_at_once(webgym, cafe):
    code, out, err = webgym("tasks", "validate", "cafe#cafe.price", "--seeds", "2", "--json")
    assert code == 0, err
    audits = json.loads(out)
    assert [audit["id"] for audit in audits] == ["cafe.price"]
    assert all(audit["trusted"] and not audit["notes"] and audit["tried"]["oracle"]["wins"] == 2 for audit in audits)


@pytest.mark.slow
def test_a_new_python_pack_inside_ones_own_tasks_folder_validates_at_once(webgym):
    code, out, err = webgym("tasks", "new", "todo-list", "--python", "--folder", "tasks/todo-list")
    assert code == 0, err
    code, out, err = webgym("tasks", "validate", "tasks/todo-list", "--seeds", "2")
    assert code == 0, err
    assert out.splitlines()[0] == "todo-list.add: can be trusted"


@pytest.mark.slow
def test_a_new_pack_with_goals_oracles_and_wordings_validates_at_once(webgym):
    code, out, err = webgym("tasks", "new", "tool-library", "--templated")
    assert code == 0, err
    assert "tool-library/wordings.toml" in out and "tool-library/oracles/lending.py" in out
    code, out, err = webgym("tasks", "validate", "./tool-library", "--seeds", "2", "--json")
    assert code == 0, err
    audits = json.loads(out)
    assert [audit["id"] for audit in audits] == ["tool-library.lend", "tool-library.borrower"]
    assert all(audit["trusted"] and not audit["notes"] and audit["tried"]["oracle"]["wins"] == 2 for audit in audits)


def test_validate_says_what_is_wrong_and_exits_with_1(webgym, cafe):
    broken = webgym.folder / "broken"
    broken.mkdir()
    shutil.copytree(cafe / "pages", broken / "pages")
    text = (cafe / "tasks.yaml").read_text().replace("[Name, ", "[Nmae, ")
    (broken / "tasks.yaml").write_text(text.replace("cafe", "broken"))
    code, out, _ = webgym("tasks", "validate", "broken/tasks.yaml#broken.order", "--seeds", "1")
    assert code == 1
    assert "problem: the oracle fails on seed 0: it breaks down at turn 1; LookupError: step 1 of 4, fill 'Nmae': there is no thing" in out
    assert "1 of 1 tasks cannot be trusted: broken.order" in out


def test_a_malformed_file_is_one_error_with_line_and_field(webgym, cafe):
    bad = webgym.folder / "bad.yaml"
    bad.write_text((cafe / "tasks.yaml").read_text().replace("max_turns: 8", "max_turn: 8"))
    line = bad.read_text().splitlines().index("    max_turn: 8") + 1
    bad.write_text(bad.read_text().replace("{pages: pages}", "{pages: cafe/pages}"))
    code, out, err = webgym("tasks", "validate", "bad.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and f"bad.yaml:{line}: tasks.0.max_turn: there is no field 'max_turn'; did you mean 'max_turns'" in err


def test_show(webgym, cafe):
    code, out, err = webgym("tasks", "show", "cafe#cafe.price", "--page")
    assert code == 0, err
    assert "webgym/cafe.price-v0" in out and "wording: What does {drinks.1} cost?" in out and "seeds 2,000,000 to 2,099,999" in out
    assert out.splitlines()[-1].endswith("crowns")
    code, out, err = webgym("tasks", "show", "miniwob.click-test", "--json")
    shown = json.loads(out)
    assert (shown["id"], shown["trust"], shown["splits"]["test"]) == (
        "miniwob.click-test",
        "page",
        {"seeds": [2_000_000, 2_100_000], "wordings": [], "goals": []},
    )


def test_other_commands_take_the_file(webgym, cafe):
    code, out, err = webgym("eval", "--policy", "oracle", "--tasks", "./cafe", "--seeds", "1", "--sessions", "1", "--json")
    assert code == 0, err
    assert json.loads(out)["overall"]["successes"] == 2
    code, out, err = webgym("tasks", "list", "--tasks", "cafe/tasks.yaml", "--tasks", "miniwob.click-test", "--json")
    assert [row["id"] for row in json.loads(out)] == ["cafe.order", "cafe.price", "miniwob.click-test"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("new", "cafe"), "cafe exists already: give another name or folder, or remove it"),
        (("new", "My Shop"), "'My Shop' is no name for a pack: expected small letters, digits and dashes"),
        (("new", "tools", "--python", "--folder", "elsewhere"), "expected the folder of a Python pack to be called 'tools'"),
        (("new", "tools", "--templated", "--folder", "elsewhere"), "expected the folder of a Python pack to be called 'tools'"),
        (("new", "shop"), "there is a pack 'shop' already, whose site and ids it would have"),
        (("new", "tools", "--templated", "--python"), "expected one kind of pack, got --python and --templated: give one of them"),
        (("validate", "nothing.yaml"), "nothing.yaml: expected a task file"),
        (("validate", "miniwob.nothing"), "no task matches 'miniwob.nothing'"),
        (("show", "cafe.ordre"), "there is no task 'cafe.ordre'"),
        (("show", "cafe#cafe.ordre"), "did you mean 'cafe.order'"),
    ],
)
def test_mistakes_are_one_sentence(webgym, cafe, arguments, words):
    code, out, err = webgym("tasks", *arguments)
    assert (code, out) == (2, "") and words in err and "Traceback" not in err
