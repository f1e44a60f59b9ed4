import math

import numpy as np
import pytest

from benchmarks import lessons
from benchmarks.lessons import PAGES, SPARED, Played, compare, exact, turn_credit


def test_exact_values_are_binomial() -> None:
    v = exact(np.zeros((8, 4)), np.arange(8) % 4)
    p = 0.25
    assert v[0, 0] == pytest.approx(sum(math.comb(PAGES, k) * (1 - p) ** k * p ** (PAGES - k) for k in range(SPARED + 1)))
    assert not v[:, SPARED + 1].any()
    assert v[PAGES - 1, SPARED] == pytest.approx(p)


def test_exact_credit_blames_the_turn_and_no_other() -> None:
    v = exact(np.zeros((8, 4)), np.arange(8) % 4)
    mistakes = np.array([0] * 5 + [1] * (PAGES - 4))  # one, on the fifth page
    credit = turn_credit(Played(np.zeros(PAGES, int), np.zeros(PAGES, int), mistakes, 1.0), v, 0.0)
    assert credit[4] < 0 and (np.delete(credit, 4) >= 0).all()
    assert credit.sum() == pytest.approx(1.0 - v[0, 0])


def test_the_table_learns_and_credit_by_turn_is_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "RATES", (100.0,))
    monkeypatch.setattr(lessons, "ESTIMATORS", {name: lessons.ESTIMATORS[name] for name in ("grpo", "td(0), known")})
    found = compare(120, 1, 2000)
    assert found["td(0), known"]["episodes"] < found["grpo"]["episodes"] < 2000
    assert found["td(0), known"]["ratio"] == found["td(0), known"]["episodes"] / found["grpo"]["episodes"]
