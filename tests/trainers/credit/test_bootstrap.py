"""V(s_T) at the turn limit: what the critic says of the page behind the last turn, in the loop and in closed form."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.episodes import trajectory, turn
from tests.trainers.text_runs import start, write_model
from trainers import algorithms
from trainers.batches.packing import pack
from trainers.batches.rows import final_rows, rows_of_all
from trainers.credit.credit import Credit, Values, flatten
from trainers.critics.settings import CriticConfig
from trainers.critics.valuation import Valuation
from trainers.models.policy_model import PolicyModel
from webgym.record.store import load
from webgym.types import Group, Trajectory


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


TURNS = [[turn([s, 2], [5]), turn([s, 2, 5, 3], [6, 7])] for s in range(6)]
LIMIT = [replace(trajectory(x, "truncated", seed=s), final_prompt_ids=(s, 2, 5, 3, 6, 7, 8)) for s, x in enumerate(TURNS)]
DONE = trajectory([turn([9, 2], [5], 1.0)], seed=9)


def test_s_t_is_one_more_turn_at_the_end_of_its_row() -> None:
    found, places = final_rows([LIMIT[0], DONE, LIMIT[1]])
    assert [row.ids for row in found] == [LIMIT[0].final_prompt_ids, LIMIT[1].final_prompt_ids]
    assert [(span.turn, span.start, span.size) for span in found[0].spans] == [(0, 2, 1), (1, 4, 2), (2, 7, 0)]
    assert places == [2, 4, 7]  # turns 0 and 1 and s_T; turn 0 and s_T; turns 0 and 1 and s_T
    (batch,) = pack(found, 64)
    assert batch.value_turn.tolist() == [0, 1, 2, 5, 6, 7]
    assert batch.value_index.tolist()[2] == 6 and batch.prompt_start.tolist()[2] == 6  # the page behind the last action alone


def bootstrapping(source: PolicyModel, values_from: str) -> Valuation:
    algorithm, fit = algorithms.get("archer"), {"epochs": 1, "lr": 1e-3}
    config = CriticConfig.model_validate({"fit": fit, "folds": 3, "values_from": values_from})
    return Valuation(algorithm, algorithm.Config(bootstrap_at_limit=True), config, source, seed=0, token_budget=64, device="cpu")


@pytest.mark.parametrize("values_from", ["earlier", "same", "cross_fit"])
def test_the_valuation_reads_the_critic_there(values_from: str, model: Path) -> None:
    valuation = bootstrapping(PolicyModel.load(model), values_from)
    torch.nn.init.normal_(valuation.critic.head.weight, generator=torch.Generator().manual_seed(0))
    groups = [[x] for x in (*LIMIT, DONE)]
    valuation.values_and_fit(groups, flatten(groups), rows_of_all(flatten(groups)), 1)  # the first one sets the bias besides
    before = _read_alone(valuation)
    values = valuation.values_and_fit(groups, flatten(groups), rows_of_all(flatten(groups)), 2).values
    assert values.final is not None and np.isnan(values.final[-1]) and np.isfinite(values.final[:-1]).all()
    found, after = np.array(values.final[:-1]), _read_alone(valuation)
    expected = {"earlier": before, "same": after}.get(values_from)
    if expected is not None:
        np.testing.assert_allclose(found, expected, atol=1e-6)
    else:  # each fold by a critic of its own, neither the one before nor the one after
        assert np.abs(found - before).max() > 1e-4 and np.abs(found - after).max() > 1e-4


def _read_alone(valuation: Valuation) -> np.ndarray:
    """V of each last page as the first page of an episode of its own."""
    return np.concatenate(valuation.turn_values([trajectory([turn(x.final_prompt_ids, [1])]) for x in LIMIT]))


@pytest.mark.parametrize("algo", ["archer", "actor_critic"])
def test_the_option_works_in_the_loop(algo: str, model: Path, tmp_path: Path) -> None:
    """An untrained critic says b of every state, so A_t = (γb − b) Σ_{k<T−t} (γλ)^k where the limit ended it, s_T being worth b too."""
    own = {"bootstrap_at_limit": True, "whiten": False, "gamma": 0.9, "lam": 0.8} | ({"gate": False} if algo == "archer" else {})
    trainer = start(model, tmp_path, "run", algo, iterations=1, algorithm=own)
    seen: list[tuple[list[Trajectory], Values, Credit]] = []

    def credit(groups: list[Group], values: Values, config: object) -> Credit:
        seen.append((flatten(groups), values, trainer_credit(groups, values, config)))
        return seen[-1][2]

    trainer_credit = trainer.algorithm.credit
    trainer.algorithm = replace(trainer.algorithm, credit=credit)
    with trainer.run:
        trainer.train()
    ((played, values, given),) = seen
    limited = [i for i, x in enumerate(played) if x.outcome.kind == "truncated"]
    assert limited and values.final is not None
    for i in limited:
        b, n = values.turns[i][0], len(played[i])
        assert 0 < b < 1 and np.allclose(values.turns[i], b) and np.isclose(values.final[i], b)
        powers = 0.72 ** np.arange(n)
        np.testing.assert_allclose(given.advantages[i], [(0.9 * b - b) * powers[: n - t].sum() for t in range(n)], atol=1e-6)
    stored = load(trainer.run.trajectory_path(1))
    assert [bool(x.final_prompt_ids) for x in stored] == [x.outcome.kind == "truncated" for x in stored]
    page = trainer.source.tokenizer.decode(list(stored[limited[0]].final_prompt_ids))
    assert page.startswith("goal: ") and "left 0" in page
