"""PPO, actor-critic, DigiRL, filtered behaviour cloning and the Q family by hand and against brute force."""

from dataclasses import replace

import numpy as np
import pytest

from tests.trainers.episodes import episode, trajectory, turn
from trainers.algorithms import actor_critic, archer, archer_q, digirl, filtered_bc, ppo, q_learning, reinforce
from trainers.credit import credit as c

GROUPS = [[episode(1.0, 3), episode(0.0, 2)]]
VALUES = c.Values([np.array([0.5, 0.6, 0.7]), np.array([0.5, 0.2])])


# --- PPO -----------------------------------------------------------------------------------------------------------------


def test_token_level_gae_by_hand() -> None:
    """Two turns of 2 and 1 tokens, γ = 0.5 between turns, 1 inside; λ = 0.5.

    δ = (0.3 − 0.2, 0.5·0.4 − 0.3, 1 − 0.4) = (0.1, −0.1, 0.6); A_2 = 0.6, A_1 = −0.1 + 0.25·0.6, A_0 = 0.1 + 0.5·A_1.
    """
    x = trajectory([turn([1], [2, 3]), turn([4], [5], 1.0)])
    values = c.Values([np.array([0.2, 0.3, 0.4])])
    credit = ppo.credit([[x]], values, ppo.Config(gamma=0.5, lam=0.5, whiten=False))
    np.testing.assert_allclose(credit.advantages[0], [0.1 + 0.5 * 0.05, 0.05, 0.6])
    np.testing.assert_allclose(ppo.targets([[x]], ppo.Config(gamma=0.5))[0], [0.5, 0.5, 1.0])
    assert credit.stats["critic/bias"] == pytest.approx(np.mean([0.2 - 0.5, 0.4 - 1.0]))  # per turn, at its first token


