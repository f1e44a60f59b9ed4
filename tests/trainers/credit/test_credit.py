from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainers.episodes import episode, trajectory, turn
from trainers.algorithms import actor_critic, archer, digirl, ppo
from trainers.batches.rows import streams_of
from trainers.credit import credit as c
from webgym.errors import ConfigError

FLOATS = st.lists(st.floats(-2, 2), min_size=1, max_size=8).map(np.array)
RATES = st.floats(0, 1)


def random_turns(seed: int, turns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=turns), rng.normal(size=turns)


# --- one trajectory ------------------------------------------------------------------------------------------------------


def test_returns_by_hand() -> None:
    r_t = np.array([1.0, 0.0, 2.0])
    np.testing.assert_allclose(c.discounted_returns(r_t, c.discounts(3, 0.5)), [1.5, 1.0, 2.0])
    np.testing.assert_allclose(c.discounted_returns(r_t, c.discounts(3, 0.5, last=0.5), final_value=4.0), [2.0, 2.0, 4.0])
    assert len(c.discounted_returns(np.zeros(0), np.zeros(0))) == 0


def test_a_reward_at_the_end_comes_back_as_gamma_to_the_distance() -> None:
    np.testing.assert_allclose(c.monte_carlo_targets([episode(1.0, turns=4)], 0.9)[0], [0.729, 0.81, 0.9, 1.0])


def test_gae_by_hand() -> None:
    """γ=0.9, λ=0.5, R=1 at the end: δ = (0.9·0.6−0.5, 0.9·0.7−0.6, 1−0.7) = (0.04, 0.03, 0.3), folded back by 0.45."""
    v_t = np.array([0.5, 0.6, 0.7])
    found = c.gae(np.array([0.0, 0.0, 1.0]), c.discounts(3, 0.9), v_t, lam=0.5)
    np.testing.assert_allclose(found, [0.04 + 0.45 * (0.03 + 0.45 * 0.3), 0.03 + 0.45 * 0.3, 0.3])


def test_published_advantage_leaves_gamma_out() -> None:
    v_t = np.array([0.5, 0.6, 0.7])
    found = c.gae(np.array([0.0, 0.0, 1.0]), c.discounts(3, 1.0), v_t, lam=0.0)
    np.testing.assert_allclose(found, [0.1, 0.1, 0.3])


def test_published_advantage_rewards_going_on_and_the_default_does_not() -> None:
    """A perfect critic of a certain success at γ=0.95, T=20: nobody did better than expected, and the published sum is +0.62."""
    gamma, turns = 0.95, 20
    r_t = np.eye(turns)[-1]
    v_t = gamma ** np.arange(turns - 1, -1, -1.0)
    np.testing.assert_allclose(c.gae(r_t, c.discounts(turns, gamma), v_t, lam=0.95), np.zeros(turns), atol=1e-12)
    assert c.gae(r_t, c.discounts(turns, 1.0), v_t, lam=0.0).sum() == pytest.approx(1 - gamma**19) == pytest.approx(0.623, abs=1e-3)


