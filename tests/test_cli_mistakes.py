"""Mistakes at the command line: each ends with status 2 and one sentence that says what was expected, never with a traceback."""

import io
import json
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
    (tmp_path / "dates.toml").write_text("seed = 2026-01-31\n")
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
    ("sft --demos notes.txt --out m", "notes.txt is a file: expected the folder that `webgym demos` wrote"),
    ("train --config dates.toml --backend text", "seed: input should be a valid integer"),
    ("train --set =5", "--set wants key=value, such as --set rollout.group_size=4; got '=5'"),
    ("train --set rollout..groups=5", "--set wants key=value, such as --set rollout.group_size=4; got 'rollout..groups=5'"),
    ("train --set seed=true", "seed: expected a number, got True"),
    ("train --set machine.threads=100000", "machine.threads: input should be less than or equal to 1024"),
    ("train --resume runs/latest --out elsewhere", "--out elsewhere: expected a new run, got --resume"),
    # names
    ("train --algo GRPO", "no algorithm is called 'GRPO'; did you mean 'grpo'"),
    ("study learning --only zzz/* --out s", "--only zzz/*: no cell is called so; expected patterns such as"),
    ("tasks new miniwob", "there is a pack 'miniwob' already, whose site and ids it would have: give another name"),
    ("taks", "No such command 'taks'. Did you mean 'tasks'?"),
    # options that would do nothing
    ("eval --checkpoint webgym-tiny --temperature inf", "--temperature inf: expected a number, such as 1"),
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


def test_a_run_that_cannot_begin_leaves_its_name_free(webgym, tmp_path: Path):
    code, said = webgym("train", *WIZARD, "--name", "mine", "--set", "prompts.thinking=on")
    assert code == 2 and "expected a tokenizer with the token </think>" in said
    assert not (tmp_path / "runs").exists()


def test_a_number_that_is_none_is_null_in_json(capsys):
    cli._print_json({"r": float("nan"), "rows": [{"auc": float("inf"), "n": 3}]})
    assert json.loads(capsys.readouterr().out) == {"r": None, "rows": [{"auc": None, "n": 3}]}
