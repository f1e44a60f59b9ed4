"""What is in the wheel, and that a user's own files never stand in for ours."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """Names of the files in the wheel."""
    built = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]))
    return set(zipfile.ZipFile(built).namelist())


def test_wheel_holds_every_tracked_file_of_the_packages_and_nothing_else(wheel):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    tracked = {name for name in listed if name.startswith(("webgym/", "trainers/", "tasks/")) or name == "cli.py"}
    tracked = {name for name in tracked if (ROOT / name).is_file()}
    assert tracked and tracked - wheel == set()
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.startswith("webgym_rl-")} == {"webgym", "trainers", "tasks", "cli.py"}


def test_wheel_holds_the_data_that_the_code_reads(wheel):
    for ending in (".js", "pack.toml", "webgym-tiny/config.json", "webgym-tiny/model.safetensors", "webgym-tiny/tokenizer.json"):
        assert any(name.endswith(ending) for name in wheel), f"no file of the wheel ends with {ending}"
    assert not any("__pycache__" in name for name in wheel)


def test_the_pinned_torch_is_the_one_that_make_installs_first():
    pins = [Requirement(text) for text in PROJECT["dependencies"] if text.startswith("torch=")]
    assert [str(pin.specifier) for pin in pins] == ["==2.13.0"]
    shown = subprocess.run(["make", "-n", "-W", "pyproject.toml", "venv"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(pins[0]) in shown


def test_every_make_target_is_explained_by_help():
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("venv", "train", "eval", "tiny", "bench", "doctor", "test", "lint"):
        assert any(line.split()[0] == target and len(line.split()) > 2 for line in shown.splitlines()), target


def test_a_users_own_cli_tasks_and_trainers_do_not_shadow_ours(tmp_path):
    for name in ("cli.py", "tasks.py", "trainers.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file was imported')\n")
    for folder in ("tasks/miniwob", "webgym"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text("raise SystemExit('the wrong folder was imported')\n")
    command = Path(sys.executable).with_name("webgym")
    assert command.exists(), "install the project first: pip install -e ."
    listed = subprocess.run([command, "tasks", "list", "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert "miniwob.click-checkboxes" in listed.stdout


def test_packs_are_found_beside_webgym_even_where_the_working_directory_comes_first(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("raise SystemExit('the wrong folder was imported')\n")
    # The working directory is first on the path here, as under `python -c` and `python -m`.
    code = f"import sys; sys.path.insert(1, {str(ROOT)!r}); import gymnasium, webgym; gymnasium.make('webgym/miniwob.click-test-2-v0')"
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
