"""Runs that earlier versions wrote, one for each change of a file's form, are read by the code of today, and gone on with.

written/write.py says how they were made.
"""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch

from benchmarks.fuzz_runs import shown
from trainers.runs.checkpoint import _digest_of_json, digest_of
from trainers.runs.run_folder import FORMAT, RunFolder, open_checkpoint
from trainers.training.trainer import Trainer
from webgym.errors import CheckpointError
from webgym.record import layout
from webgym.record.store import decode, encode, load

WRITTEN = sorted(Path(__file__).with_name("written").glob("*.tar.xz"))
OLDEST = "6dd7be4"
FORMS = (OLDEST, "7ea95e6", "8e398f0", "bed949b", "349c621", "2a937d9", "a525cb6")
"""Keys in groups; targets and mentions; kinds of faults; `grpo` by its paper's name; origins of branches; formats in every file."""


@pytest.fixture(params=WRITTEN, ids=lambda path: path.name.partition(".")[0])
def written(request, tmp_path):
    """The run folder that a version wrote."""
    with tarfile.open(request.param) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "run"


def test_the_files_are_those_of_every_form():
    assert [path.name.partition(".")[0] for path in WRITTEN] == sorted(FORMS)
    assert sum(path.stat().st_size for path in WRITTEN) < 600_000


def test_a_run_folder_is_read_whole(written):
    with RunFolder.open(written, write=False) as run:
        assert (run.algo, run.seed) == ("archer", 0) and run.versions["torch"]
        (row,) = [row for row in run.metrics if "rollout/success" in row]
        assert row["iteration"] == 1 and run.latest().iteration == 1
        state = open_checkpoint(written).state()
        assert state["iteration"] == 1 and state["episodes"] == 4 and {"learner", "curriculum", "rng"} <= state.keys()
    assert shown(written) == "", "the viewer and `webgym watch` show it"


def test_trajectories_are_the_same_when_written_again(written):
    path = layout.trajectory_file(written, 1)
    found = load(path)
    assert len(found) == 4 and all(x.turns and x.turns[0].completion.prompt and x.turns[0].completion.prompt_ids for x in found)
    for line, trajectory in zip(path.read_bytes().splitlines(keepends=True), found, strict=True):
        assert decode(encode(trajectory)) == trajectory
        before, now = json.loads(line), json.loads(encode(trajectory))
        assert before["outcome"] == now["outcome"] and before["key"] == now["key"]
        for old, new in zip(before["turns"], now["turns"], strict=True):
            assert {name: new[name] for name in old if name != "completion"} == {name: old[name] for name in old if name != "completion"}
            assert {name: new["completion"][name] for name in old["completion"]} == old["completion"]


def gone_on(written):
    with Trainer.resume(written, changes={"length": {"iterations": 2}}).run as run:
        assert run.path == written.resolve()
    trainer = Trainer.resume(written, changes={"length": {"iterations": 2}})
    with trainer.run as run:
        trainer.train()
        assert run.latest().iteration == 2
        assert [row["iteration"] for row in run.metrics if "rollout/success" in row] == [1, 2]
        assert len(load(run.trajectory_path(2))) == 4


@pytest.mark.slow
def test_every_run_is_gone_on_with(written):
    gone_on(written)


def test_the_oldest_run_is_gone_on_with(tmp_path):
    with tarfile.open(Path(__file__).with_name("written") / f"{OLDEST}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    assert "format" not in json.loads((tmp_path / "run" / layout.ABOUT).read_text()) and FORMAT == 1
    gone_on(tmp_path / "run")


# --- runs of strangers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newest(tmp_path_factory):
    """A run of a version of today, and its state."""
    folder = tmp_path_factory.mktemp("newest")
    with tarfile.open(Path(__file__).with_name("written") / f"{FORMS[-1]}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "run", open_checkpoint(folder / "run").state()


def resumed_with(run, state):
    """Go on with the run from another state, which its manifest lists."""
    folder = open_checkpoint(run).path
    torch.save(state, folder / layout.STATE)
    manifest = json.loads((folder / layout.MANIFEST).read_text())
    del manifest["digest"]
    file = folder / layout.STATE
    manifest["files"][layout.STATE] = {"bytes": file.stat().st_size, "blake2b": digest_of(file)}
    (folder / layout.MANIFEST).write_text(json.dumps({**manifest, "digest": _digest_of_json(manifest)}))
    Trainer.resume(run, changes={"length": {"iterations": 2}}).run.close()


@pytest.mark.parametrize(
    "change",
    [
        {"iteration": None}, {"episodes": -1}, {"turns": float("nan")}, {"tokens": "9"}, {"learner": {}}, {"curriculum": []}, {"rng": {}},
        {"rng": {"torch": torch.zeros(3), "cuda": []}}, {"score": "x"}, {"memory": 3}, {"critic_optimizer": torch.zeros(2)},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_of_another_kind_is_told_in_one_sentence(newest, change):
    run, state = newest
    with pytest.raises(CheckpointError, match=r"is no state of this run .*delete that folder"):
        resumed_with(run, {**state, **change})


@pytest.mark.parametrize("state", [[], None, torch.zeros(2), {}], ids=str)
def test_a_state_that_is_none_is_told_in_one_sentence(newest, state):
    with pytest.raises(CheckpointError, match="is no state of this run"):
        resumed_with(newest[0], state)


def test_a_configuration_without_an_algorithm_is_told_in_one_sentence(newest, tmp_path):
    copied = Path(shutil.copytree(newest[0], tmp_path / "run"))
    (copied / layout.CONFIG).write_text("seed = 1\n")
    with pytest.raises(CheckpointError, match="it names no algo"):
        Trainer.resume(copied)
