"""fp32 masters of 16-bit weights: small steps add up, a resumed learner goes on from them, dropout is off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from tests.trainers.chat_model import chat_model
from trainers.batches.packing import pack, plan
from trainers.batches.rows import Row, Span, Streams
from trainers.learning.learner import Learner, OptimConfig
from trainers.learning.losses import LossSpec
from trainers.learning.masters import Masters
from trainers.models.lora import LoraSettings, add_lora
from trainers.models.model import action_logprobs, prepare
from webgym.errors import DivergenceError

ROWS = [Row(i, i, tuple((11 * i + j) % 250 for j in range(20)), (Span(0, 14, 15, 20, 0),)) for i in range(4)]
STREAMS = Streams(
    [np.full(5, 1.0 - 2 * (i % 2), np.float32) for i in range(4)],
    [np.ones(5, np.float32) for _ in range(4)],
    [np.full(5, -5.5, np.float32) for _ in range(4)],
)


def learner_of(model, tmp_path, **settings):
    forward = lambda batch, *, entropy=False: action_logprobs(model, batch, entropy=entropy)  # noqa: E731
    return Learner(model.parameters(), forward, OptimConfig(**settings), failed_batch=tmp_path / "failed.pt")


def step(learner, times=1, budget=4096):
    for _ in range(times):
        learner.update(plan(ROWS, STREAMS, budget), LossSpec(policy="reinforce"))


def test_steps_too_small_for_16_bits_add_up():
    """Two hundred steps of 2⁻¹² on a weight of 1, whose next neighbour in bfloat16 is 1 + 2⁻⁷ away."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    masters = Masters([weight])
    optimiser = torch.optim.SGD(masters.parameters, lr=2**-12)
    for _ in range(256):
        (-weight.float()).sum().backward()
        masters.gather()
        optimiser.step()
        optimiser.zero_grad()
        masters.publish()
    assert weight.item() == 1 + 256 * 2**-12
    assert Masters([nn.Parameter(torch.ones(1))]).state_dict() == [], "fp32 weights are their own masters"


@pytest.mark.parametrize("lr", [1e-6, 1e-5])
def test_a_bf16_model_moves_as_its_fp32_twin_does(lr, tmp_path):
    twin = chat_model().to(torch.bfloat16).float()  # the same numbers
    model = chat_model().to(torch.bfloat16)
    learners = [learner_of(m, tmp_path, lr=lr) for m in (twin, model)]
    start = torch.cat([p.detach().flatten() for p in twin.parameters()])
    for learner in learners:
        step(learner, 5)
    went, masters = (torch.cat([p.detach().float().flatten() for p in learner._parameters]) - start for learner in learners)
    assert (masters != 0).float().mean() > 0.99 * (went != 0).float().mean() > 0.7, "all that have a gradient move"
    assert float(nn.functional.cosine_similarity(went, masters, dim=0)) > 0.9
    rounded = [m.to(torch.bfloat16) for m in learners[1]._parameters]
    assert all(torch.equal(p, r) for p, r in zip(model.parameters(), rounded, strict=True))


def test_many_small_batches_are_summed_in_fp32(tmp_path):
    states = []
    for budget in (4096, 20):
        model = chat_model().to(torch.bfloat16)
        step(learner_of(model, tmp_path, lr=1e-4), budget=budget)
        states.append(torch.cat([p.detach().float().flatten() for p in model.parameters()]))
    assert (states[0] != states[1]).float().mean() < 0.1


def test_a_resumed_learner_goes_on_from_the_masters(tmp_path):
    whole, part = chat_model().to(torch.bfloat16), chat_model().to(torch.bfloat16)
    straight, first = learner_of(whole, tmp_path, lr=1e-5), learner_of(part, tmp_path, lr=1e-5)
    step(straight, 2)
    step(first)
    again = chat_model().to(torch.bfloat16)
    again.load_state_dict(part.state_dict())
    second = learner_of(again, tmp_path, lr=1e-5)
    second.load_state_dict(first.state_dict())
    step(second)
    assert all(torch.equal(a, b) for a, b in zip(straight._parameters, second._parameters, strict=True))


