"""Our losses and gradients beside TRL's own, in float64; `make bench-trl` installs it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.batches.packing import PackedBatch, step_of
from trainers.batches.rows import rows_of_all
from trainers.learning.learner import Learner, OptimConfig
from trainers.models.model import load, packed_hidden
from trainers.models.tiny import FOLDER
from webgym.types import Trajectory

pytest.importorskip("trl", reason="TRL is not installed: make bench-trl")
from benchmarks import trl

random_conversation = trl.conversation


def our_gradient(model: Any, found: trl.Problem, spec: Any, temperature: float, out: Path) -> tuple[float, Tensor]:
    def forward(batch: PackedBatch, *, entropy: bool = False) -> tuple[Tensor, None]:
        table = torch.log_softmax(model.lm_head(packed_hidden(model, batch, batch.action_index)) / temperature, -1)
        return table.gather(1, batch.action_ids[:, None])[:, 0], None

    learner = Learner(model.parameters(), forward, OptimConfig(lr=1e-12, grad_clip=1e30), failed_batch=out / "failed.pt")
    seen: list[Tensor] = []
    learner._optimiser.register_step_pre_hook(lambda *_: seen.append(flat(model)))
    step = step_of(rows_of_all(found.trajectories), found.streams, 2048, whole=spec.whole, keep_zero_advantage=spec.acts_on_every_turn)
    metrics = learner.update([step], spec)
    return metrics["loss/total"], seen[0]


def flat(model: Any) -> Tensor:
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


def even(rng: np.random.Generator, index: int, vocabulary: int, limit: int) -> Trajectory:
    """A conversation whose first page has 80 tokens: TRL pads prompts on the left, where rotary positions, fp32 in any model, round."""
    x = random_conversation(rng, index, vocabulary, limit)
    cut = len(x.turns[0].completion.prompt_ids) - 80
    turns = (replace(t, completion=replace(t.completion, prompt_ids=t.completion.prompt_ids[cut:])) for t in x.turns)
    return replace(x, turns=tuple(turns))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("name", trl.SETTINGS)
def test_loss_and_gradient_are_trl_s(name: str, temperature: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trl, "conversation", even)
    spec, options = trl.SETTINGS[name]
    model = load(FOLDER)[0].double()
    found = trl.problem(load(FOLDER)[0], 4)
    trainer = trl.trl_trainer(FOLDER, tmp_path / "trl", 4, 4, {**options, "temperature": temperature})
    trainer.model.double()
    inputs = {key: x.double() if x.is_floating_point() else x for key, x in trl.padded(found, range(4)).items()}
    theirs = trainer.compute_loss(trainer.model, inputs)
    theirs.backward()
    with torch.no_grad():  # the size of the terms whose sum the loss is, as they cancel
        size = abs(float(trainer.compute_loss(trainer.model, {**inputs, "advantages": inputs["advantages"].abs()})))
    total, gradient = our_gradient(copy.deepcopy(model), found, spec, temperature, tmp_path)
    rounding = 2e-6  # of a ratio: TRL has log-probabilities, up to some 30 nats, in fp32 in any model
    assert total == pytest.approx(float(theirs.detach()), abs=rounding * size)
    wanted = flat(trainer.model)
    assert float((gradient - wanted).norm() / wanted.norm()) < rounding
