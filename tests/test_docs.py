"""The site's pages and the notebook: code prints what stands below it, all public names are documented, every page is reached."""

import contextlib
import importlib
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


RUN = {
    "README.md": "tests/test_readme.py",
    "docs/from-browsergym.md": "tests/webgym/test_browsergym.py",
    "docs/serving.md": "tests/test_docs.py",
    "docs/tutorial.md": "tests/test_docs.py",
    "docs/writing-tasks.md": "tests/test_writing_tasks.py",
    "docs/your-algorithm.md": "tests/trainers/algorithms/test_your_algorithm.py",
    "docs/your-app.md": "tests/test_your_app.py",
    "docs/your-model.md": "benchmarks/newcomers.py",
}
"""The file that runs the Python blocks of each page. A block without a language is no program of ours, or shows output."""
COMPILED_ONLY = {"docs/applications.md"}  # the site.py of a pack, as tasks/trac/site.py is one


def test_every_python_block_compiles_and_is_run_by_a_file() -> None:
    blocks = {
        page: re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
        for page in ["README.md", *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md"))]
    }
    assert {page for page, found in blocks.items() if found} == {*RUN, *COMPILED_ONLY}
    for page, texts in blocks.items():
        for text in texts:
            compile(text, page, "exec")
    assert [page for page, by in RUN.items() if Path(page).name not in (ROOT / by).read_text("utf-8")] == []


def test_every_public_name_is_documented(api: ModuleType) -> None:
    assert api.undocumented() == []


def test_every_name_of_a_face_stands_on_its_page(api: ModuleType, tmp_path: Path) -> None:
    """`__all__` as Python sees it, against the pages, which are written without importing anything."""
    api.write(tmp_path)
    missing, faces = [], 0
    for title, files in api.modules("webgym").items():
        text = (tmp_path / f"{title}.rst").read_text()
        sections = dict(re.findall(r"^\.\. py:module:: (\S+)\n(.*?)(?=^\.\. py:module::|\Z)", text, re.DOTALL | re.MULTILINE))
        for path in files:
            name = api.name_of(path)
            if "\n__all__" not in path.read_text() or name == "webgym.serve.verifiers":  # verifiers is another's package
                continue
            names, faces = [x for x in importlib.import_module(name).__all__ if not x.startswith("__")], faces + 1
            shown = re.findall(r"^\.\. py:(?:class|function|data):: (\w+)", sections[name], re.MULTILINE)
            missing += [f"{name}.{each}" for each in names if each not in shown]
    assert missing == [] and faces > 10


def test_texts_of_values_fields_and_inherited_methods_are_in_the_reference(api: ModuleType, tmp_path: Path) -> None:
    api.write(tmp_path)
    serve = (tmp_path / "webgym.serve.rst").read_text()
    assert ".. py:data:: ANSWER_S\n   :value: 300.0\n\n   Longest time for an answer; a server's own deadlines are shorter." in serve
    assert "   .. py:attribute:: dialect\n      :type: Dialect\n      :value: 'call'\n\n      Dialect in which the client writes" in serve
    remote = serve[serve.index(".. py:class:: Remote") :]
    assert "py:method:: act(text: str) -> Turned\n\n      The result of one turn." in remote[: remote.index("\n.. py:class")]


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
