"""Mutation: conditions of checks, credit, losses and rows are broken one at a time, and some test must notice.

    python -m benchmarks.mutants [--count 50] [--seed 0] [--only checks] [--ledger mutants.jsonl [--again]] [--json FILE]

A mutant is one file with one change: a comparison turned round, `and` for `or`, a `not` dropped, a condition that is always or never true,
an arithmetic sign changed. It is drawn by seed from all such changes of `TARGETS`. Its tests run in a copy of the repository: first those
that run the changed line, the quickest first, then all of them. A mutant that they let live is shown with its line. With a ledger, a run
that was cut off goes on where it was.
"""

import argparse
import ast
import copy
import hashlib
import importlib
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TARGETS: Mapping[str, Sequence[str]] = {
    "webgym/authoring/answers.py": ("tests/webgym/authoring/test_checks.py", "tests/webgym/authoring"),
    "webgym/authoring/checks.py": ("tests/webgym/authoring/test_checks.py", "tests/webgym/authoring"),
    "tasks/miniwob/checks.py": ("tests/tasks/miniwob",),
    "trainers/credit/credit.py": ("tests/trainers/credit/test_credit.py", "tests/trainers/credit", "tests/trainers/algorithms"),
    "trainers/learning/losses.py": ("tests/trainers/learning/test_losses.py", "tests/trainers/learning/test_learner.py"),
    "trainers/batches/rows.py": (
        "tests/trainers/batches/test_rows.py",
        "tests/trainers/batches",
        "tests/trainers/credit/test_bootstrap.py",
    ),
}
"""The files that are broken, and the tests that must notice, the quickest first."""
LIMIT_S, WATCHED_LIMIT_S = 900.0, 3600.0
OUTPUT, SEEN = "output.txt", "seen.json"
LIBRARIES = ("hypothesis", "numpy", "peft", "playwright.async_api", "pydantic", "torch", "transformers")
"""What the tests import that is not ours: it is loaded once."""
TURNED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SIGNS: Mapping[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    end: int  # last line of what is changed
    words: str
    source: str

    @property
    def name(self) -> str:
        """The same for the same text of the same file."""
        return hashlib.sha256(f"{self.file}\n{self.source}".encode()).hexdigest()[:16]


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The changed forms of a node, with words for each."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        turned = copy.deepcopy(node)
        turned.ops[0] = TURNED[type(node.ops[0])]()
        yield "comparison turned round", turned
    elif isinstance(node, ast.BoolOp):
        other = copy.deepcopy(node)
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and for or, or the other way", other
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", copy.deepcopy(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
        signed = copy.deepcopy(node)
        signed.op = SIGNS[type(node.op)]()
        yield "sign changed", signed
    elif isinstance(node, ast.If | ast.IfExp):
        for value in (True, False):
            fixed = copy.deepcopy(node)
            fixed.test = ast.Constant(value)
            yield f"condition always {value}", fixed


class _Put(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)


def mutants(file: str) -> list[Mutant]:
    """All mutants of a file, in the order of its lines."""
    text = (ROOT / file).read_text("utf-8")
    found = []
    for place, node in enumerate(ast.walk(ast.parse(text))):
        for words, changed in _changes(node):
            assert isinstance(node, ast.expr | ast.stmt)
            fresh = ast.parse(text)
            old = next(itertools.islice(ast.walk(fresh), place, None))
            source = ast.unparse(ast.fix_missing_locations(_Put(old, changed).visit(fresh)))
            part = node.test if isinstance(node, ast.If) else node
            found.append(Mutant(file, node.lineno, part.end_lineno or node.lineno, words, source))
    return found


@dataclass(frozen=True)
class Seen:
    """What a test ran of a file that is to be broken."""

    test: str
    lines: frozenset[int]
    seconds: float


class Watch:
    """Notes which lines of a file each test runs, in threads that begin later too. A plugin of pytest."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: set[int] = set()  # of the test that runs
        self.seen: list[dict[str, Any]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """One test, with its fixtures."""
        self._lines, begun = set(), time.perf_counter()
        try:
            return (yield)
        finally:
            self.seen.append({"test": item.nodeid, "lines": sorted(self._lines), "seconds": time.perf_counter() - begun})

    def begin(self) -> None:
        """Watch this thread and those that begin from now on."""
        threading.settrace(self._call)
        sys.settrace(self._call)

    def _call(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        return self._line if frame.f_code.co_filename == self._file else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        self._lines.add(frame.f_lineno)
        return self._line


def watched(file: str) -> list[Seen]:
    """What each test runs of a file in which nothing is changed; ends the program where they fail."""
    with _changed(file, (ROOT / file).read_text("utf-8")) as folder:
        if not _passes(folder, TARGETS[file], WATCHED_LIMIT_S, watch=str(Path(folder, file))):
            raise SystemExit(f"the tests of {file} fail where nothing is changed: mend them first")
        rows = json.loads(Path(folder, SEEN).read_text("utf-8"))
        return [Seen(row["test"], frozenset(row["lines"]), row["seconds"]) for row in rows]


def nearest(mutant: Mutant, seen: Sequence[Seen]) -> list[str]:
    """The tests that run what the mutant changes, the quickest first."""
    lines = set(range(mutant.line, mutant.end + 1))
    return [it.test for it in sorted(seen, key=lambda it: it.seconds) if it.lines & lines]


def lives(mutant: Mutant, seen: Sequence[Seen]) -> bool:
    """True if no test notices the mutant."""
    near = nearest(mutant, seen)
    with _changed(mutant.file, mutant.source) as folder:
        return (not near or _passes(folder, near, LIMIT_S)) and _passes(folder, TARGETS[mutant.file], LIMIT_S)


@contextmanager
def _changed(file: str, source: str) -> Iterator[str]:
    """A copy of the repository in which the file has this text."""
    with tempfile.TemporaryDirectory(prefix="webgym-mutant-") as folder:
        copied = ("webgym", file.partition("/")[0])  # webgym finds the tasks that lie beside itself
        for path in ROOT.iterdir():
            if path.name in copied:
                shutil.copytree(path, Path(folder, path.name), ignore=shutil.ignore_patterns("__pycache__", "web", "node_modules"))
            elif not path.name.startswith(".") and path.name not in ("runs", "demos"):
                Path(folder, path.name).symlink_to(path)
        Path(folder, file).write_text(source, "utf-8")
        yield folder


def _passes(folder: str, tests: Sequence[str], limit_s: float, watch: str = "") -> bool:
    """Whether the tests pass in the copy. Who never ends does not."""
    process = multiprocessing.get_context("fork").Process(target=_tested, args=(folder, tests, watch))
    process.start()
    process.join(limit_s)
    if process.is_alive():
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)  # with what the tests started
        process.join()
        return False
    if process.exitcode not in (0, 1, 2, 4):  # 4 where a file can no longer be imported, so that it has no test of that name
        raise RuntimeError(f"the tests did not run: {Path(folder, OUTPUT).read_text('utf-8')[-1000:]}")
    return process.exitcode == 0


def _tested(folder: str, tests: Sequence[str], watch: str) -> None:
    """Run tests in the copy of the repository, in a process of its own that has the libraries already; exits with pytest's status."""
    os.setsid()
    os.chdir(folder)
    sys.path[:] = [folder, *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    os.environ["PYTHONPATH"], sys.dont_write_bytecode = folder, True
    with Path(OUTPUT).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    plugin = Watch(watch)
    if watch:
        plugin.begin()
    options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    status = int(pytest.main([*options, *tests], plugins=[plugin] if watch else []))
    Path(SEEN).write_text(json.dumps(plugin.seen))
    os._exit(status)


def _read(ledger: Path | None) -> dict[str, bool]:
    """Which of the mutants in a ledger lived, by name."""
    if ledger is None or not ledger.is_file():
        return {}
    return {row["name"]: row["lives"] for row in map(json.loads, ledger.read_text("utf-8").splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only files whose path holds this word")
    parser.add_argument("--ledger", type=Path, help="a file of the mutants that were tried, which a later run skips")
    parser.add_argument("--again", action="store_true", help="try those of the ledger again that lived")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    for library in LIBRARIES:
        importlib.import_module(library)
    known = [mutant for file in TARGETS if arguments.only in file for mutant in mutants(file)]
    drawn = random.Random(arguments.seed).sample(known, min(arguments.count, len(known)))
    tried = _read(arguments.ledger)
    tried = {name: lived for name, lived in tried.items() if not (lived and arguments.again)}
    seen: dict[str, list[Seen]] = {}  # by file
    alive = []
    for mutant in drawn:
        if mutant.name not in tried:
            if mutant.file not in seen:
                seen[mutant.file] = watched(mutant.file)
            tried[mutant.name] = lives(mutant, seen[mutant.file])
            if arguments.ledger:
                with arguments.ledger.open("a", encoding="utf-8") as file:  # nothing of ours is imported here: the tests run in forks
                    file.write(json.dumps({"file": mutant.file, "name": mutant.name, "lives": tried[mutant.name]}) + "\n")
        print(f"{'LIVES ' if tried[mutant.name] else 'killed'} {mutant.file}:{mutant.line}: {mutant.words}", flush=True)
        alive += [f"{mutant.file}:{mutant.line}: {mutant.words}"] * tried[mutant.name]
    score = 1 - len(alive) / len(drawn) if drawn else 1.0
    result = {"mutants": len(known), "tried": len(drawn), "killed": len(drawn) - len(alive), "score": round(score, 3), "alive": alive}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
