"""What is in the wheel, and that a user's own files never stand in for ours."""

import os
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
    placed = {f"webgym/{name}" if name.startswith("tasks/") or name == "cli.py" else name for name in tracked if (ROOT / name).is_file()}
    assert placed and placed - wheel == set()
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.startswith("webgym_rl-")} == {"webgym", "trainers"}


def test_both_packages_say_that_they_are_typed(wheel):
    assert {"webgym/py.typed", "trainers/py.typed"} <= wheel


@pytest.fixture(scope="module", params=["standard", "editable"])
def installed(request, tmp_path_factory) -> Path:
    """A folder that holds what an installation puts into site-packages: of the wheel, or of an editable one."""
    place = tmp_path_factory.mktemp(request.param)
    built = next(WheelBuilder(str(ROOT)).build(directory=str(place / "dist"), versions=[request.param]))
    zipfile.ZipFile(built).extractall(place / "site")
    return place / "site"


def python(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Result of Python in `cwd`, with our dependencies, where this installation of WebGym is the only one."""
    code = f"""import os, site, sys
sys.path[:] = [path for path in sys.path if not os.path.isfile(os.path.join(path or ".", "webgym", "__init__.py"))]
site.addsitedir({str(installed)!r})
"""
    code += arguments[0]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-c", code, *arguments[1:]], cwd=cwd, env=environment, capture_output=True, text=True)


def test_an_installation_shows_two_names_only(installed, tmp_path):
    names = ["cli", "tasks", "tests", "benchmarks", "docs", "webgym", "trainers"]
    code = f"import importlib.util; print([name for name in {names} if importlib.util.find_spec(name)])"
    done = python(installed, tmp_path, code)
    assert done.stdout == "['webgym', 'trainers']\n", done.stderr


def test_an_installation_works_beside_a_users_own_tasks_and_cli(installed, tmp_path):
    for name in ("cli.py", "tasks.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file was imported')\n")
    code = "import sys; sys.argv = ['webgym', 'tasks', 'list', '--json']; from webgym.__main__ import run; run()"
    done = python(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert "miniwob.click-checkboxes" in done.stdout
    code = "import gymnasium, webgym; from webgym.packs import sets; "
    code += "print(gymnasium.make('webgym/wizard.h3-v0').spec.id, sets.choose(['quick'])[:1])"
    made = python(installed, tmp_path, code)
    assert made.returncode == 0 and made.stdout.startswith("webgym/wizard.h3-v0 ['miniwob."), made.stderr


def test_an_installation_is_found_where_a_folder_of_its_name_lies(installed, tmp_path):
    (tmp_path / "webgym").mkdir()  # such as the checkout itself, from the folder above it
    done = python(installed, tmp_path, "import webgym; print(webgym.__version__)")
    assert done.stdout.strip() == PROJECT["version"], done.stderr


@pytest.mark.parametrize("words", [["--version"], ["tasks", "list", "--json"]])
def test_python_dash_m(tmp_path, words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "webgym", *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert PROJECT["version"] in done.stdout or "miniwob.click-test" in done.stdout


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


def test_packs_are_found_beside_webgym_even_where_the_working_directory_comes_first(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("raise SystemExit('the wrong folder was imported')\n")
    # The working directory is first on the path here, as under `python -c` and `python -m`.
    code = f"import sys; sys.path.insert(1, {str(ROOT)!r}); import gymnasium, webgym; gymnasium.make('webgym/miniwob.click-test-2-v0')"
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
