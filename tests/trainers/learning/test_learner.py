import math
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tests.trainers.episodes import Table, trajectory, turn
from trainers.batches import packing
from trainers.batches import rows as r
from trainers.learning import learner as ln
from trainers.learning.losses import LossSpec
from webgym.errors import DivergenceError
from webgym.types import Trajectory

VOCABULARY = 6


def behaviour_of(table: Table, prompt: list[int], action: list[int]) -> list[float]:
    """Log-probabilities of the table's own tokens, so that the first step has ratio 1."""
    logprobs = torch.log_softmax(table.table.detach(), -1)
    last = [prompt[-1], *action]
    return [float(logprobs[last[i], a]) for i, a in enumerate(action)]


def batch_of_8(table: Table, seed: int = 0) -> tuple[list[Trajectory], list[np.ndarray]]:
    """8 trajectories of one to three turns sampled by nobody in particular, with the table's log-probabilities, and advantages."""
    rng = np.random.default_rng(seed)
    many = []
    for _ in range(8):
        turns = []
        for _ in range(rng.integers(1, 4)):
            prompt, action = (rng.integers(0, VOCABULARY, n).tolist() for n in rng.integers(1, 5, 2))
            turns.append(turn(prompt, action, logprobs=behaviour_of(table, prompt, action)))
        many.append(trajectory(turns))
    return many, [rng.normal(size=len(x)) for x in many]


def steps_of(
    many: list[Trajectory], advantages: list[np.ndarray], budget: int, weights: list[np.ndarray] | None = None, minibatches: int = 1
) -> list[packing.Step]:
    streams = r.streams_of(many, advantages, weights or [np.ones(len(x)) for x in many])
    return packing.plan(r.rows_of_all(many), streams, budget, minibatches=minibatches)


def learner_of(table: Table, tmp_path: Path, **config) -> ln.Learner:
    return ln.Learner(table.parameters(), table, ln.OptimConfig(**config), failed_batch=tmp_path / "run" / "failed.pt")


@pytest.mark.parametrize("divisor", ["constant", "tokens", "turns", "trajectories"])
@pytest.mark.parametrize("level", ["token", "turn"])
def test_accumulating_8_micro_batches_equals_one(divisor, level, tmp_path: Path) -> None:
    spec = LossSpec(divisor=divisor, ratio_level=level, clip_high=0.01, clip_low=0.01)
    found = []
    for budget in (1, 10_000):  # every row its own batch; all rows in one
        table = Table(VOCABULARY, seed=1)
        many, advantages = batch_of_8(table)
        (step,) = steps_of(many, advantages, budget)
        assert (len(step.batches) >= 8) == (budget == 1)
        learner = learner_of(table, tmp_path, lr=0.1)
        metrics = [learner.update([step], spec) for _ in range(3)]
        found.append((table.table.detach().clone(), metrics))
    (one, metrics_one), (other, metrics_other) = found
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert not torch.equal(one, Table(VOCABULARY, seed=1).table)
    for a, b in zip(metrics_one, metrics_other, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_sequence_ratio_needs_and_gets_whole_trajectories(tmp_path: Path) -> None:
    spec = LossSpec(ratio_level="sequence", divisor="trajectories")
    found = []
    for budget in (1, 10_000):
        table = Table(VOCABULARY, seed=1)
        many, advantages = batch_of_8(table)
        streams = r.streams_of(many, advantages, [np.ones(len(x)) for x in many])
        step = packing.step_of(r.rows_of_all(many), streams, budget, whole=spec.whole)
        assert len(step.batches) == (8 if budget == 1 else 1)
        learner = learner_of(table, tmp_path, lr=0.1)
        for _ in range(3):
            learner.update([step], spec)
        found.append(table.table.detach().clone())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    apart = packing.step_of(r.rows_of_all(many), streams, 1)
    with pytest.raises(ValueError, match=r"whole=spec\.whole"):
        learner_of(table, tmp_path).update([apart], spec)


def test_first_gradient_is_the_policy_gradient_of_the_text(tmp_path: Path) -> None:
    """∇ of −1/(N·K) Σ_i Σ_t Σ_l A log π, from a loop over tokens in float64."""
    table = Table(VOCABULARY, seed=3)
    many, advantages = batch_of_8(table, seed=4)
    oracle = table.table.detach().double().requires_grad_()
    logprobs = torch.log_softmax(oracle, -1)
    loss = torch.zeros((), dtype=torch.float64)
    for x, a in zip(many, advantages, strict=True):
        for t, recorded in enumerate(x.turns):
            context = recorded.completion.prompt_ids[-1]
            for token in recorded.completion.action_ids:
                loss = loss - a[t] * logprobs[context, token] / (len(many) * 50.0)
                context = token
    (expected,) = torch.autograd.grad(loss, oracle)
    learner = learner_of(table, tmp_path, lr=1e-3)
    seen: list[torch.Tensor] = []
    table.table.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.double().clone()))
    metrics = learner.update(steps_of(many, advantages, 10_000), LossSpec(tokens_per_trajectory=50.0))
    torch.testing.assert_close(seen[-1], expected, rtol=1e-5, atol=1e-8)
    assert metrics["optim/grad_norm"] == pytest.approx(float(expected.norm()), rel=1e-5)


