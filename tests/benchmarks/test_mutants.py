"""Mutants are real changes, and are drawn the same again."""

import ast

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
