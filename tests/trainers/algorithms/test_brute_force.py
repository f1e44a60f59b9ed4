"""Credit, rows, packing, loss and gradient of every algorithm against the equations, term by term in float64."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainers import brute_force as exact
from trainers import algorithms
from trainers.batches.packing import PackedBatch, pack, plan
from trainers.batches.rows import rows_of_all, streams_of
from trainers.credit.credit import Values
from trainers.learning.learner import Learner, OptimConfig, score
from trainers.models.model import packed_hidden, prepare
from webgym.types import Group

PRECISION = 1e-6
BRANCHING = {"taught", "vine"}
"""Algorithms whose credit is that of forks; tests/trainers/algorithms/test_branching.py has their equations."""


@dataclass(frozen=True)
class World:
    """One batch with four policies: behaviour μ, π_old, π_θ and the reference. Brute-force log-probabilities by trajectory and turn."""

    temperature: float
    groups: list[Group]
    models: dict[str, Any]
    logprobs: dict[str, list[list[Tensor]]]
    values: Values
    tokens: Values

    @classmethod
    def make(cls, temperature: float, conversation: bool) -> "World":
        policy = exact.llama()
        models = {"policy": policy, "old": exact.near(policy, 0.1, 2), "reference": exact.near(policy, 0.3, 4)}
        groups = exact.episodes(exact.near(policy, 0.2, 3), temperature, conversation=conversation)
        every, rng = exact.flat(groups), np.random.default_rng(5)
        logprobs: dict[str, list[list[Tensor]]] = {}
        for name, model in models.items():
            with torch.set_grad_enabled(name == "policy"):
                turns = [[t.completion for t in x.turns] for x in every]
                logprobs[name] = [[exact.logprobs(model, c.prompt_ids, c.action_ids, temperature) for c in row] for row in turns]
        v = [rng.random(len(x)) for x in every]
        q = [rng.random(len(x)) for x in every]
        return cls(temperature, groups, models, logprobs, Values(v, actions=q), Values([rng.random(sum(exact.sizes(x))) for x in every]))


@pytest.fixture(scope="module", params=[(1.0, False), (0.7, False), (1.0, True), (0.7, True)], ids=["T1", "T0.7", "talk-T1", "talk-T0.7"])
def world(request: pytest.FixtureRequest) -> World:
    torch.set_num_threads(1)
    return World.make(*request.param)


def chosen(world: World, advantages: exact.Rows, limit: float) -> exact.Rows:
    """A weight per turn: 1 where the advantage of an episode that did not fault is above the limit."""
    rows = zip(exact.flat(world.groups), advantages, strict=True)
    return [[float(exact.good(x) and a > limit) for a in row] for x, row in rows]


def imitated(world: World, weights: exact.Rows) -> tuple[exact.Rows, exact.Rows]:
    return [list(row) for row in weights], weights


def equation(name: str, world: World) -> tuple[dict[str, Any], exact.Rows, Any]:
    """Options of an algorithm, and its advantages and weights by its equation."""
    groups, v = world.groups, world.values.turns
    ones = exact.alive(groups)
    match name:
        case "grpo":
            return {}, exact.of_groups(groups, std=False), exact.alive(groups, drop=True)
        case "grpo_positive":
            return {}, exact.of_groups(groups, std=False, negative=0.0), exact.alive(groups, drop=True)
        case "grpo_published" | "gspo":
            return {}, exact.of_groups(groups, std=True), ones
        case "dr_grpo":
            return {}, exact.of_groups(groups, std=False), ones
        case "dapo":
            return {}, exact.of_groups(groups, std=True), exact.alive(groups, drop=True)
        case "gigpo":
            return {"gamma": 0.9, "omega": 0.7}, exact.in_groups_of_states(groups, 0.9, 0.7), ones
        case "rloo" | "tree":  # where no episode forks
            return {}, exact.leave_one_out(groups), ones
        case "reinforce":
            return {"gamma": 0.9}, exact.minus_batch_mean(groups, 0.9), ones
        case "actor_critic":
            return {"gamma": 0.9, "lam": 0.3}, exact.turn_gae(groups, v, 0.9, 0.3), ones
        case "archer":
            return {"gate": False}, exact.divided(exact.turn_gae(groups, v, 0.99, 0.95), ones), ones
        case "ppo":
            return {"token_gamma": 0.98}, exact.divided(exact.token_gae(groups, world.tokens.turns, 0.99, 0.98, 0.95), ones), ones
        case "archer_q":
            return {}, exact.divided([list(q - b) for q, b in zip(world.values.actions or [], v, strict=True)], ones), ones
        case "q_learning":
            better = [list(q - b) for q, b in zip(world.values.actions or [], v, strict=True)]
            return {"form": "digiq"}, *imitated(world, chosen(world, better, 0.05))
        case "filtered_bc":
            won = [[float(x.outcome.success)] * len(x) for x in exact.flat(groups)]
            return {"changed_only": False}, *imitated(world, chosen(world, won, 0.5))
        case "digirl":
            rows = zip(exact.flat(groups), exact.turn_gae(groups, v, 1.0, 0.0), strict=True)
            shares = [(row, [0.5 ** (len(x) - 1 - t) * exact.total(x) for t in range(len(x))]) for x, row in rows]
            mixed = [[m + (1 - m) * d for d, m in zip(row, share, strict=True)] for row, share in shares]
            return {"keep": 1.0}, *imitated(world, chosen(world, mixed, 0.1))
    raise AssertionError(f"{name} has no equation here: write it down")


def gradient(loss: Tensor, model: Any) -> Tensor:
    parameters = list(model.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, found, strict=True)])


def learned(world: World, credit: Any, spec: Any, *, old: bool, budget: int = 200) -> tuple[float, Tensor]:
    """Loss and gradient of one step of our learner: the gradient is taken from inside its own step."""

    def forward_of(model: Any) -> Any:
        prepared = prepare(copy.deepcopy(model))

        def forward(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, None]:
            table = torch.log_softmax(prepared.lm_head(packed_hidden(prepared, batch, batch.action_index)) / world.temperature, -1)
            return table.gather(1, batch.action_ids[:, None])[:, 0], None

        return prepared, forward

    every = exact.flat(world.groups)
    rows, streams = rows_of_all(every), streams_of(every, credit.advantages, credit.weights, per_token=credit.per_token)
    scored = {name: score(forward_of(world.models[name])[1], pack(rows, budget), len(every)) for name in ("old", "reference")}
    streams = replace(streams, old_logprob=scored["old"] if old else None)
    if spec.kl != "none":
        streams = replace(streams, reference_logprob=scored["reference"])
    steps = plan(rows, streams, budget, whole=spec.whole, keep_zero_advantage=spec.acts_on_every_turn)
    model, forward = forward_of(world.models["policy"])
    learner = Learner(model.parameters(), forward, OptimConfig(lr=1e-12, grad_clip=1e30), failed_batch=Path("failed.pt"))
    seen: list[Tensor] = []

    def keep(*_: object) -> None:
        seen.append(torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).double().flatten() for p in model.parameters()]))

    learner._optimiser.register_step_pre_hook(keep)
    metrics = learner.update(steps, spec)
    (found,) = seen
    return metrics["loss/total"], found


def compare(world: World, name: str, options: dict[str, Any], advantages: exact.Rows, weights: Any, *, old: bool) -> None:
    algorithm = algorithms.get(name)
    config = algorithm.Config.model_validate(options)
    values = world.tokens if algorithm.needs_values(config) == "token" else world.values
    credit = algorithm.credit(world.groups, values, config)
    given = {key: world.logprobs[key] for key in ("reference", "old") if key != "old" or old}
    loss = exact.loss(world.groups, advantages, weights, world.logprobs["policy"], config.loss, **given)
    wanted = gradient(loss, world.models["policy"])
    total, found = learned(world, credit, config.loss, old=old)
    assert float(wanted.norm()) > 1e-4
    assert float((found - wanted).norm() / wanted.norm()) < PRECISION
    assert total == pytest.approx(float(loss.detach()), rel=PRECISION, abs=PRECISION * float(wanted.norm()))


@pytest.mark.parametrize("name", sorted({*algorithms.names()} - BRANCHING))
def test_loss_and_gradient_are_those_of_the_equations(name: str, world: World) -> None:
    compare(world, name, *equation(name, world), old=False)


@pytest.mark.parametrize("divisor", ["tokens", "turns", "constant", "trajectories"])
def test_a_sampler_that_differs_is_weighed(divisor: str, world: World) -> None:
    """π_old by the learner, μ by the sampler: the ratio starts from the one, and min(π_old/μ, cap) leads to it from the other."""
    _, advantages, weights = equation("grpo", world)
    loss = {"importance_cap": 1.1, "divisor": divisor, "kl": "k2", "kl_coef": 0.1}
    compare(world, "grpo", {"loss": loss}, advantages, weights, old=True)


@pytest.mark.parametrize("baseline", ["none", "value"])
def test_the_baselines_of_reinforce(baseline: str, world: World) -> None:
    values = world.values.turns if baseline == "value" else [np.zeros(len(x)) for x in exact.flat(world.groups)]
    advantages = exact.minus_values(world.groups, values, 0.9)
    compare(world, "reinforce", {"gamma": 0.9, "baseline": baseline}, advantages, exact.alive(world.groups), old=False)
