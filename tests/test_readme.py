"""What the README shows is what happens."""

import shlex
from typing import Any

import pytest
import typer.main

import cli
from tests.documents import ROOT, session

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [line.partition("#")[0] for line in README.splitlines() if line.startswith("webgym ")]


def test_session_prints_what_it_shows() -> None:
    printed, shown = session("README.md")
    assert printed == shown


@pytest.mark.parametrize("line", [part.strip() for command in COMMANDS for part in command.split("&&")])
def test_commands_exist_with_their_options(line: str) -> None:
    command: Any = typer.main.get_command(cli.app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("webgym", words, resilient_parsing=False)