@given(st.integers(0, 999), st.integers(1, 9), RATES, RATES, st.floats(-2, 2), st.booleans())
def test_gae_is_the_weighted_sum_of_residuals(seed: int, turns: int, gamma: float, lam: float, v_end: float, go_on: bool) -> None:
    r_t, v_t = random_turns(seed, turns)
    found = c.gae(r_t, c.discounts(turns, gamma, last=gamma if go_on else 0.0), v_t, lam, v_end)
    beyond = [*v_t, v_end if go_on else 0.0]
    delta = [r_t[t] + gamma * beyond[t + 1] - v_t[t] for t in range(turns)]
    expected = [sum((gamma * lam) ** k * delta[t + k] for k in range(turns - t)) for t in range(turns)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(st.integers(0, 999), st.integers(1, 9), RATES, st.floats(-2, 2))
def test_gae_at_lambda_1_is_return_minus_value_and_at_0_the_residual(seed: int, turns: int, gamma: float, v_end: float) -> None:
    r_t, v_t = random_turns(seed, turns)
    d = c.discounts(turns, gamma, last=gamma)
    np.testing.assert_allclose(c.gae(r_t, d, v_t, 1.0, v_end), c.discounted_returns(r_t, d, v_end) - v_t, atol=1e-9)
    np.testing.assert_allclose(c.gae(r_t, d, v_t, 0.0, v_end), r_t + gamma * np.append(v_t[1:], v_end) - v_t, atol=1e-9)


def test_lengths_must_agree() -> None:
    checked_by_jaxtyping_first = "Type-check error whilst checking the parameters of trainers.credit.credit.gae"
    with pytest.raises((ValueError, TypeError), match=rf"shapes \[\[3\], \[3\], \[2\]\]|{checked_by_jaxtyping_first}"):
        c.gae(np.zeros(3), np.zeros(3), np.zeros(2), 1.0)


def test_a_fault_has_no_reward_and_teaches_nothing() -> None:
    good, broken, empty = episode(1.0, 2), episode(float("nan"), 2, "fault"), episode(0.0, 0, "fault")
    assert [c.learnable(x) for x in (good, broken, empty)] == [True, False, False]
    np.testing.assert_array_equal(c.rewards(broken), [0, 0])
    assert [w.tolist() for w in c.turn_weights([good, broken, empty])] == [[1, 1], [0, 0], []]


# --- a group -------------------------------------------------------------------------------------------------------------


def test_leave_one_out_by_hand() -> None:
    np.testing.assert_allclose(c.leave_one_out_mean(np.array([1.0, 0.0, 5.0])), [2.5, 3.0, 0.5])
    np.testing.assert_array_equal(c.leave_one_out_mean(np.array([3.0])), [3.0])


@given(FLOATS)
def test_group_advantages_sum_to_zero(x: np.ndarray) -> None:
    assert abs((x - c.leave_one_out_mean(x)).sum()) < 1e-9
    for std in (False, True):
        assert abs(c.group_standardise(x, std).sum()) < 1e-6


@given(FLOATS.filter(lambda x: len(x) > 1))
def test_leave_one_out_is_the_group_mean_scaled(x: np.ndarray) -> None:
    """x_i − mean of the others = n/(n−1) · (x_i − mean of all), so RLOO and GRPO without std differ by a constant only."""
    n = len(x)
    np.testing.assert_allclose(x - c.leave_one_out_mean(x), n / (n - 1) * c.group_standardise(x, std=False), atol=1e-8)


def test_standardise_by_hand() -> None:
    x = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(c.group_standardise(x, std=False), [0.6, -0.4, -0.4, 0.6, -0.4])
    np.testing.assert_allclose(c.group_standardise(x, std=True), np.array([0.6, -0.4, -0.4, 0.6, -0.4]) / np.sqrt(0.24))
    for dead in ([0.1, 0.1, 0.1], [0.1 + 0.2, 0.3], [1.0], []):
        np.testing.assert_array_equal(c.group_standardise(np.array(dead), std=True), np.zeros(len(dead)))


def test_group_baseline_compares_equal_turns() -> None:
    returns = [np.array([1.0, 2.0, 3.0]), np.array([5.0]), np.array([7.0, 9.0])]
    found = c.group_baseline(returns)
    np.testing.assert_allclose(found[0], [6.0, 9.0, 7.0])  # at turn 2 nobody else is left: the mean of 5, 7, 9
    np.testing.assert_allclose(found[1], [4.0])
    np.testing.assert_allclose(found[2], [3.0, 2.0])
    np.testing.assert_array_equal(c.group_baseline([np.array([4.0, 5.0])])[0], [4.0, 5.0])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(1, 5))
def test_undiscounted_group_baseline_is_the_leave_one_out_mean(outcomes: list[float], turns: int) -> None:
    returns = [np.full(turns, x) for x in outcomes]
    expected = c.leave_one_out_mean(np.array(outcomes))
    np.testing.assert_allclose([b[0] for b in c.group_baseline(returns)], expected, atol=1e-12)


def test_baselines_skip_faults_and_look_beyond_a_group_of_one() -> None:
    broken = episode(float("nan"), 1, "fault")
    groups = [[episode(1.0, 1), episode(0.0, 1), broken], [episode(1.0, 1), broken]]
    returns = [np.array([x]) for x in (1.0, 0.0, 50.0, 1.0, 50.0)]
    assert [b.tolist() for b in c.group_baselines(groups, returns)] == [[0.0], [1.0], [50.0], [0.5], [50.0]]


# --- a batch -------------------------------------------------------------------------------------------------------------


