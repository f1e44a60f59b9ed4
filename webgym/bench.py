"""What a step and a reset cost, beside the physical limit: the same clicks as bare CDP commands on the same pages, in the same run.

Oracles play. Every episode is played twice on the same session, in turn: once through the environment, once with the bare commands
(mouse press and release, or the text inserted at once, and one trivial evaluation; no look-up, no settling, no snapshot, no check),
where what is left out is done unmeasured so that the pages are the same. The ratio of the two medians does not depend on the machine.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from webgym import registry
from webgym import types as t
from webgym.browser.session import Session
from webgym.browser.tab import PageError
from webgym.browser.thread import loop_thread
from webgym.env import AsyncWebEnv
from webgym.types import seed_from


@dataclass
class _Times:
    """Seconds measured on one task."""

    step: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    reset: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        step, bare = (1e3 * statistics.median(x) for x in (self.step, self.bare))
        return {
            "steps": len(self.step),
            "step_p50_ms": step,
            "step_p95_ms": 1e3 * _p95(self.step),
            "bare_p50_ms": bare,
            "ratio": step / bare,
            "reset_p50_ms": 1e3 * statistics.median(self.reset),
            "reset_p95_ms": 1e3 * _p95(self.reset),
        }


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def bench(tasks: Sequence[str], episodes: int = 8, sessions: Sequence[int] = (1, 2, 4, 8)) -> dict[str, Any]:
    """Figures per task, over all tasks, and turns per second by the number of sessions, as plain data."""
    playable = [task for task in tasks if registry.task(task).oracle]
    return loop_thread().run(_bench(playable, episodes, sessions))


async def _bench(tasks: Sequence[str], episodes: int, sessions: Sequence[int]) -> dict[str, Any]:
    env = AsyncWebEnv()
    await _episode(env, tasks[0], 0, _Times())  # warm-up: the browser starts
    times = {task: _Times() for task in tasks}
    for number in range(episodes):
        for task in tasks:
            seed = seed_from("bench", task, number) % 1_000_000
            await _bare(env, task, seed, times[task], await _episode(env, task, seed, times[task]))
    await env.close()
    everything = _Times()
    for found in times.values():
        everything.step += found.step
        everything.bare += found.bare
        everything.reset += found.reset
    throughput = [await _throughput(tasks, count, episodes) for count in sessions]
    return {"tasks": {task: found.row() for task, found in times.items()}, "all": everything.row(), "throughput": throughput}


async def _episode(env: AsyncWebEnv, task: str, seed: int, times: _Times) -> list[t.Action]:
    """Play an episode by the oracle, timed; returns its actions."""
    oracle = registry.task(task).oracle
    assert oracle is not None
    choose, actions = oracle(), []
    start = time.perf_counter()
    observation = await env.reset(task, seed)
    times.reset.append(time.perf_counter() - start)
    while True:
        actions.append(choose(observation))
        start = time.perf_counter()
        step = await env.step(actions[-1])
        times.step.append(time.perf_counter() - start)
        if step.kind:
            return actions
        observation = step.observation


async def _bare(env: AsyncWebEnv, task: str, seed: int, times: _Times, actions: Sequence[t.Action]) -> None:
    """The same episode with bare commands."""
    await env.reset(task, seed)
    session = env.session
    for action in actions:
        await session.view()
        try:
            point = await session.locate(action.ref) if isinstance(action, t.Click | t.Fill) else None
        except PageError:
            point = None
        if point is None:  # what is not done by the mouse has no bare twin
            await session.act(action)
            continue
        start = time.perf_counter()
        await _press(session, point, action)
        times.bare.append(time.perf_counter() - start)
        if isinstance(action, t.Fill):
            await session.act(action)
        await session.tab.settle()


async def _press(session: Session, point: tuple[float, float], action: t.Action) -> None:
    tab = session.tab
    await tab.mouse("mousePressed", *point, "left", 1, 1)
    await tab.mouse("mouseReleased", *point, "left", 1, 0)
    if isinstance(action, t.Fill):
        await tab.send("Input.insertText", {"text": action.text})
    await tab.page_value("1")


async def _throughput(tasks: Sequence[str], sessions: int, episodes: int) -> dict[str, float]:
    """Turns per second of `sessions` sessions that play without a barrier, resets included, after a warm-up."""
    envs = [AsyncWebEnv() for _ in range(sessions)]
    for env in envs:  # one after the other: sessions that start together hide each other's cost
        await _episode(env, tasks[0], 0, _Times())
    times = _Times()
    work = iter([(task, number) for number in range(max(1, episodes // 2)) for task in tasks])

    async def play(env: AsyncWebEnv) -> None:
        for task, number in work:
            await _episode(env, task, seed_from("throughput", task, number) % 1_000_000, times)

    start = time.perf_counter()
    await asyncio.gather(*(play(env) for env in envs))
    elapsed = time.perf_counter() - start
    for env in envs:
        await env.close()
    return {
        "sessions": sessions,
        "turns_per_s": len(times.step) / elapsed,
        "episodes_per_s": len(times.reset) / elapsed,
        "step_p50_ms": 1e3 * statistics.median(times.step),
        "reset_p50_ms": 1e3 * statistics.median(times.reset),
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """The figures as Rich tables."""
    steps = Table(title="one session: milliseconds, median", title_justify="left")
    for heading in ("task", "steps", "step", "step p95", "bare CDP", "ratio", "reset", "reset p95"):
        steps.add_column(heading, justify="left" if heading == "task" else "right")
    for name, row in [*result["tasks"].items(), ("all", result["all"])]:
        steps.add_row(
            name,
            f"{row['steps']:.0f}",
            *(f"{row[key]:.1f}" for key in ("step_p50_ms", "step_p95_ms", "bare_p50_ms")),
            f"{row['ratio']:.1f}×",
            *(f"{row[key]:.1f}" for key in ("reset_p50_ms", "reset_p95_ms")),
        )
    rates = Table(title="many sessions, resets included", title_justify="left")
    for heading in ("sessions", "turns/s", "episodes/s", "step ms", "reset ms"):
        rates.add_column(heading, justify="right")
    for row in result["throughput"]:
        rates.add_row(*(f"{row[key]:.1f}" for key in ("sessions", "turns_per_s", "episodes_per_s", "step_p50_ms", "reset_p50_ms")))
    return [steps, rates]
