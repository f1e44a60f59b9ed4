"""The README and the pages of docs/ show what happens: sessions, commands, paths, the index of the notes, lines that fit a screen."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import cli
from tests.documents import ROOT, prose, session
from tests.test_layers import FLOORS

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
NOTES = sorted(path for path in (ROOT / "docs/lab-notes").glob("*.md") if path.name != "README.md")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
LONGEST_LINE = 140


def commands(page: str) -> Iterator[str]:
    """The `webgym` and `make` commands of a page, in blocks and within sentences."""
    blocks = False
    for line in (ROOT / page).read_text("utf-8").replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            blocks = not blocks
        parts = line.partition(" #")[0].split("&&") if blocks else re.findall(r"`([^`]+)`", line)
        yield from (part.strip() for part in parts if part.strip().startswith(("webgym ", "make ")))


def tree() -> Iterator[tuple[str, str]]:
    """(path, explanation) of each line of the README's tree of the house."""
    block = re.search(r"^```\n(webgym/ .*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert block, "the README has no tree"
    top = ""
    for line in block[1].splitlines():
        name, _, words = line.strip().partition("  ")
        top = top if line.startswith(" ") else name
        yield (top + name if line.startswith(" ") else name), words.strip()


def test_session_prints_what_it_shows() -> None:
    printed, shown = session("README.md")
    assert printed == shown


def test_commands_are_found() -> None:
    assert {"make train", "webgym doctor", "webgym tasks new my-shop"} <= set(commands("README.md"))


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in PAGES for line in dict.fromkeys(commands(page))])
def test_commands_exist_with_their_options(page: str, line: str) -> None:
    program, *words = shlex.split(re.sub(r"--seed S\b", "--seed 0", line))
    if program == "make":
        assert words[0] in TARGETS
        return
    command: Any = typer.main.get_command(cli.app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if words:  # else it is only named
        command.make_context("webgym", words, resilient_parsing=False)


@pytest.mark.parametrize(("path", "words"), list(tree()))
def test_every_path_of_the_tree_exists(path: str, words: str) -> None:
    assert words or path == "sets.toml", f"{path} is not explained"
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()
    named = re.findall(r"(?<![\w.])[\w-]+(?:\.py|\.toml|/)(?!\w)", words)
    for name in named:
        assert list((ROOT / path).rglob(name.rstrip("/"))), f"{path} has no {name}"


def test_the_tree_shows_every_folder_and_module_of_the_packages() -> None:
    shown = {path for path, _ in tree()}
    for part in ("webgym", "trainers", "tasks"):
        for entry in (ROOT / part).iterdir():
            if entry.name.startswith(("_", ".", "py.typed")) or (entry.is_dir() and not any(entry.rglob("*.*"))):
                continue
            if entry.is_dir() and not [file for file in entry.rglob("*") if file.is_file() and "__pycache__" not in file.parts]:
                continue
            assert f"{part}/{entry.name}{'/' * entry.is_dir()}" in shown


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_a_page_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    folder = (ROOT / page).parent
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (folder / link).exists(), f"{page} links to {link}"
    for path in re.findall(r"`((?:webgym|trainers|tasks|tests|docs|benchmarks|docker)/[\w./-]+)`", text):
        assert path.endswith("-v0") or (ROOT / path).exists(), f"{page} names {path}"


@pytest.mark.parametrize("part", FLOORS)
def test_the_floors_are_those_that_are_held(part: str) -> None:
    table = (ROOT / "docs/architecture.md").read_text("utf-8").partition(f"| floor | `{part}/` |")[2].partition("\n\n")[0]
    assert [set(row.split(", ")) for row in re.findall(r"^\| \d \| ([\w, ]+) \|", table, re.MULTILINE)] == FLOORS[part]


def test_every_note_is_in_the_index_and_every_line_of_the_index_is_a_note() -> None:
    index = (ROOT / "docs/lab-notes/README.md").read_text("utf-8").partition("\n## Index\n")[2]
    sections = re.findall(r"^### \[[^\]]+\]\(([\w-]+\.md)\)\n(.*?)(?=^###|\Z)", index, re.DOTALL | re.MULTILINE)
    row, head = r"(?m)^\| (\d{4}-\d\d-\d\d) \| (.+?) \| .+ \|$", r"(?m)^## (\d{4}-\d\d-\d\d): (.+)$"
    listed = [(name, *entry) for name, rows in sections for entry in re.findall(row, rows)]
    notes = [(path.name, *entry) for path in NOTES for entry in re.findall(head, path.read_text("utf-8"))]
    assert sorted(listed) == sorted(notes) and len(notes) >= 63


@pytest.mark.parametrize("path", NOTES, ids=lambda path: path.name)
def test_every_note_has_a_command_figures_and_a_verdict(path: Path) -> None:
    for note in re.split(r"^## ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        assert {"- **Command:**", "- **Figures:**"} <= set(re.findall(r"^- \*\*\w+:\*\*", note, re.MULTILINE)), note.splitlines()[0]
        assert re.search(r"^- \*\*(Verdict|Open|Seen)", note, re.MULTILINE), note.splitlines()[0]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", *(f"docs/lab-notes/{path.name}" for path in NOTES)])
def test_lines_fit_a_screen(page: str) -> None:
    assert [line for line in prose(page) if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("page", PAGES)
def test_sentences_do_without_words_that_stop_a_stranger(page: str) -> None:
    text = "\n".join(prose(page))
    assert re.findall(r"(?i)\b(?:whoever|nobody|everybody|of ours|of then)\b", text) == []
