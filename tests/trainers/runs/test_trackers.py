"""Trackers: TensorBoard for real, the hosted ones by a module that has their three calls."""

import sys
from types import SimpleNamespace

import pytest

from trainers.runs.run_folder import RunFolder
from trainers.runs.trackers import trackers
from webgym.errors import ConfigError


def scalars(folder, tag):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {event.step: event.value for event in reader.Scalars(tag)}


def test_tensorboard_gets_the_numbers_and_forgets_steps_after_the_checkpoint(tmp_path):
    with RunFolder.create("grpo", {}, 0, parent=tmp_path, trackers=trackers(["tensorboard"])) as run:
        for iteration in (1, 2, 3):
            run.log(iteration, {"rollout/success": iteration / 4, "note": "words are no curve"})
            if iteration == 2:
                run.save(2, {})
    with RunFolder.open(run.path, trackers=trackers(["tensorboard"])) as run:
        run.resume()
        run.log(3, {"rollout/success": 1.0})
    assert scalars(run.path / "tensorboard", "rollout/success") == {1: 0.25, 2: 0.5, 3: 1.0}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_hosted_trackers_get_name_rows_and_end(tmp_path, monkeypatch, name):
    calls = []
    fake = SimpleNamespace(
        init=lambda **settings: calls.append(("init", settings["project"], settings["name"])),
        log=lambda row, step: calls.append(("log", step, row)),
        finish=lambda: calls.append(("finish",)),
    )
    monkeypatch.setitem(sys.modules, name, fake)
    with RunFolder.create("grpo", {}, 0, parent=tmp_path, name="mine", trackers=trackers([name])) as run:
        run.log(1, {"loss/policy": 0.5, "note": "x"})
    assert calls == [("init", "webgym", "mine"), ("log", 1, {"loss/policy": 0.5}), ("finish",)]


def test_unknown_and_missing_trackers_are_told(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        trackers(["tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"pip install 'webgym-rl\[wandb\]'"):
        trackers(["wandb"])(tmp_path)
