"""Collectors as processes of this machine: are they exact when one is killed, and what do they cost?

    python -m benchmarks.collectors [--parts bits overhead scale sleep] [--kills 20] [--seconds 10] [--seed 0] [--json FILE]

bits      A GRPO run of three iterations over two collectors, one of which is killed (SIGKILL) at a random moment and started again.
          Every episode (times and retries excepted) and every weight must be those of the same run in one process, on the text twin
          and in Chromium in turn.
overhead  Turns a second of one collector beside those of the same sessions in this process, in alternating rounds.
scale     Turns a second of two collectors beside one, each bound to a core of its own, with a policy that costs next to nothing.
sleep     Four collectors with 64 sessions each beside one, where model and page take a log-normal time of mean 1 s that is slept.
"""

import argparse
import asyncio
import json
import math
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.resume import as_played, same
from trainers.config import resolve, with_settings
from trainers.models.model import no_progress_bars
from trainers.training.trainer import Trainer
from webgym.commands.processes import tree_cpu_s
from webgym.errors import WebGymError
from webgym.nodes.executor import HttpExecutor, Limits
from webgym.policies.scripted import RandomPolicy
from webgym.record.store import load
from webgym.rollout.arena import Arena
from webgym.rollout.contract import PolicyHandle
from webgym.rollout.executor import Executor
from webgym.types import Completion, EpisodeKey, Observation, Turn, group_keys, seed_from

ROOT = Path(__file__).parents[1]
ITERATIONS = 3
RUN = ("rollout.groups=3", "rollout.group_size=3", "machine.sessions=2", f"length.iterations={ITERATIONS}", "evaluation.seeds=0",
       "trackers=[]", "length.minutes=null")  # fmt: skip
WHERE = {
    "text": ({"tasks": ["wizard.h3"], "machine": {"backend": "text"}}, "wizard.h4-x1-late1-undo-slack4"),
    "browser": ({"tasks": ["miniwob.click-button", "miniwob.login-user"]}, "miniwob.click-button"),
}
RANDOM = PolicyHandle("webgym.policies.scripted:RandomPolicy", {"seed": 1})
SLEEPING = "benchmarks.collectors:SleepingPolicy"
LIMITS = Limits(silence_s=20.0, wait_s=300.0)


class SleepingPolicy(RandomPolicy):
    """Acts at random after a log-normal time of mean `mean_s` and σ 1, a function of the episode and the turn."""

    def __init__(self, seed: int = 0, mean_s: float = 1.0) -> None:
        super().__init__(seed)
        self.mean_s = mean_s

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        drawn = random.Random(seed_from("sleep", key.seed, key.group, key.member, len(history)))
        await asyncio.sleep(self.mean_s * math.exp(drawn.gauss(-0.5, 1.0)))
        return await super().act(observation, history, key)


