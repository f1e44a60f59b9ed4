"""What can go wrong in a run besides bad settings: told in one sentence, and nothing that was saved is lost."""

import errno
import os
import re
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.trainers.episodes import episode
from tests.trainers.text_runs import finish, start, state, timeless, write_model
from trainers.batches.packing import pack
from trainers.batches.rows import rows_of_all
from trainers.critics.critic import Critic
from trainers.critics.fit import CriticOptimizer, FitConfig, fit
from trainers.critics.q_critic import QCritic, fit_pass
from trainers.models.policy_model import PolicyModel
from trainers.training.progress import Display
from trainers.training.trainer import Trainer
from webgym.errors import CheckpointError, ConfigError, DivergenceError, UsageError
from webgym.record.store import TrajectoryStore
from webgym.types import Sampling

LAST = "checkpoints/iter-000002"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Path:
    """Two of three iterations of ArCHer."""
    return finish(start(model, tmp_path, "run", "archer", iterations=2)).run.path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algo": "grpo"}, "algo cannot change in a run that is resumed .it is 'archer', asked for is 'grpo'.: start a new run"),
        ({"algorithm": {"negative": 1}}, "algorithm archer: unknown key 'negative'"),
        ({"seed": 5}, "seed cannot change in a run that is resumed .*: start a new run"),
        ({"model": "webgym-tiny"}, "model cannot change .* with --model RUN it begins with this run's policy"),
        ({"critic": {"head": {"backbone": "trunk"}}}, "critic.head cannot change"),
        ({"lora": {"rank": 4}}, "lora cannot change"),
        ({"prompts": {"history": 3}}, "prompts cannot change in a run that is resumed .*'history': 3"),
    ],
)
def test_a_checkpoint_of_another_kind_of_run_is_refused(changes: dict, words: str, run: Path) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=words):
        Trainer.resume(run, changes=changes)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_reference_of_other_weights_is_refused(model: Path, tmp_path: Path) -> None:
    """The KL compares with the model in the folder that the run began with, which the checkpoint does not hold."""
    own = Path(shutil.copytree(model, tmp_path / "own"))
    path = finish(start(own, tmp_path, "run", "grpo_published", iterations=1)).run.path
    with Trainer.resume(path).run:
        pass
    source = PolicyModel.load(own)
    with torch.no_grad():
        next(source.model.parameters()).add_(1e-3)
    source.save(own)
    with pytest.raises(
        CheckpointError, match=r"own holds other weights than those that this run began with, and its KL compares with: put"
    ):
        Trainer.resume(path)
    shutil.rmtree(own)
    with pytest.raises(
        CheckpointError, match=r"own, which this run began with, and its KL compares with, cannot be loaded: there is no folder"
    ):
        Trainer.resume(path)


def test_what_a_new_run_checks_is_checked_of_a_change_too(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match=r"update.thinking=false: expected a tokenizer with the token </think>"):
        Trainer.resume(run, changes={"update": {"thinking": False}})
    with pytest.raises(UsageError, match=r"miniwob.click-button"):
        Trainer.resume(run, changes={"tasks": ["miniwob.click-button"]})
    assert not caplog.text
    with Trainer.resume(run, changes={"optim": {"warmup_steps": 5000}}).run:
        pass
    assert "optim.lr is never reached" in caplog.text


def test_a_critic_cannot_be_had_later(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "run", "reinforce", iterations=1)).run.path
    with pytest.raises(ConfigError, match=r"the critic cannot change in a run that is resumed .it is 'none', asked for is 'one of turns'"):
        Trainer.resume(path, changes={"algorithm": {"baseline": "value"}})


def test_a_run_that_no_longer_overlaps_collects_with_its_newest_weights(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "run", "reinforce", iterations=2, overlap=True)).run.path
    for overlap, versions in ((True, {3: 1}), (False, {})):
        trainer = Trainer.resume(path, changes={"length": {"iterations": 3}, "rollout": {"overlap": overlap}})
        with trainer.run, trainer._sampler() as sampler:
            drawn = sampler.submit(range(9), 0, Sampling(max_tokens=1)).result(60)
        assert drawn.version == 2
        assert {number: plan["version"] for number, plan in trainer._ahead.state_dict().items()} == versions


def test_a_change_of_one_key_of_a_group_keeps_the_others(run: Path) -> None:
    trainer = Trainer.resume(run, changes={"length": {"iterations": 3}, "optim": {"grad_clip": 0.5}})
    assert (trainer.config.optim.grad_clip, trainer.config.optim.lr) == (0.5, 1e-3)
    finish(trainer)


def test_a_limit_that_was_taken_off_stays_off(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "run", "grpo", iterations=1, minutes=None)).run.path
    trainer = Trainer.resume(path)
    trainer.run.close()
    assert trainer.config.length.minutes is None
    finish(Trainer.resume(path, changes={"length": {"minutes": 5}}))


