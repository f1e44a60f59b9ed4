"""Mutation: conditions of checks, credit, losses and rows are broken one at a time, and some test must notice.

    python -m benchmarks.mutants [--count 50] [--seed 0] [--only checks] [--ledger mutants.jsonl [--again]] [--json FILE]

A mutant is one file with one change: a comparison turned round, `and` for `or`, a `not` dropped, a condition that is always or never true,
an arithmetic sign changed. It is drawn by seed from all such changes of `TARGETS`. Its tests run in a copy of the repository. A mutant
that they let live is shown with its line. With a ledger, a run that was cut off goes on where it was.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
LIMIT_S = 900.0
OUTPUT = "output.txt"
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
            fresh = ast.parse(text)
            old = next(itertools.islice(ast.walk(fresh), place, None))
            source = ast.unparse(ast.fix_missing_locations(_Put(old, changed).visit(fresh)))
            found.append(Mutant(file, getattr(node, "lineno", 0), words, source))
    return found


def lives(mutant: Mutant) -> bool:
    """True if no test notices the mutant."""
    with tempfile.TemporaryDirectory(prefix="webgym-mutant-") as folder:
        copied = ("webgym", mutant.file.partition("/")[0])  # webgym finds the tasks that lie beside itself
        for path in ROOT.iterdir():
            if path.name in copied:
                shutil.copytree(path, Path(folder, path.name), ignore=shutil.ignore_patterns("__pycache__", "web", "node_modules"))
            elif not path.name.startswith(".") and path.name not in ("runs", "demos"):
                Path(folder, path.name).symlink_to(path)
        Path(folder, mutant.file).write_text(mutant.source, "utf-8")
        process = multiprocessing.get_context("fork").Process(target=_tested, args=(folder, TARGETS[mutant.file]))
        process.start()
        process.join(LIMIT_S)
        if process.is_alive():
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)  # with what the tests started
            process.join()
            return False  # a mutant that never ends is noticed
        told = Path(folder, OUTPUT).read_text("utf-8")
        if process.exitcode not in (0, 1, 2):
            raise RuntimeError(f"the tests of {mutant.file} did not run: {told[-1000:]}")
        return process.exitcode == 0


def _tested(folder: str, tests: Sequence[str]) -> None:
    """Run tests in the copy of the repository, in a process of its own that has the libraries already; exits with pytest's status."""
    os.setsid()
    os.chdir(folder)
    sys.path[:] = [folder, *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    os.environ["PYTHONPATH"], sys.dont_write_bytecode = folder, True
    with Path(OUTPUT).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os._exit(int(pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", *tests])))


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
    sound: set[str] = set()  # files whose tests pass where nothing is changed
    alive = []
    for mutant in drawn:
        if mutant.name not in tried:
            if mutant.file not in sound and not lives(replace(mutant, source=(ROOT / mutant.file).read_text("utf-8"))):
                raise SystemExit(f"the tests of {mutant.file} fail where nothing is changed: mend them first")
            sound.add(mutant.file)
            tried[mutant.name] = lives(mutant)
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