def test_metrics_by_hand(tmp_path: Path) -> None:
    """Uniform policy over 4 tokens, one of them sampled with 0.2, one with 0.5: ratios 1.25 and 0.5."""
    table = Table(4)
    x = trajectory([turn([0], [1, 2], logprobs=[math.log(0.2), math.log(0.5)])])
    metrics = learner_of(table, tmp_path, lr=1e-3).update(steps_of([x], [np.array([1.0])], 100), LossSpec(divisor="tokens"))
    assert metrics["loss/ratio_mean"] == pytest.approx(0.875)
    assert metrics["loss/ratio_max"] == pytest.approx(1.25)
    assert metrics["loss/clip_fraction"] == pytest.approx(0.5)
    assert metrics["loss/policy"] == metrics["loss/total"] == pytest.approx(-(1.2 + 0.5) / 2)
    assert metrics["loss/entropy"] == pytest.approx(math.log(4))
    assert metrics["loss/kl_to_behaviour"] == pytest.approx((0.25 - math.log(1.25) - 0.5 - math.log(0.5)) / 2, rel=1e-5)
    assert (metrics["optim/tokens"], metrics["optim/tokens_read"], metrics["optim/steps"]) == (2, 3, 1)


def test_means_are_over_the_tokens_that_are_learned_from(tmp_path: Path) -> None:
    """A trajectory of advantage 0 counts in the divisor and in optim/tokens; the means under loss/ leave it out, and say so."""
    x, idle = (trajectory([turn([0], [1, 2])], seed=k) for k in range(2))
    metrics = learner_of(Table(4), tmp_path).update(
        steps_of([x, idle], [np.array([1.0]), np.array([0.0])], 100), LossSpec(divisor="tokens")
    )
    assert (metrics["optim/tokens"], metrics["optim/tokens_learned"]) == (4, 2)
    assert metrics["loss/entropy"] == pytest.approx(math.log(4))


def test_every_metric_is_explained(tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=0)
    many, advantages = batch_of_8(table)
    streams = r.streams_of(many, advantages, [np.ones(len(x)) for x in many])
    reference = ln.score(table, packing.pack(r.rows_of_all(many), 20), len(many))
    full = r.Streams(streams.advantage, streams.weight, streams.behaviour_logprob, reference, reference)
    spec = LossSpec(kl="k3", kl_coef=0.1, entropy_coef=0.01)
    metrics = learner_of(table, tmp_path, max_step_kl=1.0).update([packing.step_of(r.rows_of_all(many), full, 50)], spec)
    assert set(metrics) == set(ln.METRICS)
    assert metrics["loss/kl_to_reference"] == 0.0


def test_score_gives_each_trajectory_its_own_log_probabilities() -> None:
    table = Table(VOCABULARY, seed=2)
    many, _ = batch_of_8(table, seed=5)
    found = ln.score(table, packing.pack(r.rows_of_all(many), 7), len(many))
    for x, logprobs in zip(many, found, strict=True):
        np.testing.assert_allclose(logprobs, [p for t in x.turns for p in t.completion.behaviour_logprobs], rtol=1e-5)