def test_whitening_divides_by_std_over_live_turns_and_does_not_centre() -> None:
    advantages = [np.array([1.0, 3.0]), np.array([5.0]), np.array([100.0])]
    found = c.whiten(advantages, [np.ones(2), np.ones(1), np.zeros(1)])
    sigma = np.sqrt(8 / 3)  # of 1, 3, 5
    np.testing.assert_allclose(np.concatenate(found), np.array([1, 3, 5, 100]) / sigma)
    np.testing.assert_array_equal(c.whiten([np.array([2.0, 2.0])], [np.ones(2)])[0], [2.0, 2.0])
    assert c.whiten([], []) == []


def test_explained_variance_by_hand() -> None:
    g = np.array([0.0, 1.0, 0.0, 1.0])
    assert c.explained_variance(g, g) == 1.0
    assert c.explained_variance(g, g + 3.0) == 1.0  # a constant error is no error of credit
    assert c.explained_variance(g, np.full(4, 0.7)) == pytest.approx(0.0)
    assert c.explained_variance(g, 1 - g) == pytest.approx(-3.0)
    assert np.isnan(c.explained_variance(np.ones(3), np.zeros(3)))


def test_gate_opens_only_for_a_critic_that_beats_the_group_mean() -> None:
    g = [np.array([1.0, 0.0]), np.array([1.0, 0.0])]
    b = [np.array([0.5, 0.5])] * 2
    w = [np.ones(2)] * 2
    assert c.critic_gate(g, [np.array([0.9, 0.1])] * 2, b, w) == (True, pytest.approx(0.01), pytest.approx(0.25))
    assert not c.critic_gate(g, b, b, w).open  # as good is not better
    assert not c.critic_gate(g, [1 - x for x in g], b, w).open
    worse_than_a_constant = [np.array([0.0, 1.0])] * 2  # as a mean of few others can be
    assert not c.critic_gate(g, [np.array([0.7, 0.7])] * 2, worse_than_a_constant, w).open
    # a turn of weight 0 has no vote
    assert not c.critic_gate(g, [np.array([0.9, 0.1]), np.array([0.5, 0.5])], b, [np.zeros(2), np.ones(2)]).open
    assert not c.critic_gate(g, g, b, [np.zeros(2)] * 2).open


def test_knowing_which_tasks_are_hard_does_not_open_the_gate() -> None:
    """16 members with 12 and 4 successes, V = 0.55 and 0.45. Var(G) = 0.25; Var(G − V) = 3/16 + 0.2² = 0.2275; leave-one-out in a
    group: residuals are 16/15 of the centred ones, 3/16 · (16/15)² = 0.2133, which the critic does not beat."""
    easy, hard = [1.0] * 12 + [0.0] * 4, [1.0] * 4 + [0.0] * 12
    groups = [[episode(x, 1, seed=s) for x in outcomes] for s, outcomes in enumerate([easy, hard])]
    returns = c.monte_carlo_targets(c.flatten(groups), 1.0)
    values = [np.array([v]) for v in [0.55] * 16 + [0.45] * 16]
    stats = c.critic_stats(c.flatten(groups), returns, values, c.group_baselines(groups, returns), [np.ones(1)] * 32)
    assert stats["critic/held_out_ev"] == pytest.approx(0.09)
    assert stats["critic/residual_variance"] == pytest.approx(0.2275)
    assert stats["critic/baseline_variance"] == pytest.approx(0.21333, abs=1e-5)
    assert stats["critic/gate"] == 0


def test_folds_are_balanced_fixed_and_keep_a_task_group_together() -> None:
    groups = [[episode(0.0, 1, seed=i)] * 2 for i in range(10)]
    found = c.cross_fit_folds(groups, 3, seed=5)
    assert sorted(np.bincount(found).tolist()) == [3, 3, 4]
    np.testing.assert_array_equal(found, c.cross_fit_folds(groups, 3, seed=5))
    assert found.tolist() != c.cross_fit_folds(groups, 3, seed=6).tolist()
    np.testing.assert_array_equal(c.cross_fit_folds([groups[2], groups[7], groups[2]], 2)[[0]], c.cross_fit_folds([groups[2]] * 3, 2)[[2]])
    twice = c.cross_fit_folds([*groups, *groups], 3, seed=5)
    np.testing.assert_array_equal(twice[:10], twice[10:])
    np.testing.assert_array_equal(twice[:10], found)  # a task's fold does not depend on the order or number of its groups
    assert sorted(c.cross_fit_folds([groups[0], []], 2).tolist()) == [0, 1]  # one without members has a fold, too


