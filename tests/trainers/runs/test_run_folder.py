"""The run folder: rows, checkpoints, resuming, and what a kill at any moment leaves behind."""

import json
import math
import pickle
import random
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch

from trainers.runs import checkpoint as checkpoint_module
from trainers.runs.checkpoint import Checkpoint
from trainers.runs.run_folder import RunFolder, open_checkpoint, restore_rng, rng_state
from webgym.errors import CheckpointError
from webgym.types import EpisodeKey, Outcome, Trajectory

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path):
    with RunFolder.create("grpo", {"lr": 1e-4}, 7, parent=tmp_path / "runs") as run:
        yield run


def writer(text):
    return lambda folder: (folder / "model.txt").write_text(text)


# --- creating and opening --------------------------------------------------------------------------------------------------


def test_create_names_runs_by_algorithm_date_and_number(tmp_path):
    today = time.strftime("%Y-%m-%d")
    for number in (1, 2):
        with RunFolder.create("archer", {}, 0, parent=tmp_path) as run:
            assert run.path.name == f"archer-{today}-{number}"
            assert (tmp_path / "latest").resolve() == run.path.resolve()


def test_open_gives_back_what_create_was_given(tmp_path):
    config = {"lr": 1e-4, "rollout": {"group_size": 8}, "tasks": ["miniwob.*"], "loss": {"clip_high": 0.28, "kl": None}, "reference": None}
    RunFolder.create("grpo", config, 7, parent=tmp_path, name="mine", versions={"browser": "156.0.1.2"}).close()
    with RunFolder.open(tmp_path / "mine") as run:
        assert (run.algo, run.seed) == ("grpo", 7)
        assert run.config == {"lr": 1e-4, "rollout": {"group_size": 8}, "tasks": ["miniwob.*"], "loss": {"clip_high": 0.28}}
        assert run.versions["browser"] == "156.0.1.2" and run.versions["torch"] == torch.__version__
    assert tomllib.loads((tmp_path / "mine/config.toml").read_text()) == run.config


def test_a_name_that_is_taken_is_refused(run):
    with pytest.raises(CheckpointError, match="exists"):
        RunFolder.create("grpo", {}, 0, parent=run.path.parent, name=run.path.name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a"])
def test_a_name_that_is_a_path_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=f"without a path: got '{name}'; give the path with --out$"):
        RunFolder.create("grpo", {}, 0, parent=tmp_path / "runs", name=name)
    assert not [x for x in tmp_path.rglob("*") if x.name != "runs"]


def test_opening_nothing_asks_did_you_mean(run):
    with pytest.raises(CheckpointError, match=f"did you mean '{run.path.name}'"):
        RunFolder.open(str(run.path).replace("grpo", "gpro"))
    with pytest.raises(CheckpointError, match=r"run\.json is missing"):
        RunFolder.open(run.path.parent)


def test_a_second_writer_is_refused_and_a_reader_is_not(run):
    with pytest.raises(CheckpointError, match="Another trainer"):
        RunFolder.open(run.path)
    with RunFolder.open(run.path, write=False) as reader:
        assert reader.seed == 7
    run.close()
    RunFolder.open(run.path).close()


def test_a_latest_that_is_no_link_is_left_alone(tmp_path, caplog):
    (tmp_path / "latest").mkdir()
    RunFolder.create("grpo", {}, 0, parent=tmp_path).close()
    assert (tmp_path / "latest").is_dir() and not (tmp_path / "latest").is_symlink()
    assert "no link" in caplog.text


# --- rows ------------------------------------------------------------------------------------------------------------------


def test_rows_come_back_in_order_and_nan_becomes_null(run):
    run.log(1, {"rollout/success": 0.25, "loss/kl": math.nan, "tasks": {"a": math.inf}, "n": torch.tensor(3)})
    run.log(2, {"rollout/success": 0.5})
    assert list(run.metrics) == [
        {"iteration": 1, "rollout/success": 0.25, "loss/kl": None, "tasks": {"a": None}, "n": 3},
        {"iteration": 2, "rollout/success": 0.5},
    ]
    assert "NaN" not in run.metrics.path.read_text()


def test_a_torn_last_row_is_ignored_and_a_broken_one_before_is_named(run):
    run.log(1, {"a": 1})
    with run.metrics.path.open("a") as file:
        file.write('{"iteration":2,"a')
    assert [row["iteration"] for row in run.metrics] == [1]
    with run.metrics.path.open("a") as file:
        file.write('\n{"iteration":3}\n')
    with pytest.raises(CheckpointError, match="line 2"):
        list(run.metrics)


