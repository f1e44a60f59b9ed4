"""Collectors as actors of Ray: are they exact when one is killed or stopped, what is left when Ray itself is gone, what do they cost?

    python -m benchmarks.ray_collectors [--parts kills stops head overhead] [--kills 20] [--stops 2] [--seconds 20] [--seed 0] [--json FILE]

kills     A GRPO run of three iterations over two actors, the process of one of which is killed (SIGKILL) at a random moment; Ray starts it
          again. Every episode (times and retries excepted) and every weight must be those of the same run in one process, on the text twin
          and in Chromium in turn.
stops     The same with SIGSTOP: the actor is silent, and Ray is asked to start it anew.
head      A run in a process of its own, whose Ray head (the GCS server) is killed after the first iteration: how long it goes on, what it
          says, and whether `--resume` gives the undisturbed run.
overhead  Turns a second of one actor beside those of the same sessions in this process, in alternating rounds.

Ray must be installed: `make ray` makes a virtual environment with it.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import tomli_w
import torch

from benchmarks.collectors import ITERATIONS, LIMITS, RANDOM, ROOT, RUN, WHERE, differences, rate, trained
from trainers.config import with_settings
from trainers.models.model import no_progress_bars
from trainers.runs.moved_keys import FORMAT
from webgym.commands.processes import PROC, descendants
from webgym.errors import WebGymError
from webgym.nodes.executor import Limits
from webgym.nodes.ray_executor import RayExecutor
from webgym.record import layout
from webgym.rollout.arena import Arena
from webgym.rollout.executor import Executor

ACTOR, HEAD = "ray::CollectorActor", "gcs_server"
OVER_RAY = {"kind": "ray", "collectors": 2, "silence_s": 5.0, "wait_s": LIMITS.wait_s}
MOST_S = 600.0  # that a run whose Ray head is gone may go on


def processes(name: str, below: int) -> list[int]:
    """The processes below one whose command line begins with a name or runs a program of that name."""
    found = []
    for process in descendants(below):
        try:
            line = (PROC / str(process) / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if line.startswith(name) or line.endswith(name):
            found.append(process)
    return found


def harmed(number: int, where: str, parent: Path, takes_s: float, signum: int, rng: random.Random) -> tuple[Path, float, bool]:
    """A run in which an actor gets a signal at a random moment of the run's usual time: its folder, the moment, and if one got it."""
    after_s, chosen, over, hit = rng.random() * takes_s, rng.random(), threading.Event(), threading.Event()

    def harm() -> None:
        begun = time.monotonic()
        while not over.wait(0.05):
            actors = processes(ACTOR, os.getpid())
            if time.monotonic() - begun >= after_s and actors:
                os.kill(actors[int(chosen * len(actors))], signum)
                hit.set()
                return

    thread = threading.Thread(target=harm)
    thread.start()
    try:
        path = trained(where, parent, f"{signal.Signals(signum).name}-{number}", OVER_RAY)
    finally:
        over.set()
        thread.join()
    return path, after_s, hit.is_set()


def bits(kills: int, stops: int, seed: int) -> dict[str, Any]:
    """Figures of runs in which an actor was killed or stopped at a random moment."""
    rng, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        parent, references = Path(folder), {}
        for number, signum in enumerate([signal.SIGKILL] * kills + [signal.SIGSTOP] * stops):
            where = list(WHERE)[number % len(WHERE)]
            if where not in references:
                reference, begun = trained(where, parent, f"local-{where}"), time.monotonic()
                calm = trained(where, parent, f"calm-{where}", OVER_RAY)
                if wrong := differences(reference, calm):
                    raise WebGymError(f"{where}: the undisturbed run over actors is another one: {wrong}")
                references[where] = reference, time.monotonic() - begun
            reference, takes_s = references[where]
            path, after_s, hit = harmed(number, where, parent, takes_s, signum, rng)
            wrong = differences(reference, path)
            name = signal.Signals(signum).name
            rows.append({"where": where, "signal": name, "after_s": round(after_s, 2), "hit": hit, "differences": wrong})
            print(f"{number + 1:>3}  {where}: {name} {after_s:.2f} s into the run: {'; '.join(wrong) or 'the same run'}", flush=True)
    equal, hits = sum(not row["differences"] for row in rows), sum(row["hit"] for row in rows)
    print(f"{equal} of {len(rows)} runs are the undisturbed run, bit for bit; in {hits} an actor was there to be hit")
    return {"runs": rows, "equal": equal, "passed": equal == len(rows)}


