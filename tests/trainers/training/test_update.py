"""The policy's update as a run makes it: whose actions the reference reads, which π_old the ratio starts from, what a resumed run keeps."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainers.episodes import trajectory, turn
from tests.trainers.text_runs import finish, rows, start, state, write_model
from trainers import algorithms
from trainers.batches.packing import pack
from trainers.batches.rows import rows_of_all
from trainers.config import resolve
from trainers.learning.learner import score
from trainers.models.policy_model import PolicyModel
from trainers.runs.run_folder import RunFolder
from trainers.training.begin import load_policy
from trainers.training.progress import Display
from trainers.training.trainer import Trainer
from trainers.training.update import PolicyUpdate
from webgym.errors import UsageError
from webgym.types import Group


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def learned(path: Path) -> list[dict[str, Any]]:
    """The rows of iterations."""
    return [row for row in rows(path / "metrics.jsonl") if "rollout/success" in row]


# --- the reference ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algo", "own"), [("archer_q", {}), ("q_learning", {"form": "digiq", "margin": 0.0, "q": {"backup": "expectation", "candidates": 2}})]
)
def test_the_reference_reads_the_actions_that_are_learned_from(algo: str, own: dict, model: Path, tmp_path: Path) -> None:
    """Before the first step the policy is the reference, so their distance is 0 on any actions, if they are the same for both."""
    own = {**own, "loss": {"kl": "k3", "kl_coef": 0.1}}
    update = {"epochs": 1, "minibatches": 1}
    trainer = finish(start(model, tmp_path, algo, algo, iterations=1, algorithm=own, critic={"warmup_iterations": 0}, update=update))
    (row,) = learned(trainer.run.path)
    assert row["optim/steps"] == 1 and abs(row["loss/kl_to_reference"]) < 1e-9


# --- π_old -----------------------------------------------------------------------------------------------------------------


def test_the_reference_of_a_resumed_run_computes_as_the_first_one_did(model: Path, tmp_path: Path) -> None:
    """With an adapter of zeros where the policy began with one: a model without rounds in another way."""
    own = {"loss": {"kl": "k3", "kl_coef": 0.1}}
    config, algorithm_config = resolve({"algo": "grpo", "algorithm": own, "model": str(model), "lora": {"rank": 2}, "seed": 5})
    update = PolicyUpdate(config, algorithm_config.loss, load_policy(model, config), tmp_path / "failed.pt")
    assert update._reference is not None
    first = dict(update._reference.state_dict())
    update.restore_reference()
    again = dict(update._reference.state_dict())
    assert list(first) == list(again) and any("lora_" in name for name in first)
    assert all(torch.equal(first[name], again[name]) for name in first)


ELSEWHERE = {
    "a server": {"sampler": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}},
    "16 bits": {"machine": {"dtype": "bfloat16"}},
    "collected beside the update": {"rollout": {"overlap": True}},
}


def noisy(update: PolicyUpdate, noise: float, shift: float = 0.0) -> list[Group]:
    """Groups whose recorded log-probabilities are the learner's own, with noise as rounding elsewhere makes it, and so much lower."""
    rng = np.random.default_rng(0)
    groups = []
    for g in range(4):
        members = []
        for m in range(4):
            turns = [turn(rng.integers(0, 90, 8).tolist(), rng.integers(0, 90, 5).tolist(), float(t == 2 and m < 2)) for t in range(3)]
            x = trajectory(turns, seed=g)
            members.append(replace(x, key=replace(x.key, group=g, member=m)))
        groups.append(members)
    every = [x for group in groups for x in group]
    true = iter(score(update._forward, pack(rows_of_all(every), 4096), len(every)))
    for group in groups:
        for m, x in enumerate(group):
            given = next(true) + noise * rng.normal(size=15) - shift
            turns = [
                replace(t, completion=replace(t.completion, behaviour_logprobs=tuple(given[5 * k : 5 * k + 5].tolist())))
                for k, t in enumerate(x.turns)
            ]
            group[m] = replace(x, turns=tuple(turns))
    return groups


