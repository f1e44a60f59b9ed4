"""Names of a run's files, defined once for writers and readers of a run.

::

    runs/grpo-2026-01-31-1/        `runs/latest` is a link to the newest run
    ├── config.toml                the resolved configuration; `webgym train --config` takes it as it is
    ├── run.json                   algorithm, seed, versions, command, start time
    ├── metrics.jsonl              one row per iteration (and more for evaluations)
    ├── values.jsonl               the critic's values for a few episodes at every checkpoint
    ├── credit/iter-000012.jsonl   V(s_t) and the advantages that an iteration was trained with; a row per episode
    ├── truth.jsonl                the true V, Q and advantage at some turns (`webgym truth`); a row per episode
    ├── note.json                  the note and the tags that `webgym note` gave the run
    ├── live.json                  the live state of every session, for `webgym watch`
    ├── train.log                  what training told its user, a line for each iteration
    ├── lock                       held by the one process that writes
    ├── failed_batch.pt            the batch whose loss was no finite number, if there was one
    ├── tensorboard/
    ├── trajectories/iter-000012.jsonl, screenshots in a folder beside it
    └── checkpoints/iter-000012/   policy/ and critic/ as HF folders, state.pt, manifest.json

A folder of demonstrations holds demos.jsonl, a trajectory file, prompt.json, the prompt settings that they were written with, and
plan.json, all settings of their recording.
"""

import re
from pathlib import Path

LATEST = "latest"
CONFIG = "config.toml"
ABOUT = "run.json"
METRICS = "metrics.jsonl"
VALUES = "values.jsonl"
CREDIT = "credit"
TRUTH = "truth.jsonl"
NOTE = "note.json"
LIVE = "live.json"
LOCK = "lock"
LOG = "train.log"
FAILED_BATCH = "failed_batch.pt"
TENSORBOARD = "tensorboard"
TRAJECTORIES = "trajectories"

CHECKPOINTS = "checkpoints"
POLICY = "policy"
CRITIC = "critic"
STATE = "state.pt"
MANIFEST = "manifest.json"

DEMOS = "demos.jsonl"
DEMO_PROMPTS = "prompt.json"
DEMO_PLAN = "plan.json"

ITERATIONS = "iter-*"
"""A pattern for the names of iterations."""


def iteration_name(iteration: int) -> str:
    """The name of an iteration's trajectories and checkpoint.

    >>> iteration_name(12)
    'iter-000012'
    """
    return f"iter-{iteration:06d}"


def iteration_of(name: str) -> int:
    """The iteration of a name. Raises ValueError for another kind of name.

    >>> iteration_of("iter-000012")
    12
    """
    return int(name.removeprefix("iter-"))


def is_iteration(name: str) -> bool:
    """True for the name of an iteration, as :func:`iteration_name` gives it.

    >>> is_iteration("iter-000012"), is_iteration("iter-x")
    (True, False)
    """
    return re.fullmatch(r"iter-[0-9]{6,12}", name) is not None


def trajectory_file(run: Path, iteration: int) -> Path:
    """The file of an iteration's trajectories."""
    return run / TRAJECTORIES / f"{iteration_name(iteration)}.jsonl"


def credit_file(run: Path, iteration: int) -> Path:
    """The file of the values and advantages that an iteration was trained with."""
    return run / CREDIT / f"{iteration_name(iteration)}.jsonl"


def trajectory_files(run: Path) -> list[Path]:
    """The trajectory files that are there, by iteration."""
    return sorted(path for path in (run / TRAJECTORIES).glob(f"{ITERATIONS}.jsonl") if is_iteration(path.stem))


def is_run(path: Path) -> bool:
    """Tells whether the folder is a whole run: its description is written last."""
    return (path / ABOUT).is_file()
