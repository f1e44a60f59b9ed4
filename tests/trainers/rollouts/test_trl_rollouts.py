"""Episodes as TRL's `rollout_func` returns them: ids, masks and rewards, with the answers scripted and the tasks real."""

from types import SimpleNamespace

import pytest

from tests.trainers.chat_model import chat_tokenizer
from tests.webgym.serve.test_conformance import TASK, oracle
from trainers.models.prompt_ids import Context
from trainers.rollouts import trl_rollouts
from trainers.rollouts.trl_rollouts import Rollouts, episode_reward, rollout_rows, with_trl
from webgym.env.core import AsyncWebEnv
from webgym.errors import BrowserFault, UsageError
from webgym.prompts.parts import Message, Prompt, TextPart

TOKENIZER = chat_tokenizer()
END = TOKENIZER.eos_token_id


def played(script, prompts, most=100_000, **settings):
    """What a trainer is given for these prompts by a model that writes the script's texts, one a turn; then it stops."""

    def generate(trainer, ids, turn_tokens):
        turns = [TOKENIZER.decode(each).count("<|im_start|>assistant") - 1 for each in ids]
        texts = [script[turn] if turn < len(script) else "stop('')" for turn in turns]
        answers = [[*TOKENIZER(text, add_special_tokens=False)["input_ids"], END][:turn_tokens] for text in texts]
        return answers, [[-0.5] * len(answer) for answer in answers]

    trainer = SimpleNamespace(processing_class=TOKENIZER, args=SimpleNamespace(max_completion_length=most))
    rollouts = Rollouts(backend="text", generate=generate, **settings)
    try:
        return rollouts(prompts, trainer)
    finally:
        rollouts.close()


def test_rows_name_episodes():
    assert rollout_rows(["wizard.h1", TASK], range(2)) == [
        {"prompt": name} for name in ("wizard.h1#0", f"{TASK}#0", "wizard.h1#1", f"{TASK}#1")
    ]


def test_a_group_is_one_instance_and_sampled_tokens_alone_are_learned_from():
    found = played(oracle(), [f"{TASK}#5", f"{TASK}#5", f"{TASK}#11"])
    assert found["reward"] == [1.0, 1.0, 0.0] == episode_reward([], found["reward"])
    assert found["prompt_ids"][0] == found["prompt_ids"][1] != found["prompt_ids"][2]
    for ids, mask, logprobs in zip(found["completion_ids"], found["env_mask"], found["logprobs"], strict=True):
        assert len(ids) == len(mask) == len(logprobs) and ids[-1] == END and mask[-1] == 1
        assert {(m, chance) for m, chance in zip(mask, logprobs, strict=True)} <= {(1, -0.5), (0, 0.0)}
    assert 0 in found["env_mask"][0] and 0 in found["env_mask"][1]
    sampled = [i for i, m in zip(found["completion_ids"][0], found["env_mask"][0], strict=True) if m]
    assert TOKENIZER.decode(sampled).split("<|im_end|>") == [*oracle(), ""]


def test_the_ids_are_those_of_the_conversation_by_the_template():
    found = played(oracle(), [f"{TASK}#5"])
    text = TOKENIZER.decode(found["prompt_ids"][0] + found["completion_ids"][0])
    messages = []
    for part in text.split("<|im_start|>")[1:]:
        role, _, words = part.partition("\n")
        messages.append({"role": role, "content": words.rstrip("\n").removesuffix("<|im_end|>")})
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * len(oracle())]
    assert "Goal: " in messages[1]["content"] and "Goal: " not in messages[3]["content"] and "Turns left" in messages[3]["content"]
    rendered = TOKENIZER.apply_chat_template(messages, tokenize=False)
    assert text == rendered.removesuffix("\n")


@pytest.mark.parametrize("moment", ["reset", "step"])
def test_a_fault_has_no_reward_and_nothing_of_it_is_learned_from(monkeypatch, moment):
    async def fails(self, *_):
        raise BrowserFault("the browser died")

    actions = oracle()
    monkeypatch.setattr(AsyncWebEnv, moment, fails)
    found = played(actions, [f"{TASK}#5"])
    assert found["reward"] == [None] and found["completion_ids"][0] and not any(found["env_mask"][0])
    assert len(found["env_mask"][0]) == len(found["completion_ids"][0]) == len(found["logprobs"][0])


@pytest.mark.parametrize("most", [5, 40, 200])
def test_an_episode_ends_where_the_trainers_completions_do(most):
    found = played(oracle(), [f"{TASK}#5"], most=most)
    assert found["reward"] == [0.0] and 0 < len(found["completion_ids"][0]) <= most


def test_a_long_answer_is_cut_and_ended():
    found = played(["I think " * 90], [f"{TASK}#5"], turn_tokens=32)
    ids, mask = found["completion_ids"][0], found["env_mask"][0]
    assert sum(mask[:33]) == 32 and ids[32] == END and mask[32] == 0


def test_an_answer_that_ends_with_another_token_of_the_model_is_not_ended_twice(monkeypatch):
    other = TOKENIZER.convert_tokens_to_ids("<|im_start|>")  # stands for a token of the model's own list, such as <eot>
    settings = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[END, other]))
    made = []
    monkeypatch.setattr(trl_rollouts, "Context", lambda *given: made.append(Context(*given)) or made[0])
    for trainer in (SimpleNamespace(model=settings), SimpleNamespace(generation_config=settings.generation_config, model=None)):
        made.clear()
        trainer.processing_class, trainer.args = TOKENIZER, SimpleNamespace(max_completion_length=100)
        trl_rollouts.Rollouts(backend="text")([], trainer)
        page = Prompt((Message("user", (TextPart("two"),)),))
        assert made[0].following(page, (65, other)) == made[0].following(page, (65, END)) != made[0].following(page, (65,))


@pytest.mark.parametrize("prompt", ["wizard.h3", "wizard.h3#x", "wizard.h3#²", [{"role": "user", "content": "wizard.h3#5"}]])
def test_prompts_that_name_no_episode_are_refused(prompt):
    with pytest.raises(UsageError, match=r"expected prompts such as 'mail.star#5'"):
        played([], [prompt])


@pytest.mark.parametrize("vllm", [False, True])
def test_trls_generation_is_held_to_the_length_of_a_turn(vllm):
    def generate(prompts, images, fields, generations):
        assert (images, fields, generations) == (None, {}, 1)
        return [[config.max_new_tokens, server.max_completion_length]], None

    config, server = SimpleNamespace(max_new_tokens=3000), SimpleNamespace(max_completion_length=3000)
    trainer = SimpleNamespace(use_vllm=vllm, generation_config=config, vllm_generation=server, _generate_single_turn=generate)
    assert with_trl(trainer, [[1]], 7) == ([[3000, 7] if vllm else [7, 3000]], None)
    assert (config.max_new_tokens, server.max_completion_length) == (3000, 3000)
