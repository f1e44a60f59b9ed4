"""`webgym train --algo ./mine.py`: an algorithm in a file outside of the repository trains, is explained, and goes on from anywhere."""

import json
import tomllib
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner, Result

import cli
from tests.trainers.stranger import SIGNS
from tests.trainers.text_runs import SMALL, rows, write_model
from trainers import algorithms
from trainers.runs.keys import merged
from trainers.training.trainer import Trainer
from webgym.errors import ConfigError


def webgym(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, [*map(str, arguments)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a researcher: their file, a model and a configuration of a tiny run."""
    (tmp_path / "mine.py").write_text(SIGNS, "utf-8")
    tiny = merged(SMALL, {"model": str(write_model(tmp_path / "model")), "length": {"iterations": 1}})
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(tiny), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(algorithms, "_loaded", {})
    return tmp_path


def test_it_trains_and_resumes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = webgym("train", "--config", "tiny.toml", "--algo", "./mine.py", "--set", "scale=0.5")
    assert result.exit_code == 0, result.output
    (run,) = (path for path in (home / "runs").iterdir() if path.name != "latest")
    assert run.name.startswith("mine-") and json.loads((run / "run.json").read_text("utf-8"))["algo"] == "mine"
    config = tomllib.loads((run / "config.toml").read_text("utf-8"))
    assert config["algo"] == str(home / "mine.py") and config["algorithm"]["scale"] == 0.5
    assert result.stdout.startswith("mine on 1 task,")

    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    monkeypatch.setattr(algorithms, "_loaded", {})  # as in a new process
    result = webgym("train", "--resume", run, "--set", "length.iterations=2", "--set", "scale=0.25", "--algo", "../mine.py")
    assert result.exit_code == 0, result.output
    trained = [row for row in rows(run / "metrics.jsonl") if "rollout/success" in row]
    assert [row["iteration"] for row in trained] == [1, 2] and all(0 <= row["rollout/right"] <= 1 for row in trained)

    (home / "mine.py").unlink()
    with pytest.raises(ConfigError, match=r"mine\.py: there is no such file; a run finds it where it was when it was started"):
        Trainer.resume(run)


def test_its_own_metric_is_explained_where_the_others_are(home: Path) -> None:
    told = json.loads(webgym("algos", "./mine.py", "--json").stdout)
    assert told["metrics"]["rollout/right"] == "share of turns that are called right"
    assert told["metrics"]["rollout/success"].startswith("success of the training episodes")
    options = {row["key"]: row for row in told["options"]}
    assert options["scale"] == {"key": "scale", "default": 1.0, "means": "Factor on the advantage."}
    assert options["loss.clip_low"]["default"] == 0.2
    shown = " ".join(webgym("algos", "./mine.py").stdout.split())
    assert shown.startswith("mine: Signs: what ended well is right in every turn") and "share of turns" in shown


def test_a_slip_is_one_sentence(home: Path) -> None:
    (home / "mine.py").write_text(SIGNS.replace("def credit", "def credits"), "utf-8")
    result = webgym("train", "--config", "tiny.toml", "--algo", "./mine.py")
    assert str(result.exception) == f"algorithm file {home / 'mine.py'}: expected it to define credit"
    assert not (home / "runs").exists()
