"""Configurations: groups of keys given in part, and mistakes told in one sentence."""

import json

import pytest

import cli
from trainers.config import resolve, with_settings
from trainers.runs.moved_keys import MOVED
from webgym.errors import ConfigError


def test_a_key_of_a_group_leaves_the_others_as_the_run_has_them() -> None:
    whole, _ = resolve({})
    config, _ = resolve(with_settings({}, ["optim.lr=1e-5", "critic.fit.epochs=3"]))
    assert config.optim == whole.optim.model_copy(update={"lr": 1e-5}) and config.optim.warmup_steps == 12
    assert config.critic.fit == whole.critic.fit.model_copy(update={"epochs": 3}) and config.critic.fit.lr == 5e-4


def test_an_algorithm_keeps_the_rest_of_its_own_groups() -> None:
    _, own = resolve(with_settings({"algo": "q_learning"}, ["q.candidates=8"]))
    assert (own.q.candidates, own.q.backup) == (8, "optimality")
    _, own = resolve(with_settings({"algo": "grpo"}, ["loss.kl=k3", "loss.kl_coef=0.1"]))
    assert (own.loss.kl, own.loss.clip_high) == ("k3", 0.28)
    assert resolve(with_settings({"algo": "q_learning"}, []))[0].algorithm["q"]["backup"] == "optimality"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["algo=archr"], "no algorithm is called 'archr'; did you mean 'archer'"),
        (["group_sise=4"], "unknown key 'group_sise'; did you mean 'rollout.group_size'"),
        (["optim.lrr=4"], r"unknown key 'optim.lrr'; did you mean 'lr'\? \(known in optim: lr, betas"),
        (["critic.fit.epoch=4"], r"unknown key 'critic.fit.epoch'; did you mean 'epochs'\? \(known in critic.fit: epochs"),
        (["loss.clip_hihg=4"], "algorithm grpo: unknown key 'loss.clip_hihg'; did you mean 'clip_high'"),
        (["lam=0.9"], "algorithm grpo: unknown key 'lam'"),
        (["rollout.groups=0"], "rollout.groups: input should be greater than or equal to 1, got 0"),
        (["groups"], "--set wants key=value"),
    ],
)
def test_mistakes_are_told_in_one_sentence(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(with_settings({}, settings))


def test_keys_of_before_are_read_with_a_warning_that_names_the_new_ones() -> None:
    with pytest.warns(FutureWarning, match=r"iterations is now length\.iterations, async is now rollout\.overlap.*for one release"):
        config, _ = resolve({"iterations": 3, "async": True, "rollout": {"groups": 5}})
    assert (config.length.iterations, config.rollout.overlap, config.rollout.groups) == (3, True, 5)
    assert config.rollout.group_size == resolve({})[0].rollout.group_size
    with pytest.raises(ConfigError, match=r"length\.iterations is 4 and by its old name iterations 3: leave iterations out"):
        resolve({"iterations": 3, "length": {"iterations": 4}})


def test_every_moved_key_leads_to_a_key() -> None:
    whole = resolve({})[0].model_dump()
    for path in MOVED.values():
        group, _, key = path.partition(".")
        assert key in whole[group], path


def test_the_command_line_lists_every_key_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    cli.show_config("archer", as_json=True)
    listed = {entry["key"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {*MOVED.values(), "optim.lr", "critic.fit.epochs", "lam"} <= listed.keys()
    assert listed["length.iterations"]["default"] == 48 and all(entry["means"] for entry in listed.values())
