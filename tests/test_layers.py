"""The floors of the house: imports point down only, by folder, and `import webgym` stays light."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each part may import of the project itself; what is not listed must not be imported.
MAY_IMPORT = {
    "webgym": {"webgym"},
    "tasks": {"webgym"},  # and their own pack, relatively: packs are loaded by path under another name than `tasks`
    "trainers": {"webgym", "trainers"},
    "cli.py": {"webgym", "trainers", "cli"},
}
OURS = {"webgym", "tasks", "trainers", "cli", "tests", "benchmarks"}

# Third parties that live on some floors only: the folders and files that may import them.
HOMES = {
    "playwright": ("webgym/backends/browser/",),
    "httpx2": ("webgym/policies/openai_client.py", "webgym/nodes/client.py"),
    "torch": ("trainers/",),
    "transformers": ("trainers/",),
    "peft": ("trainers/",),
    "browsergym": ("webgym/serve/agentlab.py", "webgym/backends/browsergym/worker.py"),  # its observations are given without it
    "agentlab": ("webgym/serve/agentlab_study.py",),
    "bgym": ("webgym/serve/agentlab_study.py",),
    "selenium": (),  # miniwob brings it along; only miniwob's pages are used
    "miniwob": (),  # found by its path: importing it would import selenium
    "typer": ("cli.py",),
    "openenv": ("webgym/serve/openenv_client.py",),
    "verifiers": ("webgym/serve/verifiers.py",),
}

# The floors of the two packages, lowest first: a folder (or a module at the top) imports itself, its own floor or a lower one.
FLOORS = {
    "webgym": [
        {"errors", "types", "task", "echoes", "loop_thread"},
        {"actions"},
        {"prompts", "sites"},
        {"authoring", "backends"},
        {"packs"},
        {"env", "policies"},
        {"rollout"},
        {"record", "evaluation"},
        {"trust", "view", "nodes", "serve"},
        {"commands"},
    ],
    "trainers": [
        {"runs", "batches"},
        {"models", "learning", "credit"},
        {"samplers", "critics"},
        {"algorithms", "rollouts"},
        {"config"},
        {"recipes"},
        {"training", "imitation"},
        {"studies"},
    ],
}
ROOF = {"webgym": {"__init__", "__main__", "browsergym"}, "trainers": {"__init__"}}  # what stands above all floors
MOST_ENTRIES = {"webgym": 24, "trainers": 16}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 550, 80


@cache
def modules(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    """(line, absolute dotted name) of each import, those inside functions and under TYPE_CHECKING too."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = []
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        else:
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, node.module) if node.module else above)
            # `from webgym import env` imports the module webgym.env as much as `import webgym.env` does.
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


@cache
def import_statements(path: Path) -> list[ast.Import | ast.ImportFrom]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def relative_imports(path: Path) -> set[int]:
    """The lines that import relatively."""
    return {node.lineno for node in import_statements(path) if isinstance(node, ast.ImportFrom) and node.level}


def test_import_reader_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "webgym/sub/a.py"
    file.parent.mkdir(parents=True)
    file.write_text("import torch.nn as nn\nfrom . import b\nfrom ..errors import Fault\ndef f():\n    from trainers import batches\n")
    assert imports(file) == [(1, "torch.nn"), (2, "webgym.sub.b"), (3, "webgym.errors.Fault"), (5, "trainers.batches")]
    assert relative_imports(file) == {2, 3}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_down_only(part):
    found = modules(part)
    assert found, f"{part} has no modules: was it moved?"
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in found
        for line, name in imports(path)
        if (top := name.partition(".")[0]) in OURS and top not in MAY_IMPORT[part]
        if not (part == "tasks" and top == "tasks" and line in relative_imports(path))
    ]
    assert wrong == []


@pytest.mark.parametrize("package", HOMES)
def test_third_parties_stay_on_their_floors(package):
    wrong = [
        f"{where}:{line} imports {name}"
        for part in MAY_IMPORT
        for path in modules(part)
        if not (where := path.relative_to(ROOT).as_posix()).startswith(HOMES[package])
        for line, name in imports(path)
        if name.partition(".")[0] == package
    ]
    assert wrong == []


