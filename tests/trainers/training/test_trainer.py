"""The loop on a real browser with an untrained model: resuming is bitwise, a killed browser costs nothing but time."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from trainers.config import TrainConfig, resolve
from trainers.models.model import prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model, build_tokenizer
from trainers.runs.keys import merged
from trainers.runs.moved_keys import moved
from trainers.runs.run_folder import RunFolder
from trainers.training.evaluation import grammar_of
from trainers.training.metrics import METRICS
from trainers.training.trainer import Trainer
from webgym.backends.browser.pool import shared_pool
from webgym.errors import ConfigError
from webgym.loop_thread import loop_thread
from webgym.prompts.settings import COMPACT
from webgym.record.store import load

TASKS = ("miniwob.click-button", "miniwob.login-user")
SMALL = {
    "tasks": TASKS,
    "rollout": {"groups": 2, "group_size": 3, "max_tokens": 6},
    "machine": {"sessions": 2, "threads": 1},
    "length": {"iterations": 4, "minutes": 100},
    "checkpoints": {"every": 1},
    "evaluation": {"seeds": 0},
    "trackers": (),
    "critic": {"warmup_iterations": 1},
    "optim": {"lr": 1e-3, "warmup_steps": 0, "final": 1.0},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing but writes short actions at random."""
    tokenizer = build_tokenizer(["goal: click on the ok button.\npage:\nbutton ok #0\ndo:", "click #1"] * 8, vocab_size=1000)
    source = PolicyModel(prepare(build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64))), tokenizer, COMPACT)
    folder = tmp_path_factory.mktemp("model")
    source.save(folder)
    return folder


def config_for(model: Path, algo: str, **changes: object) -> TrainConfig:
    return resolve(merged(SMALL, moved({"algo": algo, "model": str(model), **changes})))[0]


def run(config: TrainConfig, parent: Path, name: str) -> Path:
    trainer = Trainer.start(config, parent=parent, name=name)
    with trainer.run:
        trainer.train()
    return trainer.run.path


def rows(path: Path) -> list[dict[str, object]]:
    """The metrics without the times, which no two runs share."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("time")} for line in lines]


def weights(path: Path, name: str = "policy") -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    with RunFolder.open(path, write=False) as folder:
        checkpoint = folder.latest()
    return {f"{file.name}:{key}": x for file in sorted(checkpoint.folder(name).glob("*.safetensors")) for key, x in load_file(file).items()}


def played(path: Path, iteration: int) -> list[tuple[object, ...]]:
    """What happened in an iteration's episodes, times excepted."""
    with RunFolder.open(path, write=False) as folder:
        trajectories = load(folder.trajectory_path(iteration))
    return [
        (x.key, x.outcome, x.final_hash, [(t.completion, t.action, t.error, t.observation_hash, t.state_hash) for t in x.turns])
        for x in trajectories
    ]


