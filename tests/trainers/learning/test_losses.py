import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.trainers.episodes import trajectory, turn
from trainers.batches import packing
from trainers.batches import rows as r
from trainers.learning import losses as ls
from trainers.runs.keys import validated
from webgym.errors import ConfigError

EPS = 1e-6


def packed(seed: int = 0, same_advantage: bool = False) -> tuple[packing.PackedBatch, packing.Counts]:
    """A batch of 3 trajectories in float64 streams: merged and separate rows, one turn masked, one trajectory masked."""
    rng = np.random.default_rng(seed)

    def act(n: int) -> dict:
        return {"action": rng.integers(0, 9, n).tolist(), "logprobs": rng.uniform(-3, -0.1, n).tolist()}

    first = turn([1, 2], **act(3))
    more = turn([*first.completion.prompt_ids, *first.completion.action_ids, 5], **act(2))
    many = [trajectory([first, more, turn([4], **act(1))]), trajectory([turn([3], **act(4))]), trajectory([turn([3], **act(2))])]
    advantages = [rng.normal(size=len(x)) for x in many]
    if same_advantage:
        advantages = [np.full(len(x), a[0]) for x, a in zip(many, advantages, strict=True)]
    weights = [np.array([1.0, 1.0, 0.0]), np.array([0.5]), np.array([0.0])]
    step = packing.step_of(r.rows_of_all(many), r.streams_of(many, advantages, weights), 100, keep_zero_advantage=True)
    (batch,) = step.batches
    old = batch.behaviour_logprob.double() + torch.from_numpy(rng.normal(0, 0.2, len(batch.action_ids)))
    reference = batch.behaviour_logprob.double() + torch.from_numpy(rng.normal(0, 0.3, len(batch.action_ids)))
    doubles = {name: getattr(batch, name).double() for name in ("advantage", "weight", "behaviour_logprob")}
    return replace(batch, **doubles, old_logprob=old, reference_logprob=reference), step.counts


def loss_of(spec: ls.LossSpec, batch: packing.PackedBatch, counts: packing.Counts, logprobs: Tensor) -> Tensor:
    scale = ls.token_scale(spec.divisor, counts, spec.tokens_per_trajectory, batch.turn_size, batch.sequence_size)
    return (ls.token_losses(spec, batch, logprobs).total * scale.double() * batch.weight).sum()


def loss_by_loops(spec: ls.LossSpec, batch: packing.PackedBatch, logprobs: list[float]) -> float:
    """The loss from its definition: plain Python, one token after the other, ratios of whole segments."""
    names = ("advantage", "weight", "behaviour_logprob", "old_logprob", "reference_logprob", "turn_of_action", "sequence_of_action")
    adv, w, behaviour, old, ref, turns, seqs = (getattr(batch, n).tolist() for n in names)
    live = [i for i in range(len(w)) if w[i] > 0]
    total = 0.0
    for i in live:
        same = {
            "token": [i],
            "turn": [j for j in live if turns[j] == turns[i]],
            "sequence": [j for j in live if seqs[j] == seqs[i]],
        }
        group = same[spec.ratio_level]
        ratio = math.prod(math.exp(logprobs[j] - old[j]) for j in group) ** (1 / len(group))
        if spec.policy == "clip":
            value = min(ratio * adv[i], min(max(ratio, 1 - spec.clip_low), 1 + spec.clip_high) * adv[i])
            if spec.dual_clip is not None and adv[i] < 0:
                value = max(value, spec.dual_clip * adv[i])
            if spec.importance_cap is not None:
                value *= min(math.exp(old[i] - behaviour[i]), spec.importance_cap)
        else:
            value = adv[i] * logprobs[i]
        d = logprobs[i] - ref[i]
        kl = {"none": 0.0, "k1": 0.0, "k2": d * d / 2, "k3": math.exp(-d) - 1 + d}[spec.kl]
        trajectories = len({seqs[j] for j in live})
        divisor = {
            "constant": trajectories * spec.tokens_per_trajectory,
            "tokens": len(live),
            "turns": len({turns[j] for j in live}) * sum(turns[j] == turns[i] for j in live),
            "trajectories": trajectories * sum(seqs[j] == seqs[i] for j in live),
        }[spec.divisor]
        total += w[i] * (-value + spec.kl_coef * kl) / divisor
    return total


