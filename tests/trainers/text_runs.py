"""Small runs on the text twin, for tests of the whole loop: no browser, a model that writes short actions at random."""

import json
from pathlib import Path

import torch

from trainers.config import resolve
from trainers.models.model import prepare
from trainers.models.policy_model import PolicyModel
from trainers.models.tiny import Shape, build_model, build_tokenizer
from trainers.runs.keys import merged
from trainers.runs.moved_keys import moved
from trainers.training.trainer import Trainer
from webgym.prompts.settings import COMPACT

SMALL = {
    "tasks": ("wizard.h3",), "prompts": {"history": 0, "errors": False}, "machine": {"backend": "text", "sessions": 2, "threads": 1},
    "rollout": {"groups": 3, "group_size": 3, "max_tokens": 4}, "update": {"epochs": 1}, "length": {"iterations": 3, "minutes": 100},
    "checkpoints": {"every": 1}, "evaluation": {"seeds": 0}, "trackers": (), "critic": {"warmup_iterations": 1},
    "optim": {"lr": 1e-3, "warmup_steps": 0, "final": 1.0},
}  # fmt: skip


def write_model(folder: Path) -> Path:
    """A model that writes short actions at random, in `folder`."""
    tokenizer = build_tokenizer(["goal: click on the ok button.\npage:\nbutton ok #0\ndo:", "click #1"] * 8, vocab_size=1000)
    built = build_model(tokenizer, Shape(hidden=32, layers=1, heads=2, mlp=64))
    PolicyModel(prepare(built), tokenizer, COMPACT).save(folder)  # type: ignore[arg-type]
    return folder


def start(model: Path | str, parent: Path, name: str, algo: str, **changes: object) -> Trainer:
    """A new run of SMALL with `changes`; keys of groups may stand without their group, as in iterations=2."""
    config = merged(SMALL, moved({"model": str(model), "algo": algo, **changes}))
    return Trainer.start(resolve(config)[0], parent=parent, name=name)


def finish(trainer: Trainer) -> Trainer:
    """The trainer after its run."""
    with trainer.run:
        trainer.train()
    return trainer


def rows(path: Path) -> list[dict]:
    """The rows of a journal."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def timeless(path: Path) -> list[dict]:
    """The rows without the times, which no two runs share."""
    return [{key: x for key, x in row.items() if not key.startswith("time")} for row in rows(path)]


def state(trainer: Trainer) -> list[torch.Tensor]:
    """All weights of policy and critic."""
    critic = [] if trainer.valuer is None else list(trainer.valuer.critic.parameters())
    return [p.detach() for p in [*trainer.source.model.parameters(), *critic]]
