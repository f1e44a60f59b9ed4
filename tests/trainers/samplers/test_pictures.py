"""Prompts with pictures at samplers: refused by models of text, and never taken for one another by what is kept of prompts."""

import asyncio

import pytest

from tests.trainers.samplers.test_local import make_model
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import build_tokenizer
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers import worker
from trainers.samplers.batched import BatchedSampler
from trainers.samplers.local import LocalSampler
from trainers.samplers.sampler import Generated
from webgym.errors import UsageError
from webgym.prompts.parts import Message, PicturePart, Prompt, TextPart
from webgym.prompts.settings import COMPACT
from webgym.types import EpisodeKey, Node, Observation, Sampling

SAMPLING = Sampling(max_tokens=4)
PROMPT = tuple(range(20, 70))
SEEN = Observation("Press OK.", "http://a.localhost/", "A", (Node("button", "OK", ref=0),), turns_left=3)
KEY = EpisodeKey("demo.form", 3)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["goal: press ok.\nbutton ok #0\ndo:click #0"] * 3, vocab_size=1000)


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_model(tokenizer)


@pytest.mark.parametrize("kind", [LocalSampler, BatchedSampler])
def test_a_model_of_text_refuses_pictures(kind, model, tokenizer):
    with kind(model, tokenizer, slots=2) as sampler:
        with pytest.raises(UsageError, match=r"expected a prompt of text, .* got one with pictures \(key 5e1f\): show the page as text"):
            sampler.submit(PROMPT, 0, SAMPLING, "5e1f")
        assert sampler.submit(PROMPT, 0, SAMPLING).result(60).ids


@pytest.mark.parametrize(("kind", "settings"), [(LocalSampler, {}), (LocalSampler, {"block": 16}), (BatchedSampler, {})])
def test_nothing_that_is_kept_is_shared_between_pictures(kind, settings, model, tokenizer, monkeypatch):
    """As if the model could read pictures: equal ids beside another picture are read anew, beside the same one they are not."""
    monkeypatch.setattr(worker, "check_text_only", lambda key: None)
    with kind(model, tokenizer, slots=3, **settings) as sampler:
        read = []
        for key in ("red", "blue", "", "red", "blue", ""):
            sampler.submit(PROMPT, 0, SAMPLING, key).result(60)
            read.append(sampler.counters.prompt_tokens)
        assert read[:3] == [50, 100, 150] and read[5] <= 153, read
        sampler.submit((*PROMPT, *range(80, 100)), 0, SAMPLING, "green").result(60)
        assert sampler.counters.prompt_tokens == read[5] + 70
        at_once = [sampler.submit(range(30, 80), 0, SAMPLING, key) for key in ("red", "blue", "red")]
        assert len({future.result(60).ids for future in at_once}) == 1
        assert sampler.counters.prompt_tokens - read[5] in (170, 171)  # one more where the first of two had ended before the second came


class Asked:
    """A sampler that keeps what it is asked."""

    def __init__(self):
        self.asked = []

    async def generate(self, prompt_ids, seed, sampling, key=""):
        self.asked.append((prompt_ids, key))
        return Generated((1,), (-1.0,), "click #0", 7)


class Plain(Asked):
    """One that was written for text alone."""

    async def generate(self, prompt_ids, seed, sampling):
        return await super().generate(prompt_ids, seed, sampling)


def test_a_policy_tells_its_sampler_of_pictures(model, tokenizer, monkeypatch):
    def seen(*pictures):
        monkeypatch.setattr(
            "trainers.rollouts.language_policy.prompt_of", lambda *_: Prompt((Message("user", (TextPart("goal: press ok."), *pictures)),))
        )
        return asyncio.run(LanguagePolicy(source, sampler, SAMPLING).act(SEEN, (), KEY))

    source, sampler = PolicyModel(model, tokenizer, COMPACT), Asked()
    found = [seen(), *(seen(PicturePart(1, 1, colour)) for colour in (b"\xff\0\0", b"\0\0\xff"))]
    assert [completion.key for completion in found] == [key for _, key in sampler.asked] and len({c.key for c in found}) == 3
    assert len({c.prompt_ids for c in found}) == len({c.prompt for c in found}) == 1 and found[0].key == ""
    sampler = Plain()
    assert seen().text == "click #0", "a sampler of text need not know of keys"