def test_penalties_change_rewards_and_not_what_the_environment_said() -> None:
    x = episode(1.0, 3)
    (shaped,) = c.with_penalties([x], [np.array([0.1, 0.0, 0.25])])
    np.testing.assert_allclose(c.rewards(shaped), [-0.1, 0.0, 0.75])
    assert shaped.outcome == x.outcome and c.rewards(x).tolist() == [0, 0, 1]


def test_k1_in_the_reward_by_hand() -> None:
    x = trajectory([turn([1], [2, 3], 0.0, [-1.0, -2.0]), turn([1], [4], 1.0, [-0.5])])
    penalties = c.kl_penalties([x, episode(0.0, 0)], [np.array([-1.5, -1.0, -2.5]), np.zeros(0)], kl_coef=0.1)
    np.testing.assert_allclose(penalties[0], [0.1 * (0.5 - 1.0), 0.1 * 2.0])
    assert len(penalties[1]) == 0
    np.testing.assert_allclose(c.rewards(c.with_penalties([x], penalties[:1])[0]), [0.05, 0.8])


def test_values_must_fit_their_turns() -> None:
    many = [episode(1.0, 2), episode(1.0, 1, "truncated")]
    with pytest.raises(ValueError, match="needs_values"):
        c.turn_values(None, many)
    with pytest.raises(ValueError, match=r"values for \[2, 1\] turns, got \[1, 2\]"):
        c.turn_values(c.Values([np.zeros(1), np.zeros(2)]), many)
    for none in (None, c.Values([np.zeros(2), np.zeros(1)])):
        with pytest.raises(ConfigError, match="bootstrap_at_limit"):
            c.final_values(none, many)
    assert c.final_values(c.Values([np.zeros(2), np.zeros(1)], final=[0.3, 0.4]), many) == [0.0, 0.4]
    with pytest.raises(ConfigError, match="bootstrap_at_limit"):
        c.final_values(c.Values([np.zeros(2), np.zeros(1)], final=[0.3, np.nan]), many)
    with pytest.raises(ValueError, match="needs_values"):
        c.action_values(None, many)


def test_the_mean_return_is_of_whole_episodes_that_count() -> None:
    """A fault has no return. A fork begins with turns of another episode, and its return would count their luck twice."""
    fork = episode(1.0, 2)
    copied = replace(fork.turns[0], completion=replace(fork.turns[0].completion, origin=fork.key))
    fork = replace(fork, turns=(copied, fork.turns[1]))
    fault = trajectory([turn([1], [2], float("nan"))], "fault")
    stats = c.rollout_stats([[episode(1.0, 1), episode(0.0, 1), fork], [fault]])
    assert stats == {"rollout/return": 0.5, "rollout/faults": 1.0, "rollout/groups": 1.0}
    assert np.isnan(c.rollout_stats([[fault]])["rollout/return"])


def test_a_mean_over_no_turn_is_0() -> None:
    assert c.live_mean([np.array([2.0, 4.0])], [np.array([0.0, 1.0])]) == 4.0
    assert c.live_mean([np.array([2.0])], [np.zeros(1)]) == c.live_std([np.array([2.0])], [np.zeros(1)]) == 0.0


# --- turns without sampled tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(0, 2, 1), (2, 0, 1), (2, 0, 0, 1), (1, 2, 0), (0, 0), (3, 0), (1,), ()])
def test_a_turn_without_tokens_is_a_step_that_no_token_made(sizes: tuple[int, ...]) -> None:
    """Token returns are the turns' own returns, at each turn's tokens, whatever lies between: rewards and discounts lose nothing."""
    rewards = [0.25, 0.5, -1.0, 2.0][: len(sizes)]
    x = trajectory([turn([1], [5] * n, r) for n, r in zip(sizes, rewards, strict=True)], "failure")
    r, d = c.token_rewards(x, 0.9), c.token_discounts(x, 0.9, 1.0)
    assert len(r) == len(d) == sum(sizes)
    turns = [sum(0.9 ** (k - t) * rewards[k] for k in range(t, len(sizes))) for t in range(len(sizes))]
    np.testing.assert_allclose(c.discounted_returns(r, d), [g for g, n in zip(turns, sizes, strict=True) for _ in range(n)])
    assert len(c.at_turns(x, r)) == len(sizes)
    values = c.Values([np.linspace(0, 1, sum(sizes))])
    credit = ppo.credit([[x]], values, ppo.Config(gamma=0.9, lam=1.0, whiten=False))
    np.testing.assert_allclose(credit.advantages[0], c.discounted_returns(r, d) - values.turns[0])
    assert credit.targets is not None and len(credit.targets[0]) == sum(sizes)