def assert_same_run(one: Path, other: Path, names: tuple[str, ...]) -> None:
    assert rows(one) == rows(other)
    assert played(one, 4) == played(other, 4)
    for name in names:
        first, second = weights(one, name), weights(other, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("overlap", [False, True])
def test_resumed_run_is_the_run_that_was_never_interrupted(model: Path, tmp_path: Path, overlap: bool) -> None:
    straight = run(config_for(model, "archer", overlap=overlap), tmp_path, "straight")
    halves = run(config_for(model, "archer", overlap=overlap, iterations=2), tmp_path, "halves")
    trainer = Trainer.resume(halves, changes={"length": {"iterations": 4}})
    with trainer.run:
        trainer.train()
    assert_same_run(straight, halves, ("policy", "critic"))
    assert {name for row in rows(straight) for name in row if "/" in name} <= METRICS.keys()


def test_overlapped_batches_have_one_version_each_one_update_behind(model: Path, tmp_path: Path) -> None:
    config = config_for(model, "grpo", **{"async": True})
    assert config.rollout.overlap
    path = run(config, tmp_path, "overlapped")
    with RunFolder.open(path, write=False) as folder:
        batches = [load(folder.trajectory_path(iteration)) for iteration in (1, 2, 3, 4)]
    assert [{turn.completion.policy_version for x in batch for turn in x.turns} for batch in batches] == [{0}, {0}, {1}, {2}]
    assert [(row["rollout/staleness"], row["rollout/staleness_1"]) for row in rows(path)[1:]] == [(1.0, 1.0)] * 3


@pytest.mark.parametrize("algo", ["reinforce", "q_learning"])  # q_learning draws proposals of its own
def test_a_grammar_is_replayed_by_the_learner(model: Path, tmp_path: Path, algo: str) -> None:
    """Every turn is an action, and policy, behaviour and reference are the same distribution before the first step."""
    text = {"tasks": ("wizard.h3",), "backend": "text", "iterations": 2, "epochs": 1, "minibatches": 1, "grammar": True, "max_tokens": 8}
    text["critic"] = {"warmup_iterations": 0}
    if algo == "reinforce":
        text["algorithm"] = {"loss": {"kl": "k3", "kl_coef": 0.1, "entropy_coef": 0.01}}
    path = run(config_for(model, algo, **text), tmp_path, "held")
    with RunFolder.open(path, write=False) as folder:
        turns = [turn for x in load(folder.trajectory_path(1)) for turn in x.turns]
    assert all(turn.action for turn in turns) and rows(path)[1]["rollout/invalid"] == 0
    assert {re.sub(r"\d+", "N", turn.completion.sampling.grammar) for turn in turns} == {"compact strings=N refs=N"}
    first = rows(path)[0]
    if algo == "reinforce":
        assert first["loss/ratio_mean"] == pytest.approx(1, abs=1e-5) and first["loss/ratio_max"] == pytest.approx(1, abs=1e-4)
        assert first["loss/kl_to_reference"] == pytest.approx(0, abs=1e-8) and 0 < first["loss/entropy"] < 7
    assert grammar_of(path) and not grammar_of(model)


def test_overlap_is_refused_where_the_critic_acts(model: Path) -> None:
    with pytest.raises(ConfigError, match="q_learning, which chooses its actions by the values"):
        config_for(model, "q_learning", overlap=True)


def test_run_goes_on_after_kill(model: Path, tmp_path: Path) -> None:
    """kill -9 of the trainer at a moment that nobody chose, then --resume: the same run."""
    straight = run(config_for(model, "grpo"), tmp_path, "straight")
    settings = [f"{key}={json.dumps(value)}" for key, value in SMALL.items() if key not in ("tasks", "trackers")]
    flags = [x for task in TASKS for x in ("--tasks", task)] + [x for s in [*settings, "trackers=[]"] for x in ("--set", s)]
    command = [sys.executable, "-m", "cli", "train"]
    root = Path(__file__).parents[3]
    start = [*command, "--algo", "grpo", "--model", str(model), *flags, "--out", str(tmp_path), "--name", "killed"]
    process = subprocess.Popen(start, cwd=root, stdout=subprocess.DEVNULL, start_new_session=True)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 400
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 2):
        assert process.poll() is None and time.monotonic() < deadline, "the trainer wrote no second row"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--resume", str(tmp_path / "killed")], cwd=root, check=True, stdout=subprocess.DEVNULL, timeout=400)
    assert_same_run(straight, tmp_path / "killed", ("policy",))


def test_killed_browser_is_never_a_reward(model: Path, tmp_path: Path) -> None:
    """kill -9 of the browser while an iteration collects: the episodes are played again, and the run is the same run."""
    calm = run(config_for(model, "grpo", iterations=3), tmp_path, "calm")
    trainer = Trainer.start(config_for(model, "grpo", iterations=3), parent=tmp_path, name="shot")
    shots: list[int] = []

    def shoot() -> None:
        while trainer.iteration < 2:
            time.sleep(0.005)
        shots.append(loop_thread().run(_browser()))
        os.kill(shots[0], signal.SIGKILL)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    with trainer.run:
        trainer.train()
    shooter.join()
    assert shots
    everything = [x for i in (1, 2, 3) for x in load(trainer.run.trajectory_path(i))]
    assert all(x.outcome.reward != x.outcome.reward for x in everything if x.outcome.faulted)  # NaN, never 0
    if not any(x.outcome.faulted for x in everything):
        assert weights(calm).keys() == weights(trainer.run.path).keys()
        assert all(torch.equal(weights(calm)[k], weights(trainer.run.path)[k]) for k in weights(calm))


async def _browser() -> int:
    return await (await shared_pool()).process_id()