@pytest.mark.parametrize("warmup", [0, 10])
def test_a_first_step_that_would_destroy_the_model_is_not_taken(warmup, tmp_path):
    model = chat_model()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(DivergenceError, match=r"optim\.lr=0\.1 is too high .* nats a token.* start again with optim\.lr=") as found:
        step(learner_of(model, tmp_path, lr=0.1, warmup_steps=warmup, first_step_kl=0.1))
    assert all(torch.equal(p, was) for p, was in zip(model.parameters(), before, strict=True))
    lower = float(str(found.value).rpartition("optim.lr=")[2])
    step(learner_of(model, tmp_path, lr=lower, warmup_steps=warmup, first_step_kl=0.1), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("warmup", [0, 1000])
def test_a_first_step_is_measured_at_the_full_rate(warmup, dtype, tmp_path):
    """Of a short step in 16 bits little but rounding would be seen, and a thousand thousand times of that is no KL."""
    found, weights = [], []
    for first in (1.0, None):
        model = chat_model().to(dtype)
        learner = learner_of(model, tmp_path, lr=1e-4, warmup_steps=warmup, first_step_kl=first)
        found.append(learner.update(plan(ROWS, STREAMS, 4096, minibatches=2) * 2, LossSpec(policy="reinforce")))
        weights.append(torch.cat([p.flatten() for p in learner._parameters]))
    assert torch.equal(*weights), "the step that is taken is the one of the warm-up"
    assert 1e-5 < found[0]["optim/step_kl"] < 1e-3 and "optim/step_kl" not in found[1]
    assert (found[0]["optim/steps"], found[1]["optim/steps"]) == (4, 4)


def test_a_first_step_is_halved_as_any_other(tmp_path):
    learner = learner_of(chat_model(), tmp_path, lr=1e-2, first_step_kl=10.0, max_step_kl=1e-4)
    found = learner.update(plan(ROWS, STREAMS, 4096), LossSpec(policy="reinforce"))
    assert found["optim/step_kl"] <= 1e-4 and found["optim/halvings"] >= 1


def test_a_run_in_bf16_goes_on_in_fp32_with_the_masters_themselves(tmp_path):
    small = chat_model().to(torch.bfloat16)
    first = learner_of(small, tmp_path, lr=1e-5)
    step(first)
    large = chat_model()
    large.load_state_dict(small.state_dict())
    second = learner_of(large, tmp_path, lr=1e-5)
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(large.parameters(), first._parameters, strict=True))
    step(second)


def test_small_gradients_come_through_float16(tmp_path):
    found = []
    for dtype in (torch.float32, torch.float16):
        model = chat_model().to(dtype)
        add_lora(model, LoraSettings(rank=2))
        small = replace(STREAMS, advantage=[1e-4 * x for x in STREAMS.advantage])
        found.append(learner_of(model, tmp_path, lr=1e-6).update(plan(ROWS, small, 4096), LossSpec(policy="reinforce"))["optim/grad_norm"])
    assert found[1] == pytest.approx(found[0], rel=0.02) and found[0] > 0


def test_dropout_is_off_in_training():
    """log π of the learner in training is that of the sampler, whose dropout is off."""
    torch.manual_seed(0)
    shaky = GPT2LMHeadModel(GPT2Config(vocab_size=250, n_embd=32, n_layer=2, n_head=4, attn_pdrop=0.3, resid_pdrop=0.3, embd_pdrop=0.3))
    for model in (prepare(shaky), chat_model(attention_dropout=0.3)):
        (batch,) = pack(ROWS, 4096)
        with torch.no_grad():
            found = [action_logprobs(model.train(mode), batch)[0] for mode in (True, False)]
        torch.testing.assert_close(*found, rtol=0, atol=1e-5)