def test_arrays_per_token_are_told_from_arrays_per_turn() -> None:
    """Two turns of 2 and 0 tokens have as many tokens as turns."""
    x = trajectory([turn([1], [5, 6]), turn([1, 5, 6], [], 1.0)])
    streams = streams_of([x], [np.array([1.0, 2.0])], [np.ones(2)], per_token=True)
    assert streams.advantage[0].tolist() == [1.0, 2.0]
    assert streams_of([x], [np.array([1.0, 2.0])], [np.ones(2)]).advantage[0].tolist() == [1.0, 1.0]
    assert ppo.credit([[x]], c.Values([np.zeros(2)]), ppo.Config()).per_token
    with pytest.raises(ValueError, match=r"expected old_logprob of \[2\] sampled tokens by trajectory"):
        replace(streams, old_logprob=[np.zeros(3, dtype=np.float32)])


# --- the turn limit, and replay ----------------------------------------------------------------------------------------------


def test_targets_go_on_behind_the_limit_where_advantages_do() -> None:
    """A critic of 0.6 everywhere is right about an episode that the limit ended: its targets are 0.6, its advantages 0."""
    cut, lost = episode(0.0, 3, "truncated"), episode(0.0, 2)
    final, values = [0.6, 0.0], [np.full(3, 0.6), np.full(2, 0.6)]
    np.testing.assert_allclose(c.monte_carlo_targets([cut, lost], 1.0, final)[0], [0.6] * 3)
    np.testing.assert_allclose(c.monte_carlo_targets([cut, lost], 0.5, final)[0], [0.6 / 8, 0.6 / 4, 0.6 / 2])
    np.testing.assert_array_equal(c.monte_carlo_targets([cut, lost], 1.0, final)[1], [0, 0])
    for lam in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(c.lambda_returns([cut, lost], values, 1.0, lam, final)[0], [0.6] * 3)
        np.testing.assert_allclose(c.turn_advantages([cut, lost], values, 1.0, lam, final)[0], [0] * 3, atol=1e-12)
    for algorithm in (archer, actor_critic):
        own = {"gamma": 1.0, "bootstrap_at_limit": True, "whiten": False} | ({"gate": False} if algorithm is archer else {})
        credit = algorithm.credit([[cut, lost]], c.Values(values, final=[0.6, float("nan")]), algorithm.Config.model_validate(own))
        assert credit.targets is not None
        np.testing.assert_allclose(credit.targets[0], [0.6] * 3)
        assert credit.stats["critic/bias"] == pytest.approx(0.6), "of the episode whose outcome is known"
    assert [w.tolist() for w in c.outcome_known([cut, lost], [np.ones(3), np.ones(2)])] == [[0, 0, 0], [1, 1]]


def test_what_is_replayed_is_in_no_held_out_metric() -> None:
    """The critic knows the old episodes by heart and is wrong of each new one."""
    old = [replace(x, key=replace(x.key, iteration=1)) for x in (episode(1.0, 1), episode(0.0, 1))]
    new = [replace(x, key=replace(x.key, iteration=2)) for x in (episode(1.0, 1), episode(0.0, 1), episode(1.0, 1))]
    values = c.Values([np.array([v]) for v in (1.0, 0.0, 0.0, 1.0, 0.0)])
    credit = digirl.credit([old, new], values, digirl.Config(keep=1.0))
    assert (
        credit.stats["critic/held_out_ev"] == pytest.approx(1 - np.var([1, -1, 1]) / np.var([1, 0, 1])) and credit.stats["critic/gate"] == 0
    )
    assert credit.stats["rollout/groups"] == 1 and credit.stats["rollout/return"] == pytest.approx(2 / 3)
