"""Plots where matplotlib is there, a sentence where it is not."""

import sys

import pytest

from trainers.studies.plots import plot_critic, plot_estimators, plot_learning, pyplot
from webgym.errors import UsageError

SPAN = {"mean": 0.5, "low": 0.4, "high": 0.6}
GRADIENT = {"4": {"cosine": SPAN, "snr": SPAN}, "64": {"cosine": SPAN, "snr": SPAN}}
ESTIMATORS = {
    "tasks": [{"task": f"wizard.h{n}-late{n}", "horizon": n} for n in (3, 6)],
    "estimators": [
        {"task": f"wizard.h{n}-late{n}", "estimator": label, "gradient": GRADIENT, "sign_by_turn": [0.5, None, 0.7]}
        for n in (3, 6)
        for label in ("rloo", "td0-seen")
    ],
}
CRITIC = {
    "sets": {
        "seeds": {
            "curve": [{"prediction": 0.1, "target": 0.2}, {"prediction": 0.9, "target": 0.8}],
            "auc_by_turn": [0.5, 0.7],
            "by_distance": [{"distance": 0, "error": 0.1, "truth_error": 0.05}],
        }
    }
}
CURVES = [
    {"task": task, "label": label, "steps": 30, "curve": [{"steps": 10 * i, "success": i / 4} for i in range(1, 4)]}
    for task in ("wizard.h1", "wizard.h3", "wizard.h6", "wizard.h12")
    for label in ("grpo", "archer")
]


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'webgym-rl\[plots\]'"):
        pyplot()


def test_plots_are_files(tmp_path):
    pytest.importorskip("matplotlib")
    files = [
        *plot_estimators(ESTIMATORS, tmp_path / "new"),
        *plot_critic(CRITIC, tmp_path),
        *plot_learning(CURVES, ["grpo", "archer", "ppo"], 0.8, 2, tmp_path),
    ]
    names = ["estimators-snr.png", "estimators-cosine.png", "estimators-sign.png", "critic.png", "learning.png"]
    assert [file.name for file in files] == names and all(file.stat().st_size > 1000 for file in files)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
