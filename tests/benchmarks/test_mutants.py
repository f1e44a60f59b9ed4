"""Mutants are real changes, and are drawn the same again."""

import ast
import json
import subprocess
import sys

from benchmarks import mutants


def test_every_mutant_is_one_change_that_parses():
    file = "tasks/miniwob/checks.py"
    found = mutants.mutants(file)
    plain = ast.unparse(ast.parse((mutants.ROOT / file).read_text("utf-8")))
    assert len(found) >= 10 and len({mutant.source for mutant in found}) > 0.8 * len(found)
    for mutant in found:
        ast.parse(mutant.source)
        differ = [(a, b) for a, b in zip(plain.splitlines(), mutant.source.splitlines(), strict=False) if a != b]
        assert mutant.source != plain and differ
    assert found == mutants.mutants(file)


def test_each_kind_of_change_is_known():
    source = "if a == b and not c:\n    x = d + e if f else g\n"
    words = [words for node in ast.walk(ast.parse(source)) for words, _ in mutants._changes(node)]
    conditions = ["condition always False", "condition always True"]
    assert sorted(set(words)) == ["and for or, or the other way", "comparison turned round", *conditions, "not dropped", "sign changed"]


ASK = """
import json
from dataclasses import replace
from benchmarks import mutants

file = "webgym/record/whole.py"
mutants.TARGETS = {file: ("tests/webgym/record/test_whole.py",)}
seen = mutants.watched(file)
mutant = next(it for it in mutants.mutants(file) if "read(1) != " in it.source)
unchanged = replace(mutant, source=(mutants.ROOT / file).read_text("utf-8"))
alive = [mutants.lives(*it) for it in ((mutant, seen), (mutant, []), (unchanged, seen))]
print(json.dumps([len(seen), mutants.nearest(mutant, seen), *alive]))
"""


def test_tests_that_run_a_changed_line_are_asked_first() -> None:
    """In a process of its own, which has imported nothing of what is broken."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, cwd=mutants.ROOT, check=True)
    count, near, lives, unseen_lives, unchanged_lives = json.loads(done.stdout)
    assert count > 10 and [name.rpartition("::")[2] for name in near] == ["test_a_line_that_its_writer_could_not_end_is_ended_first"]
    assert not lives and unchanged_lives
    assert not unseen_lives, "what no test was seen to run is tried by all of them"
