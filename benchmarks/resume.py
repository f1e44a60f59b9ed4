"""`kill -9` of the trainer at random moments, then `--resume`: is it the run that was never interrupted, bit for bit?

    python -m benchmarks.resume [--kills 20] [--only adapter] [--seed 0] [--json FILE]

Each case trains webgym-tiny for six iterations with a checkpoint after the third: once straight, then again and again with a SIGKILL
that falls into an iteration drawn at random, at a moment drawn at random inside it, and once more to the end with `--resume`. Compared
are all rows of the metrics and of the critic's values (times excepted), every episode of every iteration (prompts, sampled ids,
log-probabilities, hashes of pages), and everything in the last checkpoint: weights, critic, optimisers, curriculum, counters.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from trainers.config import resolve, with_settings
from trainers.models.model import no_progress_bars
from trainers.runs.run_folder import RunFolder
from trainers.training.trainer import Trainer
from webgym.errors import WebGymError
from webgym.record import layout
from webgym.record.store import load
from webgym.types import Times, Trajectory

ITERATIONS = 6
COMMON = ("rollout.groups=2", "rollout.group_size=3", "machine.sessions=2", f"length.iterations={ITERATIONS}", "checkpoints.every=3",
          "evaluation.seeds=0", "trackers=[]", "length.minutes=null", "critic.warmup_iterations=1")  # fmt: skip
BROWSER = {"tasks": ["miniwob.click-button", "miniwob.login-user"]}
TEXT = {"tasks": ["wizard.h3"], "machine": {"backend": "text"}}
PATIENCE_S = 1200.0
"""Longest wait for the next iteration of a run."""


@dataclass(frozen=True, eq=False)
class Case:
    """One kind of run."""

    name: str
    algo: str
    where: Mapping[str, Any]
    settings: tuple[str, ...] = ()

    def start(self, parent: Path, name: str) -> Trainer:
        """A new run of it."""
        data = with_settings({"algo": self.algo, **self.where}, [*COMMON, *self.settings])
        return Trainer.start(resolve(data)[0], parent=parent, name=name)


CASES = (
    Case("grpo, browser", "grpo", BROWSER),
    Case("archer, browser, overlapped", "archer", BROWSER, ("rollout.overlap=true",)),
    Case("archer, text, cross-fitted", "archer", TEXT, ("critic.values_from=cross_fit", "critic.folds=2", "bootstrap_at_limit=true")),
    Case("dapo, text, overlapped, resampling", "dapo", TEXT, ("rollout.overlap=true", "resample=2")),
    Case("archer, text, adapter", "archer", TEXT, ("lora.rank=4",)),
    Case("ppo, text, adapter", "ppo", TEXT, ("lora.rank=4",)),
    Case("archer_q, text, adapter", "archer_q", TEXT, ("lora.rank=4",)),
)


@dataclass(frozen=True)
class Kill:
    """One run that was killed and resumed. `differences` is empty where it is the straight run."""

    case: str
    iteration: int  # that was under way
    after_s: float  # into that iteration, as drawn
    resumed_from: int  # iteration of the checkpoint
    differences: tuple[str, ...]


def straight(case: Case, parent: Path) -> tuple[Path, float]:
    """The run that nobody kills, and seconds of one of its iterations."""
    _to_the_end(partial(case.start, parent, "straight"))
    rows = _rows(parent / "straight" / layout.METRICS)
    return parent / "straight", sum(row["time/iteration_s"] for row in rows) / len(rows)


def killed(case: Case, parent: Path, name: str, reference: Path, iteration_s: float, rng: random.Random) -> Kill:
    """Start, kill, resume, compare. A run that ends before its moment comes is started again with another moment."""
    for attempt in range(20):
        moment, after_s = rng.randrange(1, ITERATIONS + 1), rng.random() * iteration_s
        path = parent / f"{name}-{attempt}"
        if _kill_in(partial(case.start, parent, path.name), path, moment, after_s):
            break
    else:
        raise WebGymError("the trainer ended before its moment came, 20 times")
    with RunFolder.open(path, write=False) as run:
        resumed_from = run.latest().iteration
    _to_the_end(partial(Trainer.resume, path))
    found = tuple(differences(reference, path))
    if not found:
        shutil.rmtree(path)
    return Kill(case.name, moment, round(after_s, 3), resumed_from, found)


def _process(begin: Callable[[], Trainer]) -> Any:
    """The trainer in a process of its own, with its browser in one group that can be killed at once."""
    process = multiprocessing.get_context("fork").Process(target=_train, args=(begin,))  # what is imported is imported once
    process.start()
    return process


def _train(begin: Callable[[], Trainer]) -> None:
    os.setsid()
    trainer = begin()
    with trainer.run:
        trainer.train()


def _to_the_end(begin: Callable[[], Trainer]) -> None:
    process = _process(begin)
    process.join()
    if process.exitcode:
        raise WebGymError(f"the trainer ended with {process.exitcode}")


def _kill_in(begin: Callable[[], Trainer], path: Path, iteration: int, after_s: float) -> bool:
    """Kill the run so many seconds into an iteration; False where it had ended."""
    process, deadline = _process(begin), time.monotonic() + PATIENCE_S
    while _begun(path) < iteration:
        if not process.is_alive() or time.monotonic() > deadline:
            raise WebGymError(f"the trainer did not get to iteration {iteration}: it ended with {process.exitcode}")
        time.sleep(0.005)
    time.sleep(after_s)
    over = not process.is_alive()
    if not over:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return not over


def _begun(path: Path) -> int:
    """The iteration under way: 1 once the first checkpoint is there, then one more than there are rows."""
    if not (path / layout.CHECKPOINTS / layout.iteration_name(0)).is_dir():
        return 0
    metrics = path / layout.METRICS
    return 1 + (metrics.read_bytes().count(b"\n") if metrics.exists() else 0)


# --- is it the same run? -------------------------------------------------------------------------------------------------


def differences(one: Path, other: Path) -> list[str]:
    """What two runs differ in, in words; nothing where they are the same but for times and faults that were mended."""
    found = [f"{name}: other rows" for name in (layout.METRICS, layout.VALUES) if _timeless(one / name) != _timeless(other / name)]
    with RunFolder.open(one, write=False) as first, RunFolder.open(other, write=False) as second:
        for iteration in range(1, ITERATIONS + 1):
            episodes = [[*map(as_played, load(run.trajectory_path(iteration)))] for run in (first, second)]
            if [*map(repr, episodes[0])] != [*map(repr, episodes[1])]:  # a fault's reward is NaN, which equals nothing but its repr
                found.append(f"iteration {iteration}: other episodes")
        ends = [run.latest() for run in (first, second)]
    if ends[0].iteration != ends[1].iteration:
        return [*found, f"the last checkpoints are of iterations {ends[0].iteration} and {ends[1].iteration}"]
    files = [{p.relative_to(end.path) for p in end.path.rglob("*.safetensors")} for end in ends]
    if files[0] != files[1]:
        return [*found, "the last checkpoints hold other files"]
    found += [f"{file}: other weights" for file in sorted(files[0]) if not same(*(load_file(end.path / file) for end in ends))]
    first, second = (end.state() for end in ends)
    return found + [f"another state of {key}" for key in first.keys() | second.keys() if not same(first.get(key), second.get(key))]


def same(one: Any, other: Any) -> bool:
    """Whether nested tensors and plain data are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(x, other[key]) for key, x in one.items())
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def _timeless(path: Path) -> list[dict[str, Any]]:
    return [{key: x for key, x in row.items() if not key.startswith("time")} for row in _rows(path)]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def as_played(trajectory: Trajectory) -> Trajectory:
    """The episode without its times and without the faults on its way that were mended."""
    turns = tuple(replace(turn, times=Times()) for turn in trajectory.turns)
    return replace(trajectory, turns=turns, outcome=replace(trajectory.outcome, retries=0, faults=()))


