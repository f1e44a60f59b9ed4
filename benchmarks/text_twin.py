"""The text twin against Chromium: the same episodes by their oracles, taking turns, in steps a second.

    python -m benchmarks.text_twin [--tasks wizard.h12] [--episodes 20] [--rounds 5] [--no-browser] [--json FILE]

A step is an action, the page after it, the check and both hashes; resets are counted into the time. Each round plays every episode once
per backend. The text twin's steps per second of this process's CPU time are given too: on a busy machine they say more than the clock.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs import sets as task_sets


@dataclass
class Rounds:
    """Steps, seconds and CPU seconds of one backend, by round."""

    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def rates(self, times: list[float]) -> list[float]:
        return [steps / s for steps, s in zip(self.steps, times, strict=True)]


async def play(env: AsyncWebEnv, tasks: list[str], episodes: int, first: int) -> int:
    """How many steps the oracles took."""
    steps = 0
    for number in range(episodes):
        task = registry.task(tasks[number % len(tasks)])
        assert task.oracle is not None, f"{task.id} has no oracle"
        oracle = task.oracle()
        observation, kind = await env.reset(task.id, first + number), ""
        while not kind:
            step = await env.step(oracle(observation))
            observation, kind = step.observation, step.kind
            _ = observation.hash
            steps += 1
    return steps


def measure(tasks: list[str], episodes: int, rounds: int, browser: bool) -> dict[str, Any]:
    """Medians over rounds, and the ratio of each round's rates."""
    backends = ["text", *(["browser"] if browser else [])]
    envs = {backend: AsyncWebEnv(backend=backend) for backend in backends}
    found = {backend: Rounds() for backend in backends}
    for number in range(-1, rounds):  # one to warm up
        for backend, env in envs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            steps = loop_thread().run(play(env, tasks, episodes, 1000 * (number + 1)))
            if number >= 0:
                it = found[backend]
                it.steps.append(steps)
                it.seconds.append(time.perf_counter() - wall)
                it.cpu_s.append(time.process_time() - cpu)
    for env in envs.values():
        loop_thread().run(env.close())
    text = found["text"].rates(found["text"].seconds)
    result: dict[str, Any] = {
        "text_steps_per_s": statistics.median(text),
        "text_steps_per_cpu_s": statistics.median(found["text"].rates(found["text"].cpu_s)),
    }
    if browser:
        slow = found["browser"].rates(found["browser"].seconds)
        result["browser_steps_per_s"] = statistics.median(slow)
        result["ratio"] = statistics.median(a / b for a, b in zip(text, slow, strict=True))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["wizard.h12"])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result = measure(task_sets.choose(given.tasks), given.episodes, given.rounds, not given.no_browser)
    for name, value in result.items():
        print(f"{name:<22} {value:,.1f}")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