def test_a_cut_checkpoint_is_named_with_its_file_and_the_one_before_it_taken(
    run: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = run / LAST / "policy/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    PolicyModel.load(run)
    assert re.search(r"iter-000002 is damaged: policy/model.safetensors has 1000 bytes instead of \d+; delete that folder", caplog.text)
    with pytest.raises(UsageError, match="cannot load a model from"):
        PolicyModel.load(run / LAST / "policy")
    with pytest.raises(CheckpointError, match="is damaged"):
        start(run / LAST, tmp_path, "new", "grpo")
    assert not list(tmp_path.glob("new*")), "nothing is written before the model is read"
    trainer = Trainer.resume(run)
    trainer.run.close()
    assert not (run / LAST).exists() and trainer.run.latest().iteration < 2


def test_a_run_begins_with_the_policy_of_another(run: Path, tmp_path: Path) -> None:
    trainer = start(run, tmp_path, "next", "grpo", iterations=1)
    assert trainer.config.model == str((run / LAST / "policy").resolve()), "the checkpoint of today, not whatever the run holds later"
    whole = PolicyModel.load(run / LAST / "policy").model.state_dict()
    assert all(torch.equal(x, whole[name]) for name, x in trainer.source.model.state_dict().items())
    finish(trainer)


def test_a_full_memory_names_the_settings_and_the_run_goes_on(run: Path, model: Path, tmp_path: Path) -> None:
    trainer = Trainer.resume(run, changes={"length": {"iterations": 3}})

    def too_much(*_: object) -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    trainer.update.learner.update = too_much  # type: ignore[method-assign]
    with (
        pytest.raises(UsageError, match=r"Tried to allocate 2.00 GiB.*go on with --resume and --set update.token_budget=4096"),
        trainer.run,
    ):
        trainer.train()
    resumed = finish(Trainer.resume(run, changes={"length": {"iterations": 3}}))
    straight = finish(start(model, tmp_path, "straight", "archer"))
    assert all(torch.equal(a, b) for a, b in zip(state(straight), state(resumed), strict=True))


def test_a_full_disk_is_told_in_words(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer = Trainer.resume(run, changes={"length": {"iterations": 3}})
    monkeypatch.setattr(TrajectoryStore, "append", full)
    with (
        pytest.raises(CheckpointError, match=r"is full .* nothing saved before is lost; free some space and go on with --resume"),
        trainer.run,
    ):
        trainer.train()
    monkeypatch.undo()
    assert finish(Trainer.resume(run, changes={"length": {"iterations": 3}})).iteration == 3


class Interrupts(Display):
    """Ctrl-C while the second iteration is collected."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.ended = 0

    def collecting(self, event: object) -> None:
        if event.key.iteration == 2 and not self.said:  # type: ignore[attr-defined]
            self.said.append("Ctrl-C")
            os.kill(os.getpid(), signal.SIGINT)

    def say(self, words: str) -> None:
        self.said.append(words)

    def end(self) -> None:
        self.ended += 1


def test_ctrl_c_finishes_the_iteration_saves_and_says_how_to_go_on(model: Path, tmp_path: Path) -> None:
    straight = finish(start(model, tmp_path, "straight", "grpo", iterations=4, checkpoint_every=4))
    trainer = start(model, tmp_path, "stopped", "grpo", iterations=4, checkpoint_every=4)
    display, before = Interrupts(), signal.getsignal(signal.SIGINT)
    trainer.observers.display = display
    finish(trainer)
    assert trainer.iteration == 2 and display.ended == 1
    assert display.said[0] == "Ctrl-C" and "stopping after this iteration" in display.said[1]
    assert display.said[-1] == f"interrupted and saved; `webgym train --resume {trainer.run.path}` goes on"
    assert signal.getsignal(signal.SIGINT) is before
    resumed = finish(Trainer.resume(trainer.run.path))
    assert all(torch.equal(a, b) for a, b in zip(state(straight), state(resumed), strict=True))
    assert timeless(straight.run.path / "metrics.jsonl") == timeless(resumed.run.path / "metrics.jsonl")


def test_a_run_starts_from_the_critic_of_another(model: Path, tmp_path: Path) -> None:
    first = finish(start(model, tmp_path, "first", "archer", critic={"warmup_iterations": 3, "fit": {"turns_per_step": 4}}))
    knows = {"start": str(first.run.path), "warmup_iterations": 0}
    again = start(model, tmp_path, "again", "archer", critic=knows)
    assert first.valuer and again.valuer
    with first.valuer.optimizer.averaged():
        pairs = zip(first.valuer.critic.parameters(), again.valuer.critic.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    finish(again)
    assert finish(Trainer.resume(again.run.path, changes={"length": {"iterations": 4}})).iteration == 4
    with pytest.raises(ConfigError, match="grpo as it is set has no critic of states"):
        start(model, tmp_path, "none", "grpo", critic=knows)
    with pytest.raises(ConfigError, match=r"has loss = 'bce' where critic\.head says otherwise"):
        start(model, tmp_path, "other", "archer", critic=knows | {"head": {"loss": "mse"}})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["states", "actions"])
def test_a_critic_that_diverges_keeps_its_weights(kind: str, model: Path) -> None:
    policy = PolicyModel.load(model).model
    played = [episode(1.0, 2)]
    rows = rows_of_all(played)
    critic = Critic.of(policy) if kind == "states" else QCritic.of(policy)
    with torch.no_grad():
        next(critic.parameters()).fill_(float("inf"))
    before = [p.clone() for p in critic.parameters()]
    with pytest.raises(DivergenceError, match=r"gradient of the critic has no finite norm.*smaller critic.fit.lr"):
        if isinstance(critic, Critic):
            fit(critic, rows, torch.ones(2).numpy(), CriticOptimizer(critic, FitConfig()), partial(pack, token_budget=64))
        else:
            targets = torch.ones(2, 2).numpy()
            adamw, packed = torch.optim.AdamW(critic.parameters()), partial(pack, token_budget=64)
            fit_pass(critic, rows, (targets, targets), adamw, packed, turns_per_step=32, grad_clip=1.0, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))