SPECS = [
    *(ls.LossSpec(policy=p, divisor=d) for p, d in product(("clip", "reinforce"), ("constant", "tokens", "turns", "trajectories"))),
    ls.LossSpec(ratio_level="turn", divisor="turns"),
    ls.LossSpec(ratio_level="sequence", divisor="trajectories"),
    ls.LossSpec(ratio_level="sequence", divisor="tokens", clip_low=0.01, clip_high=0.02),
    ls.LossSpec(clip_low=0.05, clip_high=0.3, dual_clip=1.1),
    ls.LossSpec(importance_cap=1.05, divisor="tokens"),
    ls.LossSpec(kl="k1", kl_coef=0.5),
    ls.LossSpec(kl="k2", kl_coef=0.5),
    ls.LossSpec(kl="k3", kl_coef=0.5, policy="reinforce"),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.model_dump_json(exclude_defaults=True))
def test_loss_and_gradient_equal_brute_force_and_finite_differences(spec: ls.LossSpec, seed: int) -> None:
    batch, counts = packed(seed, same_advantage=spec.ratio_level != "token")
    logprobs = (batch.behaviour_logprob + torch.randn(len(batch.weight), generator=torch.Generator().manual_seed(seed)) * 0.2).double()
    leaf = logprobs.clone().requires_grad_()
    loss = loss_of(spec, batch, counts, leaf)
    assert loss.item() == pytest.approx(loss_by_loops(spec, batch, logprobs.tolist()), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, leaf)
    for i in range(len(logprobs)):
        up, down = logprobs.tolist(), logprobs.tolist()
        up[i] += EPS
        down[i] -= EPS
        slope = (loss_by_loops(spec, batch, up) - loss_by_loops(spec, batch, down)) / (2 * EPS)
        assert gradient[i].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


# --- policy loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "held"),
    [
        (1.0, 2.0, -2.0, False),
        (1.1, 2.0, -2.2, False),
        (1.5, 2.0, -2.56, True),  # held at 1.28
        (0.5, 2.0, -1.0, False),  # a good action that became rare is pulled back
        (1.5, -2.0, 3.0, False),
        (0.5, -2.0, 1.6, True),  # held at 0.8
        (5.0, -2.0, 10.0, False),
    ],
)
def test_clipped_loss_by_hand(ratio: float, advantage: float, loss: float, held: bool) -> None:
    r_, a = torch.tensor([ratio]), torch.tensor([advantage])
    assert ls.clipped_policy_loss(r_, a, 0.2, 0.28).item() == pytest.approx(loss)
    assert ls.clipped(r_, a, 0.2, 0.28).item() is held


def test_dual_clip_bounds_what_one_bad_token_can_do() -> None:
    r_, a = torch.tensor([5.0, 5.0]), torch.tensor([-2.0, 2.0])
    torch.testing.assert_close(ls.clipped_policy_loss(r_, a, 0.2, 0.2, dual_clip=3.0), torch.tensor([6.0, -2.4]))


@pytest.mark.parametrize("level", ["token", "turn", "sequence"])
def test_at_ratio_1_the_gradient_of_ppo_is_that_of_reinforce(level: ls.RatioLevel) -> None:
    """At every ratio level, also where turns of one trajectory have different advantages."""
    batch, counts = packed(1)
    assert len(set(batch.advantage[batch.weight > 0].tolist())) > 2
    batch = replace(batch, old_logprob=None)
    leaf = batch.behaviour_logprob.clone().requires_grad_()
    ppo, reinforce = (ls.LossSpec(policy=p, ratio_level=level) for p in ("clip", "reinforce"))
    one, other = (torch.autograd.grad(loss_of(s, batch, counts, leaf), leaf)[0] for s in (ppo, reinforce))
    torch.testing.assert_close(one, other)
    assert one.abs().sum() > 0


def test_turn_and_sequence_ratios_are_geometric_means_over_live_tokens() -> None:
    log = torch.tensor([0.3, 0.1, -0.4, 9.0], dtype=torch.float64)
    zero = torch.zeros(4, dtype=torch.float64)
    mask = torch.tensor([True, True, True, False])
    turns, sequences = torch.tensor([7, 7, 8, 8]), torch.tensor([2, 2, 2, 2])
    torch.testing.assert_close(ls.policy_ratio(log, zero, turns, mask)[:3].log(), torch.tensor([0.2, 0.2, -0.4]).double())
    torch.testing.assert_close(ls.policy_ratio(log, zero, sequences, mask)[:3].log(), torch.zeros(3).double())
    every = torch.ones_like(mask)
    torch.testing.assert_close(ls.policy_ratio(log, zero, turns), ls.policy_ratio(log, zero, turns, every))
    torch.testing.assert_close(ls.segment_mean(log, turns, torch.zeros(4, dtype=torch.bool)), zero)


