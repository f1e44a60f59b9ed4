"""The comparison of runs finds what differs, and a run that is killed and resumed is told from one that is not the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import resume
from benchmarks.resume import Kill, as_played, differences, same, table
from tests.trainers.text_runs import finish, start, write_model
from webgym.record.store import load


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    model = write_model(folder / "model")
    one, other = (finish(start(model, folder, f"seed-{seed}", "archer", iterations=2, seed=seed)) for seed in (0, 1))
    return one.run.path, other.run.path


def test_runs_are_compared_in_all_their_parts(runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "ITERATIONS", 2)
    one, other = runs
    assert differences(one, one) == []
    found = differences(one, other)
    assert {
        "metrics.jsonl: other rows",
        "values.jsonl: other rows",
        "iteration 1: other episodes",
        "another state of critic_optimizer",
    } <= set(found)
    assert any(words.startswith("critic/") and words.endswith(": other weights") for words in found)
    shutil.copytree(one, copy := tmp_path / "copy")
    (copy / "metrics.jsonl").write_text((one / "metrics.jsonl").read_text().replace('"time/collect_s":', '"time/collect_s": 1'))
    assert differences(one, copy) == [], "times may differ"
    played = load(one / "trajectories" / "iter-000001.jsonl")[0]
    struck = replace(played, outcome=replace(played.outcome, retries=1, faults=("browser",)))
    assert as_played(struck) == as_played(played) != as_played(replace(played, goal="")), "a fault that was mended may differ"


def test_nested_state_is_compared_bit_for_bit() -> None:
    state = {"a": [torch.ones(2), 1, None], "b": ("x", 0.5)}
    assert same(state, {"a": [torch.ones(2), 1, None], "b": ("x", 0.5)})
    for other in (
        {"a": [torch.ones(2) + 1e-7, 1, None], "b": ("x", 0.5)},
        {"a": [torch.ones(2), 1.0, None], "b": ("x", 0.5)},
        {"a": [torch.ones(2).double(), 1, None], "b": ("x", 0.5)},
        {"a": [torch.ones(2), 1], "b": ("x", 0.5)},
        {"a": state["a"]},
    ):
        assert not same(state, other)


def test_the_table_counts_equal_runs() -> None:
    kills = [Kill("grpo", 2, 0.1, 0, ()), Kill("grpo", 5, 0.2, 3, ("another state",)), Kill("archer", 4, 0.3, 3, ())]
    columns = [list(column.cells) for column in table(kills).columns]
    assert columns == [["grpo", "archer"], ["2", "1"], ["1", "1"], ["2 5", "4"], ["0 3", "3"]]