class Collector:
    """A collector process in a group of its own, with its browser."""

    def __init__(self, sessions: int, backend: str, *options: str, core: int | None = None) -> None:
        self._options = ["--sessions", str(sessions), "--backend", backend, *options]
        self._core = core
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it at the port that it had."""
        program = [sys.executable, "-m", "cli", "collector", "--listen", f"127.0.0.1:{self.port}", *self._options]
        core = self._core
        self.process = subprocess.Popen(
            program, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        assert self.process.stdout is not None
        found = re.match(r"http://127\.0\.0\.1:(\d+)", line := self.process.stdout.readline())
        if not found:
            raise WebGymError(f"the collector did not begin: {line!r}")
        self.port = int(found[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it and all below it by force."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def collectors(count: int, sessions: int, backend: str, *options: str, cores: bool = False) -> Iterator[list[Collector]]:
    """So many collectors; with `cores` each is bound to one of its own."""
    available = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        found = []
        for number in range(count):
            found.append(Collector(sessions, backend, *options, core=available[number % len(available)] if cores else None))
            stack.callback(found[-1].kill)
        yield found


# --- the same bits -------------------------------------------------------------------------------------------------------


def over_http(nodes: Sequence[Collector]) -> dict[str, Any]:
    """The settings of an executor over these collectors."""
    return {"kind": "http", "nodes": [node.url for node in nodes], "silence_s": LIMITS.silence_s, "wait_s": LIMITS.wait_s}


def trained(where: str, parent: Path, name: str, executor: Mapping[str, Any] | None = None) -> Path:
    """The folder of a run in this process or over collectors."""
    data = with_settings({"algo": "grpo", **WHERE[where][0]}, RUN)
    if executor:
        data["executor"] = dict(executor)
    trainer = Trainer.start(resolve(data)[0], parent=parent, name=name)
    with trainer.run:
        trainer.train()
    return parent / name


def differences(one: Path, other: Path) -> list[str]:
    """What two runs differ in, in words; nothing where episodes (times and retries excepted) and weights are equal."""
    from safetensors.torch import load_file

    from trainers.runs.run_folder import RunFolder

    found = []
    with RunFolder.open(one, write=False) as first, RunFolder.open(other, write=False) as second:
        for iteration in range(1, ITERATIONS + 1):
            episodes = [[*map(repr, map(as_played, load(run.trajectory_path(iteration))))] for run in (first, second)]
            found += [f"iteration {iteration}: other episodes"] if episodes[0] != episodes[1] else []
        ends = [run.latest().path for run in (first, second)]
    for file in sorted(path.relative_to(ends[0]) for path in ends[0].rglob("*.safetensors")):
        found += [] if same(*(load_file(end / file) for end in ends)) else [f"{file}: other weights"]
    return found


def bits(kills: int, seed: int) -> dict[str, Any]:
    """Figures of runs in which a collector was killed at a random moment."""
    rng, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        parent, references = Path(folder), {}
        for number in range(kills):
            where = list(WHERE)[number % len(WHERE)]
            with collectors(2, 1, where) as nodes:
                if where not in references:
                    reference = trained(where, parent, f"local-{where}")
                    begun = time.monotonic()
                    calm = trained(where, parent, f"calm-{where}", over_http(nodes))
                    if wrong := differences(reference, calm):
                        raise WebGymError(f"{where}: the undisturbed run over collectors is another one: {wrong}")
                    references[where] = reference, time.monotonic() - begun
                reference, takes_s = references[where]
                after_s, victim, over = rng.random() * takes_s, nodes[rng.randrange(2)], threading.Event()

                def harm(victim: Collector = victim, after_s: float = after_s, over: threading.Event = over) -> None:
                    if not over.wait(after_s):
                        victim.kill()
                        victim.start()

                killer = threading.Thread(target=harm)
                killer.start()
                wrong = differences(reference, trained(where, parent, f"kill-{number}", over_http(nodes)))
                fell = not over.is_set() and not killer.is_alive()
                over.set()
                killer.join()
            rows.append({"where": where, "after_s": round(after_s, 2), "killed": fell, "differences": wrong})
            print(f"{number + 1:>3}  {where}: killed {after_s:.2f} s into the run: {'; '.join(wrong) or 'the same run'}", flush=True)
    equal = sum(not row["differences"] for row in rows)
    print(f"{equal} of {len(rows)} runs with a killed collector are the undisturbed run, bit for bit")
    return {"kills": rows, "equal": equal, "passed": equal == len(rows)}


# --- what they cost ------------------------------------------------------------------------------------------------------


def rate(executor: Executor, handle: PolicyHandle, task: str, seconds: float, first: int = 0, groups: int = 10_000) -> float:
    """Turns a second of a stretch of playing, from the first episode that ends on."""
    keys = group_keys([(task, first + n) for n in range(groups)], 1)
    turns, start = 0, 0.0
    for _, trajectory in executor.play(handle, keys):
        if not start:
            start = time.monotonic()
            continue
        turns += len(trajectory)
        if (elapsed := time.monotonic() - start) >= seconds:
            return turns / elapsed
    return turns / (time.monotonic() - start)


def overhead(seconds: float, rounds: int = 6) -> dict[str, Any]:
    """Turns a second of a collector beside those of the same sessions in this process."""
    found: dict[str, Any] = {}
    for where, (_, task) in WHERE.items():
        rates: dict[str, list[float]] = {"here": [], "collector": []}
        with (
            collectors(1, 2, where) as nodes,
            HttpExecutor([nodes[0].url], backend=where, limits=LIMITS) as remote,
            Arena(2, backend=where) as here,
        ):
            for number in range(rounds):
                pair: list[tuple[str, Executor]] = [("here", here), ("collector", remote)]
                for name, executor in pair if number % 2 else pair[::-1]:
                    rates[name].append(rate(executor, RANDOM, task, seconds / rounds, number * 10_000, 10_000))
        ratios = [there / own for there, own in zip(rates["collector"], rates["here"], strict=True)]
        found[where] = {name: round(statistics.median(x), 1) for name, x in rates.items()} | {"ratio": round(statistics.median(ratios), 3)}
        print(f"overhead, {where}: {found[where]} turns/s (bar: ratio 0.95)", flush=True)
    return found


def scale(seconds: float) -> dict[str, Any]:
    """Turns a second of one and of two collectors on the text twin, each on a core of its own."""
    found = {}
    for count in (1, 2):
        with collectors(count, 2, "text", cores=True) as nodes, HttpExecutor([x.url for x in nodes], backend="text", limits=LIMITS) as both:
            found[str(count)] = round(rate(both, RANDOM, WHERE["text"][1], seconds), 1)
    found["times"] = round(found["2"] / found["1"], 2)
    print(f"scale: {found} turns/s (bar: 1.8 times)", flush=True)
    return found


def sleep(seconds: float, sessions: int = 64) -> dict[str, Any]:
    """Turns a second of one and of four collectors whose turns are slept, with the processor time that all took."""
    found: dict[str, Any] = {}
    handle, cores = PolicyHandle(SLEEPING, {"seed": 1, "mean_s": 1.0}), len(os.sched_getaffinity(0))
    for count in (1, 4):
        with (
            collectors(count, sessions, "text", "--allow", SLEEPING) as nodes,
            HttpExecutor([node.url for node in nodes], backend="text", limits=LIMITS) as all_of_them,
        ):
            before, begun = tree_cpu_s(os.getpid()), time.monotonic()
            found[str(count)] = round(rate(all_of_them, handle, WHERE["text"][1], seconds), 1)
            found[f"processor use with {count}"] = round((tree_cpu_s(os.getpid()) - before) / (time.monotonic() - begun) / cores, 3)
    found["times"] = round(found["4"] / found["1"], 2)
    print(f"sleep: {found} turns/s (bar: 3.8 times, processor use below 0.7)", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["bits", "overhead", "scale", "sleep"])
    parser.add_argument("--kills", type=int, default=20, help="runs with a killed collector; the backends take turns")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    no_progress_bars()
    parts = {
        "bits": lambda: bits(arguments.kills, arguments.seed),
        "overhead": lambda: overhead(arguments.seconds),
        "scale": lambda: scale(arguments.seconds),
        "sleep": lambda: sleep(arguments.seconds),
    }
    result = {name: parts[name]() for name in arguments.parts}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    raise SystemExit(not result.get("bits", {"passed": True})["passed"])


if __name__ == "__main__":
    main()
