import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.trainers.episodes import Table, trajectory, turn
from trainers import algorithms
from trainers import credit as c
from trainers import learner as ln
from trainers import rows as r
from trainers.losses import LossSpec
from webgym.errors import ConfigError
from webgym.types import Trajectory

ALL = algorithms.names()
FIRST, GOOD, BAD = 0, 1, 2  # states of the two-step problem, as tokens
ARMS = 4


def test_the_folder_is_the_registry() -> None:
    assert {"archer", "grpo", "reinforce"} <= set(ALL) == set(algorithms.discover())
    with pytest.raises(ConfigError, match=r"no algorithm is called 'gpro'; did you mean 'grpo'\?"):
        algorithms.get("gpro")


def test_a_file_that_lacks_a_part_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "half.py").write_text("Config = dict\n")
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])
    with pytest.raises(ConfigError, match=r"half\.py: expected it to define needs_values, credit"):
        algorithms.get("half")


@pytest.mark.parametrize("name", ALL)
def test_config_is_frozen_closed_and_documented(name: str) -> None:
    found = algorithms.get(name)
    config = found.Config()
    assert found.summary.endswith(".") and isinstance(config.loss, LossSpec)  # type: ignore[attr-defined]
    assert all(f.description for f in type(config).model_fields.values())
    assert all(f.description for f in LossSpec.model_fields.values())
    assert type(config).model_validate(config.model_dump()) == config
    with pytest.raises(ValidationError):
        type(config).model_validate({"gama": 0.9})
    with pytest.raises(ValidationError):
        type(config).model_validate({"loss": {"clip_hihg": 0.3}})
    with pytest.raises(ValidationError):
        config.loss = LossSpec()  # type: ignore[attr-defined]


# --- each algorithm learns -----------------------------------------------------------------------------------------------


def sample(table: Table, state: int, actions: int, rng: np.random.Generator) -> tuple[int, float]:
    """An action token (those behind the states) and its log-probability under the whole table."""
    logprobs = torch.log_softmax(table.table.detach()[state], -1).double().numpy()
    p = np.exp(logprobs)
    token = int(rng.choice(len(p), p=p / p.sum()))
    return token, float(logprobs[token])


def bandit(table: Table, seed: int, rng: np.random.Generator) -> Trajectory:
    """One turn, four arms that pay with probability 0.1, 0.3, 0.5 and 0.9."""
    arm, logprob = sample(table, FIRST, ARMS, rng)
    reward = float(rng.random() < (0.1, 0.3, 0.5, 0.9)[arm])
    return trajectory([turn([FIRST], [arm], reward, [logprob])], seed=seed)


def two_steps(table: Table, seed: int, rng: np.random.Generator) -> Trajectory:
    """The first action decides which state comes next; only from GOOD does the second action count, and a third turn is noise."""
    first, p_first = sample(table, FIRST, ARMS, rng)
    state = GOOD if first == 1 else BAD
    second, p_second = sample(table, state, ARMS, rng)
    third, p_third = sample(table, 3, ARMS, rng)
    reward = float(rng.random() < (0.9 if first == 1 and second == 2 else 0.1))
    turns = [
        turn([FIRST], [first], 0.0, [p_first]),
        turn([state], [second], 0.0, [p_second]),
        turn([3], [third], reward, [p_third]),
    ]
    return trajectory(turns, seed=seed)


class RunningMean:
    """A tabular critic fitted on earlier batches: V(s) is the mean of the targets seen in s, 0.5 before any."""

    def __init__(self) -> None:
        self.seen: dict[int, list[float]] = {}

    def values(self, trajectories: list[Trajectory]) -> c.Values:
        return c.Values([np.array([self.value(t.completion.prompt_ids[-1]) for t in x.turns]) for x in trajectories])

    def value(self, state: int) -> float:
        return float(np.mean(self.seen[state][-400:])) if state in self.seen else 0.5

    def fit(self, trajectories: list[Trajectory], targets: list[np.ndarray]) -> None:
        for x, g_t in zip(trajectories, targets, strict=True):
            for t, g in zip(x.turns, g_t, strict=True):
                self.seen.setdefault(t.completion.prompt_ids[-1], []).append(g)


def train(name: str, episode: Callable[[Table, int, np.random.Generator], Trajectory], iterations: int, tmp_path) -> Table:
    """The whole way: sample, credit, rows, pack, two optimiser steps, with the algorithm's default Config."""
    found, table, critic, rng = algorithms.get(name), Table(ARMS), RunningMean(), np.random.default_rng(0)
    config = found.Config()
    learner = ln.Learner(table.parameters(), table, ln.OptimConfig(lr=0.1), failed_batch=tmp_path / "failed.pt")
    for iteration in range(iterations):
        groups = [[episode(table, g, rng) for _ in range(8)] for g in range(8)]
        flat = c.flatten(groups)
        values = critic.values(flat) if found.needs_values(config) else None
        credit = found.credit(groups, values, config)
        if found.targets is not None:
            critic.fit(flat, found.targets(groups, config))
        streams = r.streams_of(flat, credit.advantages, credit.weights)
        spec: LossSpec = config.loss  # type: ignore[attr-defined]
        learner.update(r.plan(r.rows_of_all(flat), streams, 64, minibatches=2, seed=iteration), spec)
    return table


@pytest.mark.parametrize("name", ALL)
def test_solves_a_bandit(name: str, tmp_path) -> None:
    table = train(name, bandit, 40, tmp_path)
    assert torch.softmax(table.table[FIRST], -1)[3].item() > 0.9


@pytest.mark.parametrize("name", ALL)
def test_solves_a_two_step_credit_problem(name: str, tmp_path) -> None:
    table = train(name, two_steps, 60, tmp_path)
    p = torch.softmax(table.table, -1)
    assert p[FIRST, 1].item() > 0.9 and p[GOOD, 2].item() > 0.9


@pytest.mark.parametrize("name", ALL)
def test_credit_fits_ragged_groups_with_faults_and_explains_its_stats(name: str) -> None:
    found, rng, table = algorithms.get(name), np.random.default_rng(1), Table(ARMS)
    broken = trajectory([turn([FIRST], [1]), turn([GOOD], [2], math.nan)], "fault", seed=0)
    never = trajectory([], "fault", seed=1)
    groups = [[two_steps(table, 0, rng), broken, two_steps(table, 0, rng)], [never, bandit(table, 1, rng)], [never]]
    flat = c.flatten(groups)
    config = found.Config()
    credit = found.credit(groups, RunningMean().values(flat), config)
    for arrays in (credit.advantages, credit.weights, credit.targets or credit.weights):
        assert [len(a) for a in arrays] == [len(x) for x in flat]
        assert np.isfinite(np.concatenate(arrays)).all()
    for x, w, a in zip(flat, credit.weights, credit.advantages, strict=True):
        assert c.learnable(x) or (not w.any() and not a.any())
    assert set(credit.stats) <= set(c.METRICS) and credit.stats["rollout/faults"] == 3
    if found.targets is not None and found.needs_values(config):
        for mine, theirs in zip(credit.targets or [], found.targets(groups, config), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ALL)
def test_credit_of_nothing_is_nothing(name: str) -> None:
    found = algorithms.get(name)
    credit = found.credit([], c.Values([]), found.Config())
    assert credit.advantages == [] and credit.weights == []
