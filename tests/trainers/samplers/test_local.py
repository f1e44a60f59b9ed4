"""The local sampler: what a request gets depends on nothing but itself."""

import asyncio
import math
import random
import threading
from dataclasses import replace

import pytest
import torch

from trainers.batches.packing import pack
from trainers.batches.rows import Row, Span
from trainers.models.model import end_ids, logprobs_at, packed_hidden, prepare
from trainers.models.tiny import Shape, build_model, build_tokenizer
from trainers.samplers.local import LocalSampler
from trainers.samplers.sampler import Generated, draw
from webgym.errors import UsageError
from webgym.types import Sampling

SIZE = Shape(hidden=32, layers=2, heads=2, mlp=64, context=256)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["goal: press ok.\nbutton ok #0\ndo:click #0"] * 3, vocab_size=1000)


def make_model(tokenizer, seed=0, sharpness=8.0):
    """A random model, sharpened so that completions differ in length and end early at times."""
    model = prepare(build_model(tokenizer, SIZE, seed))
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(sharpness)
    model.generation_config.eos_token_id = list(range(500, model.config.vocab_size))  # a dozen in a hundred tokens end a completion
    return model


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_model(tokenizer)


def some_requests(count, vocabulary, seed=0, grammar=""):
    """(prompt, seed, sampling) of all lengths and settings; every third prompt repeats an earlier one, every sixth goes on from one.

    Half of them are held to the grammar, if one is named.
    """
    generator = random.Random(seed)
    settings = [
        Sampling(max_tokens=6),
        Sampling(temperature=0.6, max_tokens=9),
        Sampling(top_k=5, top_p=0.9, max_tokens=4),
        Sampling(greedy=True, max_tokens=5),
    ]
    requests = []
    for i in range(count):
        prompt = [generator.randrange(vocabulary) for _ in range(generator.randint(1, 60))]
        if i % 3 == 2:
            prompt = generator.choice(requests)[0]
        if i % 6 == 5:
            prompt = (prompt + [generator.randrange(vocabulary) for _ in range(generator.randint(1, 60))])[:240]
        sampling = generator.choice(settings)
        held = replace(sampling, grammar=grammar, max_tokens=sampling.max_tokens + 3) if grammar and i % 2 else sampling
        requests.append((prompt, i, held))
    return requests


def run(sampler, requests, order):
    futures = {i: sampler.submit(*requests[i]) for i in order}
    return [futures[i].result(60 + len(requests) / 10) for i in range(len(requests))]  # the first may be served last


def orders_agree(model, tokenizer, count, trials, block=0):
    """Completions alone, one after the other, are those of any arrival order, with and without memory of prompts and a grammar."""
    requests = some_requests(count, model.config.vocab_size, grammar="compact strings=1 refs=5")
    with LocalSampler(model, tokenizer, slots=4, block=block, cache_mb=0) as sampler:
        alone = [sampler.submit(*request).result(60) for request in requests]
    generator = random.Random(1)
    for trial in range(trials):
        order = generator.sample(range(count), count)
        with LocalSampler(model, tokenizer, slots=4, block=block, cache_mb=(0, 1, 64)[trial % 3]) as sampler:
            assert run(sampler, requests, order) == alone  # ids, logprobs bit for bit, text, version
    return alone


@pytest.mark.parametrize("block", [0, 20])
def test_arrival_order_changes_nothing(model, tokenizer, block):
    alone = orders_agree(model, tokenizer, 90, 3, block)
    assert len({result.ids for result in alone}) > 60
    assert {len(result.ids) for result in alone} >= {1, 2, 3, 4, 5, 6, 9}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_arrival_order_changes_nothing_in_ten_thousand_requests(model, tokenizer):
    orders_agree(model, tokenizer, 10_000, 1, block=20)


@pytest.mark.parametrize("block", [0, 24])
def test_logprobs_are_those_of_a_forward_pass(model, tokenizer, block):
    requests = [r for r in some_requests(40, model.config.vocab_size) if not r[2].truncated_support]
    with LocalSampler(model, tokenizer, slots=3, block=block) as sampler:
        results = run(sampler, requests, range(len(requests)))
    for (prompt, _, sampling), result in zip(requests, results, strict=True):
        n = len(prompt)
        (batch,) = pack([Row(0, 0, (*prompt, *result.ids), (Span(0, n - 1, n, n + len(result.ids), 0),))], 1000)
        with torch.no_grad():
            wanted = logprobs_at(model, packed_hidden(model, batch), batch, sampling.temperature)
        torch.testing.assert_close(torch.tensor(result.logprobs), wanted, rtol=0, atol=2e-5)