def test_what_cannot_move_the_loss_is_left_out_and_changes_nothing(tmp_path: Path) -> None:
    """Turns with advantage 0 count in the divisor but are not computed; the result is that of computing them."""
    found, read = [], []
    for keep in (False, True):
        table = Table(VOCABULARY, seed=1)
        many, advantages = batch_of_8(table)
        advantages = [a if i % 2 else np.zeros_like(a) for i, a in enumerate(advantages)]
        streams = r.streams_of(many, advantages, [np.ones(len(x)) for x in many])
        step = packing.step_of(r.rows_of_all(many), streams, 1000, keep_zero_advantage=keep)
        metrics = learner_of(table, tmp_path, lr=0.1).update([step], LossSpec(divisor="turns"))
        found.append(table.table.detach().clone())
        read.append(metrics["optim/tokens_read"])
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-7)
    assert read[0] < read[1]


def test_a_batch_with_nothing_to_learn_takes_no_step(tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=1)
    many, advantages = batch_of_8(table)
    learner = learner_of(table, tmp_path)
    metrics = learner.update(steps_of(many, [np.zeros_like(a) for a in advantages], 100), LossSpec())
    assert learner.steps == metrics["optim/steps"] == 0 and metrics["optim/tokens_skipped"] > 0
    assert torch.equal(table.table, Table(VOCABULARY, seed=1).table)
    assert steps_of(many, advantages, 100, weights=[np.zeros_like(a) for a in advantages]) == []


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_divergence_stops_before_the_step_and_keeps_the_batch(poison: str, tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=1)
    many, advantages = batch_of_8(table)
    learner = learner_of(table, tmp_path, lr=0.1)
    learner.update(steps_of(many, advantages, 100), LossSpec())
    before, state = table.table.detach().clone(), learner.state_dict()["optimiser"]["state"][0]["exp_avg"].clone()
    if poison == "loss":
        advantages[3][0] = math.nan
    else:
        table.table.register_hook(lambda g: g * math.inf)
    with pytest.raises(DivergenceError, match=rf"no finite.* at optimiser step 1; the weights are untouched .*{learner._failed_batch}"):
        learner.update(steps_of(many, advantages, 100), LossSpec())
    assert torch.equal(table.table, before) and table.table.grad is None and learner.steps == 1
    assert torch.equal(learner.state_dict()["optimiser"]["state"][0]["exp_avg"], state)
    kept = torch.load(tmp_path / "run" / "failed.pt", weights_only=True)
    assert kept["loss_spec"]["policy"] == "clip"
    batch = packing.PackedBatch(**kept["batches"][0])
    assert batch.advantage.isnan().any().item() is (poison == "loss")


def test_resume_is_bitwise(tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=1)
    many, advantages = batch_of_8(table)
    steps = steps_of(many, advantages, 30, minibatches=3)
    learner = learner_of(table, tmp_path, lr=0.05, warmup_steps=8)
    learner.update(steps, LossSpec())
    torch.save({"model": table.state_dict(), "learner": learner.state_dict()}, tmp_path / "checkpoint.pt")
    straight = learner.update(steps, LossSpec())

    other = Table(VOCABULARY)
    resumed = learner_of(other, tmp_path, lr=0.05, warmup_steps=8)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["learner"])
    assert resumed.update(steps, LossSpec()) == straight
    assert torch.equal(other.table, table.table)


