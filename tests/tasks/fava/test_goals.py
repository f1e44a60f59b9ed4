"""Answers to the questions on the books: what is taken for the number, and that none takes long to read."""

import importlib
import time
from decimal import Decimal

import pytest

from webgym.authoring.template import Instance
from webgym.packs import registry
from webgym.task import Evidence

registry.task("fava.spent-in-month")  # loads the pack under its private name
goal = importlib.import_module("webgym_tasks.fava.goals.goal")
EXPECTED = Instance({}, Decimal("1204.50"))


def answered(text, **changes):
    return goal.answered(EXPECTED, Evidence(1, "", {"changes": changes}, ended="stop", answer=text))


@pytest.mark.parametrize("text", ["1204.50", "1,204.5", " EUR 1204.50.", "1204.50EUR", "It is 1204.50 EUR in all"])
def test_the_only_number_is_the_answer(text):
    assert answered(text) and not answered(text, entries={"added": []})


@pytest.mark.parametrize("text", ["", "none", "-1204.50", "1204", "1204.50 or 3", "1204.50.1", "1204.50-1204.50", "3: 1204.50", "1204.5²3"])
def test_another_text_is_none(text):
    assert not answered(text)


@pytest.mark.parametrize("text", ["1" + "," * 200_000 + "x2", "1" * 200_000 + "x2", "-" * 200_000 + "1x2", "1," * 100_000, "x" * 200_000])
def test_no_answer_takes_long_to_read(text):
    begun = time.process_time()
    assert not answered(text)
    assert time.process_time() - begun < 1.0
