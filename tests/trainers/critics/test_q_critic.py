"""The critic of actions: targets by hand, and Q* and Qπ of a small problem against exact dynamic programming."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from tests.trainers.episodes import trajectory, turn
from trainers.algorithms import get
from trainers.batches.packing import pack
from trainers.batches.rows import rows_of_all
from trainers.critics import q_critic as qc
from trainers.critics.q_valuation import Proposals, QValuation
from trainers.critics.settings import CriticConfig
from trainers.models.model import prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model, build_tokenizer
from trainers.samplers.sampler import Generated
from webgym.errors import CheckpointError
from webgym.prompts.settings import COMPACT
from webgym.types import Trajectory

START, RIGHT, WRONG = 10, 11, 12  # states; actions are the tokens 20 and 21, and only 20 in START and 21 in RIGHT lead to a reward
ACTIONS = (20, 21)
GAMMA = 0.9


def test_targets_by_hand() -> None:
    turns = qc.Transitions(np.array([0.0, 1.0, 0.5]), np.array([False, True, True]), np.ones(3, dtype=bool))
    ahead = np.array([[[0.1, 0.9], [0.4, 0.5]], [[0.2, 0.2], [0.8, 0.3]], [[0.0, 0.0], [0.0, 0.0]]])  # [turns, 2 candidates, 2 heads]
    np.testing.assert_allclose(qc.state_targets(ahead, "expectation"), [[0.25, 0.7], [0.5, 0.25], [0, 0]])
    best = qc.state_targets(ahead, "optimality")
    np.testing.assert_allclose(best, [[0.4, 0.4], [0.3, 0.3], [0, 0]])  # the larger of each pair is not believed
    state = np.array([[9.0, 9.0], [0.6, 0.7], [9.0, 9.0]])
    np.testing.assert_allclose(qc.action_targets(turns, state, best, qc.QSpec(gamma=0.5)), [[0.3, 0.35], [1, 1], [0.5, 0.5]])
    bellman = qc.QSpec(gamma=0.5, backup="optimality")
    np.testing.assert_allclose(qc.action_targets(turns, state, best, bellman), [[0.15, 0.15], [1, 1], [0.5, 0.5]])


@pytest.fixture(scope="module")
def source() -> PolicyModel:
    tokenizer = build_tokenizer(["ok"] * 3, vocab_size=1000)
    return PolicyModel(prepare(build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64, context=64))), tokenizer, COMPACT)


def played(first: int, second: int) -> Trajectory:
    state = RIGHT if first == 20 else WRONG
    reward = float(first == 20 and second == 21)
    return trajectory([turn([5, START], [first]), turn([5, state], [second], reward)])


def uniform(turns, seeds) -> list[Generated]:
    """A policy that takes both actions alike, and of an even number of draws each exactly half the time."""
    return [Generated((ACTIONS[k % 2],), (-0.69,), "", 0) for k in range(len(turns))]


def exact(best: bool) -> dict[tuple[int, int], float]:
    """Q* or Q of the uniform policy, by hand: the value of RIGHT is 1 or 1/2, of WRONG 0."""
    return {(START, 20): GAMMA * (1.0 if best else 0.5), (START, 21): 0.0, (RIGHT, 20): 0.0, (RIGHT, 21): 1.0}


@pytest.mark.parametrize("algo", ["archer_q", "q_learning"])
def test_fitting_finds_the_exact_q(algo: str, source: PolicyModel) -> None:
    own = get(algo).Config.model_validate(
        {"q": {**get(algo).Config().q.model_dump(), "gamma": GAMMA, "epochs": 60, "candidates": 8, "tau": 0.3}}
    )  # type: ignore[attr-defined]
    config = CriticConfig.model_validate({"fit": {"lr": 3e-3}})
    valuation = QValuation(get(algo), own, config, source, seed=0, token_budget=4096, device="cpu")
    groups = [[played(a, b) for a in ACTIONS for b in ACTIONS] * 2]
    for iteration in range(2):
        valuation.values_and_fit(groups, groups[0], rows_of_all(groups[0]), iteration, uniform)
    q, _ = qc.read(valuation.critic, pack(rows_of_all(groups[0]), 4096), 16)
    wanted = exact(best=algo == "q_learning")
    for place, found in enumerate(q):
        t = groups[0][place // 2].turns[place % 2].completion
        if (t.prompt_ids[-1], t.action_ids[0]) in wanted:
            np.testing.assert_allclose(found, wanted[t.prompt_ids[-1], t.action_ids[0]], atol=0.1)
    assert valuation.best((5, START), [(21,), (20,), (21,)]) == 1
    assert valuation.best((5, RIGHT), [(20,), (21,)]) == 1


def test_equal_proposals_are_read_once() -> None:
    turns = played(20, 21).turns
    found = Proposals.draw(turns, 6, uniform, seed=1)
    assert found.place.shape == (2, 6) and len(found.drawn) == 12 and len(found.rows) == 4
    for t in range(2):
        for n in range(6):
            assert found.rows[found.place[t, n]].ids == turns[t].completion.prompt_ids + found.drawn[6 * t + n].ids


def test_the_target_copy_follows_slowly_and_the_critic_is_saved_whole(source: PolicyModel, tmp_path) -> None:
    critic = qc.QCritic.of(source.model)
    target = copy.deepcopy(critic)
    critic.set_bias(1.0)
    qc.move_target(target, critic, 0.25)
    torch.testing.assert_close(target.heads["q"].bias, torch.tensor([0.49 + 0.25 * 0.5, 0.51 + 0.25 * 0.5]))
    critic.save_pretrained(tmp_path)
    again = qc.QCritic.load(tmp_path)
    (batch,) = pack(rows_of_all([played(20, 21)]), 100)
    for a, b in zip(critic(batch), again(batch), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(CheckpointError, match="no critic of actions"):
        qc.QCritic.load(tmp_path / "nowhere")


def test_a_step_is_a_number_of_turns_whatever_the_memory(source: PolicyModel) -> None:
    """The same turns in packs of 16 tokens and of 4,096: as many steps, and the same critic up to rounding."""
    rows = rows_of_all([played(a, b) for a in ACTIONS for b in ACTIONS] * 5)
    rng = np.random.default_rng(0)
    targets, steps, found = (rng.random((40, 2)), rng.random((40, 2))), [], []
    for budget in (16, 4096):
        critic = qc.QCritic.of(source.model)
        adamw = torch.optim.AdamW(critic.parameters(), lr=1e-3)
        counted: list[object] = []
        adamw.register_step_post_hook(lambda *x, counted=counted: counted.append(x))
        qc.fit_pass(critic, rows, targets, adamw, partial(pack, token_budget=budget), turns_per_step=8, grad_clip=1.0, seed=1)
        steps.append(len(counted))
        found.append(torch.cat([p.detach().flatten() for p in critic.parameters()]))
    assert steps == [5, 5]
    torch.testing.assert_close(*found, atol=2e-4, rtol=0)  # Adam's first steps amplify rounding where a gradient is near 0


@pytest.mark.parametrize(("algo", "taken"), [("archer_q", {20}), ("q_learning", {21})])
def test_only_imitation_takes_the_best_of_several_actions(algo: str, taken: set[int], source: PolicyModel) -> None:
    """The actions of an actor are a sample of its own, whose mean advantage is 0; here the first of each pair is 20, and Q prefers 21."""
    q = {**get(algo).Config().q.model_dump(), "candidates": 2, "backup": "expectation"}
    own = get(algo).Config.model_validate({"q": q, **({"form": "digiq"} if algo == "q_learning" else {})})
    valuation = QValuation(get(algo), own, CriticConfig(), source, seed=0, token_budget=4096, device="cpu")
    groups = [[played(a, b) for a in ACTIONS for b in ACTIONS]]
    with torch.no_grad():
        valuation.critic.heads["q"].weight.normal_(generator=torch.Generator().manual_seed(1))
    valued = valuation.values_and_fit(groups, groups[0], rows_of_all(groups[0]), 1, uniform)
    assert {t.completion.action_ids[0] for x in valued.trajectories for t in x.turns} == taken


@pytest.mark.parametrize("algo", ["archer_q", "q_learning"])
def test_the_actor_s_actions_are_not_those_that_v_was_fitted_to(algo: str, source: PolicyModel) -> None:
    own = get(algo).Config.model_validate({} if algo == "archer_q" else {"form": "digiq"})
    valuation = QValuation(get(algo), own, CriticConfig(), source, seed=0, token_budget=4096, device="cpu")
    asked: list[set[int]] = []

    def draw(turns, seeds) -> list[Generated]:
        asked.append(set(seeds))
        return [Generated((20 + 2 * (len(asked) - 1),), (-0.69,), "", 0) for _ in turns]

    groups = [[played(20, 21)]]
    valued = valuation.values_and_fit(groups, groups[0], rows_of_all(groups[0]), 1, draw)
    assert len(asked) == 2 and not asked[0] & asked[1]
    assert {t.completion.action_ids for x in valued.trajectories for t in x.turns} == {(22,)}, "the second draw's"
