"""Values are held out as they claim: a critic that can memorise a batch does so only where it may see the batch."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from tests.trainers.episodes import trajectory, turn
from trainers import algorithms
from trainers.batches.rows import rows_of_all
from trainers.critics.settings import CriticConfig
from trainers.critics.valuation import Valuation, prompt_tail
from trainers.models.model import prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model, build_tokenizer
from webgym.errors import UsageError
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.types import Trajectory


@pytest.fixture(scope="module")
def source() -> PolicyModel:
    tokenizer = build_tokenizer(["goal: press ok\npage:\nbutton ok #0\ndo:"] * 3, vocab_size=1000)
    return PolicyModel(prepare(build_model(tokenizer, Shape(hidden=32, layers=2, heads=2, mlp=64, context=64))), tokenizer, COMPACT)


def valuation(source: PolicyModel, algo: str = "archer", **changes: object) -> Valuation:
    own = algorithms.get(algo).Config()
    fit = {"epochs": 30, "lr": 1e-2, "turns_per_step": 4, "average": 0.0}
    config = CriticConfig.model_validate({"fit": fit, "folds": 3, **changes})
    return Valuation(algorithms.get(algo), own, config, source, seed=0, token_budget=64, device="cpu")


def coin_flips(groups: int, seed: int) -> list[list[Trajectory]]:
    """Groups of one whose outcome has nothing to do with the prompt, which is different in each: only memory can explain it."""
    rng = np.random.default_rng(seed)
    return [[trajectory([turn(rng.integers(0, 90, 8).tolist(), [5, 6], float(g % 2))], seed=g)] for g in range(groups)]


def explained(source: PolicyModel, values_from: str) -> float:
    groups = coin_flips(12, seed=1)
    flat = [x for group in groups for x in group]
    valued = valuation(source, values_from=values_from).values_and_fit(groups, flat, rows_of_all(flat), 1)
    assert valued.metrics["critic/loss"] > 0
    v, g = np.concatenate(valued.values.turns), np.array([x.outcome.reward for x in flat])
    return 1 - float(np.var(g - v) / np.var(g))


def test_only_the_published_order_sees_the_outcomes_it_values(source: PolicyModel) -> None:
    assert explained(source, "same") > 0.9  # memorised: advantages go to 0
    assert explained(source, "earlier") <= 1e-9
    assert explained(source, "cross_fit") < 0.3


def test_faults_teach_the_critic_nothing(source: PolicyModel) -> None:
    groups = coin_flips(6, seed=2)
    broken = trajectory([turn([1, 2], [3], float("nan"))], "fault", seed=99)
    flat = [x for group in groups for x in group]
    outcomes = []
    for extra in ([], [[broken]]):
        critic = valuation(source)
        many = [*flat, *(x for group in extra for x in group)]
        critic.values_and_fit([*groups, *extra], many, rows_of_all(many), 1)
        outcomes.append(np.concatenate(critic.turn_values(flat)))
    np.testing.assert_allclose(outcomes[0], outcomes[1], atol=0.2)
    assert np.isfinite(outcomes[1]).all()


def test_a_saved_valuation_goes_on_bitwise(source: PolicyModel, tmp_path) -> None:
    groups = coin_flips(4, seed=3)
    flat = [x for group in groups for x in group]
    straight, resumed = valuation(source), valuation(source)
    straight.values_and_fit(groups, flat, rows_of_all(flat), 1)
    straight.save(tmp_path)
    resumed.restore(tmp_path, copy.deepcopy(straight.state_dict()))
    results = [np.concatenate(v.values_and_fit(groups, flat, rows_of_all(flat), 2).values.turns) for v in (straight, resumed)]
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(np.concatenate(straight.turn_values(flat)), np.concatenate(resumed.turn_values(flat)))


def test_shaped_rewards_outside_the_unit_interval_are_refused_in_words(source: PolicyModel) -> None:
    groups = [[trajectory([turn([1, 2], [3], -0.5)], "failure")]]
    with pytest.raises(UsageError, match="use loss = 'mse'"):
        valuation(source).values_and_fit(groups, groups[0], rows_of_all(groups[0]), 1)


def test_every_prompt_ends_with_the_same_tokens(source: PolicyModel) -> None:
    tail = len(source.tokenizer("\ndo:", add_special_tokens=False)["input_ids"])
    assert prompt_tail(source) == tail
    chat = PolicyModel(source.model, source.tokenizer, PromptSettings())
    assert prompt_tail(chat) >= len(source.tokenizer("\n\nAction:", add_special_tokens=False)["input_ids"]) - 1


def test_nothing_replayed_is_called_held_out(source: PolicyModel) -> None:
    """Coin flips over three iterations, replayed: the critic knows the old ones by heart, and the metric speaks of the new ones."""
    algorithm = algorithms.get("digirl")
    critic, played = valuation(source, "digirl"), []
    for iteration in (1, 2, 3):
        groups = coin_flips(12, seed=iteration)
        played += [[replace(x, key=replace(x.key, iteration=iteration, group=g)) for x in group] for g, group in enumerate(groups)]
        flat = [x for group in played for x in group]
        values = critic.values_and_fit(played, flat, rows_of_all(flat), iteration).values
        stats = algorithm.credit(played, values, algorithm.Config(keep=1.0)).stats
    v, g = np.concatenate(values.turns), np.array([x.outcome.reward for x in flat])
    old = np.array([x.key.iteration < 3 for x in flat])
    assert 1 - np.var((g - v)[old]) / np.var(g[old]) > 0.9, "fitted when they were new"
    assert stats["critic/held_out_ev"] == pytest.approx(1 - np.var((g - v)[~old]) / np.var(g[~old])) and stats["critic/gate"] == 0


@pytest.mark.parametrize("target_lam", [1.0, 0.5])
def test_the_critic_is_taught_that_the_limit_is_no_failure(target_lam: float, source: PolicyModel) -> None:
    """It says 0.6 of every state; an episode that the limit ended is then worth 0.6 everywhere, one that failed 0 (by the outcome)."""
    algorithm = algorithms.get("archer")
    config = CriticConfig(target_lam=target_lam)
    own = algorithm.Config.model_validate({"bootstrap_at_limit": True, "gamma": 1.0})
    critic = Valuation(algorithm, own, config, source, seed=0, token_budget=64, device="cpu")
    critic.critic.set_bias(0.6)
    cut = replace(trajectory([turn([1], [5]), turn([1, 5, 2], [6])], "truncated"), final_prompt_ids=(1, 5, 2, 6, 3))
    lost = trajectory([turn([2], [5]), turn([2, 5, 2], [6])], seed=1)
    groups = [[cut], [lost]]
    found = critic._ahead(groups, critic._packer([cut, lost])(rows_of_all([cut, lost])), np.zeros(4))
    np.testing.assert_allclose(found, [0.6, 0.6, *([0.0, 0.0] if target_lam == 1 else [0.3, 0.0])], atol=1e-6)
