"""A small run of whichever version is imported, with demonstrations, packed into one file.

    git worktree add ../then COMMIT && cd ../then && PYTHONPATH=. python PATH/write.py COMMIT

It trains ArCHer-PPO with a model of a few thousand weights for one iteration on the text twin, and writes COMMIT.tar.xz beside itself.
tests/trainers/runs/test_written_before.py reads these files with the code of today.
"""

import shutil
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any


def parts() -> tuple[Any, ...]:
    """What a version calls the things that are needed: `tiny`, its policy, settings, configuration, trainer and errors' home."""
    try:
        from trainers import tiny
        from trainers.config import resolve
        from trainers.loop import Trainer  # pyright: ignore[reportMissingImports]
        from trainers.policy import PolicyModel  # pyright: ignore[reportMissingImports]
        from webgym.prompt import COMPACT  # pyright: ignore[reportMissingImports]
    except ImportError:
        from trainers.config import resolve
        from trainers.models import tiny
        from trainers.models.policy_model import PolicyModel
        from trainers.training.trainer import Trainer
        from webgym.prompts.settings import COMPACT
    return tiny, resolve, Trainer, PolicyModel, COMPACT


def main() -> None:
    commit = sys.argv[1]
    sys.argv = ["write.py", commit]  # which stands in run.json
    tiny, resolve, trainer_of, policy_model, compact = parts()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        words = "goal: name left page: heading textbox button done type click *1 continue value order form next back"
        tokenizer = tiny.build_tokenizer([words] * 9, 1000)
        shape = tiny.Shape(hidden=8, layers=1, heads=2, mlp=16, context=2048)
        model.mkdir()
        policy_model(tiny.build_model(tokenizer, shape, 0), tokenizer, replace(compact, history=2)).save(model)
        old = {
            "algo": "archer", "model": str(model), "tasks": ["wizard.h3"], "backend": "text", "iterations": 1, "minutes": None, "groups": 2,
            "group_size": 2, "sessions": 2, "epochs": 1, "minibatches": 1, "eval_seeds": 0, "max_tokens": 6, "checkpoint_every": 1,
            "trackers": [], "critic": {"warmup_iterations": 0},
        }  # fmt: skip
        try:
            resolved, *_ = resolve(old)
        except Exception:  # a version with keys in groups
            new = {
                "algo": "archer", "model": str(model), "tasks": ["wizard.h3"], "machine": {"backend": "text", "sessions": 2},
                "length": {"iterations": 1, "minutes": None}, "rollout": {"groups": 2, "group_size": 2, "max_tokens": 6},
                "update": {"epochs": 1, "minibatches": 1}, "evaluation": {"seeds": 0}, "checkpoints": {"every": 1}, "trackers": [],
                "critic": {"warmup_iterations": 0},
            }  # fmt: skip
            resolved, *_ = resolve(new)
        trainer = trainer_of.start(resolved, parent=Path(folder), name="run")
        with trainer.run:
            trainer.train()
        for extra in ("lock", "tensorboard"):
            shutil.rmtree(Path(folder, "run", extra), ignore_errors=True)
        with tarfile.open(Path(__file__).with_name(f"{commit}.tar.xz"), "w:xz") as packed:
            packed.add(Path(folder, "run"), "run", filter=plain)


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry without user and time."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


if __name__ == "__main__":
    main()
