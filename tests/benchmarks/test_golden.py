"""The comparison of two trees finds what differs and nothing else, and tells what failed; no tree plays here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import golden, golden_worker
from benchmarks.golden import Play, Side, compared, difference, leaves, played, same, table, worktree

PLAY = Play("twin", "a run", ())
EPISODE = {
    "format": 1,
    "key": ["wizard.h3", 7, 1, 0, 0],
    "goal": "Go on.",
    "outcome": {"kind": "success", "reward": 1.0, "raw_reward": 0.0, "message": "", "retries": 0},
    "final_hash": "f",
    "turns": [
        {
            "action": "click('1')",
            "reward": 1.0,
            "observation_hash": f"page {turn}",
            "state_hash": f"state {turn}",
            "times": [0.1, 0.2],
            "box": [1.0, 2.0, 3.0, 4.0],
            "completion": {"text": "click #1", "prompt": "do:", "prompt_ids": [1, 2], "action_ids": [3], "behaviour_logprobs": [-0.5]},
        }
        for turn in range(2)
    ],
}


def write(run: Path) -> Path:
    """A small run of one iteration."""
    policy = run / "checkpoints/iter-000001/policy"
    policy.mkdir(parents=True)
    save_file({"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2)}, policy / "model.safetensors")
    (policy / "config.json").write_text(json.dumps({"name": str(run / "model")}))
    torch.save({"iteration": 1, "optimizer": {0: {"exp_avg": torch.zeros(3)}}, "rate": float("nan")}, policy.parent / "state.pt")
    (run / "metrics.jsonl").write_text('{"iteration":1,"loss/total":0.5,"time/iteration_s":1.0}\n')
    (run / "run.json").write_text(json.dumps({"started": str(run)}))
    (run / "trajectories").mkdir()
    (run / "trajectories/iter-000001.jsonl").write_text(json.dumps(EPISODE) + "\n")
    return run


def changed(path: Path, change: Callable[[Any], None]) -> None:
    """Change the one record of a file."""
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record) + "\n")


def differences(base: Path, here: Path) -> dict[str, str]:
    """The first difference of each kind that has one."""
    rows = compared(PLAY, base, here, {"base": base.parent, "here": here.parent})
    return {row.what: row.difference for row in rows if row.difference}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "one/run"), write(tmp_path / "other/run")


def test_runs_that_differ_by_clock_and_folder_are_equal(runs: tuple[Path, Path]) -> None:
    base, here = runs
    (here / "metrics.jsonl").write_text('{"iteration":1,"loss/total":0.5,"time/iteration_s":9.0}\n')

    def other_times(record: Any) -> None:
        record["turns"][0]["times"] = [5.0, 6.0]
        record["turns"][1]["completion"]["prompt"] = ""

    changed(here / "trajectories/iter-000001.jsonl", other_times)
    rows = compared(PLAY, base, here, {"base": base.parent, "here": here.parent})
    assert not any(row.difference for row in rows)
    assert {row.what: row.values for row in rows} == {
        "files": 5,
        "configurations, tokenizers": 1,
        "weights of the policy": 8,
        "optimisers, generators, counters": 5,
        "rows of metrics": 2,
        "hashes of pages and states": 5,
        "tokens, log-probabilities": 10,
        "episodes": 1 + 5 + 1 + 5 + 1 + 2 * 6,
    }


def test_a_changed_weight_is_found(runs: tuple[Path, Path]) -> None:
    weights = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2)}
    weights["w"][1, 1] = 4.0 + 2**-21
    save_file(weights, runs[1] / "checkpoints/iter-000001/policy/model.safetensors")
    place = "checkpoints/iter-000001/policy/model.safetensors, w[4]"
    assert differences(*runs) == {"weights of the policy": f"{place}: base 4.0, here 4.000000476837158"}


def test_a_changed_optimiser_is_found(runs: tuple[Path, Path]) -> None:
    state = {"iteration": 1, "optimizer": {0: {"exp_avg": torch.tensor([0.0, 0.0, -0.0])}}, "rate": float("nan")}
    torch.save(state, runs[1] / "checkpoints/iter-000001/state.pt")
    place = "checkpoints/iter-000001/state.pt: optimizer.0.exp_avg[2]"
    assert differences(*runs) == {"optimisers, generators, counters": f"{place}: base 0.0, here -0.0"}


def test_a_changed_hash_is_found(runs: tuple[Path, Path]) -> None:
    changed(runs[1] / "trajectories/iter-000001.jsonl", lambda record: record["turns"][1].update(state_hash="x"))
    place = "trajectories/iter-000001.jsonl, episode 1 of wizard.h3, turn 1: state_hash"
    assert differences(*runs) == {"hashes of pages and states": f"{place}: base 'state 1', here 'x'"}


def test_a_changed_probability_and_a_lost_turn_are_found(runs: tuple[Path, Path]) -> None:
    def shorter(record: Any) -> None:
        record["turns"].pop()
        record["turns"][0]["completion"]["behaviour_logprobs"] = [-0.25]

    changed(runs[1] / "trajectories/iter-000001.jsonl", shorter)
    found, place = differences(*runs), "trajectories/iter-000001.jsonl, episode 1 of wizard.h3"
    assert found["tokens, log-probabilities"] == f"{place}, turn 0: completion.behaviour_logprobs[0]: base -0.5, here -0.25 (and 4 more)"
    assert found["episodes"].startswith(f"{place}: turns: base 2, here 1")
    assert "turn 1: observation_hash: only in the base" in found["hashes of pages and states"]


def test_a_changed_metric_and_a_new_one_are_found(runs: tuple[Path, Path]) -> None:
    (runs[1] / "metrics.jsonl").write_text('{"iteration":1,"loss/total":0.25,"loss/other":1}\n')
    assert differences(*runs) == {"rows of metrics": "metrics.jsonl, row 1: loss/total: base 0.5, here 0.25 (and 1 more)"}


def test_a_missing_run_is_found(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = differences(runs[0], tmp_path / "empty")
    assert len(found) == 8 and all(": only in the base" in words for words in found.values())
    assert differences(tmp_path / "empty", tmp_path / "empty") == {"files": "there are none"}


def test_a_missing_file_is_found(runs: tuple[Path, Path]) -> None:
    (runs[1] / "metrics.jsonl").unlink()
    assert differences(*runs) == {
        "files": "metrics.jsonl: only in the base",
        "rows of metrics": "metrics.jsonl, row 1: iteration: only in the base (and 1 more)",
    }


def test_a_fault_in_both_proves_nothing(runs: tuple[Path, Path]) -> None:
    for run in runs:
        changed(run / "trajectories/iter-000001.jsonl", lambda record: record["outcome"].update(kind="fault", reward=None))
    assert list(differences(*runs)) == ["episodes"]
    assert "fault in both trees, which proves nothing (1 in all)" in differences(*runs)["episodes"]


def test_values_are_the_same_in_type_and_bits() -> None:
    nan = float("nan")
    for x in (1, 1.0, -0.0, nan, "a", None, [1, nan], torch.tensor([nan, 1.0]), torch.zeros(0), torch.tensor(1, dtype=torch.bfloat16)):
        assert same(x, x)
    for one, other in (
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ([1], (1,)),
        (torch.zeros(1), 0.0),
        (torch.zeros(1), torch.zeros(1, 1)),
        (torch.zeros(1), torch.zeros(1).double()),
        (torch.zeros(1), -torch.zeros(1)),
    ):
        assert not same(one, other)


def test_empty_values_count_as_values() -> None:
    assert dict(leaves({"a": {}, "b": [], "c": [[], {"d": 1}]})) == {": a": {}, ": b": [], ": c.0": [], ": c.1.d": 1}
    assert difference({": a": {}}, {}) == ": a: only in the base"
    assert difference({}, {": a": {}}) == ": a: only here"


def test_long_texts_are_shown_where_they_part() -> None:
    one, other = "x" * 500 + "one" + "y" * 500, "x" * 500 + "two" + "y" * 500
    assert difference({"page": one}, {"page": other}).startswith("page, from character 480: base 'xxxxxxxxxxxxxxxxxxxxoneyyy")


def test_a_command_that_fails_in_one_tree_is_told_with_what_it_said(tmp_path: Path) -> None:
    trees: dict[Side, Path] = {"base": tmp_path / "old", "here": tmp_path / "new"}
    for side, program in (("base", "print('{}')"), ("here", "import sys\nprint('said')\nsys.exit('no such module')")):
        trees[side].mkdir()
        (trees[side] / "cli.py").write_text(program)
    folders, failures = played(Play("twin", "a run, short", (("eval", "--json"), ("never",))), trees, tmp_path / "played")
    assert [(x.side, x.command, x.how, x.tail) for x in failures] == [("here", "eval --json", "ended with 1", "no such module")]
    assert (folders["base"] / "report-0.json").read_text() == "{}\n" and not list(folders["here"].iterdir())
    assert folders["base"] == tmp_path / "played/base/a-run-short"


def test_a_commit_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "ROOT", tmp_path)
    with (
        pytest.raises(SystemExit, match=r"^golden: this clone does not hold the commit 6dd7be4: bring it with `git fetch`"),
        worktree("6dd7be4"),
    ):
        pass


def test_the_table_has_a_row_for_each_kind(runs: tuple[Path, Path]) -> None:
    rows = compared(PLAY, *runs, {"base": runs[0].parent, "here": runs[1].parent})
    columns = [[str(cell) for cell in column.cells] for column in table(rows, "title").columns]
    assert columns[3][2] == "8" and set(columns[4]) == {"equal"}


def test_the_worker_finds_all_that_it_needs_in_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(callable(golden_worker.found(name)) for name in golden_worker.HOMES)
    monkeypatch.setitem(golden_worker.HOMES, "nothing", ("webgym.nowhere", "webgym.errors.nowhere"))
    with pytest.raises(ModuleNotFoundError, match=r"nothing is in none of webgym\.nowhere, webgym\.errors\.nowhere"):
        golden_worker.found("nothing")


def test_old_and_new_spellings_of_a_configuration_are_equal():
    old = {"iterations": 3, "seed": 1, "sampler": {"kind": "local", "slots": 8, "base_url": "", "reload": "vllm"}}
    new = {"length": {"iterations": 3}, "seed": 1, "sampler": {"kind": "local", "slots": 8, "options": {}}}
    assert golden.grouped(old) == golden.grouped(new)
    assert golden.grouped({**old, "iterations": 4}) != golden.grouped(new)
    assert golden.grouped({**old, "sampler": {**old["sampler"], "base_url": "x"}}) != golden.grouped(new)
