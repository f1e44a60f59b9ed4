"""Shared prompts against packed rows, and the exact policy gradient against finite differences of the exact value."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainers.models.attention import Segments
from trainers.models.model import logits_of
from trainers.models.policy_model import PolicyModel
from trainers.models.shared_prompt import SharedPrompt, batches, shared_prompt_logprobs
from trainers.studies.exact_gradient import Exact, Sketch, exact_gradient, scores
from trainers.studies.truth import Remembered, chances_of
from webgym.packs import registry
from webgym.prompts.settings import PromptSettings


@pytest.fixture(scope="module")
def source():
    tiny = PolicyModel.load("webgym-tiny")
    return replace(tiny, prompts=PromptSettings.from_json({**tiny.prompts.to_json(), "history": 0, "errors": False}))


def test_a_fan_says_what_its_texts_say_one_by_one(source):
    model = deepcopy(source.model).double()  # log-probabilities of -65 are known to 1e-5
    shared_prompts = [SharedPrompt((5, 6, 7), ((8, 9), (10,), (8, 11, 12))), SharedPrompt((7, 5), ((9,),))]
    together = shared_prompt_logprobs(model, shared_prompts, 0.7)
    alone = [
        shared_prompt_logprobs(model, [SharedPrompt(shared_prompt.prompt, (text,))], 0.7)[0][0]
        for shared_prompt in shared_prompts
        for text in shared_prompt.texts
    ]
    assert torch.cat(together).tolist() == pytest.approx(torch.stack(alone).tolist(), abs=1e-5)
    row = torch.tensor([[5, 6, 7, 8, 11, 12]])
    hidden = model.get_decoder()(input_ids=row, position_ids=torch.arange(6)[None], layout=Segments([6]), use_cache=False)
    logprobs = torch.log_softmax(logits_of(model, hidden.last_hidden_state[0]) / 0.7, -1)
    assert together[0][2].item() == pytest.approx((logprobs[2, 8] + logprobs[3, 11] + logprobs[4, 12]).item(), abs=1e-5)
    assert [len(x) for x in batches(shared_prompts * 3, 11)] == [1, 1, 1, 1, 1, 1] and [len(x) for x in batches(shared_prompts, 99)] == [2]


def test_a_sketch_keeps_inner_products(source):
    shared_prompt = SharedPrompt((5, 6, 7), ((8, 9), (10,)))
    (logprobs,) = shared_prompt_logprobs(source.model, [shared_prompt])
    sketch = Sketch(source.model, size=4096)
    full = []
    for n, x in enumerate(logprobs):
        grads = torch.autograd.grad(x, sketch.parameters, retain_graph=n == 0, allow_unused=True)
        full.append(
            torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(sketch.parameters, grads, strict=True)])
        )
    (small,) = scores(source, [shared_prompt], 1.0, sketch)
    norms = float(full[0].norm() * full[1].norm())
    assert float(small[0] @ small[1]) == pytest.approx(float(full[0] @ full[1]), abs=5 * norms / 64)
    assert float(small[0].norm()) == pytest.approx(float(full[0].norm()), rel=0.1)


def test_the_exact_gradient_is_the_slope_of_the_exact_value(source):
    """Along a direction d: (V(θ + εd) − V(θ − εd)) / 2ε = ⟨∇J, d⟩, with a sketch as long as the gradient."""
    task, seed = registry.task("wizard.h2-k2-late2-slack1"), 3

    def exact():
        remembered = Remembered(chances_of(source, 1.0))
        return Exact(task.exact(seed, remembered, 1.0), remembered.asked)

    def v():
        return sum(here.v for (_, turn), here in exact().values.items() if turn == 0)

    whole = Sketch(source.model)
    count = sum(p.numel() for p in whole.parameters)
    whole.size, whole._bucket, whole._sign = count, torch.arange(count), torch.ones(count)
    found = exact_gradient(source, exact(), 1.0, whole, least_visits=0.0).double()
    assert float(found.norm()) > 1e-6
    direction = (found / found.norm()).float()
    parts = direction.split([p.numel() for p in whole.parameters])

    def moved(step):
        for p, part in zip(whole.parameters, parts, strict=True):
            p.data += step * part.view_as(p)
        worth = v()
        for p, part in zip(whole.parameters, parts, strict=True):
            p.data -= step * part.view_as(p)
        return worth

    slope = (moved(0.002) - moved(-0.002)) / 0.004
    assert slope == pytest.approx(float(found.norm()), rel=0.02)
    assert np.isclose(sum(here.visits for (_, turn), here in exact().values.items() if turn == 0), 1.0)