def test_ratios_of_half_precision_are_computed_in_fp32_and_never_overflow() -> None:
    far = ls.policy_ratio(torch.tensor([0.0, -500.0], dtype=torch.bfloat16), torch.tensor([-500.0, 0.0], dtype=torch.bfloat16))
    assert far.dtype == torch.float32 and far.isfinite().all()
    np.testing.assert_allclose(far.numpy(), [math.exp(20), math.exp(-20)], rtol=1e-5)


def test_importance_weights_are_truncated_and_carry_no_gradient() -> None:
    policy = torch.log(torch.tensor([0.5, 0.2, 0.9])).requires_grad_()
    w = ls.truncated_importance_weights(policy, torch.log(torch.tensor([0.5, 0.4, 0.1])), cap=2.0)
    np.testing.assert_allclose(w.numpy(), [1.0, 0.5, 2.0], rtol=1e-6)
    assert not w.requires_grad


def test_reinforce_off_policy_is_weighed_by_the_truncated_ratio_to_the_sampler() -> None:
    batch, _ = packed(2)
    logprobs = batch.behaviour_logprob + math.log(1.5)
    found = ls.token_losses(ls.LossSpec(policy="reinforce", importance_cap=1.2), batch, logprobs).policy
    torch.testing.assert_close(found, -1.2 * batch.advantage * logprobs)


# --- KL and entropy by enumeration ---------------------------------------------------------------------------------------


def test_kl_estimates_by_enumeration() -> None:
    """Expectations over all 5 actions: k1 and k3 have the value KL(π‖ref); ∇k1 → 0, ∇k2 → ∇KL(π‖ref), ∇k3 → ∇KL(ref‖π)."""
    logits = torch.tensor([0.3, -1.0, 0.8, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    logp = torch.log_softmax(logits, 0)
    logq = torch.log_softmax(torch.tensor([0.0, 0.4, 0.1, -0.7, 1.0], dtype=torch.float64), 0)
    p = logp.exp().detach()
    forward, backward = (logp.exp() * (logp - logq)).sum(), (logq.exp() * (logq - logp)).sum()
    estimates = {kind: ls.kl_estimate(logp, logq, kind) for kind in ("k1", "k2", "k3")}
    for kind in ("k1", "k3"):
        torch.testing.assert_close((p * estimates[kind]).sum(), forward)
    gradient = {kind: torch.autograd.grad((p * x).sum(), logits, retain_graph=True)[0] for kind, x in estimates.items()}
    torch.testing.assert_close(gradient["k1"], torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(gradient["k2"], torch.autograd.grad(forward, logits, retain_graph=True)[0])
    torch.testing.assert_close(gradient["k3"], torch.autograd.grad(backward, logits, retain_graph=True)[0])


def test_kl_is_zero_for_equal_policies_and_finite_for_opposite_ones() -> None:
    same = torch.tensor([-3.0])
    for kind in ("k1", "k2", "k3"):
        assert ls.kl_estimate(same, same, kind).item() == 0.0
        assert ls.kl_estimate(torch.tensor([-900.0]), torch.tensor([0.0]), kind).isfinite().all()


def test_entropy_of_known_distributions() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, math.log(3.0), -1e4, -1e4]])
    expected = [math.log(4), -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))]
    np.testing.assert_allclose(ls.entropy(logits).numpy(), expected, rtol=1e-6)


def test_entropy_bonus_is_subtracted() -> None:
    batch, _ = packed(0)
    bonus, plain = (ls.LossSpec(entropy_coef=c) for c in (0.1, 0.0))
    entropies = torch.arange(len(batch.weight)).double()
    one, other = (ls.token_losses(s, batch, batch.behaviour_logprob, entropies).total for s in (bonus, plain))
    torch.testing.assert_close(other - one, 0.1 * entropies)


# --- divisors and the spec -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("divisor", ["tokens", "turns", "trajectories"])
def test_means_weigh_live_tokens_to_1_in_all(divisor: ls.Divisor) -> None:
    batch, counts = packed()
    scale = ls.token_scale(divisor, counts, 100.0, batch.turn_size, batch.sequence_size)
    assert scale[batch.weight > 0].sum().item() == pytest.approx(1.0)