def test_resume_drops_rows_and_trajectories_after_the_checkpoint(run):
    for iteration in range(1, 6):
        run.log(iteration, {"x": iteration})
        run.trajectory_path(iteration).write_text("{}\n")
        (run.path / f"trajectories/iter-{iteration:06d}-screenshots").mkdir()
        if iteration == 3:
            run.save(3, {"policy": writer("three")})
    with run.metrics.path.open("a") as file:
        file.write('{"iteration":6')
    run.values.append(3, {"v": [0.1]})
    run.values.append(4, {"v": [0.2]})
    checkpoint = run.resume()
    assert checkpoint.iteration == 3
    assert [row["x"] for row in run.metrics] == [1, 2, 3]
    assert [row["v"] for row in run.values] == [[0.1]]
    left = {f"iter-{i:06d}{end}" for i in (1, 2, 3) for end in (".jsonl", "-screenshots")}
    assert {path.name for path in (run.path / "trajectories").iterdir()} == left
    run.log(4, {"x": 4})
    assert [row["iteration"] for row in run.metrics] == [1, 2, 3, 4]


def test_trajectories_of_an_iteration_are_stored_and_dropped_with_it(run):
    outcome = Outcome("success", 1.0)
    for iteration in (1, 2):
        with run.trajectories(iteration) as store:
            store.append(Trajectory(EpisodeKey("pack.task", 5, iteration), "the goal", (), outcome))
        if iteration == 1:
            run.save(1, {})
    with run.trajectories(2) as store:
        assert [trajectory.key.iteration for trajectory in store] == [2]
    run.resume()
    assert [path.name for path in (run.path / "trajectories").iterdir()] == ["iter-000001.jsonl"]


def test_resume_without_a_checkpoint_says_so_and_keeps_the_rows(run):
    run.log(1, {"x": 1})
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        run.resume()
    assert len(list(run.metrics)) == 1


# --- checkpoints -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_gives_back_models_and_state(run):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"optimizer": optimizer.state_dict(), "rng": rng_state(), "curriculum": {"miniwob.click-test-2": [3, 0.5, None, "x"]}}
    run.save(1, {"policy": writer("actor"), "critic": writer("critic")}, state, score=0.4)
    back = open_checkpoint(run.path)
    assert (back.iteration, back.score) == (1, 0.4)
    assert (back.folder("critic") / "model.txt").read_text() == "critic"
    loaded = back.state()
    fresh = torch.optim.AdamW(model.parameters(), lr=0.1)
    fresh.load_state_dict(loaded["optimizer"])
    for ours, theirs in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        assert all(torch.equal(torch.as_tensor(ours[key]), torch.as_tensor(theirs[key])) for key in ours)
    assert loaded["curriculum"] == state["curriculum"]


def test_restored_generators_draw_the_same_numbers(run):
    run.save(1, {}, {"rng": rng_state()})
    drawn = torch.rand(3).tolist()
    restore_rng(run.latest().state()["rng"])
    assert torch.rand(3).tolist() == drawn


def test_state_that_could_not_be_loaded_safely_is_refused_at_once(run):
    import numpy as np

    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] is a numpy\.float64"):
        run.save(1, {}, {"a": [1, np.float64(2)]})
    with pytest.raises(TypeError, match="Linear"):
        run.save(1, {}, {"model": torch.nn.Linear(1, 1)})
    assert run.checkpoints() == []


def test_the_newest_few_and_the_best_are_kept(run):
    scores = {1: 0.1, 2: 0.9, 3: 0.2, 4: 0.9, 5: None, 6: 0.3}
    for iteration, score in scores.items():
        run.save(iteration, {"policy": writer(str(iteration))}, score=score, keep=2)
    assert [checkpoint.iteration for checkpoint in run.checkpoints()] == [2, 5, 6]
    assert run.best().iteration == 2  # the earlier of two equals
    assert run.latest().iteration == 6
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["iter-000002", "iter-000005", "iter-000006"]


def test_without_scores_the_best_is_the_newest(run):
    run.save(1, {}, score=math.nan)
    run.save(2, {})
    assert run.best().iteration == 2


def test_an_iteration_saved_again_replaces_the_first(run):
    run.save(1, {"policy": writer("first")})
    run.save(1, {"policy": writer("second")})
    assert (run.latest().folder("policy") / "model.txt").read_text() == "second"


