"""Mistakes at the command line: each ends with status 2 and one sentence that says what was expected, never with a traceback."""

import io
import logging
import sys
from pathlib import Path

import pytest

import cli

WIZARD = ("-t", "wizard.h1", "--backend", "text")


@pytest.fixture
def webgym(tmp_path, monkeypatch, capsys):
    """Runs the command as a shell does, in a folder with wrong files; its status and its last line on standard error."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bytes").write_bytes(bytes(range(128, 256)) + b"\n")
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "console", cli.PlainConsole(file=io.StringIO()))

    def run(*words: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["webgym", *words])
        with pytest.raises(SystemExit) as ended:
            cli.run()
        return ended.value.code, capsys.readouterr().err.strip().splitlines()[-1]

    return run


MISTAKES = [
    # files and folders that are none of ours
    ("view notes.txt", "notes.txt is a file: expected a run folder, a folder of run folders, or a file of trajectories (.jsonl)"),
    ("view empty", "empty holds no run: expected a folder written by `webgym train`"),
    ("view other.jsonl --export report.html", "other.jsonl holds neither an episode nor an iteration to show"),
    ("watch nowhere --once", "there is no run folder"),
    ("replay other.jsonl#²", "names no episode: expected RUN/iter-000003/7 or FILE.jsonl#7"),
    ("note empty words", "expected a run folder, as in `webgym note"),
    ("tasks list -t ./bytes.yaml", "expected a task file"),
    ("tasks validate miniwob.click-test --ledger empty", "empty is a folder: expected a file for the results of audits"),
    ("tasks validate miniwob.click-test --ledger bytes", "bytes is no ledger: expected lines that an audit wrote"),
    ("tasks validate miniwob.click-test --ledger other.jsonl", "other.jsonl is no ledger: expected lines that an audit wrote"),
    ("demos --out bytes --episodes 1 -t wizard.h1 --backend text", "bytes cannot be written or read: file exists; give another place"),
    ("demos --out /proc/x --episodes 1 -t wizard.h1 --backend text", "/proc/x cannot be written or read: no such file or directory"),
    ("tasks new a-b --folder bytes/x", "bytes/x/pages cannot be written or read: not a directory"),
    ("eval --checkpoint webgym-tiny --against nowhere -t wizard.h1 --backend text", "there is no folder nowhere: expected a run folder"),
    ("eval --checkpoint webgym-tiny --against empty -t wizard.h1 --backend text", "empty is neither a checkpoint"),
    ("train --model ./nowhere --tasks wizard.h1 --backend text", "there is no folder './nowhere': expected one with config.json"),
    ("train --resume runs/latest --name other", "--name other: expected a new run, got --resume"),
    # names
    ("tasks new miniwob", "there is a pack 'miniwob' already, whose site and ids it would have: give another name"),
    ("taks", "No such command 'taks'. Did you mean 'tasks'?"),
    # options that would do nothing
    ("eval --policy oracle --against empty", "--against: expected --checkpoint beside it; with --policy oracle it would do nothing"),
    ("eval --checkpoint x --greedy --temperature 0.5", "--temperature 0.5 has no effect with --greedy"),
    ("eval --policy oracle --greedy", "--greedy: expected --checkpoint or --policy openai beside it; with --policy oracle it would"),
    ("eval --policy openai --model x --device cpu", "--device: expected --checkpoint beside it; with --policy openai it would do nothing"),
    ("eval --checkpoint empty --model x", "--model: expected --policy openai beside it; with --checkpoint it would do nothing"),
]


@pytest.mark.parametrize(("command", "words"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_a_mistake_is_one_sentence(webgym, command, words):
    code, said = webgym(*command.split())
    assert code == 2 and words in said


def test_a_file_that_cannot_be_had_has_its_traceback_if_asked_for(webgym, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["webgym", "--verbose", "demos", "--out", "bytes", "--episodes", "1", *WIZARD])
    with pytest.raises(FileExistsError):
        cli.run()
    logging.getLogger("webgym").setLevel(logging.NOTSET)


def test_paths_with_spaces_and_accents(webgym, tmp_path: Path):
    place = tmp_path / "my runs é"
    code, said = webgym("demos", "--out", str(place / "demos"), "--episodes", "2", *WIZARD, "--resume")
    assert code == 2 and "my runs é/demos holds no plan.json" in said
