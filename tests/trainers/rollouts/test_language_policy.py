"""A model as a policy, on plain pages without a browser: prompts to rows, in both contexts."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainers.chat_model import chat_model, chat_tokenizer
from trainers.batches.packing import pack
from trainers.batches.rows import rows_of_all
from trainers.credit.credit import Credit
from trainers.models.model import logprobs_at, packed_hidden
from trainers.models.policy_model import PolicyModel
from trainers.models.prompt_ids import Context
from trainers.rollouts.language_policy import LanguagePolicy
from trainers.rollouts.thinking import spoken
from trainers.samplers.local import LocalSampler
from trainers.samplers.sampler import Generated
from webgym.actions import parse
from webgym.errors import UsageError
from webgym.prompts.prompt import prompt_of
from webgym.prompts.settings import PromptSettings
from webgym.rollout.arena import Arena
from webgym.types import Completion, EpisodeKey, InvalidAction, Node, Observation, Outcome, Sampling, Trajectory, Turn

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


def test_a_first_prompt_that_can_never_fit_is_named_with_what_to_set(source):
    words = r"wizard\.h3 \(seed 0\), turn 0, http\S+: the prompt takes .* one line .* at most 1,500; set a smaller"
    with pytest.raises(UsageError, match=words):
        play(replace(source, model=chat_model(max_position_embeddings=1500)), keys=KEYS[:1])
    with pytest.raises(UsageError, match=r"together .* at most 8,192; set .*max_tokens"):
        play(source, Sampling(max_tokens=8000), keys=KEYS[:1])


def page_of(lines):
    nodes = tuple(Node("button", f"thing number {i}", ref=i) for i in range(lines))
    return Observation("Press OK.", "http://a.localhost/", "A", nodes, turns_left=3)


class Recorder:
    """A sampler that keeps what it is asked and answers the same."""

    def __init__(self, answer=(65, 256)):
        self.asked, self.answer = [], answer

    async def generate(self, ids, seed, sampling, key=""):
        self.asked.append((ids, sampling))
        return Generated(self.answer, (-1.0,) * len(self.answer), "A", 7)


def acted(policy, observation, history=()):
    return asyncio.run(policy.act(observation, history, KEYS[0]))


def turn_of(completion):
    return Turn(completion, "", "", 0.0, False, False, "", "")


@pytest.mark.parametrize("page_tokens", [0, 300])
def test_a_page_is_shown_as_far_as_it_fits_and_the_cut_is_announced(source, page_tokens):
    """Byte-level tokens, so that a line has as many as letters: no line more would fit."""
    small = replace(source, model=chat_model(max_position_embeddings=2600), prompts=PromptSettings(page_tokens=page_tokens))
    sampler = Recorder()
    completion = acted(LanguagePolicy(small, sampler, SAMPLING), page_of(200))
    (ids, _), line = sampler.asked[0], len('[199] button "thing number 199"\n')
    shown = completion.prompt.count('button "thing')
    assert f"... {200 - shown} more lines are not shown" in completion.prompt and 1 < shown < 200
    one = len(acted_ids(small, replace_nodes=1))
    room = min(2600 - SAMPLING.max_tokens, one + page_tokens) if page_tokens else 2600 - SAMPLING.max_tokens
    assert room - line - 2 <= len(ids) <= room


def acted_ids(source, replace_nodes):
    sampler = Recorder()
    acted(LanguagePolicy(replace(source, prompts=PromptSettings(max_nodes=replace_nodes)), sampler, SAMPLING), page_of(200))
    return sampler.asked[0][0]


def test_a_conversation_that_is_too_long_ends_its_turns_in_words(source):
    prompts = PromptSettings(context="conversation")
    policy = LanguagePolicy(replace(source, model=chat_model(max_position_embeddings=2100), prompts=prompts), Recorder(), SAMPLING)
    history = []
    for _ in range(6):
        history.append(turn_of(acted(policy, page_of(3), tuple(history))))
    said = [turn.completion for turn in history]
    last = said[-1]
    assert said[0].action_ids and not last.action_ids and last.text.startswith("[no answer: the prompt takes ")
    assert all(len(x.prompt_ids) <= 2100 for x in said) and last.policy_version == 7
    assert isinstance(parse(last.text, "call"), InvalidAction)
    finished = Trajectory(KEYS[0], "", tuple(history), Outcome("truncated", 0.0))
    (batch,) = pack(rows_of_all([finished]), 100_000)
    assert len(batch.value_index) == 6 and len(batch.action_ids) == sum(len(x.action_ids) for x in said)


def test_an_episode_has_a_limit_of_tokens_beside_that_of_a_turn(source):
    sampler = Recorder((65,) * 4)
    policy = LanguagePolicy(source, sampler, Sampling(max_tokens=4), episode_tokens=10)
    history = []
    for _ in range(4):
        sampler.answer = (65,) * min(4, max(1, 10 - 4 * len(history)))
        history.append(turn_of(acted(policy, page_of(2), tuple(history))))
    assert [sampling.max_tokens for _, sampling in sampler.asked] == [4, 4, 2]
    assert history[3].completion.text == "[no answer: the 10 tokens of the episode are used up]"


# --- thinking ----------------------------------------------------------------------------------------------------------------


def thinking_tokenizer(opens):
    tokenizer = chat_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>"])
    start = "<think>\n" if opens else ""
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n" + start + "{% endif %}"
    )
    return tokenizer


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize("mode", ["on", "forget"])
def test_thinking_stays_in_a_conversation_or_is_forgotten(opens, mode):
    tokenizer = thinking_tokenizer(opens)
    context = Context(tokenizer, PromptSettings(context="conversation", thinking=mode))
    first = context.first(prompt_of(page_of(1), (), PromptSettings()))
    text = f"{'' if opens else '<think>'}Is it </ok>?</think>click('0')"
    answer = (*tokenizer(text)["input_ids"], 256)
    assert tokenizer.decode(answer[: context.thinking(answer)]) == text.partition("click")[0]
    history = (turn_of(Completion(text, "", first, answer, (0.0,) * len(answer))),)
    later = tokenizer.decode(context.ids(prompt_of(page_of(1), history, PromptSettings(context="conversation")), history))
    assert ("Is it" in later) == (mode == "on")
    assert "click('0')<|im_end|>\n<|im_start|>user" in later
    assert later.count("<think>") - later.count("</think>") == (1 if opens else 0), "only the new prompt has an open block"
    assert context.thinking(answer[:3]) == 3, "a block that was cut is all thinking"


@pytest.mark.parametrize("opens", [False, True])
def test_thinking_that_was_cut_is_forgotten_and_its_turn_ends(opens):
    tokenizer = thinking_tokenizer(opens)
    prompts = PromptSettings(context="conversation", thinking="forget")
    context = Context(tokenizer, prompts)
    first = context.first(prompt_of(page_of(1), (), PromptSettings()))
    for tail in ((), (256,)):  # cut by max_tokens, or ended by the model inside its block
        answer = (*tokenizer(f"{'' if opens else '<think>'}a thought")["input_ids"], *tail)
        history = (turn_of(Completion("", "", first, answer, (0.0,) * len(answer))),)
        later = tokenizer.decode(context.ids(prompt_of(page_of(1), history, prompts), history))
        kept = "<think>\n</think>" if opens else ""
        assert "a thought" not in later and f"assistant\n{kept}<|im_end|>\n<|im_start|>user" in later


def test_a_block_of_thinking_is_opened_before_an_action_and_not_behind_one():
    tokenizer = thinking_tokenizer(False)
    context = Context(tokenizer, PromptSettings(thinking="on"))
    texts = {"<think>cut": 1.0, " \n<think>cut": 1.0, "<think>a</think>\n<think>cut": 1.0, "click('0') <think>cut": 0.0, "go": 0.0, "": 0.0}
    for text, part in texts.items():
        ids = tokenizer(text)["input_ids"]
        assert context.thinking(ids) == part * len(ids), text


def test_thinking_that_cannot_be_told_is_refused():
    tokenizer = chat_tokenizer()
    for mode in ("on", "forget"):
        with pytest.raises(UsageError, match=rf"prompts.thinking={mode}: expected a tokenizer with the token </think>"):
            Context(tokenizer, PromptSettings(thinking=mode))
    with pytest.raises(UsageError, match=r"update.thinking=false: expected .* set it to true"):
        Context(tokenizer, PromptSettings()).check_thinking("update.thinking=false", "set it to true")
    Context(thinking_tokenizer(False), PromptSettings(thinking="on")).check_thinking("update.thinking=false", "set it to true")
    tokenizer.chat_template = tokenizer.chat_template.replace("Be kind.", "{{ 'Reason first.' if thinking else 'Be kind.' }}")
    Context(tokenizer, PromptSettings(thinking="on"))  # the template asks for it in words
    with pytest.raises(UsageError, match=r"thinking=forget"):
        Context(tokenizer, PromptSettings(thinking="forget"))


def test_thinking_is_left_out_of_the_loss():
    tokenizer = thinking_tokenizer(False)
    context = Context(tokenizer, PromptSettings(thinking="on"))
    answers = [tuple(tokenizer(text)["input_ids"]) for text in ("<think>so</think>go", "go")]
    turns = tuple(turn_of(Completion("", "", (1,), ids, (0.0,) * len(ids))) for ids in answers)
    finished = Trajectory(KEYS[0], "", turns, Outcome("success", 1.0))
    for weights in (np.array([1.0, 0.5]), np.array([1.0] * 6 + [0.5] * 2)):
        credit = spoken(Credit([np.array([2.0, 3.0])], [weights]), [finished], context)
        assert credit.weights[0].tolist() == [0.0] * 4 + [1.0, 1.0, 0.5, 0.5] and credit.per_token
        assert credit.advantages[0].tolist() == [2.0] * 6 + [3.0] * 2
        assert weights[0] == 1.0, "the credit that came is as it was"