def one_step(
    algo: str, model: Path, tmp_path: Path, settings: dict, own: dict, noise: float = 0.0, *, shift: float = 0.0, iteration: int = 1
) -> dict[str, float]:
    """Metrics of a step on episodes that the weights of version 0 have sampled."""
    optim, update = {"lr": 1e-12, "warmup_steps": 0}, {"epochs": 1, "minibatches": 1, "token_budget": 128}
    config, algorithm_config = resolve({"algo": algo, "algorithm": own, "optim": optim, "update": update, **settings})
    source = PolicyModel.load(model, dtype=config.machine.dtype)
    learning = PolicyUpdate(config, algorithm_config.loss, source, tmp_path / "failed.pt")
    groups = noisy(learning, noise, shift)
    every = [x for group in groups for x in group]
    credit = algorithms.get(algo).credit(groups, None, algorithm_config)
    return learning(every, rows_of_all(every), credit, iteration=iteration, done=0.0)


@pytest.mark.parametrize("settings", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("algo", ["gspo", "grpo"])
def test_the_first_step_clips_nothing_wherever_the_tokens_were_sampled(settings: dict, algo: str, model: Path, tmp_path: Path) -> None:
    found = one_step(algo, model, tmp_path, settings, {}, noise=0.02)
    assert found["loss/clip_fraction"] == 0 and found["loss/ratio_mean"] == found["loss/ratio_max"] == 1.0


def test_a_cap_weighs_the_sampler_s_distance(model: Path, tmp_path: Path) -> None:
    """π_old/μ is far from 1 here, as that of older weights may be, so that the gradient depends on the cap; without it, a sampler of our
    own is believed.
    """
    caps: list[dict] = [{}, {"importance_cap": 1.0}, {"importance_cap": 4.0}]
    norms = [one_step("grpo", model, tmp_path, {}, {"loss": cap}, noise=0.5)["optim/grad_norm"] for cap in caps]
    assert len({round(x, 4) for x in norms}) == 3
    server = one_step("grpo", model, tmp_path, ELSEWHERE["a server"], {}, noise=0.5, iteration=2)
    capped = one_step("grpo", model, tmp_path, {}, {"loss": {"importance_cap": 2.0}}, noise=0.5, iteration=2)
    assert server["optim/grad_norm"] == capped["optim/grad_norm"], "2 where the sampler may differ and nothing else is asked for"


@pytest.mark.parametrize("algo", ["grpo", "gspo", "rloo"])
def test_a_sampler_far_from_the_learner_ends_the_run(algo: str, model: Path, tmp_path: Path) -> None:
    """By the mean over tokens of the present weights, with π_old in the loss or without."""
    words = r"the sampler \(sampler.kind=openai\) and the learner disagree by 3\.00 nats a token over \d+ tokens of this iteration"
    with pytest.raises(UsageError, match=words):
        one_step(algo, model, tmp_path, ELSEWHERE["a server"], {}, shift=3.0)
    near = one_step(algo, model, tmp_path, ELSEWHERE["a server"], {}, noise=0.1)
    assert near["optim/steps"] == 1


@pytest.mark.parametrize("settings", ELSEWHERE.values(), ids=ELSEWHERE)
def test_tokens_of_older_weights_may_be_far_from_the_learner(settings: dict, model: Path, tmp_path: Path) -> None:
    assert one_step("grpo", model, tmp_path, settings, {}, shift=3.0, iteration=2)["optim/steps"] == 1


def test_imitation_is_not_weighed(model: Path, tmp_path: Path) -> None:
    """Examples of older policies are no sample of this one: π/μ would make light of what has become rare."""
    config, own = resolve({"algo": "filtered_bc", "rollout": {"overlap": True}})
    assert PolicyUpdate(config, own.loss, PolicyModel.load(model), tmp_path, imitates=True)._spec.importance_cap is None


# --- metrics ---------------------------------------------------------------------------------------------------------------


def test_metrics_of_an_iteration_are_of_its_own_episodes(model: Path, tmp_path: Path) -> None:
    replaying = learned(finish(start(model, tmp_path, "bc", "filtered_bc", iterations=3)).run.path)
    assert [row["rollout/groups"] for row in replaying] == [3, 3, 3], "not those that are replayed"
    assert all(row["rollout/entropy"] > 0 for row in replaying)
    own = {"loss": {"kl": "k1", "kl_coef": 0.5}}
    for row in learned(finish(start(model, tmp_path, "k1", "rloo", iterations=2, optim={"lr": 0.1}, algorithm=own)).run.path):
        assert row["rollout/return"] == row["rollout/success"], "a KL in the reward is none of the environment's"


# --- resuming --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["archer", "archer_q"])
def test_a_resumed_run_takes_the_settings_that_it_is_given(algo: str, model: Path, tmp_path: Path) -> None:
    finish(start(model, tmp_path, "run", algo, iterations=1))
    asked = {"critic": {"fit": {"lr": 1e-6, "weight_decay": 0.3}}, "optim": {"weight_decay": 0.5, "betas": (0.5, 0.6), "eps": 1e-3}}
    trainer = Trainer.resume(tmp_path / "run", changes={"length": {"iterations": 2}, **asked})
    trainer.run.close()
    valuer: Any = trainer.valuer
    critic = (valuer.optimizer.adamw if algo == "archer" else valuer.optimizer).param_groups[0]
    assert (critic["lr"], critic["weight_decay"]) == (1e-6, 0.3)
    policy = trainer.update.learner._optimiser.param_groups[0]
    assert (policy["weight_decay"], tuple(policy["betas"]), policy["eps"]) == (0.5, (0.5, 0.6), 1e-3)


def test_episodes_of_another_temperature_are_not_replayed(model: Path, tmp_path: Path) -> None:
    class Heard(Display):
        lines: list[str] = []  # noqa: RUF012

        def say(self, words: str) -> None:
            self.lines.append(words)

    finish(start(model, tmp_path, "run", "filtered_bc", iterations=1))
    changes = {"length": {"iterations": 2}, "rollout": {"temperature": 0.7}}
    trainer = finish(Trainer.resume(tmp_path / "run", display=Heard(), changes=changes))
    assert any("9 earlier episodes were sampled at another temperature" in line for line in Heard.lines)
    assert learned(trainer.run.path)[-1]["rollout/groups"] == 3


def test_what_was_set_to_none_stays_none(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "run", "reinforce", iterations=1, algorithm={"loss": {"importance_cap": None}})).run.path
    trainer = Trainer.resume(path)
    trainer.run.close()
    assert trainer.algorithm_config.loss.importance_cap is None


