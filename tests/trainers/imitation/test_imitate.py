"""Imitation learns, measures what it says, and does the same twice."""

import copy
import math
from dataclasses import replace
from itertools import islice

import pytest
import torch

from trainers.batches.packing import pack
from trainers.imitation.imitate import Config, Example, _deal, _rows, _scale, _split, _step, _steps, examples_of, measure, sft
from trainers.learning.masters import Masters
from trainers.models.model import prepare
from trainers.models.prompt_ids import Context
from trainers.models.tiny import Shape, build_model, build_tokenizer
from webgym.errors import UsageError
from webgym.prompts.prompt import recorded_prompt
from webgym.prompts.settings import COMPACT
from webgym.types import Completion, EpisodeKey, Outcome, Trajectory, Turn

SIZE = Shape(hidden=64, layers=2, heads=2, mlp=128, context=64)
COLOURS = ("red", "green", "blue", "white")


def some_examples(count):
    """The prompt ends with a colour; each colour wants its own ref."""
    prompts = [recorded_prompt(f"goal: press it\nbutton #9\ndo: {COLOURS[i % 4]}", COMPACT) for i in range(count)]
    return [Example(((prompt, f"click #{i % 4}"),), f"episode-{i // 2}") for i, prompt in enumerate(prompts)]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([prompt.text + answer for e in some_examples(8) for prompt, answer in e.turns], vocab_size=1000)


def fresh(tokenizer):
    return prepare(build_model(tokenizer, SIZE))


def test_imitation_learns_what_was_shown(tokenizer):
    seen = []
    config = Config(epochs=30, lr=3e-3, batch_tokens=200, held_out=0.2, measure_every=50)
    report = sft(fresh(tokenizer), tokenizer, some_examples(80), config, seen.append)
    assert report.final.exact == 1.0 and report.final.held_out_loss < 0.1
    assert list(report.curve) == seen and [p.step for p in seen] == [50, 100, report.final.steps]
    assert report.turns + report.held_out_turns == 80 and report.held_out_turns % 2 == 0
    assert report.final.step == report.final.steps and report.final.epoch == pytest.approx(30, abs=1)


