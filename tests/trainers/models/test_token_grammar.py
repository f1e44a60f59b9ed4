"""Grammars over token ids: every completion is an action, and the learner's distribution is the sampler's."""

import asyncio
import random
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from tests.trainers.episodes import trajectory, turn
from trainers.batches.packing import pack, unpack
from trainers.batches.rows import Held, rows_of, rows_of_all
from trainers.imitation.imitate import _PromptTokens
from trainers.models import model as m
from trainers.models.model import end_ids, logprobs_at, packed_hidden, prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model, build_tokenizer
from trainers.models.token_grammar import START, TokenGrammar, grammar_for
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers.local import LocalSampler
from trainers.samplers.settings import SamplerConfig
from webgym.actions import parse
from webgym.errors import ConfigError, UsageError
from webgym.policies.openai_client import OpenAIClient, Server
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.types import EpisodeKey, InvalidAction, Node, Observation, Sampling

SIZE = Shape(hidden=32, layers=1, heads=2, mlp=64, context=256)
GOAL = 'Enter "ann" and "bob"'
NAME = "compact strings=2 refs=12"
TEXTS = ['goal: enter $1 "ann".\ntextbox ok #0\ndo:click #1 right', 'select #3 ["a", "b (c)"]'] * 3


def sharp(tokenizer, seed=0, sharpness=6.0):
    model = prepare(build_model(tokenizer, SIZE, seed))
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(sharpness)
    return model


