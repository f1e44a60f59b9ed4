"""Readers of strangers' texts: good inputs are read, and no input of two generators breaks one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fuzz, fuzz_agents
from webgym.actions import DIALECTS, parse
from webgym.authoring import task_file
from webgym.loop_thread import loop_thread
from webgym.record.store import decode
from webgym.types import InvalidAction

TARGETS = {one.name: one for one in fuzz.targets()}
SLOW = ("task files", "manifests", "rows", "runs")


def test_the_inputs_that_are_changed_are_good_ones(tmp_path):
    for dialect in DIALECTS:
        assert not any(isinstance(parse(text, dialect), InvalidAction) for text in fuzz._ACTIONS[dialect])
    (tmp_path / "pages").mkdir()
    (tmp_path / "tasks.yaml").write_text(fuzz._TASKS)
    assert len(task_file.read(tmp_path / "tasks.yaml")[0]) == 2
    assert len(decode(fuzz._LINE.encode()).turns) == 1


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs_break_nothing(name):
    assert fuzz.fuzzed(TARGETS[name], 20 if name.startswith(SLOW) else 400, seed=1) == []


@pytest.mark.parametrize("name", [name for name in TARGETS if not name.startswith(SLOW)])
@settings(max_examples=60)
@given(text=st.text(st.characters(codec=None), max_size=300))
def test_any_text_breaks_nothing(name, text):
    assert TARGETS[name].wrong(text) == ""


def test_a_reader_that_breaks_is_seen():
    found = fuzz.fuzzed(fuzz.Target("bad", ("[1]",), lambda text: "" if text == "[1]" else str(1 // 0)), 50, seed=0)
    assert len(found) == 5 and "ZeroDivisionError" in found[0]


def test_agents_that_write_odd_texts_end_nothing_on_the_text_twin():
    tasks = fuzz_agents.playable(["wizard.*"], "text")[:5]
    wrong, tried = loop_thread().run(fuzz_agents.walked(tasks, 200, "text", 3))
    assert wrong == [] and len(tried) >= 10
