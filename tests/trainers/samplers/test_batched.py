"""The batched sampler: what the local one gives, up to rounding, whoever else is there and wherever the beginning was known from."""

import asyncio
import random

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from tests.trainers.samplers.test_local import make_model, some_requests
from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models.model import logprobs_at, packed_hidden, prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import build_tokenizer
from trainers.samplers.batched import BatchedSampler, draw_many
from trainers.samplers.local import LocalSampler
from trainers.samplers.registry import open_sampler
from trainers.samplers.sampler import draw
from trainers.samplers.settings import SamplerConfig
from webgym.errors import UsageError
from webgym.prompts.settings import COMPACT
from webgym.types import Sampling

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["goal: press ok.\nbutton ok #0\ndo:click #0"] * 3, vocab_size=1000)


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_model(tokenizer, sharpness=3.0)


def played(sampler, requests):
    """The completions of all requests, sent at once."""

    async def all_of_them():
        return await asyncio.gather(*(sampler.generate(*request) for request in requests))

    return asyncio.run(all_of_them())


def alike(one, other):
    return (
        one.ids == other.ids
        and one.text == other.text
        and torch.allclose(torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=1e-4)
    )


@pytest.mark.parametrize(("slots", "grammar"), [(1, ""), (7, ""), (64, ""), (7, "compact strings=1 refs=5")])
def test_completions_are_those_of_the_local_sampler(model, tokenizer, slots, grammar):
    requests = some_requests(80, model.config.vocab_size, grammar=grammar)
    with LocalSampler(model, tokenizer) as local, BatchedSampler(model, tokenizer, slots=slots) as batched:
        wanted, found = played(local, requests), played(batched, requests)
    assert sum(map(alike, wanted, found)) >= 79  # a draw may fall on the border between two tokens
    assert slots == 1 or batched.counters.reused_prompt_tokens > 300  # of prompts that repeat or go on


def test_a_sliding_window_is_kept(tokenizer):
    """Prompts of up to 90 tokens on layers that see 16."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": tokenizer.eos_token_id}
    model = prepare(MistralForCausalLM(MistralConfig(**sizes, **heads, sliding_window=16)))
    requests = some_requests(30, len(tokenizer))
    with LocalSampler(model, tokenizer) as local, BatchedSampler(model, tokenizer, slots=8) as batched:
        assert sum(map(alike, played(local, requests), played(batched, requests))) >= 29


def test_a_conversation_goes_on_in_its_slot_and_a_group_reads_once(model, tokenizer, monkeypatch):
    """Ten members with one prompt, then each its own way: every token is read once."""
    generator = random.Random(0)
    first = [generator.randrange(400) for _ in range(100)]
    short = Sampling(max_tokens=5)
    with BatchedSampler(model, tokenizer, slots=12) as sampler, LocalSampler(model, tokenizer) as local:
        monkeypatch.setattr(sampler, "ready", lambda waiting: waiting == 10)  # who comes late and finds another done takes its slot
        begun = played(sampler, [(first, i, short) for i in range(10)])
        read = sampler.counters.prompt_tokens
        grown = [([*first, *x.ids, *(generator.randrange(400) for _ in range(20))], i, short) for i, x in enumerate(begun)]
        after = played(sampler, grown)
        wanted = played(local, grown)
    assert read == 100
    assert sampler.counters.prompt_tokens - read == 10 * (20 + 1)  # the last id sampled was never read
    assert sum(map(alike, wanted, after)) >= 9


def test_room_grows_and_what_is_known_stays_known(model, tokenizer):
    long = [i % 300 for i in range(240)]
    with BatchedSampler(model, tokenizer, slots=3) as sampler, LocalSampler(model, tokenizer) as local:
        played(sampler, [(long[:50], 1, Sampling(max_tokens=3))])
        before = sampler.counters.prompt_tokens
        found, wanted = (played(x, [(long, 2, Sampling(max_tokens=16))]) for x in (sampler, local))
    assert sampler.counters.prompt_tokens - before == 240 - 50
    assert alike(*found, *wanted)


def test_new_weights_count_from_the_next_request(model, tokenizer):
    other = make_model(tokenizer, seed=5, sharpness=3.0)
    request = ([1, 2, 3, 4] * 10, 3, Sampling(max_tokens=6))
    with BatchedSampler(model, tokenizer, slots=4) as sampler, BatchedSampler(other, tokenizer, slots=4) as fresh:
        old = sampler.submit(*request).result()
        sampler.set_weights(other, 7)
        new = sampler.submit(*request).result()
        wanted = fresh.submit(*request).result()
        with pytest.raises(UsageError, match="do not fit"):
            sampler.set_weights({"x": torch.zeros(1)}, 8)
    assert (old.version, new.version) == (0, 7)
    assert alike(new, wanted) and not alike(old, new)


@pytest.mark.parametrize("device", DEVICES)
def test_logprobs_are_those_of_a_packed_forward_pass(model, tokenizer, device):
    """What the sampler says of its tokens is what the learner computes for them."""
    requests = [r for r in some_requests(30, model.config.vocab_size, seed=3) if not r[2].truncated_support and r[2].temperature == 1]
    placed = make_model(tokenizer, sharpness=3.0).to(device)
    with BatchedSampler(placed, tokenizer, slots=8) as sampler:
        found = played(sampler, requests)
    for (prompt, _, _), generated in zip(requests, found, strict=True):
        n = len(prompt)
        row = Row(0, 0, (*prompt, *generated.ids), (Span(0, n - 1, n, n + len(generated.ids), 0),))
        batch = pack([row], 1000)[0].to(device)
        with torch.no_grad():
            computed = logprobs_at(placed, packed_hidden(placed, batch), batch)
        torch.testing.assert_close(computed.cpu(), torch.tensor(generated.logprobs), atol=2e-3 if device == "cuda" else 1e-4, rtol=1e-3)


def test_many_draws_are_each_the_draw_of_one():
    torch.manual_seed(0)
    logits, uniforms = 4 * torch.randn(64, 50), torch.rand(64, dtype=torch.float64)
    temperatures, greedy = 0.5 + torch.rand(64, dtype=torch.float64), torch.arange(64, dtype=torch.float64) % 3 == 0
    tokens, logprobs = draw_many(logits, uniforms, temperatures, greedy)
    for i in range(64):
        settings = Sampling(temperature=float(temperatures[i]), greedy=bool(greedy[i]))
        token, logprob = draw(logits[i], float(uniforms[i]), settings)
        assert token == int(tokens[i])
        assert logprob == pytest.approx(float(logprobs[i]), abs=1e-5)


def test_which_sampler_runs_where(model, tokenizer, tmp_path):
    source = PolicyModel(model, tokenizer, COMPACT)
    with (
        open_sampler(SamplerConfig(), source, folder=tmp_path) as one,
        open_sampler(SamplerConfig(kind="batched"), source, folder=tmp_path) as other,
    ):
        assert type(one) is LocalSampler
        assert type(other) is BatchedSampler


def test_a_prompt_that_does_not_fit_is_refused(model, tokenizer):
    with BatchedSampler(model, tokenizer, slots=2) as sampler, pytest.raises(UsageError, match="reads at most 256"):
        sampler.submit([1] * 255, 0, Sampling(max_tokens=2))