def byte_level():
    """A tokenizer in the manner of GPT-2, SmolLM2 and Qwen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    calls = ["click('12', button='right')", "fill('3', 'Ann é')", "stop('x')"] * 9
    tokenizer.train_from_iterator(
        calls, BpeTrainer(vocab_size=400, special_tokens=["<e>", "<p>"], initial_alphabet=alphabet, show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>", pad_token="<p>", clean_up_tokenization_spaces=False)


def sentencepiece():
    """A tokenizer in the manner of Llama 2."""
    vocabulary = ["<e>", "<p>", *(f"<0x{b:02X}>" for b in range(256)), *map(chr, range(0x21, 0x7F)), "▁", "▁c", "cl", "é"]
    bpe = models.BPE(vocab={entry: i for i, entry in enumerate(vocabulary)}, merges=[("▁", "c"), ("c", "l")], byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>", pad_token="<p>", clean_up_tokenization_spaces=False)


TOKENIZERS = {"tiny": lambda: build_tokenizer(TEXTS, vocab_size=1000), "byte-level": byte_level, "sentencepiece": sentencepiece}


@pytest.fixture(scope="module")
def tokenizer():
    return TOKENIZERS["tiny"]()


@pytest.fixture(scope="module")
def model(tokenizer):
    return sharp(tokenizer)


def requests(count, vocabulary, names=(NAME,), seed=0):
    """(prompt, seed, sampling) at all temperatures and limits."""
    generator = random.Random(seed)
    return [
        (
            [generator.randrange(2, vocabulary) for _ in range(generator.randint(1, 40))],
            i,
            Sampling(
                generator.choice((0.5, 1.0, 4.0, 50.0)),
                max_tokens=generator.choice((6, 7, 9, 12, 30)),
                grammar=generator.choice(names),
                top_k=generator.choice((0, 0, 3)),
            ),
        )
        for i in range(count)
    ]


def drawn(model, tokenizer, asked, **settings):
    with LocalSampler(model, tokenizer, **settings) as sampler:
        return [future.result(60) for future in [sampler.submit(*request) for request in asked]]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("dialect", ["compact", "call"])
def test_every_completion_is_an_action_and_is_decoded_as_the_grammar_read_it(kind, dialect):
    tokenizer = TOKENIZERS[kind]()
    model = sharp(tokenizer)
    asked = requests(90, model.config.vocab_size, (f"{dialect} strings={2 * (dialect == 'compact')} refs=12",))
    grammar = TokenGrammar.of(model, tokenizer)
    ends = set(end_ids(model, tokenizer))
    cut = 0
    for result in drawn(model, tokenizer, asked):
        assert not isinstance(found := parse(result.text, dialect, GOAL), InvalidAction), (result.text, found)
        cut += result.ids[-1] not in ends
        read, context = b"", START
        for token in result.ids[: len(result.ids) - (result.ids[-1] in ends)]:
            entry, spell = grammar._entries[token]
            spelt = spell(entry, context)
            assert spelt is not None
            read, context = read + spelt[0], spelt[1]
        if read.isascii():
            assert result.text == read.decode()
    assert 0 < cut < len(asked)  # some were cut by the limit, and were actions all the same


def test_arrival_order_changes_nothing(model, tokenizer):
    asked = requests(60, model.config.vocab_size, (NAME, "", "compact strings=0 refs=3"))
    with LocalSampler(model, tokenizer, slots=4, block=20, cache_mb=0) as sampler:
        alone = [sampler.submit(*request).result(60) for request in asked]
    order = random.Random(1).sample(range(len(asked)), len(asked))
    with LocalSampler(model, tokenizer, slots=4, block=20) as sampler:
        futures = {i: sampler.submit(*asked[i]) for i in order}
        assert [futures[i].result(60) for i in range(len(asked))] == alone


def played(model, tokenizer, names=(NAME, "", "compact strings=0 refs=3"), count=40):
    """Trajectories of two turns each, sampled without truncation."""
    drawn_from = requests(count, model.config.vocab_size, names)
    asked = [(prompt, seed, replace(sampling, top_k=0, temperature=1.5)) for prompt, seed, sampling in drawn_from]
    results = drawn(model, tokenizer, asked)
    turns = [turn(p, r.ids, logprobs=r.logprobs, sampling=s) for (p, _, s), r in zip(asked, results, strict=True)]
    return [trajectory(turns[i : i + 2]) for i in range(0, count, 2)]


@pytest.mark.parametrize("at_once", [m.LOGITS_AT_ONCE, 3000])  # in one block, and in blocks of three tokens
def test_the_learner_replays_what_was_sampled(model, tokenizer, monkeypatch, at_once):
    monkeypatch.setattr(m, "LOGITS_AT_ONCE", at_once)
    grammar, trajectories = TokenGrammar.of(model, tokenizer), played(model, tokenizer)
    batches = pack(rows_of_all(trajectories), 300)
    found = []
    for batch in batches:
        hidden = packed_hidden(model, batch)
        logprobs, entropies = (x.detach() for x in logprobs_at(model, hidden, batch, 1.5, entropy=True, grammar=grammar))
        found.append(logprobs)
        masks, which = grammar.replay(batch.held, batch.action_ids.tolist())
        logits = m.logits_of(model, hidden[batch.action_index]).detach().double() / 1.5
        for i in range(0, len(logprobs), 7):
            chances = torch.softmax(logits[i][masks[which[i]]], 0)  # by brute force, over the allowed tokens alone
            assert float(entropies[i]) == pytest.approx(float(-(chances * chances.log()).sum()), abs=1e-4)
        assert entropies.isfinite().all() and (entropies > -1e-6).all()
    assert len(batches) > 3
    for x, logprobs in zip(trajectories, unpack(batches, found, len(trajectories)), strict=True):
        assert logprobs == pytest.approx([p for t in x.turns for p in t.completion.behaviour_logprobs], abs=1e-5)


def test_sampler_and_learner_agree_on_every_token(model, tokenizer):
    grammar, trajectories = TokenGrammar.of(model, tokenizer), played(model, tokenizer, count=60)
    rows = rows_of_all(trajectories)
    assert {bool(span.held) for row in rows for span in row.spans} == {True, False}
    (batch,) = pack(rows, 1 << 20)
    with torch.no_grad():
        found = logprobs_at(model, packed_hidden(model, batch), batch, 1.5, grammar=grammar)
    sampled = torch.tensor([p for x in trajectories for t in x.turns for p in t.completion.behaviour_logprobs])
    assert float((found - sampled).abs().max()) <= 1e-5
    free = replace(batch, held=())
    with torch.no_grad():
        assert float((logprobs_at(model, packed_hidden(model, free), free, 1.5) - sampled).abs().max()) > 0.1


def test_gradients_are_those_of_the_constrained_distribution(model, tokenizer):
    grammar = TokenGrammar.of(model, tokenizer)
    (batch,) = pack(rows_of_all(played(model, tokenizer, (NAME,), 8)), 1 << 20)
    hidden = packed_hidden(model, batch).detach().requires_grad_()
    logprobs, entropies = logprobs_at(model, hidden, batch, 1.5, entropy=True, grammar=grammar)
    (logprobs.sum() + 0.3 * entropies.sum()).backward()
    masks, which = grammar.replay(batch.held, batch.action_ids.tolist())
    again = hidden.detach().double().requires_grad_()
    logits = again[batch.action_index] @ model.lm_head.weight.double().T / 1.5
    total = torch.zeros((), dtype=torch.float64)
    for i, token in enumerate(batch.action_ids.tolist()):
        allowed = masks[which[i]].nonzero()[:, 0]
        logp = torch.log_softmax(logits[i][allowed], 0)
        total = total + logp[allowed == token][0] - 0.3 * (logp.exp() * logp).sum()
    total.backward()
    torch.testing.assert_close(hidden.grad.double(), again.grad, rtol=1e-4, atol=1e-4)


def test_a_learner_that_cannot_replay_refuses(model, tokenizer):
    x = played(model, tokenizer, (NAME,), 2)[0]
    (batch,) = pack(rows_of(x), 1000)
    hidden = packed_hidden(model, batch)
    with pytest.raises(UsageError, match=r"sampled under the grammar 'compact strings=2 refs=12'.*no grammar is replayed"):
        logprobs_at(model, hidden, batch)
    prompts = _PromptTokens.of(batch)
    assert len(logprobs_at(model, hidden, prompts)) == len(prompts.action_ids)  # prompts are held to nothing
    other = rows_of(trajectory([replace(t, completion=replace(t.completion, action_ids=t.completion.action_ids[::-1])) for t in x.turns]))
    with pytest.raises(UsageError, match="cannot have been sampled under the grammar"):
        (batch,) = pack(other, 1000)
        logprobs_at(model, packed_hidden(model, batch), batch, grammar=TokenGrammar.of(model, tokenizer))


def test_what_is_left_decides_what_is_allowed(model, tokenizer):
    grammar = TokenGrammar.of(model, tokenizer)
    place = grammar.start(NAME, 30)
    click, stop = (tokenizer.convert_tokens_to_ids(f"▁{verb}") for verb in ("click", "stop"))
    assert [bool(grammar.allowed(place, left)[click]) for left in (3, 4, 5)] == [False, True, True]  # " #1" takes three bytes at most
    assert [bool(grammar.allowed(place, left)[stop]) for left in (1, 2)] == [True, True]
    assert grammar.after(place, tokenizer.eos_token_id) is None
    behind = grammar.after(place, stop)
    assert behind is not None and bool(grammar.allowed(behind, 1)[tokenizer.eos_token_id]) and behind.need == 0
    assert not grammar.allowed(behind, 30)[tokenizer.pad_token_id]
    with pytest.raises(UsageError, match="may take 4 tokens: raise max_tokens"):
        grammar.start(NAME, 3)
    masks, which = grammar.replay([Held("", 5, 2), Held(NAME, 9, 2)], [7, 8, stop, tokenizer.eos_token_id])
    assert masks[which[:2]].all() and masks[which[2]].sum() < masks[which[0]].sum()


def test_tokenizers_that_cannot_be_read_are_refused(tokenizer, model):
    strange = Tokenizer(models.WordLevel({"click": 0, "<e>": 1}, unk_token="<e>"))
    strange.decoder = decoders.WordPiece()
    fast = PreTrainedTokenizerFast(tokenizer_object=strange, eos_token="<e>", clean_up_tokenization_spaces=False)
    with pytest.raises(UsageError, match="neither byte-level"):
        TokenGrammar(fast, [1], 2)
    strange.decoder = decoders.ByteLevel()
    with pytest.raises(UsageError, match="no token for b'!' alone"):
        TokenGrammar(PreTrainedTokenizerFast(tokenizer_object=strange, eos_token="<e>", clean_up_tokenization_spaces=False), [1], 2)
    with LocalSampler(model, tokenizer) as sampler, pytest.raises(UsageError, match="unknown grammar 'klingon'"):
        sampler.submit([1], 0, Sampling(grammar="klingon"))


def test_a_policy_names_the_grammar_of_the_page_it_shows(model, tokenizer):
    nodes = (Node("button", "ann", 0), Node("text", "x"), Node("button", "bob", 1), Node("button", "hidden", 2))
    seen = Observation(GOAL, "http://page", "", nodes, turns_left=3)
    assert grammar_for(seen, COMPACT) == "compact strings=2 refs=3"
    assert grammar_for(replace(seen, nodes=()), COMPACT) == "compact strings=2 refs=0"
    assert grammar_for(seen, PromptSettings(max_nodes=3)) == "call strings=0 refs=2"
    with pytest.raises(UsageError, match="no grammar for the dialect 'json'"):
        grammar_for(seen, PromptSettings(dialect="json"))
    source = PolicyModel(model, tokenizer, COMPACT)
    with LocalSampler(model, tokenizer) as sampler:
        policy = LanguagePolicy(source, sampler, Sampling(4.0, max_tokens=9), grammar=True)
        completions = [asyncio.run(policy.act(seen, (), EpisodeKey("pack.task", 0, member=i))) for i in range(20)]
    assert {c.sampling for c in completions} == {Sampling(4.0, max_tokens=9, grammar="compact strings=2 refs=3")}
    assert not any(isinstance(parse(c.text, "compact", GOAL), InvalidAction) for c in completions)
    assert len({c.text for c in completions}) > 10


def test_servers_are_not_asked_for_a_grammar():
    from trainers.config import resolve

    with pytest.raises(ConfigError, match=r"grammar=true needs sampler\.kind=batched or local: the sampler openai cannot"):
        resolve({"rollout": {"grammar": True}, "sampler": SamplerConfig(kind="openai", model="x").model_dump()})
    client = OpenAIClient(Server("http://127.0.0.1:9/v1"))
    with pytest.raises(ConfigError, match="a server cannot hold answers to our grammar"):
        asyncio.run(client.complete("x", [1], Sampling(grammar=NAME), 0))


def test_places_are_forgotten_when_they_are_many_and_found_again(monkeypatch):
    source = PolicyModel.load("webgym-tiny")
    kept, bounded = (TokenGrammar.of(source.model, source.tokenizer) for _ in range(2))
    monkeypatch.setattr("trainers.models.token_grammar.MOST_LISTED", 100)
    for name in ("compact strings=1 refs=3", "compact strings=0 refs=12", "compact strings=1 refs=3"):
        one, other = kept.start(name, 16), bounded.start(name, 16)
        for _ in range(4):
            assert torch.equal(kept.allowed(one, 16), bounded.allowed(other, 16))
            token = int(one.ids[0])
            one, other = kept.after(one, token), bounded.after(other, token)
            if one is None or other is None:
                assert one is other
                break
    assert len(bounded._places) < 10