def floor(part: str, noun: str) -> int | None:
    """The floor of a folder or top module of a package, from 0; None for what is on no floor."""
    return next((level for level, nouns in enumerate(FLOORS[part]) if noun in nouns), None)


@pytest.mark.parametrize("part", FLOORS)
def test_every_folder_has_a_floor(part):
    nouns = {path.relative_to(ROOT / part).parts[0].removesuffix(".py") for path in modules(part)}
    assert nouns - ROOF[part] - set().union(*FLOORS[part]) == set()


@pytest.mark.parametrize("part", FLOORS)
def test_a_folder_imports_its_own_floor_or_a_lower_one(part):
    wrong = []
    for path in modules(part):
        mine = floor(part, path.relative_to(ROOT / part).parts[0].removesuffix(".py"))
        for line, name in imports(path):
            theirs = floor(part, name.split(".")[1]) if name.startswith(f"{part}.") else None
            if mine is not None and theirs is not None and theirs > mine:
                wrong.append(f"{path.relative_to(ROOT)}:{line} (F{mine}) imports {name} (F{theirs})")
    assert wrong == []


@pytest.mark.parametrize("part", FLOORS)
def test_folders_of_one_floor_do_not_import_each_other_in_a_circle(part):
    arrows = set()
    for path in modules(part):
        mine = path.relative_to(ROOT / part).parts[0].removesuffix(".py")
        arrows |= {(mine, name.split(".")[1]) for _, name in imports(path) if name.startswith(f"{part}.")}
    assert [(a, b) for a, b in sorted(arrows) if a < b and (b, a) in arrows and floor(part, a) == floor(part, b) is not None] == []


@pytest.mark.parametrize("part", FLOORS)
def test_the_top_of_a_package_can_be_taken_in_at_a_glance(part):
    entries = [path.name for path in (ROOT / part).iterdir() if not path.name.startswith((".", "__pycache__")) and path.name != "py.typed"]
    assert len(entries) <= MOST_ENTRIES[part]


@pytest.mark.parametrize("part", FLOORS)
def test_files_are_one_sitting_and_functions_fit_a_screen(part):
    wrong = []
    for path in modules(part):
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > MOST_LINES:
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
            ):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert wrong == []


def test_packs_do_not_import_each_other():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("tasks")
        for line, name in imports(path)
        if name.startswith("tasks.") and name.split(".")[1] != path.relative_to(ROOT / "tasks").parts[0]
    ]
    assert wrong == []


def test_algorithms_do_not_import_each_other():
    folder = ROOT / "trainers/algorithms"
    names = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert names
    wrong = [
        f"{name}.py:{line} imports {imported}"
        for name in names
        for line, imported in imports(folder / f"{name}.py")
        if imported.startswith("trainers.algorithms.") and imported.split(".")[2] in names - {name}
    ]
    assert wrong == []


def loaded_by(statement: str) -> set[str]:
    """Top-level names in sys.modules after `statement` in a fresh interpreter."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_webgym_is_light():
    heavy = {
        "torch",
        "transformers",
        "playwright",
        "trainers",
        "tasks",
        "webgym_tasks",  # the packs
        "cli",
        "miniwob",
        "selenium",
        "starlette",
        "uvicorn",
        "rich",
        "typer",
        "gymnasium",  # hears of the tasks when it is imported
        "numpy",
    }
    assert heavy & loaded_by("import webgym") == set()


def test_the_viewer_starts_without_what_only_episodes_need():
    assert {"gymnasium", "numpy", "pydantic", "playwright", "PIL"} & loaded_by("import cli, webgym.view.server") == set()


def test_the_command_line_imports_no_torch_before_it_is_needed():
    assert {"torch", "transformers", "playwright"} & loaded_by("import cli") == set()
