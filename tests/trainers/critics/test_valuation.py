"""Values are held out as they claim: a critic that can memorise a batch does so only where it may see the batch."""

import copy

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