def head() -> dict[str, Any]:
    """A run whose Ray head is killed: seconds until it ends, its last words, and if resuming gives the undisturbed run."""
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder)
        reference = trained("text", parent, "local")
        settings = with_settings({"algo": "grpo", **WHERE["text"][0]}, [*RUN[:-1], "checkpoints.every=1", "length.minutes=null"])
        settings = {**settings, "format": FORMAT, "executor": {**OVER_RAY, "wait_s": 30.0}}
        config = parent / "run.toml"
        config.write_text(tomli_w.dumps(_without_none(settings)))
        program = [sys.executable, "-m", "cli", "train", "--config", str(config), "--set", "length.minutes=null", "--out", folder]
        words = (parent / "words.txt").open("w+")
        process = subprocess.Popen([*program, "--name", "head"], cwd=ROOT, stdout=words, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            journal = parent / "head" / layout.METRICS
            while not (journal.exists() and journal.read_text()) and process.poll() is None:
                time.sleep(0.05)
            for one in processes(HEAD, process.pid):
                os.kill(one, signal.SIGKILL)
            begun = time.monotonic()
            process.wait(MOST_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        took_s = time.monotonic() - begun
        words.seek(0)
        said = [line.strip() for line in words.read().splitlines() if line.strip()][-8:]
        print(f"head: the run ended with {process.returncode} after {took_s:.0f} s and said:\n  " + "\n  ".join(said), flush=True)
        again = [sys.executable, "-m", "cli", "train", "--resume", str(parent / "head"), "--set", "executor.kind=local"]
        subprocess.run(again, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        wrong = differences(reference, parent / "head")
    print(f"head: resumed, it is {'; '.join(wrong) or 'the undisturbed run, bit for bit'}", flush=True)
    return {"ended_with": process.returncode, "after_s": round(took_s, 1), "said": said, "differences": wrong, "passed": not wrong}


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that TOML can say."""
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in settings.items() if v is not None}


def overhead(seconds: float, rounds: int = 6) -> dict[str, Any]:
    """Turns a second of an actor beside those of the same sessions in this process."""
    found: dict[str, Any] = {}
    limits = Limits(silence_s=LIMITS.silence_s, wait_s=LIMITS.wait_s)
    for where, (_, task) in WHERE.items():
        rates: dict[str, list[float]] = {"here": [], "actor": []}
        with RayExecutor(1, 2, backend=where, limits=limits) as remote, Arena(2, backend=where) as here:
            for number in range(rounds):
                pair: list[tuple[str, Executor]] = [("here", here), ("actor", remote)]
                for name, executor in pair if number % 2 else pair[::-1]:
                    rates[name].append(rate(executor, RANDOM, task, seconds / rounds, number * 10_000, 10_000))
        ratios = [there / own for there, own in zip(rates["actor"], rates["here"], strict=True)]
        found[where] = {name: round(statistics.median(x), 1) for name, x in rates.items()} | {"ratio": round(statistics.median(ratios), 3)}
        print(f"overhead, {where}: {found[where]} turns/s (bar: ratio 0.95)", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["kills", "stops", "head", "overhead"])
    parser.add_argument("--kills", type=int, default=20, help="runs with a killed actor; the backends take turns")
    parser.add_argument("--stops", type=int, default=2, help="runs with a stopped actor")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    no_progress_bars()
    parts = arguments.parts
    result: dict[str, Any] = {"iterations": ITERATIONS}
    if {"kills", "stops"} & set(parts):
        result["bits"] = bits(arguments.kills if "kills" in parts else 0, arguments.stops if "stops" in parts else 0, arguments.seed)
    if "head" in parts:
        result["head"] = head()
    if "overhead" in parts:
        result["overhead"] = overhead(arguments.seconds)
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    raise SystemExit(not all(result.get(name, {"passed": True})["passed"] for name in ("bits", "head")))


if __name__ == "__main__":
    main()
