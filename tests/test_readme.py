"""What the README and the pages of docs/ show is what happens: the README's session, and every command of all of them."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

import cli
from tests.documents import ROOT, session

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.name != "lab-notes.md")]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def commands(page: str) -> Iterator[str]:
    """The `webgym` and `make` commands of a page, in blocks and within sentences."""
    blocks = False
    for line in (ROOT / page).read_text("utf-8").splitlines():
        if line.startswith("```"):
            blocks = not blocks
        parts = line.partition(" #")[0].split("&&") if blocks else re.findall(r"`([^`]+)`", line)
        yield from (part.strip() for part in parts if part.strip().startswith(("webgym ", "make ")))


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