def test_missing_streams_are_named() -> None:
    batch, _ = packed()
    with pytest.raises(ValueError, match="reference log-probabilities for kl='k3'"):
        ls.token_losses(ls.LossSpec(kl="k3", kl_coef=0.1), replace(batch, reference_logprob=None), batch.behaviour_logprob)
    with pytest.raises(ValueError, match="entropies for entropy_coef"):
        ls.token_losses(ls.LossSpec(entropy_coef=0.1), batch, batch.behaviour_logprob)
    with pytest.raises(ValueError, match="old log-probabilities for importance_cap"):  # π_old/μ would be 1 whatever the sampler did
        ls.token_losses(ls.LossSpec(importance_cap=2.0), replace(batch, old_logprob=None), batch.behaviour_logprob)


def test_no_reference_model_is_asked_for_when_beta_is_0() -> None:
    assert not ls.LossSpec().needs_reference
    assert ls.LossSpec(kl="k1", kl_coef=0.1).needs_reference
    assert not ls.LossSpec(kl="k1", kl_coef=0.1).acts_on_every_turn
    assert ls.LossSpec(kl="k2", kl_coef=0.1).acts_on_every_turn and ls.LossSpec(entropy_coef=0.01).acts_on_every_turn


def test_a_segment_mean_of_no_tokens_is_empty() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert len(ls.segment_mean(torch.zeros(0), none, none.bool())) == 0


def test_a_loss_that_was_kept_with_a_run_is_taken_as_it_is() -> None:
    """What contradicts itself is refused today, but a run that was begun with it goes on."""
    contradicts = {"kl": "none", "kl_coef": 0.1}
    with pytest.raises(ConfigError, match=r"loss\.kl_coef=0\.1 weighs no KL while loss\.kl=none"):
        validated(ls.LossSpec, contradicts)
    assert validated(ls.LossSpec, contradicts, kept=True).kl_coef == 0.1


def test_a_loss_without_a_ratio_holds_no_trajectory_together() -> None:
    """GSPO with loss.policy=reinforce: its `ratio_level` has no effect, on the packing and on metrics neither."""
    batch, _ = packed()
    part = replace(batch, sequence_size=batch.sequence_size + 1)  # of trajectories whose last token lies in another batch
    logprobs = batch.behaviour_logprob + 0.1
    plain, spec = (ls.LossSpec(policy="reinforce", ratio_level=level) for level in ("token", "sequence"))
    assert spec.whole == plain.whole == "row" and ls.LossSpec(ratio_level="sequence").whole == "trajectory"
    one, other = (ls.token_losses(x, part, logprobs) for x in (plain, spec))
    assert torch.equal(one.total, other.total) and torch.equal(one.ratio, other.ratio)


def test_options_without_effect_are_known() -> None:
    assert ls.LossSpec().idle() == {}
    ratios = {"ratio_level", "clip_low", "clip_high", "dual_clip"}
    assert ls.LossSpec(policy="reinforce", divisor="turns").idle() == {
        **dict.fromkeys(ratios, "loss.policy=reinforce"),
        "tokens_per_trajectory": "loss.divisor=turns",
    }
    assert not ls.LossSpec(kl="k1", kl_coef=0.1).idle()


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip_hihg": 0.3},
        {"ratio_level": "word"},
        {"clip_low": 1.5},
        {"dual_clip": 0.5},
        {"importance_cap": 0.5},
        {"kl": "k3"},
        {"kl": "k1", "kl_coef": 0.0},
        {"kl_coef": 0.04},
    ],
)
def test_a_wrong_spec_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        ls.LossSpec.model_validate(wrong)


def test_clipped_where_the_surrogate_has_no_gradient() -> None:
    ratio = torch.tensor([0.7, 0.85, 1.0, 1.25, 1.4], dtype=torch.float64).repeat(2).requires_grad_()
    advantage = torch.tensor([1.0] * 5 + [-1.0] * 5, dtype=torch.float64)
    ls.clipped_policy_loss(ratio, advantage, 0.2, 0.3).sum().backward()
    assert ls.clipped(ratio, advantage, 0.2, 0.3).tolist() == (ratio.grad == 0).tolist() == [*[False] * 4, True, True, *[False] * 4]