def test_open_checkpoint_takes_run_link_and_checkpoint_folder(run):
    run.save(1, {})
    run.save(2, {})
    assert open_checkpoint(run.path.parent / "latest").iteration == 2
    assert open_checkpoint(run.path / "checkpoints/iter-000001").iteration == 1
    with pytest.raises(CheckpointError, match="neither a checkpoint"):
        open_checkpoint(run.path.parent)
    with pytest.raises(CheckpointError, match="did you mean 'iter-000001'"):
        open_checkpoint(run.path / "checkpoints/iter-00001")


def test_what_a_checkpoint_lacks_is_said(run):
    checkpoint = run.save(1, {"policy": writer("x")})
    with pytest.raises(CheckpointError, match="only policy"):
        checkpoint.folder("critic")
    with pytest.raises(CheckpointError, match="can be evaluated"):
        checkpoint.state()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["policy/model.txt", "state.pt", "manifest.json"])
def test_a_damaged_checkpoint_is_named_and_the_whole_one_before_it_taken(run, name, harm, caplog):
    run.save(1, {"policy": writer("one")}, {"n": 1})
    run.log(2, {})
    run.save(2, {"policy": writer("two")}, {"n": 2})
    run.log(3, {})
    harm(run.path / "checkpoints/iter-000002" / name)
    assert open_checkpoint(run.path).iteration == 1
    assert "iter-000002 is damaged: " in caplog.text and name in caplog.text and "iter-000001, is whole" in caplog.text
    assert run.resume().state() == {"n": 1}
    assert list(run.metrics) == [] and [path.name for path in (run.path / "checkpoints").iterdir()] == ["iter-000001"]
    run.save(2, {"policy": writer("again")}, {"n": 2})
    assert run.latest().iteration == 2


@pytest.mark.parametrize("name", ["policy/chat_template.jinja", "notes.md"])
def test_a_file_that_was_added_to_a_checkpoint_is_named_and_nothing_is_dropped(run, name):
    """The model's loader could read it, and nothing that the run wrote is lost for it."""
    run.save(1, {"policy": writer("one")}, {"n": 1})
    run.save(2, {"policy": writer("two")}, {"n": 2})
    added = run.path / "checkpoints/iter-000002" / name
    added.write_text("{{ 9 ** 9 }}")
    for wanted in (run.latest, run.resume, lambda: open_checkpoint(run.path)):
        with pytest.raises(CheckpointError, match=f"iter-000002 holds '{name}', which it was not written with: take the file away"):
            wanted()
    added.unlink()
    (added.parent / ".DS_Store").touch()  # which nothing reads
    assert run.resume().state() == {"n": 2}


def test_where_no_checkpoint_is_whole_nothing_is_dropped(run):
    run.save(1, {"policy": writer("one")}, {"n": 1})
    run.log(3, {})
    cut(run.path / "checkpoints/iter-000001/state.pt")
    with pytest.raises(CheckpointError, match=r"iter-000001 is damaged: state.pt .* delete that folder"):
        run.resume()
    assert len(list(run.metrics)) == 1 and (run.path / "checkpoints/iter-000001").is_dir()


def test_a_damaged_checkpoint_that_was_asked_for_is_refused(run):
    run.save(1, {"policy": writer("one")})
    run.save(2, {"policy": writer("two")})
    cut(run.path / "checkpoints/iter-000002/policy/model.txt")
    with pytest.raises(CheckpointError, match="iter-000002 is damaged"):
        open_checkpoint(run.path / "checkpoints/iter-000002")


