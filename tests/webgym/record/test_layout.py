"""The names of a run's files: said in one place, and never to change, since runs written before must still be read."""

import ast
import doctest
from collections.abc import Iterator
from pathlib import Path

import pytest

from webgym.record import layout

ROOT = Path(__file__).parents[3]
READERS = [*(ROOT / "webgym").rglob("*.py"), *(ROOT / "trainers").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), ROOT / "cli.py"]
FILES = {value for name, value in vars(layout).items() if name.isupper() and "." in value}
FOLDERS = {layout.TRAJECTORIES, layout.CHECKPOINTS, layout.TENSORBOARD, layout.LOCK}
BEGINNINGS = (*(f"{folder}/" for folder in FOLDERS), "iter-")


def said_again(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of each file's name that is written out, and of each folder's where it is part of a path."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(name))) if name in FOLDERS:
                yield node.lineno, name
            case ast.Constant(value=str(name)) if id(node) not in prose and (name in FILES or name.startswith(BEGINNINGS)):
                yield node.lineno, name


def test_a_name_that_is_said_again_is_seen() -> None:
    lines = (
        '"""About run.json."""',
        'p / "trajectories"',
        'b = "run.json"',
        'p.glob("iter-*")',
        'd = f"checkpoints/{n}"',
        '["trajectories"]',
    )
    source = "\n".join(lines)
    assert [*said_again(source)] == [(2, "trajectories"), (3, "run.json"), (4, "iter-*"), (5, "checkpoints/")]


def test_the_names_are_said_once() -> None:
    assert len(READERS) > 200
    apart = (ROOT / "webgym/record/layout.py", ROOT / "benchmarks/golden.py")  # golden reads folders of another commit, by its names
    places = [path for path in READERS if path not in apart]
    assert [f"{path.relative_to(ROOT)}:{line} says {name!r}" for path in places for line, name in said_again(path.read_text("utf-8"))] == []


def test_runs_written_before_are_read() -> None:
    names = {name: value for name, value in vars(layout).items() if name.isupper()}
    assert names == {
        "LATEST": "latest",
        "CONFIG": "config.toml",
        "ABOUT": "run.json",
        "METRICS": "metrics.jsonl",
        "VALUES": "values.jsonl",
        "CREDIT": "credit",
        "TRUTH": "truth.jsonl",
        "NOTE": "note.json",
        "LIVE": "live.json",
        "LOCK": "lock",
        "LOG": "train.log",
        "FAILED_BATCH": "failed_batch.pt",
        "TENSORBOARD": "tensorboard",
        "TRAJECTORIES": "trajectories",
        "CHECKPOINTS": "checkpoints",
        "POLICY": "policy",
        "CRITIC": "critic",
        "STATE": "state.pt",
        "MANIFEST": "manifest.json",
        "DEMOS": "demos.jsonl",
        "DEMO_PROMPTS": "prompt.json",
        "DEMO_PLAN": "plan.json",
        "ITERATIONS": "iter-*",
    }
    assert layout.trajectory_file(Path("run"), 12) == Path("run/trajectories/iter-000012.jsonl")


def test_files_by_iteration(tmp_path: Path) -> None:
    assert layout.trajectory_files(tmp_path) == [] and not layout.is_run(tmp_path)
    (tmp_path / "trajectories/iter-000002-screenshots").mkdir(parents=True)
    for iteration in (10, 2, 1):
        layout.trajectory_file(tmp_path, iteration).touch()
    assert [layout.iteration_of(path.stem) for path in layout.trajectory_files(tmp_path)] == [1, 2, 10]
    with pytest.raises(ValueError, match="screenshots"):
        layout.iteration_of("iter-000002-screenshots")


def test_documentation_examples() -> None:
    result = doctest.testmod(layout)
    assert result.attempted and not result.failed