def before(path: Path, algo: str) -> None:
    """Make a run folder look as it did when `grpo` was the positive form."""
    config = re.sub(r"^format = .*\n", "", (path / "config.toml").read_text("utf-8"), flags=re.MULTILINE)
    (path / "config.toml").write_text(re.sub(r"^algo = .*$", f'algo = "{algo}"', config, flags=re.MULTILINE), "utf-8")
    about = json.loads((path / "run.json").read_text("utf-8"))
    (path / "run.json").write_text(json.dumps({**about, "algo": algo}), "utf-8")


def test_a_run_of_before_goes_on_as_the_positive_form(model: Path, tmp_path: Path) -> None:
    straight = finish(start(model, tmp_path, "straight", "grpo_positive", iterations=2))
    finish(start(model, tmp_path, "old", "grpo_positive", iterations=1))
    before(tmp_path / "old", "grpo")
    with RunFolder.open(tmp_path / "old", write=False) as run:
        assert run.algo == run.config["algo"] == "grpo_positive"
    with pytest.warns(FutureWarning, match=r"old: `grpo` was written when .* goes on as `grpo_positive`"):
        trainer = Trainer.resume(tmp_path / "old", changes={"length": {"iterations": 2}})
    assert trainer.algorithm.name == trainer.config.algo == "grpo_positive"
    assert all(torch.equal(a, b) for a, b in zip(state(finish(trainer)), state(straight), strict=True))


def test_a_run_of_before_that_kept_negatives_is_grpo(model: Path, tmp_path: Path) -> None:
    finish(start(model, tmp_path, "old", "grpo", iterations=1))
    before(tmp_path / "old", "grpo")
    trainer = Trainer.resume(tmp_path / "old")
    trainer.run.close()
    assert trainer.algorithm.name == "grpo" and trainer.algorithm_config.model_dump()["negative"] == 1.0


def test_a_plain_gradient_of_before_is_corrected_from_now_on(model: Path, tmp_path: Path) -> None:
    path = finish(start(model, tmp_path, "old", "reinforce", iterations=1, update={"epochs": 2})).run.path
    before(path, "reinforce")
    config = (path / "config.toml").read_text("utf-8")
    (path / "config.toml").write_text(re.sub(r"^importance_cap = .*\n", "", config, flags=re.MULTILINE), "utf-8")
    with pytest.warns(FutureWarning, match=r"goes on with loss.importance_cap=2, its default now"):
        trainer = Trainer.resume(path)
    trainer.run.close()
    assert trainer.algorithm_config.loss.importance_cap == 2.0