def test_files_of_a_newer_version_are_refused_in_words(run, monkeypatch):
    monkeypatch.setattr("trainers.runs.checkpoint.FORMAT", 2)
    run.save(1, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="files of the format 2, and this version reads 1"):
        run.latest()
    about = run.path / "run.json"
    assert json.loads(about.read_text())["format"] == 1
    about.write_text(about.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(CheckpointError, match="files of the format 9"):
        RunFolder.open(run.path, write=False)


def test_a_run_that_says_no_format_is_of_the_first(run):
    about = run.path / "run.json"
    about.write_text(about.read_text().replace('"format": 1,', ""))
    with RunFolder.open(run.path, write=False) as found:
        assert found.algo == run.algo


def test_what_a_checkpoint_follows_is_on_the_disk_before_it(run, monkeypatch):
    synced = []
    monkeypatch.setattr("trainers.runs.run_folder.sync_file", lambda path: synced.append(path.name))
    run.log(1, {"a": 1})
    run.trajectory_path(1).write_text("")
    run.save(1, {})
    run.trajectory_path(2).write_text("")
    run.save(2, {})
    assert synced == ["metrics.jsonl", "iter-000001.jsonl", "metrics.jsonl", "iter-000002.jsonl"]


# --- full disk, kill -9 ----------------------------------------------------------------------------------------------------


def full_by_write(folder):
    with open("/dev/full", "w") as file:
        file.write("x" * 100_000)


def full_by_safetensors(folder):
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("save", [full_by_write, full_by_safetensors])
def test_a_full_disk_is_told_in_words_and_spares_what_was_saved(run, save):
    run.save(1, {"policy": writer("one")})
    with pytest.raises(CheckpointError, match="is full"):
        run.save(2, {"policy": writer("two"), "critic": save})
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["iter-000001"]
    assert run.latest().iteration == 1


def test_a_disk_that_fills_while_torch_writes_is_told_too(run):
    # Where state.pt would be lies the device that is always full.
    run.save(1, {})
    with pytest.raises(CheckpointError, match="is full"):
        run.save(2, {"policy": lambda folder: (folder.parent / "state.pt").symlink_to("/dev/full")}, {"w": torch.zeros(100_000)})
    assert run.latest().iteration == 1


def test_another_error_while_saving_stays_what_it_is_and_leaves_nothing(run):
    with pytest.raises(ZeroDivisionError):
        run.save(1, {"policy": lambda folder: 1 / 0})
    assert list((run.path / "checkpoints").iterdir()) == []


# A child stops dead, as kill -9 would have it, before the k-th operation on the file system; for every k until it gets through.
STOP_EVERYWHERE = """
import os, shutil, sys
from pathlib import Path
from trainers.runs.run_folder import RunFolder
from webgym.errors import CheckpointError

root = Path(sys.argv[1])
def writer(text):
    return lambda folder: (folder / "model.txt").write_text(text)
def save(run, iteration):
    run.save(iteration, {"policy": writer(str(iteration)), "critic": writer(str(-iteration))}, score=-iteration, keep=1)

with RunFolder.create("grpo", {}, 0, parent=root, name="start") as run:
    for iteration in (1, 2):
        save(run, iteration)
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
seen, children = set(), 0
for again in (2, 3):  # the same iteration once more, and a new one
    stops = 0
    while True:
        children += 1
        stops += 1
        path = root / f"run-{again}-{stops}"
        shutil.copytree(root / "start", path)
        if (child := os.fork()) == 0:
            left = stops
            def stop(event, args):
                global left
                if event in EVENTS:
                    left -= 1
                    if left == 0:
                        os._exit(9)
            with RunFolder.open(path) as run:
                sys.addaudithook(stop)
                save(run, again)
            os._exit(0)
        finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with RunFolder.open(path) as run:
            latest = run.latest()
            seen.add((again, latest.iteration))
            assert (latest.folder("policy") / "model.txt").read_text() == str(latest.iteration)
            for checkpoint in run.checkpoints():
                checkpoint.verify()
            assert not [p for p in (path / "checkpoints").iterdir() if p.name.startswith(".")]
        if finished:
            assert latest.iteration == again
            break
print(children, sorted(seen))
"""


def test_a_stop_before_any_file_operation_leaves_a_whole_latest(tmp_path):
    child = subprocess.run([sys.executable, "-c", STOP_EVERYWHERE, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    children, seen = child.stdout.split(maxsplit=1)
    assert int(children) > 40
    # Saving iteration 2 again may leave 1 or 2; saving 3 leaves 2 or 3, never less.
    assert seen.strip() == "[(2, 1), (2, 2), (3, 2), (3, 3)]"


KEEP_SAVING = """
import sys
from trainers.runs.run_folder import RunFolder
with RunFolder.open(sys.argv[1]) as run:
    done = run.resume().iteration if run.checkpoints() else 0
    run.metrics.truncate(done)  # of one that was killed before its first checkpoint
    print("ready", flush=True)
    while True:
        done += 1
        run.log(done, {"x": done})
        run.save(done, {"policy": lambda folder: [(folder / f"{i}").write_bytes(bytes([done % 256]) * 300_000) for i in range(4)]})
"""


def test_kill_9_while_saving_never_breaks_the_latest_or_doubles_a_row(run):
    run.close()
    delays = random.Random(0)
    reached = []
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", KEEP_SAVING, run.path], cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout and child.stdout.readline() == b"ready\n"
            time.sleep(delays.uniform(0.02, 0.2))
            child.send_signal(signal.SIGKILL)
        with RunFolder.open(run.path) as again:
            if not again.checkpoints():
                continue
            latest = again.resume()
            assert (latest.folder("policy") / "3").read_bytes() == bytes([latest.iteration % 256]) * 300_000
            assert [row["x"] for row in again.metrics] == list(range(1, latest.iteration + 1))
            reached.append(latest.iteration)
    assert reached and reached == sorted(reached)


def test_manifest_says_what_is_inside(run):
    checkpoint = run.save(3, {"policy": writer("abc")}, score=0.5)
    manifest = json.loads((checkpoint.path / "manifest.json").read_text())
    # blake2b of "abc" to 16 bytes, as `b2sum -l 128` prints it
    assert manifest["files"] == {"policy/model.txt": {"bytes": 3, "blake2b": "cf4ab791c62b8d2b2109c90275287816"}}


def test_a_state_that_holds_code_is_refused_and_not_run(run, tmp_path):
    """The manifest of a folder of strangers can be right, as who made the folder wrote it."""

    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    checkpoint = run.save(1, {"policy": writer("x")}, {"step": 1})
    for content in (pickle.dumps(Code(), protocol=2), b"", b"no archive"):
        (checkpoint.path / "state.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match="is no state of a run"):
            checkpoint.state()
    assert not (tmp_path / "ran").exists()


# --- hostile files of a run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", "[" * 50_000, "cannot be read: no JSON that can be read: nested too deeply"),
        ("run.json", "[]", "is no description of a run"),
        ("run.json", '{"seed": "x", "versions": {}}', "is no description of a run"),
        ("run.json", '{"seed": 1, "versions": {}, "algo": {}}', "names no algorithm"),
        ("run.json", '{"seed": 1, "versions": {}, "algo": "a", "format": 99}', "has files of the format 99"),
        ("config.toml", "a = " + "[" * 50_000, "cannot be read: "),
        ("config.toml", "\xff", "cannot be read: "),
    ],
)
def test_a_hostile_file_of_a_run_is_told_in_one_sentence(run, name, content, words):
    run.close()
    (run.path / name).write_text(content, "latin-1")
    with pytest.raises(CheckpointError, match=re.escape(words)):
        RunFolder.open(run.path)


def test_folders_and_files_with_names_of_others_are_passed_over(run):
    run.save(1, {"policy": writer("one")})
    for name in ("iter-x", "iter-", "iter-1", "iter-999999999999999"):
        (run.path / "checkpoints" / name).mkdir()
    (run.path / "trajectories" / "iter-zz.jsonl").write_text("")
    run.save(2, {})
    assert run.latest().iteration == 2 and [x.iteration for x in run.checkpoints()] == [1, 2]


def test_passwords_of_addresses_are_in_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["webgym", "--set", "sampler.base_url=https://me:canary-7b@h:1/v1?x=a@b", "plain@mail"])
    run = RunFolder.create("archer", {"algo": "archer"}, 0, parent=tmp_path, name="run", versions={})
    run.close()
    assert not [path for path in run.path.rglob("*") if path.is_file() and "canary" in path.read_text("utf-8", "replace")]
    assert json.loads((run.path / "run.json").read_text())["command"][2:] == ["sampler.base_url=https://***@h:1/v1?x=a@b", "plain@mail"]


@pytest.mark.parametrize(
    "change",
    [
        {"iteration": "1"}, {"score": "x"}, {"score": [1]}, {"files": []}, {"files": {"../a": {"bytes": 1, "blake2b": ""}}},
        {"files": {"/etc/passwd": {"bytes": 1, "blake2b": ""}}}, {"files": {"a": 5}}, {"files": {"a": {"bytes": "1", "blake2b": ""}}},
        {"format": "x"},
    ],
)  # fmt: skip
def test_a_manifest_with_a_right_digest_of_another_program_is_damage(run, change):
    path = run.save(1, {}).path
    manifest = {name: value for name, value in json.loads((path / "manifest.json").read_text()).items() if name != "digest"} | change
    (path / "manifest.json").write_text(json.dumps({**manifest, "digest": checkpoint_module._digest_of_json(manifest)}))
    with pytest.raises(CheckpointError):
        Checkpoint.open(path)


def test_a_manifest_may_say_no_score(run):
    path = run.save(1, {}).path
    manifest = json.loads((path / "manifest.json").read_text())
    manifest = {name: value for name, value in manifest.items() if name not in ("digest", "score")}
    (path / "manifest.json").write_text(json.dumps({**manifest, "digest": checkpoint_module._digest_of_json(manifest)}))
    assert Checkpoint.open(path).score is None