def test_completions_end_at_an_end_token_or_the_limit(model, tokenizer):
    ends = set(end_ids(model, tokenizer))
    assert tokenizer.eos_token_id in ends
    with LocalSampler(model, tokenizer) as sampler:
        futures = [sampler.submit([5, 6, 7], seed, Sampling(temperature=20.0, max_tokens=6)) for seed in range(60)]
        results = [future.result(60) for future in futures]
    assert not any(ends & set(result.ids[:-1]) for result in results)
    finished = [result for result in results if result.ids[-1] in ends]
    assert all(len(result.ids) == 6 for result in results if result not in finished)
    assert 10 < len(finished) < 50
    assert all(result.text == tokenizer.decode(result.ids[:-1]) and len(result.logprobs) == len(result.ids) for result in finished)


def test_same_seed_same_sample_and_other_seed_other_sample(model, tokenizer):
    with LocalSampler(model, tokenizer) as sampler:
        one, same, other = (sampler.submit([1, 2, 3], seed, Sampling(temperature=3.0, max_tokens=12)).result(60) for seed in (7, 7, 8))
    assert one == same and one.ids != other.ids


def test_samples_follow_the_distribution():
    logits = torch.tensor([0.2, 0.5, 0.3, 1e-12]).log()
    drawn = [draw(logits, (i + 0.5) / 1000, Sampling())[0] for i in range(1000)]
    assert [drawn.count(token) for token in range(4)] == [200, 500, 300, 0]
    squared = [draw(logits, (i + 0.5) / 380, Sampling(temperature=0.5))[0] for i in range(380)]  # 4 : 25 : 9
    assert [squared.count(token) for token in range(4)] == [40, 250, 90, 0]
    assert draw(logits, 0.99, Sampling(temperature=0.5)) == (2, pytest.approx(math.log(9 / 38), abs=1e-6))


def test_top_k_top_p_and_greedy():
    logits = torch.tensor([0.2, 0.5, 0.3]).log()
    uniforms = [(i + 0.5) / 80 for i in range(80)]
    two = [draw(logits, u, Sampling(top_k=2))[0] for u in uniforms]  # 5 : 3
    assert [two.count(token) for token in range(3)] == [0, 50, 30]
    assert {draw(logits, u, Sampling(top_p=0.79))[0] for u in uniforms} == {1, 2}
    assert {draw(logits, u, Sampling(top_p=0.01))[0] for u in uniforms} == {1}
    assert all(draw(logits, u, Sampling(greedy=True)) == (1, pytest.approx(math.log(0.5), abs=1e-6)) for u in uniforms)
    assert draw(logits, 0.1, Sampling(top_k=2))[1] == pytest.approx(math.log(0.5), abs=1e-6)  # of the full distribution


def test_new_weights_come_between_completions(model, tokenizer):
    other = make_model(tokenizer, seed=1)
    requests = some_requests(24, model.config.vocab_size)
    with LocalSampler(model, tokenizer, slots=3) as old, LocalSampler(other, tokenizer, version=1, slots=3) as new:
        wanted_old, wanted_new = run(old, requests, range(24)), run(new, requests, range(24))
        before = [old.submit(*request) for request in requests]
        old.set_weights(other, 1)  # the prompts that were read with the old weights are forgotten
        after = [old.submit(*request) for request in requests]
        assert [f.result(60) for f in before] == wanted_old
        assert [f.result(60) for f in after] == wanted_new
    assert {r.version for r in wanted_old} == {0} and {r.version for r in wanted_new} == {1}


def test_the_learner_may_change_its_model_at_any_time(tokenizer):
    mine = make_model(tokenizer)
    with LocalSampler(mine, tokenizer) as sampler:
        before = sampler.submit([1, 2], 0, Sampling(max_tokens=6)).result(60)
        with torch.no_grad():
            mine.model.embed_tokens.weight.zero_()
        assert sampler.submit([1, 2], 0, Sampling(max_tokens=6)).result(60) == before


def test_weights_of_another_model_are_refused(model, tokenizer):
    with LocalSampler(model, tokenizer) as sampler:
        with pytest.raises(UsageError, match="do not fit"):
            sampler.set_weights({"some.weight": torch.zeros(2)}, 1)
        assert sampler.submit([1], 0, Sampling(max_tokens=1)).result(60).version == 0


def test_many_event_loops_in_many_threads(model, tokenizer):
    requests = some_requests(30, model.config.vocab_size)
    results: list[list[Generated]] = [[], [], []]

    with LocalSampler(model, tokenizer) as sampler:
        wanted = run(sampler, requests, range(30))

        async def all_of() -> list[Generated]:
            return list(await asyncio.gather(*(sampler.generate(*request) for request in requests)))

        def work(i):
            results[i] = asyncio.run(all_of())

        threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [wanted] * 3