@pytest.mark.parametrize("seed", range(3))
def test_token_level_gae_equals_brute_force_and_skips_pages(seed: int) -> None:
    """A_l = Σ_k (Π_{j<k} d_{l+j} λ) δ_{l+k} over sampled tokens; pages of any length between turns change nothing."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, 4)
    config = ppo.Config(gamma=0.8, token_gamma=0.95, lam=0.7, whiten=False)
    v = rng.random(sizes.sum())
    found = []
    for page in (1, 50):
        turns = [turn([9] * page, [5] * int(n), float(t == 3)) for t, n in enumerate(sizes)]
        found.append(ppo.credit([[trajectory(turns)]], c.Values([v]), config).advantages[0])
    np.testing.assert_array_equal(*found)
    ends = set((np.cumsum(sizes) - 1).tolist())
    n = len(v)
    d = [0.0 if i == n - 1 else 0.8 if i in ends else 0.95 for i in range(n)]
    delta = [(1.0 if i == n - 1 else 0.0) + d[i] * (v[i + 1] if i + 1 < n else 0.0) - v[i] for i in range(n)]
    expected = [sum(np.prod([d[i + j] * 0.7 for j in range(k)]) * delta[i + k] for k in range(n - i)) for i in range(n)]
    np.testing.assert_allclose(found[0], expected)


def test_one_token_a_turn_makes_token_level_gae_turn_level() -> None:
    token = ppo.credit(GROUPS, VALUES, ppo.Config(gamma=0.9, lam=0.5)).advantages
    turns = actor_critic.credit(GROUPS, VALUES, actor_critic.Config(gamma=0.9, lam=0.5, whiten=True)).advantages
    np.testing.assert_allclose(np.concatenate(token), np.concatenate(turns))


def test_trajectory_level_is_return_minus_the_first_value() -> None:
    config = ppo.Config(level="trajectory", whiten=False)
    assert ppo.needs_values(config) == "turn" and ppo.needs_values(ppo.Config()) == "token"
    assert [a.tolist() for a in ppo.credit(GROUPS, VALUES, config).advantages] == [[0.5, 0.5, 0.5], [-0.5, -0.5]]


def test_trajectory_level_compares_like_with_like() -> None:
    """The best constant critic of episodes of 20 turns leaves a mean advantage of 0: V is fitted to R, not to γ^{T−1} R."""
    many = [episode(float(k % 2), 20) for k in range(10)]
    config = ppo.Config(level="trajectory", whiten=False)
    fitted = np.mean([target[0] for target in ppo.targets([many], config)])
    found = ppo.credit([many], c.Values([np.full(20, fitted)] * 10), config).advantages
    assert np.mean([a[0] for a in found]) == pytest.approx(0.0, abs=1e-12)


# --- actor-critic --------------------------------------------------------------------------------------------------------


def test_td0_by_hand_and_its_limits() -> None:
    plain = actor_critic.Config(gamma=0.9, whiten=False)
    found = actor_critic.credit(GROUPS, VALUES, plain).advantages
    np.testing.assert_allclose(found[0], [0.9 * 0.6 - 0.5, 0.9 * 0.7 - 0.6, 1 - 0.7])
    np.testing.assert_allclose(found[1], [0.9 * 0.2 - 0.5, -0.2])
    one = actor_critic.credit(GROUPS, VALUES, plain.model_copy(update={"lam": 1.0})).advantages
    other = reinforce.credit(GROUPS, VALUES, reinforce.Config(baseline="value", gamma=0.9)).advantages
    np.testing.assert_allclose(np.concatenate(one), np.concatenate(other))


def test_archer_with_an_open_gate_is_actor_critic() -> None:
    mine = actor_critic.credit(GROUPS, VALUES, actor_critic.Config(gamma=0.9, lam=0.95, whiten=True)).advantages
    theirs = archer.credit(GROUPS, VALUES, archer.Config(gamma=0.9, lam=0.95, gate=False)).advantages
    np.testing.assert_allclose(np.concatenate(mine), np.concatenate(theirs))


def test_lambda_returns_lie_between_td_targets_and_outcomes() -> None:
    many = c.flatten(GROUPS)
    td, mc = (np.concatenate(c.lambda_returns(many, VALUES.turns, 0.9, lam)) for lam in (0.0, 1.0))
    np.testing.assert_allclose(td, [0.9 * 0.6, 0.9 * 0.7, 1.0, 0.9 * 0.2, 0.0])
    np.testing.assert_allclose(mc, np.concatenate(c.monte_carlo_targets(many, 0.9)))


# --- DigiRL --------------------------------------------------------------------------------------------------------------


def test_digirl_advantage_by_hand() -> None:
    """λ = 0.5, T = 3. m = λ^{T−1−t} R is (1/4, 1/2, 1) for the success and 0 for the failure; the rest is V' + r − V.

    In the success that is (0.1, 0.1, 0.3), in the failure (−0.3, −0.2), and counts there in full.
    """
    config = digirl.Config(keep=1.0, horizon=3)
    credit = digirl.credit(GROUPS, VALUES, config)
    exact = [1 / 4 + 3 / 4 * 0.1, 1 / 2 + 1 / 2 * 0.1, 1.0]
    np.testing.assert_allclose(digirl._advantage(GROUPS[0][0], VALUES.turns[0], config), exact)
    np.testing.assert_allclose(digirl._advantage(GROUPS[0][1], VALUES.turns[1], config), [-0.3, -0.2])
    assert [w.tolist() for w in credit.weights] == [[0, 1, 1], [0, 0]]  # 0.325 < 1/3 < 0.55
    progress = c.Values([VALUES.turns[0], np.array([0.1, 0.5])])
    assert digirl.credit(GROUPS, progress, digirl.Config(keep=1.0, horizon=3)).weights[1].tolist() == [1, 0]  # a failure's turn of 0.4
    code = digirl.credit(GROUPS, VALUES, digirl.Config(keep=1.0, form="code"))
    np.testing.assert_allclose(
        digirl._advantage(GROUPS[0][0], VALUES.turns[0], digirl.Config(form="code")), [0.1 - 0.05 + 0.25, 0.1 - 0.05 + 0.5, 0.3 - 0.05 + 1]
    )
    assert code.weights[0].tolist() == [1, 1, 1]


def test_digirl_discounts_what_it_compares() -> None:
    """V is fitted to γ^{T−1−t} R, so a critic that knows it is never surprised, however long the episode."""
    many = [episode(1.0, 1), episode(1.0, 4)]
    config = digirl.Config(gamma=0.5, keep=0.5)
    values = c.Values(digirl.targets([many], config))
    for x, v in zip(many, values.turns, strict=True):
        mixed = np.array([0.5 ** (len(x) - 1 - t) * v[t] for t in range(len(x))])
        np.testing.assert_allclose(digirl._advantage(x, v, config), mixed)  # the residual is 0
    assert digirl.credit([many], values, config).stats["critic/held_out_ev"] == pytest.approx(1.0)


def test_digirl_keeps_the_most_surprising_trajectories() -> None:
    many = [episode(r, 1) for r in (1.0, 1.0, 0.0, 0.0)]
    values = c.Values([np.array([v]) for v in (0.9, 0.2, 0.0, 0.9)])
    credit = digirl.credit([many], values, digirl.Config(keep=0.25))
    assert [w.tolist() for w in credit.weights] == [[0], [1], [0], [0]]
    np.testing.assert_array_equal(np.concatenate(credit.advantages), np.concatenate(credit.weights))


# --- filtered behaviour cloning ------------------------------------------------------------------------------------------


def kept(groups: list, **settings: object) -> list[list[float]]:
    return [w.tolist() for w in filtered_bc.credit(groups, None, filtered_bc.Config.model_validate(settings)).weights]


def test_only_turns_of_successes_that_changed_the_page_are_imitated() -> None:
    won = trajectory([turn([1], [2], state="a"), turn([1], [2], state="a"), turn([1], [2], 1.0, state="b")])
    assert kept([[won, episode(0.0, 2)]]) == [[0, 1, 1], [0, 0]]
    assert kept([[won, episode(0.0, 2)]], changed_only=False) == [[1, 1, 1], [0, 0]]


def test_draws_follow_recency_without_replacement() -> None:
    """One of three turns is drawn: 1 : 4 : 9 over their places, as frequencies over many buffers."""
    counts = np.zeros(3)
    for seed in range(600):
        group = [replace(episode(1.0, 1), key=replace(episode(1.0, 1).key, seed=seed, member=m)) for m in range(3)]
        counts += [w[0] for w in kept([group], steps=1)]
    assert counts.sum() == 600
    np.testing.assert_allclose(counts / 600, np.array([1, 4, 9]) / 14, atol=0.07)  # 3.4 standard errors
    assert np.sum(kept([group], steps=2)) == 2


# --- Q -------------------------------------------------------------------------------------------------------------------

Q_VALUES = c.Values([np.array([0.5, 0.6, 0.7]), np.array([0.5, 0.2])], actions=[np.array([0.7, 0.62, 0.6]), np.array([0.5, 0.3])])


def test_archer_q_advantage_is_q_minus_v() -> None:
    found = archer_q.credit(GROUPS, Q_VALUES, archer_q.Config(whiten=False)).advantages
    np.testing.assert_allclose(np.concatenate(found), [0.2, 0.02, -0.1, 0.0, 0.1])
    centred = archer_q.credit(GROUPS, Q_VALUES, archer_q.Config(whiten=False, centre=True)).advantages
    np.testing.assert_allclose(np.concatenate(centred), np.array([0.2, 0.02, -0.1, 0.0, 0.1]) - 0.044)
    with pytest.raises(ValueError, match="needs_values"):
        archer_q.credit(GROUPS, VALUES, archer_q.Config())


def test_q_learning_leaves_the_policy_alone_and_digiq_imitates_what_is_better_by_a_margin() -> None:
    rerank, digiq = q_learning.Config(), q_learning.Config(form="digiq")
    assert not np.concatenate(q_learning.credit(GROUPS, Q_VALUES, rerank).weights).any()
    assert q_learning.practice(rerank).best_of == 4 and not q_learning.practice(rerank).fresh
    assert [w.tolist() for w in q_learning.credit(GROUPS, Q_VALUES, digiq).weights] == [[1, 0, 0], [0, 1]]
    assert q_learning.practice(digiq).fresh and q_learning.practice(digiq).best_of == 1
