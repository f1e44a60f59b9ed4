"""The words of docstrings: the first one is a noun or a verb, so that a reader learns at once what stands there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("webgym", "trainers", "tasks", "cli.py")
QUESTIONS = {"What", "Who", "Whether", "Where", "Whose", "Whom", "How", "Which", "Why"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def questions(source: str) -> Iterator[str]:
    """The names, with their first lines, whose docstrings begin with a question word: of modules, classes and functions, private or not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED):
            text = (ast.get_docstring(node) or "").strip()
            if text and text.split()[0].rstrip(",.:;") in QUESTIONS:
                yield f"{getattr(node, 'name', 'module')}: {text.splitlines()[0]}"


@pytest.mark.parametrize("part", PARTS)
def test_no_docstring_begins_with_a_question_word(part):
    path = ROOT / part
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    found = [f"{file.relative_to(ROOT)}: {line}" for file in files for line in questions(file.read_text(encoding="utf-8"))]
    assert files and not found, "begin each docstring with a noun or a verb:\n" + "\n".join(found)


def test_a_question_word_is_found_wherever_a_docstring_may_stand():
    source = '''"""What a module is."""
class Thing:
    """A thing."""
    async def _is_here(self):
        """ Whether: it is here."""
    def whole(self):
        """Whole numbers."""
'''
    assert [line.split(":")[0] for line in questions(source)] == ["module", "_is_here"]
