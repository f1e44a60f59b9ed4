"""The smallest study: tuned, measured, killed in the middle and gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainers.models.model import prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model, build_tokenizer
from trainers.studies.curves import collapsed, report, scores, tables
from trainers.studies.learning import LEARNING, Cell, Study, cells, read_grid, settings_of
from webgym.errors import ConfigError, UsageError
from webgym.prompts.settings import COMPACT

ROOT = Path(__file__).parents[3]

SMALL = """
format = 2
goal = 0.5
window = 2
[train]
model = "{model}"
machine = {{ backend = "text" }}
rollout = {{ groups = 2, group_size = 2, max_tokens = 4 }}
[train.optim]
lr = 1e-3
[[contenders]]
label = "grpo"
train = {{algo = "grpo"}}
candidates = [{{}}, {{optim = {{lr = 1e-2}}}}]
[[contenders]]
label = "reinforce-mean"
train = {{algo = "reinforce", algorithm = {{baseline = "mean"}}}}
candidates = [{{}}, {{algorithm = {{whiten = true}}}}]
[tuning]
tasks = {{"wizard.h1" = 20}}
seeds = [100]
[[blocks]]
contenders = ["grpo", "reinforce-mean"]
tasks = {{"wizard.h1" = 25}}
seeds = 2
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A study of a model that has learned nothing."""
    folder = tmp_path_factory.mktemp("grid")
    tokenizer = build_tokenizer(["goal: click on the ok button.\npage:\nbutton ok #0\ndo:", "click #1"] * 8, vocab_size=1000)
    PolicyModel(prepare(build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64))), tokenizer, COMPACT).save(folder / "model")
    (folder / "small.toml").write_text(SMALL.format(model=folder / "model"), "utf-8")
    return folder / "small.toml"


@pytest.mark.slow
@pytest.mark.timeout(600)  # nine short runs and a process of its own
def test_a_study_that_is_killed_loses_no_finished_cell(grid, tmp_path):
    code = (
        f"from pathlib import Path; from trainers.studies.learning import Study; Study(Path({str(grid)!r}), Path({str(tmp_path)!r})).run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (first := list(tmp_path.glob("tune/*/*.json"))):
        assert process.poll() is None, "the study ended before its first cell"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {file: file.read_bytes() for file in first}

    study, said = Study(grid, tmp_path), []
    left = len(study.todo("tune"))
    assert 0 < left < 4
    played = study.run(say=said.append)
    assert played == left + 4 and all(file.read_bytes() == data for file, data in kept.items())
    assert not list((tmp_path / "work").rglob("*.jsonl"))  # runs are removed once their row is there
    assert study.run(say=said.append) == 0

    rows = study.rows("measure")
    assert {(row["label"], row["seed"]) for row in rows} == {(a, s) for a in ("grpo", "reinforce-mean") for s in (0, 1)}
    for row in rows:
        assert row["candidate"] == study.best()[row["label"]]
        assert row["curve"][-1]["steps"] >= 25 > (row["curve"][-2]["steps"] if len(row["curve"]) > 1 else 0)
    found = study.report()
    assert [row["runs"] for row in found["tasks"]] == [2, 2]
    one, other = found["pairs"]
    assert one["probability"] + other["probability"] == pytest.approx(1.0)
    assert [table.row_count for table in tables(found)] == [2, 1, 2]
    with pytest.raises(ConfigError, match="holds rows of another grid"):
        Study(LEARNING, tmp_path)


def test_cells_can_be_chosen_and_counted(grid, tmp_path):
    study = Study(grid, tmp_path)
    assert study.run(["tune"], only=["grpo/*"], most=1, say=lambda words: None) == 1
    assert [cell.label for cell in study.todo("tune")].count("grpo") == 1
    name = study.todo("tune")[0].name
    with study._cells.claim(name) as mine, study._cells.claim(name) as theirs:
        assert mine and not theirs
    with pytest.raises(ConfigError, match="grpo is not tuned yet: 1 of 2 cells are there"):
        study.best()
    study.run(["tune"], only=["grpo/*"], say=lambda words: None)
    assert len(study.todo("measure", ["grpo/*"])) == 2, "who is tuned need not wait for the others"
    with pytest.raises(ConfigError, match="reinforce-mean is not tuned yet: 0 of 2"):
        study.todo("measure")


def test_one_candidate_needs_no_tuning(grid, tmp_path):
    text = grid.read_text("utf-8")
    (tmp_path / "alone.toml").write_text("\n".join(x for x in text.splitlines() if not x.startswith("candidates")), "utf-8")
    study = Study(tmp_path / "alone.toml", tmp_path / "out")
    assert study.todo("tune") == [] and len(study.todo("measure")) == 4


def test_where_cells_run_is_no_part_of_the_grid(grid, tmp_path):
    study = Study(grid, tmp_path, ["machine.sessions=3", "sampler.slots=2"])
    config = settings_of(study.grid, study.todo("tune")[0], study.here)
    assert config["machine"]["sessions"] == 3 and config["sampler"]["slots"] == 2
    with pytest.raises(ConfigError, match=r"--set optim.lr=1: a study takes only what says where cells run"):
        Study(grid, tmp_path, ["optim.lr=1"])
    with pytest.raises(ConfigError, match="sessions"):
        Study(grid, tmp_path, ["machine.sessions=0"])


def test_scores_by_hand():
    curve = [{"steps": s, "success": p} for s, p in ((10, 0.0), (20, 0.5), (30, 1.0), (45, 1.0))]
    found = scores(curve, budget=40, goal=0.75, window=2)
    assert found["area"] == pytest.approx((0 * 10 + 0.5 * 10 + 1 * 10 + 1 * 10) / 40)  # what goes beyond the budget does not count
    assert found["final"] == 1.0 and found["steps_to_goal"] == 30
    assert scores(curve[:1], 40, 0.75, 2)["steps_to_goal"] is None


def row(label, steps_to_goal, success, area=0.5):
    curve = [{"steps": 10 * (i + 1), "success": p} for i, p in enumerate(success)]
    own = {"label": label, "task": "t", "steps": 100, "steps_to_goal": steps_to_goal, "area": area, "final": success[-1]}
    return own | {"curve": curve, "seconds": 1.0}


def test_who_is_sooner_and_who_collapses():
    rows = [row("a", s, (0.1, 0.9, 0.9), 0.8) for s in (20.0, 20.0, 40.0)] + [row("b", s, (0.1, 0.9, 0.2), 0.3) for s in (40.0, 80.0, None)]
    found = report(rows, ["b", "a", "unseen"], goal=0.8, window=1)
    assert [(x["contender"], x["collapsed"], x["median_steps_to_goal"]) for x in found["tasks"]] == [("b", 3, 80.0), ("a", 0, 20.0)]
    (sooner,) = found["sooner"]
    assert (sooner["first"], sooner["second"], sooner["never"]) == ("a", "b", [0, 1])
    assert sooner["ratio"] == 20 / 80 and sooner["low"] == 20 / 100 and sooner["high"] == 40 / 40  # one that never got there: its budget
    assert [x["probability"] for x in found["pairs"]] == [0.0, 1.0]
    assert not collapsed(rows[0]["curve"], window=4), "too short to say"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("candidates = [{}, {algorithm", "candidates = [{algorithm"), "expected as many candidates for every contender"),
        (("seeds = [100]", "seeds = [1]"), "seed 1 is tuned on and measured"),
        (('[tuning]\ntasks = {"wizard.h1" = 20}\nseeds = [100]\n', ""), "expected [tuning] with tasks and seeds"),
        (('contenders = ["grpo", ', 'contenders = ["gpro", '), "no contender has the label 'gpro'"),
        (('algo = "grpo"', 'algo = "gpro"'), "no algorithm is called 'gpro'; did you mean"),
        (("whiten = true", "whitened = true"), "unknown key 'whitened'"),
        (('tasks = {"wizard.h1" = 25}', 'tasks = {"wizard.one" = 25}'), "wizard.one"),
        (("window = 2", "windows = 2"), "unknown key 'windows'"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_is_played(grid, tmp_path, change, words):
    text = grid.read_text("utf-8")
    assert change[0] in text
    (tmp_path / "wrong.toml").write_text(text.replace(*change), "utf-8")
    with pytest.raises(UsageError) as wrong:
        read_grid(tmp_path / "wrong.toml")
    assert words in str(wrong.value)


def test_the_published_grid():
    grid = read_grid(LEARNING)
    measured = cells(grid, "measure", {contender.label: 0 for contender in grid.contenders})
    assert len(measured) == len(set(measured))
    per = {
        (label, task): sum((c.label, c.task) == (label, task) for c in measured)
        for label in ("grpo", "reinforce-mean", "archer")
        for task in {c.task for c in measured}
    }
    assert all(count >= 10 for count in per.values())
    assert {sum(1 for c in measured if c.label == x.label) >= 3 for x in grid.contenders} == {True}
    for cell in cells(grid, "tune"):
        config = settings_of(grid, cell)
        assert config["machine"]["backend"] == "text"
        assert config["length"]["steps"] == cell.steps and config["length"]["minutes"] is None
    assert settings_of(grid, Cell("measure", "archer", 0, measured[0].task, 0, 10))["algo"] == "archer"


def test_a_grid_of_before_is_played_as_it_was(grid, tmp_path):
    """In a grid without a format `grpo` is the positive form, where a candidate does not say otherwise."""
    old = tmp_path / "old.toml"
    candidates = "candidates = [{}, {algorithm = {negative = 1.0}}]"
    text = grid.read_text("utf-8").replace("format = 2\n", "").replace("candidates = [{}, {optim = {lr = 1e-2}}]", candidates)
    old.write_text(text, "utf-8")
    with pytest.warns(FutureWarning, match="contender grpo: `grpo` was written when"):
        found = read_grid(old)
        algos = [settings_of(found, Cell("tune", "grpo", k, "wizard.h1", 0, 10))["algo"] for k in range(2)]
    assert algos == ["grpo_positive", "grpo"]