def test_two_runs_give_the_same_weights(tokenizer):
    models = [fresh(tokenizer) for _ in range(2)]
    for model in models:
        sft(model, tokenizer, some_examples(16), Config(epochs=2, batch_tokens=100, prompt_weight=0.1))
    assert all(torch.equal(a, b) for a, b in zip(*(m.state_dict().values() for m in models), strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_16_bit_weights_learn_from_steps_that_they_cannot_tell(tokenizer, optimizer):
    """Half the distance of bfloat16's numbers is 6e-5 at a usual weight of 0.02; a step is 2e-5."""
    config = Config(epochs=12, optimizer=optimizer, lr=2e-5, schedule="constant", weight_decay=0.0, batch_tokens=200, held_out=0.2,
                    measure_every=1)  # fmt: skip
    fell = []
    for dtype in (torch.float32, torch.bfloat16):
        model = fresh(tokenizer).to(dtype=dtype)
        curve = sft(model, tokenizer, some_examples(24), config).curve
        fell.append(curve[0].held_out_loss - curve[-1].held_out_loss)
        assert {p.dtype for p in model.parameters()} == {dtype}
    assert fell[0] > 0.02 and fell[1] == pytest.approx(fell[0], rel=0.3)


def test_above_float16_the_gradient_of_a_model_that_is_nearly_sure_is_not_lost(tokenizer):
    """The gradients of a small loss are less than float16 can tell, unless the loss is scaled."""
    sure = fresh(tokenizer)
    sft(sure, tokenizer, some_examples(80), Config(epochs=60, lr=3e-3, batch_tokens=200, held_out=0.0))
    batch = pack(_rows(sure, Context(tokenizer, COMPACT), some_examples(16)), 10_000)[0]

    def gradient(dtype):
        model = prepare(copy.deepcopy(sure).to(dtype))
        masters = Masters(model.parameters())
        loss, count = _step(model, batch, masters, [torch.optim.SGD(masters.parameters, lr=0.0)], Config(grad_clip=1e9))
        assert float(loss) / count < 0.05
        return torch.cat([p.grad.flatten().float() for p in masters.parameters])

    exact, half = gradient(torch.float32), gradient(torch.float16)
    assert float(torch.cosine_similarity(half, exact, 0)) > 0.99 and float(half.norm()) == pytest.approx(float(exact.norm()), rel=0.02)


def test_a_limit_of_time_ends_it_with_the_step_size_run_down(tokenizer, monkeypatch):
    ticks = iter(range(100_000))
    monkeypatch.setattr("trainers.imitation.imitate.time.perf_counter", lambda: next(ticks))  # each look at the clock is a second
    config = Config(epochs=1000, minutes=0.5, batch_tokens=100, held_out=0.0, measure_every=1)
    curve = sft(fresh(tokenizer), tokenizer, some_examples(16), config).curve
    assert 5 < curve[-1].step < 31 and curve[-1].steps > 1000
    assert curve[-1].lr == pytest.approx(0.05 * config.lr) and max(p.lr for p in curve) > 0.9 * config.lr


def test_exact_match_is_what_greedy_decoding_would_write(tokenizer):
    model, examples = fresh(tokenizer), some_examples(40)
    sft(model, tokenizer, examples, Config(epochs=12, optimizer="adamw", lr=3e-3, batch_tokens=100, held_out=0.0))
    examples[::3] = [replace(example, turns=((example.turns[0][0], "click #9"),)) for example in examples[::3]]  # what it would not write
    right, total, count = 0, 0.0, 0
    context = Context(tokenizer, COMPACT)
    model.set_attn_implementation("sdpa")
    for example in examples:
        ids, action = list(context.first(example.turns[0][0])), list(context.completion(example.turns[0][1]))
        written = []
        for _ in action:
            written.append(int(model(torch.tensor([ids + written])).logits[0, -1].argmax()))
        right += written == action
        table = torch.log_softmax(model(torch.tensor([ids + action])).logits[0], -1)
        total -= sum(float(table[len(ids) - 1 + i, token].detach()) for i, token in enumerate(action))
        count += len(action)
    loss, exact = measure(prepare(model), pack(_rows(model, Context(tokenizer, COMPACT), examples), 150))
    assert 20 < right <= 26
    assert exact == right / 40 and loss == pytest.approx(total / count, abs=1e-5)


def test_prompt_weight_teaches_the_prompts(tokenizer):
    examples = some_examples(16)
    losses = []
    for weight in (0.0, 1.0):
        model = fresh(tokenizer)
        sft(model, tokenizer, examples, Config(epochs=12, lr=3e-3, batch_tokens=100, prompt_weight=weight, held_out=0.0))
        model.set_attn_implementation("sdpa")
        ids = torch.tensor([Context(tokenizer, COMPACT).first(examples[0].turns[0][0])])
        losses.append(float(model(ids, labels=ids).loss.detach()))
    assert losses[1] < 0.7 * losses[0]


def test_every_epoch_shows_every_row_once_within_the_budget(tokenizer):
    rows = _rows(fresh(tokenizer), Context(tokenizer, COMPACT), some_examples(30))
    dealt, steps = [], _deal(rows, Config(batch_tokens=64))
    while len(dealt) < 60:
        step = next(steps)
        assert sum(map(len, step)) <= 64
        dealt += [row.trajectory for row in step]
    assert sorted(dealt[:30]) == sorted(dealt[30:60]) == list(range(30)) and dealt[:30] != dealt[30:60]


@pytest.mark.parametrize("batch_tokens", [1, 40, 64, 250, 4096])
@pytest.mark.parametrize("epochs", [1.0, 2.0, 3.5])
def test_epochs_are_passes_however_long_rows_are(tokenizer, batch_tokens, epochs):
    """A step has whole rows: where two do not fit in one, or one is longer than a step, the number of steps is another."""
    rows = _rows(fresh(tokenizer), Context(tokenizer, COMPACT), some_examples(40))
    config = Config(batch_tokens=batch_tokens, epochs=epochs)
    dealt = [sum(map(len, step)) for step in islice(_deal(rows, config), _steps(rows, config))]
    assert abs(sum(dealt) - epochs * sum(map(len, rows))) <= max(dealt) / 2 or len(dealt) == 1


def test_episodes_are_held_out_whole(tokenizer):
    examples = some_examples(60)
    train, held = _split(
        _rows(fresh(tokenizer), Context(tokenizer, COMPACT), examples), [e.episode for e in examples], Config(held_out=0.3)
    )
    names = [{examples[row.trajectory].episode for row in rows} for rows in (train, held)]
    assert not names[0] & names[1] and len(train) + len(held) == 60 and 6 <= len(held) <= 30


def test_schedules():
    linear = [_scale(step, 100, Config(warmup=0.1, schedule="linear")) for step in (5, 10, 55, 100)]
    assert linear == pytest.approx([0.5, 1.0, 0.05 + 0.95 / 2, 0.05])
    cosine = [_scale(step, 100, Config(warmup=0.1)) for step in (10, 55, 100)]
    assert cosine == pytest.approx([1.0, 0.525, 0.05])
    assert _scale(100, 100, Config(schedule="constant")) == 1.0


def a_trajectory(prompt, text, key=""):
    turn = Turn(Completion(text, prompt=prompt, key=key), "click(0)", "", 1.0, True, False, "o", "s")
    return Trajectory(EpisodeKey("webgym/miniwob.x-v0", 3), "goal", (turn,), Outcome("success", 1.0))


def test_demonstrations_come_from_trajectories():
    wanted = Example(((recorded_prompt("page", COMPACT), "click #0"),), "webgym/miniwob.x-v0/3")
    assert examples_of([a_trajectory("page", "click #0")], COMPACT) == [wanted]
    with pytest.raises(UsageError, match=r"seed 3.*turn 0"):
        examples_of([a_trajectory("", "click #0")], COMPACT)
    with pytest.raises(UsageError, match=r"seed 3.*turn 0: expected a prompt of text, got one with pictures"):
        examples_of([a_trajectory("page", "click #0", key="5e1f")], COMPACT)


def test_bad_demonstrations_are_usage_errors(tokenizer):
    with pytest.raises(UsageError, match="at most 64"):
        sft(fresh(tokenizer), tokenizer, [Example(((recorded_prompt("word " * 100, COMPACT), "click #0"),), "e")], Config())
    with pytest.raises(UsageError, match="at least one"):
        sft(fresh(tokenizer), tokenizer, [], Config())


def test_nothing_held_out_is_nan_not_zero(tokenizer):
    loss, exact = measure(fresh(tokenizer), [])
    assert math.isnan(loss) and math.isnan(exact)


def test_a_conversation_is_one_row_with_a_span_a_turn(tokenizer):
    turns = (("goal: press it\nbutton #9\ndo:", "click #9"), ("button #2\ndo:", "click #2"))
    prompts = replace(COMPACT, context="conversation")
    played = Trajectory(
        EpisodeKey("webgym/miniwob.x-v0", 3), "", tuple(a_trajectory(*turn).turns[0] for turn in turns), Outcome("success", 1.0)
    )
    (example,) = examples_of([played], prompts)
    assert [(prompt.text, answer) for prompt, answer in example.turns] == list(turns) and len(examples_of([played], COMPACT)) == 2
    context = Context(tokenizer, prompts)
    (row,) = _rows(fresh(tokenizer), context, [example])
    assert [tokenizer.decode(row.ids[span.start : span.end]) for span in row.spans] == ["click #9<|end|>", "click #2<|end|>"]
    assert [tokenizer.decode(row.ids[: span.start]) for span in row.spans] == [
        turns[0][0],
        f"{turns[0][0]} click #9<|end|>\n{turns[1][0]}",
    ]
    model = fresh(tokenizer)
    report = sft(model, tokenizer, [example] * 8, Config(epochs=30, lr=3e-3, batch_tokens=100, held_out=0.0), prompts=prompts)
    assert report.turns == 16 and measure(model, pack([row], 100))[1] == 1.0
