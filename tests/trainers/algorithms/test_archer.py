import numpy as np
import pytest

from tests.trainers.episodes import episode
from trainers.algorithms import archer, reinforce
from trainers.credit import credit as c
from webgym.errors import ConfigError

PLAIN = archer.Config(gamma=0.9, lam=0.5, whiten=False, gate=False)
GROUPS = [[episode(1.0, 3), episode(0.0, 2)]]
VALUES = c.Values([np.array([0.5, 0.6, 0.7]), np.array([0.5, 0.2])])


def advantages(config: archer.Config, values: c.Values = VALUES, groups=GROUPS) -> list[np.ndarray]:
    return archer.credit(groups, values, config).advantages


def test_turn_level_gae_by_hand() -> None:
    """δ = (0.04, 0.03, 0.3) and (0.9·0.2 − 0.5, −0.2), folded back by γλ = 0.45."""
    found = advantages(PLAIN)
    np.testing.assert_allclose(found[0], [0.04 + 0.45 * (0.03 + 0.45 * 0.3), 0.03 + 0.45 * 0.3, 0.3])
    np.testing.assert_allclose(found[1], [-0.32 - 0.45 * 0.2, -0.2])


def test_published_form_is_the_difference_of_values() -> None:
    found = advantages(PLAIN.model_copy(update={"published_td": True}))
    np.testing.assert_allclose(found[0], [0.1, 0.1, 0.3])  # V' − V, and R − V at the end
    np.testing.assert_allclose(found[1], [-0.3, -0.2])


def test_lambda_1_is_reinforce_with_v() -> None:
    found = advantages(PLAIN.model_copy(update={"lam": 1.0}))
    expected = reinforce.credit(GROUPS, VALUES, reinforce.Config(baseline="value", gamma=0.9)).advantages
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b)


def test_critic_targets_are_discounted_outcomes() -> None:
    found = archer.targets(GROUPS, PLAIN)
    np.testing.assert_allclose(found[0], [0.81, 0.9, 1.0])
    np.testing.assert_allclose(found[1], [0.0, 0.0])


def test_the_turn_limit_is_an_end_unless_asked() -> None:
    groups = [[episode(0.0, 1, "truncated"), episode(0.0, 1)]]
    values = c.Values([np.array([0.5]), np.array([0.5])], final=[0.8, 0.8])
    np.testing.assert_allclose(advantages(PLAIN, values, groups), [[-0.5], [-0.5]])
    asked = PLAIN.model_copy(update={"bootstrap_at_limit": True})
    np.testing.assert_allclose(advantages(asked, values, groups), [[0.9 * 0.8 - 0.5], [-0.5]])  # a failure for good has no future
    with pytest.raises(ConfigError, match="bootstrap_at_limit"):
        advantages(asked, c.Values(values.turns), groups)


def test_gate_falls_back_to_the_group_mean_with_lambda_1() -> None:
    groups = [[episode(1.0, 2), episode(0.0, 2), episode(0.0, 2)]]
    config = archer.Config(gamma=0.9, whiten=False)
    useless = c.Values([np.array([0.1, 0.2]), np.array([0.8, 0.9]), np.array([0.7, 0.9])])
    credit = archer.credit(groups, useless, config)
    assert credit.stats["critic/gate"] == 0
    np.testing.assert_allclose(credit.advantages, [[0.9, 1.0], [-0.45, -0.5], [-0.45, -0.5]])
    useful = c.Values([np.array([0.5, 0.8]), np.array([0.2, 0.1]), np.array([0.2, 0.1])])
    credit = archer.credit(groups, useful, config)
    assert credit.stats["critic/gate"] == 1 and credit.stats["critic/held_out_ev"] > 0
    np.testing.assert_allclose(credit.advantages[0], [0.9 * 0.8 - 0.5 + 0.9 * 0.95 * 0.2, 0.2])


def test_whitening_divides_by_the_std_of_live_turns() -> None:
    groups = [[*GROUPS[0], episode(float("nan"), 2, "fault")]]
    values = c.Values([*VALUES.turns, np.array([9.0, np.nan])])
    plain = advantages(PLAIN, values, groups)
    white = advantages(PLAIN.model_copy(update={"whiten": True}), values, groups)
    sigma = np.std(np.concatenate(plain[:2]))
    np.testing.assert_allclose(np.concatenate(white), np.concatenate(plain) / sigma)
    np.testing.assert_array_equal(white[2], [0, 0])


def test_the_decisive_turn_gets_the_credit() -> None:
    """The critic sees that only turn 1 changed the prospects; GRPO would have praised all three alike."""
    (found,) = advantages(PLAIN.model_copy(update={"gamma": 1.0, "lam": 0.0}), c.Values([np.array([0.2, 0.2, 1.0])]), [[episode(1.0, 3)]])
    np.testing.assert_allclose(found, [0.0, 0.8, 0.0])
