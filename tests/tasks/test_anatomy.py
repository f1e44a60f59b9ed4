"""The anatomy that all packs with a site of their own share, and what an oracle may know."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKS = {path.parent.name: path.parent for path in sorted((ROOT / "tasks").glob("*/pack.toml"))}
STARTER = ROOT / "webgym/authoring/starter/templated"
FOREIGN = {"miniwob"}  # its pages, goals and wordings come from a package
INSTALLED = {name for name, folder in PACKS.items() if (folder / "application").is_dir()}  # their pages are those of an application

FILES = {"__init__.py", "pack.toml", "wordings.toml", "site.py"}
FOLDERS = {"pages", "goals", "oracles", "static", "templates"}
SITE_PACKS = {name: folder for name, folder in PACKS.items() if name not in FOREIGN} | {"starter": STARTER}
OWN_PAGES = [name for name in SITE_PACKS if name not in INSTALLED]

# An oracle sees what an agent sees: it may import these of the project, and nothing of its pack but its own folder.
ORACLES_MAY_IMPORT = ("webgym.authoring", "webgym.types", "webgym.task")


def imports(path: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of each import; what is in `folder` by its path in it (`.oracles.walk`), everything else by its absolute name."""
    package = path.relative_to(folder).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*(("", *above) if node.level else ()), *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def wrong_imports(folder: Path) -> list[str]:
    """The imports by which the oracles of a pack know more than an agent sees."""
    found = []
    for path in sorted((folder / "oracles").rglob("*.py")):
        for line, name in imports(path, folder):
            ours = name.startswith((".", "webgym", "tasks", "trainers"))
            allowed = name.startswith((".oracles.", *(f"{module}." for module in ORACLES_MAY_IMPORT)))
            if (ours and not allowed) or name.partition(".")[0] in ("sys", "gc"):
                found.append(f"{path.relative_to(folder)}:{line} imports {name}")
    return found


@pytest.mark.parametrize("name", sorted(INSTALLED))
def test_a_pack_on_an_application_has_its_recipe_in_place_of_pages(name):
    folder = SITE_PACKS[name]
    assert {path.name for path in folder.iterdir()} >= FILES
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"} == {"application", "goals", "oracles"}
    assert (folder / "application/prepare.py").is_file()
    manifest = tomllib.loads((folder / "pack.toml").read_text("utf-8"))
    assert manifest["pack"]["application"] is True and len(manifest["tasks"]) >= 10
    pinned = (folder / "application/requirements.txt").read_text("utf-8").split()
    assert pinned and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned)


@pytest.mark.parametrize("name", OWN_PAGES)
def test_a_pack_with_a_site_has_these_files_and_folders(name):
    folder = SITE_PACKS[name]
    entries = {path.name for path in folder.iterdir()}
    assert entries >= FILES | FOLDERS
    for part in ("pages", "goals", "oracles"):
        assert (folder / part / "__init__.py").is_file() and len(list((folder / part).glob("*.py"))) > 1, part
    assert list((folder / "templates").glob("*.html")) and list((folder / "static").iterdir())
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"} == FOLDERS


@pytest.mark.parametrize("name", SITE_PACKS)
def test_wordings_stand_in_one_file(name):
    folder = SITE_PACKS[name]
    wordings = tomllib.loads((folder / "wordings.toml").read_text("utf-8"))
    assert wordings and all(set(table) == {"train", "test"} for table in wordings.values())
    manifest = tomllib.loads((folder / "pack.toml").read_text("utf-8"))
    assert all(not {"train", "test"} & set(table) for table in manifest["tasks"].values())


@pytest.mark.parametrize("name", [*SITE_PACKS, *sorted(FOREIGN)])
def test_an_oracle_imports_nothing_of_its_pack_but_oracles(name):
    assert wrong_imports((SITE_PACKS | PACKS)[name]) == []


@pytest.mark.parametrize("name", SITE_PACKS)
def test_a_site_knows_no_goals_and_no_oracles(name):
    folder = SITE_PACKS[name]
    wrong = [
        f"{path.relative_to(folder)}:{line} imports {imported}"
        for path in (folder / "site.py", *sorted((folder / "pages").rglob("*.py")))
        for line, imported in imports(path, folder)
        if imported.startswith((".goals", ".oracles"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("from .walk import row", ""),
        ("from . import walk", ""),
        ("from webgym.authoring.oracle import quoted", ""),
        ("import re", ""),
        ("from ..world import World", ".world.World"),
        ("from .. import catalogue", ".catalogue"),
        ("def f():\n    from ..goals.finding import PLACES", ".goals.finding.PLACES"),
        ("from webgym.packs import registry", "webgym.packs.registry"),
        ("import tasks.shop.world", "tasks.shop.world"),
        ("import sys", "sys"),
    ],
)
def test_an_oracle_that_knows_too_much_is_caught(tmp_path, line, caught):
    (tmp_path / "oracles").mkdir()
    (tmp_path / "oracles/look.py").write_text(f"{line}\n", "utf-8")
    found = wrong_imports(tmp_path)
    assert [words.rpartition(" ")[2] for words in found] == ([caught] if caught else [])