def test_learning_rate_and_gradient_clipping(tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=1)
    many, advantages = batch_of_8(table)
    (step,) = steps_of(many, advantages, 100)
    learner = learner_of(table, tmp_path, lr=0.08, warmup_steps=4)
    rates = [learner.update([step], LossSpec())["optim/lr"] for _ in range(6)]
    np.testing.assert_allclose(rates, [0.02, 0.04, 0.06, 0.08, 0.08, 0.08])

    falling = learner_of(table, tmp_path, lr=0.08, final=0.25)
    rates = [falling.update([step], LossSpec(), done)["optim/lr"] for done in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(rates, [0.08, 0.05, 0.02])

    norms: list[float] = []
    clipped = learner_of(table, tmp_path, grad_clip=1e-3)
    clipped._optimiser.register_step_pre_hook(lambda *_: norms.append(float(cast(torch.Tensor, table.table.grad).norm())))
    metrics = clipped.update([step], LossSpec())
    assert norms[0] == pytest.approx(1e-3, rel=1e-3)
    assert metrics["optim/grad_norm"] > 2e-3


def test_frozen_parameters_are_left_alone(tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=1)
    many, advantages = batch_of_8(table)
    adapter = torch.nn.Parameter(torch.zeros(VOCABULARY, VOCABULARY))
    table.table.requires_grad_(False)

    def forward(batch, *, entropy=False):
        logprobs = torch.log_softmax((table.table + adapter)[batch.ids[batch.action_index]], -1)
        return logprobs.gather(1, batch.action_ids[:, None])[:, 0], None

    learner = ln.Learner([table.table, adapter], forward, ln.OptimConfig(), failed_batch=tmp_path / "failed.pt")
    learner.update(steps_of(many, advantages, 100), LossSpec())
    assert adapter.abs().sum() > 0 and torch.equal(table.table, Table(VOCABULARY, seed=1).table)


def kl_of_step(table: Table, before: torch.Tensor, many: list[Trajectory]) -> float:
    """KL(before ‖ after) per sampled token, from a loop over tokens in float64."""
    was, now = (torch.log_softmax(x.detach().double(), -1) for x in (before, table.table))
    found = []
    for x in many:
        for recorded in x.turns:
            context = recorded.completion.prompt_ids[-1]
            for token in recorded.completion.action_ids:
                moved = float(now[context, token] - was[context, token])
                found.append(math.exp(moved) - 1 - moved)
                context = token
    return sum(found) / len(found)


def test_a_bounded_step_goes_as_far_as_it_may_and_the_same_way(tmp_path: Path) -> None:
    moves = []
    for most in (None, 0.02):
        table = Table(VOCABULARY, seed=1)
        before = table.table.detach().clone()
        many, advantages = batch_of_8(table)
        learner = learner_of(table, tmp_path, lr=1.0, max_step_kl=most)
        steps = steps_of(many, advantages, 40)
        read = sum(batch.tokens for step in steps for batch in step.batches)
        metrics = learner.update(steps, LossSpec())
        moves.append(table.table.detach() - before)
        if most is None:
            assert kl_of_step(table, before, many) > 0.2
        else:
            assert metrics["optim/step_kl"] == pytest.approx(kl_of_step(table, before, many), rel=1e-4)
            assert most / 8 < metrics["optim/step_kl"] <= most  # one halving less would have been too far
            torch.testing.assert_close(moves[1], moves[0] * 0.5 ** metrics["optim/halvings"], rtol=1e-4, atol=1e-6)
            assert metrics["optim/halvings"] >= 1
            assert metrics["optim/tokens_read"] == (2 + metrics["optim/halvings"]) * read, "once to learn, once for each look"


def test_a_bound_that_is_far_away_changes_no_bit(tmp_path: Path) -> None:
    found = []
    for most in (None, 1e6):
        table = Table(VOCABULARY, seed=1)
        many, advantages = batch_of_8(table)
        learner = learner_of(table, tmp_path, lr=0.1, max_step_kl=most)
        for _ in range(3):
            learner.update(steps_of(many, advantages, 10_000), LossSpec())
        found.append(table.table.detach().clone())
    assert torch.equal(*found)


def test_a_step_that_fits_nowhere_is_not_taken(tmp_path: Path) -> None:
    table = Table(VOCABULARY, seed=1)
    before = table.table.detach().clone()
    many, advantages = batch_of_8(table)
    metrics = learner_of(table, tmp_path, lr=1e3, max_step_kl=1e-9).update(steps_of(many, advantages, 10_000), LossSpec())
    assert torch.equal(table.table.detach(), before)
    assert metrics["optim/step_kl"] == 0
