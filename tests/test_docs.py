"""The site's pages and the notebook: code prints what stands below it, all public names are documented, every page is reached."""

import contextlib
import importlib.util
import io
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.documents import ROOT, session

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_pages", DOCS / "api_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/serving.md"])
def test_sessions_print_what_they_show(page: str) -> None:
    printed, shown = session(page)
    assert printed == shown


def test_every_public_name_is_documented(api: ModuleType) -> None:
    assert api.undocumented() == []


def test_the_reference_has_a_page_for_every_folder(api: ModuleType, tmp_path: Path) -> None:
    pages = api.write(tmp_path)
    assert {"webgym.env", "webgym.serve", "webgym.types", "trainers.algorithms", "trainers.config"} <= set(pages)
    text = (tmp_path / "webgym.env.rst").read_text()
    assert ".. py:class:: AsyncWebEnv(*, max_turns: int | None=None" in text and "   .. py:method:: reset(task_id: str, seed: int)" in text
    assert "_Page" not in text


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text()
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= set(re.findall(r"^[\w/-]+$", index, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_notebook_runs_from_top_to_bottom() -> None:
    cells = json.loads((ROOT / "examples/first_steps.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert "success" in out.getvalue() and str(names["folder"])