def test_a_cancelled_request_harms_no_other(model, tokenizer):
    async def go(sampler):
        long = Sampling(temperature=3.0, max_tokens=100)
        tasks = [asyncio.create_task(sampler.generate([1, 2, i], i, long)) for i in range(20)]
        await asyncio.sleep(0.01)
        for task in tasks[::2]:
            task.cancel()
        return await asyncio.gather(*tasks[1::2])

    with LocalSampler(model, tokenizer, slots=2) as sampler:
        results = asyncio.run(go(sampler))
        alone = [sampler.submit([1, 2, i], i, Sampling(temperature=3.0, max_tokens=100)).result(60) for i in range(1, 20, 2)]
    assert results == alone


def test_context_and_settings_are_checked(model, tokenizer):
    with LocalSampler(model, tokenizer) as sampler:
        with pytest.raises(UsageError, match=r"250 tokens and the answer up to 10 .* 260, .* at most 256"):
            sampler.submit([1] * 250, 0, Sampling(max_tokens=10))
        assert sampler.submit([1] * 246, 0, Sampling(max_tokens=10)).result(60).ids
        for wrong in (Sampling(temperature=0.0), Sampling(top_p=0.0), Sampling(max_tokens=0)):
            with pytest.raises(UsageError):
                sampler.submit([1], 0, wrong)
        with pytest.raises(UsageError, match="at least one token"):
            sampler.submit([], 0, Sampling())


def test_closing_ends_what_waits(model, tokenizer):
    sampler = LocalSampler(model, tokenizer, slots=1)
    futures = [sampler.submit([1, i], i, Sampling(temperature=3.0, max_tokens=200)) for i in range(20)]
    sampler.close()
    sampler.close()
    assert all(future.done() for future in futures)
    with pytest.raises(UsageError, match="closed"):
        sampler.submit([1], 0, Sampling())


def test_a_crash_of_the_worker_reaches_the_callers(model, tokenizer, monkeypatch):
    sampler = LocalSampler(model, tokenizer)
    monkeypatch.setattr(sampler, "_read", lambda group: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sampler.submit([1], 0, Sampling()).result(60)
    with pytest.raises(UsageError, match="this sampler has ended with an error: ZeroDivisionError"):
        sampler.submit([1], 0, Sampling())


def test_prompts_that_were_read_are_not_read_again(model, tokenizer):
    with LocalSampler(model, tokenizer) as sampler:
        for seed in range(5):
            sampler.submit([3, 1, 4, 1, 5], seed, Sampling(max_tokens=2)).result(60)
        assert sampler.counters.prompt_tokens == 5 and sampler.counters.reused_prompt_tokens == 20


def test_a_conversation_reads_its_earlier_turns_once(model, tokenizer):
    prompt = [(13 * i + 5) % 90 for i in range(100)]
    longer = prompt + [3, 1, 4] + [(7 * i + 2) % 90 for i in range(60)]
    with LocalSampler(model, tokenizer, block=32) as sampler:
        sampler.submit(prompt, 0, Sampling(max_tokens=2)).result(60)
        assert sampler.counters.prompt_tokens == 100
        after = sampler.submit(longer, 1, Sampling(max_tokens=6)).result(60)
        assert sampler.counters.prompt_tokens == 100 + 163 - 64  # 64 is the last block's end that both share with 16 tokens to spare
        assert sampler.counters.reused_prompt_tokens == 64
    with LocalSampler(model, tokenizer, block=32, cache_mb=0) as sampler:
        assert sampler.submit(longer, 1, Sampling(max_tokens=6)).result(60) == after


def test_prompts_are_read_one_by_one_where_company_changes_bits(model, tokenizer, monkeypatch):
    requests = [([i + 1] * 30, i, Sampling(max_tokens=2)) for i in range(4)]
    with LocalSampler(model, tokenizer) as sampler:
        together = run(sampler, requests, range(4))
    with LocalSampler(model, tokenizer) as sampler:
        monkeypatch.setattr(sampler, "_together", False)
        assert run(sampler, requests, range(4)) == together
        assert sampler.counters.reads == 4


def test_other_threads_keep_their_thread_count(model, tokenizer):
    before = torch.get_num_threads()
    with LocalSampler(model, tokenizer, threads=2) as sampler:
        sampler.submit([1], 0, Sampling(max_tokens=1)).result(60)
        assert torch.get_num_threads() == before