def table(found: Sequence[Kill]) -> Table:
    """The kills of each case, and how many of the resumed runs were the straight one."""
    shown = Table(title="killed and resumed", title_justify="left")
    for name in ("case", "kills", "bitwise equal", "killed in iteration", "resumed from"):
        shown.add_column(name)
    for case in dict.fromkeys(kill.case for kill in found):
        of_case = [kill for kill in found if kill.case == case]
        equal = sum(not kill.differences for kill in of_case)
        columns = [" ".join(str(getattr(kill, name)) for kill in of_case) for name in ("iteration", "resumed_from")]
        shown.add_row(case, str(len(of_case)), str(equal), *columns)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="in all; the cases take turns")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    no_progress_bars()
    rng, found = random.Random(arguments.seed), []
    cases = [case for case in CASES if arguments.only in case.name]
    if not cases:
        parser.error(f"--only {arguments.only!r}: expected a part of {', '.join(repr(case.name) for case in CASES)}")
    with tempfile.TemporaryDirectory() as folder:
        references: dict[Case, tuple[Path, float]] = {}
        for number in range(arguments.kills):
            case = cases[number % len(cases)]
            parent = Path(folder) / f"case-{number % len(cases)}"
            if case not in references:
                references[case] = straight(case, parent)
            found.append(killed(case, parent, f"kill-{number}", *references[case], rng))
            last = found[-1]
            print(f"{number + 1:>3}  {last.case}: killed {last.after_s:.2f} s into iteration {last.iteration}, resumed from "
                  f"{last.resumed_from}: {'; '.join(last.differences) or 'the same run'}", flush=True)  # fmt: skip
    equal = sum(not kill.differences for kill in found)
    result = {"kills": [asdict(kill) for kill in found], "equal": equal, "passed": equal == len(found)}
    Console().print(table(found))
    print(f"{equal} of {len(found)} resumed runs are the straight run, bit for bit")
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    raise SystemExit(equal != len(found))


if __name__ == "__main__":
    main()
