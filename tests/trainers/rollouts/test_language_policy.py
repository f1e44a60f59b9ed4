"""A model as a policy, on plain pages without a browser: prompts to rows, in both contexts."""

from dataclasses import replace

import pytest
import torch

from tests.trainers.chat_model import chat_model, chat_tokenizer
from trainers.batches.packing import pack
from trainers.batches.rows import rows_of_all
from trainers.models.model import logprobs_at, packed_hidden
from trainers.models.policy_model import PolicyModel
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.samplers.local import LocalSampler
from webgym.errors import UsageError
from webgym.prompts.settings import PromptSettings
from webgym.rollout.arena import Arena
from webgym.types import EpisodeKey, Sampling

KEYS = [EpisodeKey("wizard.h3", seed, 1, seed) for seed in range(2)]
SAMPLING = Sampling(max_tokens=5)


def play(source, sampling=SAMPLING, keys=KEYS):
    with Arena(2, backend="text") as arena, LocalSampler(source.model, source.tokenizer, block=source.read_in_blocks_of) as sampler:
        found = arena.collect(LanguagePolicy(source, sampler, sampling), keys)
        return found, sampler.counters


@pytest.fixture(scope="module")
def source():
    return PolicyModel(chat_model(), chat_tokenizer(), PromptSettings(max_nodes=30))


def test_a_conversation_is_one_row_and_reads_each_page_once(source):
    window, counted = play(source)
    prompts = PromptSettings(max_nodes=30, context="conversation")
    conversation, saved = play(replace(source, prompts=prompts))
    turns = sum(map(len, conversation))
    assert turns > len(KEYS) and len(rows_of_all(window)) == sum(map(len, window))
    rows = rows_of_all(conversation)
    assert len(rows) == len(KEYS) and [len(row.spans) for row in rows] == [len(x) for x in conversation]
    assert saved.reused_prompt_tokens > counted.reused_prompt_tokens > 0  # the system message is shared in a window too
    assert saved.prompt_tokens < 2 * sum(map(len, rows))


def test_recorded_logprobs_are_those_of_the_rows(source):
    conversation, _ = play(replace(source, prompts=PromptSettings(max_nodes=30, context="conversation")))
    (batch,) = pack(rows_of_all(conversation), 100_000)
    with torch.no_grad():
        wanted = logprobs_at(source.model, packed_hidden(source.model, batch), batch)
    recorded = torch.tensor([p for x in conversation for turn in x.turns for p in turn.completion.behaviour_logprobs])
    torch.testing.assert_close(recorded, wanted, rtol=0, atol=5e-5)


def test_a_page_that_does_not_fit_is_named_with_what_to_set(source):
    small = replace(source, model=chat_model(max_position_embeddings=2000))
    with pytest.raises(
        UsageError, match=r"wizard\.h3 \(seed 0\), turn 0, http\S+: the prompt takes .* at most 2,000; set a smaller prompts.max_nodes"
    ):
        play(small, keys=KEYS[:1])
    with pytest.raises(UsageError, match=r"together .* at most 8,192; set .*max_tokens"):
        play(source, Sampling(max_tokens=8000), keys=KEYS[:1])
