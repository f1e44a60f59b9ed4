"""The algorithm of docs/your-algorithm.md: the file is read as it stands there, and its credit is what its equation says."""

import re

import numpy as np
import pytest

from tests.documents import ROOT
from tests.trainers.episodes import episode
from trainers import algorithms


@pytest.fixture
def frugal(tmp_path):
    text = re.findall(r"^```python\n(# frugal\.py\n.*?)^```", (ROOT / "docs/your-algorithm.md").read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "frugal.py").write_text(text[0])
    return algorithms.get(str(tmp_path / "frugal.py"))


def test_credit_is_the_return_less_the_price_against_the_others(frugal):
    assert frugal.summary == "Frugal: the return less a price for each turn, compared with the other members of the group."
    group = [episode(1.0, 2), episode(1.0, 4), episode(0.0, 5), episode(0.0, 3, "fault")]
    found = frugal.credit([group], None, frugal.Config(price=0.1))
    worth = [0.8, 0.6, -0.5]  # R - 0.1 T
    wanted = [0.8 - 0.1 / 2, 0.6 - 0.3 / 2, -0.5 - 1.4 / 2]
    assert [a[0] for a in found.advantages[:3]] == pytest.approx(wanted) and sum(worth) == pytest.approx(0.9)
    assert all(np.ptp(a) == 0 for a in found.advantages) and not found.weights[3].any() and all(w.all() for w in found.weights[:3])
    assert found.stats["rollout/price"] == pytest.approx(0.1 * (2 + 4 + 5 + 3) / 4) and set(frugal.metrics) <= set(found.stats)
