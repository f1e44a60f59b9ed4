"""Cost of a step and of a reset, beside the physical limit: the same clicks as bare CDP commands on the same pages, in the same run.

Oracles play. Every episode is played twice on the same session, in turn: once through the environment, once with the bare commands
(mouse press and release, or the text inserted at once, and one trivial evaluation; no look-up, no settling, no snapshot, no check),
where what is left out is done unmeasured so that the pages are the same. The ratio of the two medians does not depend on the machine.

Then so many sessions at once play as many episodes, in turns, so that all counts see the same machine: turns per second, processor time of
a turn (this process, driver and browser together), and the memory that each open session adds to the browser.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from webgym import types as t
from webgym.backends.browser.acting import locate
from webgym.backends.browser.pool import BrowserPool, shared_pool
from webgym.backends.browser.session import Session, in_browser
from webgym.backends.browser.worlds import PageError
from webgym.commands.processes import tree_cpu_s, tree_mb
from webgym.env.core import AsyncWebEnv
from webgym.errors import ConfigError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.types import seed_from

BARS = {"ratio": 3.0, "gain": 1.25, "share": 0.9, "session_mb": 25.0}
"""At most so many times the bare commands; the best count of sessions at least so many times the single one; every larger count
at least this share of the best; at most so many MB a session at the largest count (with few, what the browser itself grows by counts)."""
SESSIONS = (1, 2, 4, 8, 16, 32)
ROUNDS = 2  # of the counts of sessions


@dataclass
class _Times:
    """Seconds measured on one task."""

    step: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    reset: list[float] = field(default_factory=list)
    unsolved: int = 0  # episodes that the oracle did not win: an action ran past its deadline

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
            "unsolved": self.unsolved,
        }


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def bench(tasks: Sequence[str], episodes: int = 8, sessions: Sequence[int] = SESSIONS) -> dict[str, Any]:
    """Figures per task, over all tasks, and turns per second by the number of sessions, as plain data. Raises ConfigError."""
    if len(sessions) == 0 or min(sessions) < 1:
        raise ConfigError(f"expected counts of sessions from 1 on, such as 1,2,4; got {','.join(map(str, sessions)) or 'none'}")
    playable = [task for task in tasks if registry.task(task).oracle]
    if not playable:
        raise ConfigError("none of these tasks has an oracle that could play it; `webgym tasks list` shows which have one")
    return loop_thread().run(_bench(playable, episodes, sorted(set(sessions))))


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
        everything.unsolved += found.unsolved
    result = {"tasks": {task: found.row() for task, found in times.items()}, "all": everything.row()}
    result["throughput"] = await _throughput(tasks, sessions, max(1, episodes // 4))
    return result | {"missed": missed(result)}


async def _episode(env: AsyncWebEnv, task: str, seed: int, times: _Times) -> list[t.Action]:
    """Play an episode by the oracle, timed; returns its actions."""
    oracle = registry.task(task).oracle
    assert oracle is not None
    choose, actions = oracle(), []
    start = time.perf_counter()
    observation = await env.reset(task, seed)
    times.reset.append(time.perf_counter() - start)
    while True:
        try:
            actions.append(choose(observation))
        except Exception:  # an oracle is a program of a task's author, and this page is none that it knows
            times.unsolved += 1
            return actions
        start = time.perf_counter()
        step = await env.step(actions[-1])
        times.step.append(time.perf_counter() - start)
        if step.kind:
            times.unsolved += step.kind != "success"
            return actions
        observation = step.observation


async def _bare(env: AsyncWebEnv, task: str, seed: int, times: _Times, actions: Sequence[t.Action]) -> None:
    """The same episode with bare commands."""
    await env.reset(task, seed)
    session = in_browser(env.session)
    for action in actions:
        await session.view()
        try:
            point = await locate(session, action.ref) if isinstance(action, t.Click | t.Fill) else None
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
    await tab.pointer.mouse("mousePressed", *point, "left", 1, 1)
    await tab.pointer.mouse("mouseReleased", *point, "left", 1, 0)
    if isinstance(action, t.Fill):
        await tab.send("Input.insertText", {"text": action.text})
    await tab.page_value("1")


# --- many sessions ---------------------------------------------------------------------------------------------------------


@dataclass
class _Rate:
    """Measurements of `sessions` sessions that play together."""

    sessions: int
    session_mb: float  # of the browser's memory, for each open session
    times: _Times = field(default_factory=_Times)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    def row(self, best: float) -> dict[str, float]:
        return {
            "sessions": self.sessions,
            "turns_per_s": self.turns_per_s,
            "share": self.turns_per_s / best,
            "episodes_per_s": len(self.times.reset) / self.elapsed_s,
            "cpu_s_per_turn": self.cpu_s / len(self.times.step),
            "step_p50_ms": 1e3 * statistics.median(self.times.step),
            "reset_p50_ms": 1e3 * statistics.median(self.times.reset),
            "session_mb": self.session_mb,
            "unsolved": self.times.unsolved,
        }

    @property
    def turns_per_s(self) -> float:
        return len(self.times.step) / self.elapsed_s


async def _throughput(tasks: Sequence[str], counts: Sequence[int], episodes: int) -> list[dict[str, float]]:
    """Turns per second by the count of sessions, which play without a barrier, resets included; `episodes` of each task in each round."""
    pool, envs = await shared_pool(), list[AsyncWebEnv]()
    try:
        empty_mb = tree_mb(await pool.process_id())
        rates = [_Rate(count, await _opened(envs, count, pool, empty_mb, tasks)) for count in counts]
        for number in range(ROUNDS):
            for rate in rates:
                await _play_round(rate, envs[: rate.sessions], tasks, range(number * episodes, (number + 1) * episodes))
    finally:
        for env in envs:
            await env.close()
    best = max(rate.turns_per_s for rate in rates)
    return [rate.row(best) for rate in rates]


async def _opened(envs: list[AsyncWebEnv], count: int, pool: BrowserPool, empty_mb: float, tasks: Sequence[str]) -> float:
    """Open sessions until there are `count`, each with an episode played; the MB that each has added to the browser's memory."""
    while len(envs) < count:  # one after the other: sessions that start together hide each other's cost
        envs.append(AsyncWebEnv())
        await _episode(envs[-1], tasks[len(envs) % len(tasks)], 0, _Times())
    return (tree_mb(await pool.process_id()) - empty_mb) / count


async def _play_round(rate: _Rate, envs: Sequence[AsyncWebEnv], tasks: Sequence[str], numbers: range) -> None:
    work = iter([(task, number) for number in numbers for task in tasks])

    async def play(env: AsyncWebEnv) -> None:
        for task, number in work:
            await _episode(env, task, seed_from("throughput", task, number) % 1_000_000, rate.times)

    cpu_s, start = tree_cpu_s(os.getpid()), time.perf_counter()
    await asyncio.gather(*(play(env) for env in envs))
    rate.elapsed_s += time.perf_counter() - start
    rate.cpu_s += tree_cpu_s(os.getpid()) - cpu_s


# --- telling ---------------------------------------------------------------------------------------------------------------


def missed(result: dict[str, Any]) -> list[str]:
    """The bars that the figures do not reach, a sentence each."""
    rows = result["throughput"]
    single, best = rows[0], max(rows, key=lambda row: row["turns_per_s"])
    found = []
    if result["all"]["ratio"] > BARS["ratio"]:
        found.append(f"a step takes {result['all']['ratio']:.2f} times the bare commands, bar {BARS['ratio']:g}")
    if single["sessions"] == 1 and (gain := best["turns_per_s"] / single["turns_per_s"]) < BARS["gain"]:
        found.append(f"the best count of sessions ({best['sessions']}) is {gain:.2f} times as fast as one, bar {BARS['gain']:g}")
    for row in rows:
        if row["sessions"] > best["sessions"] and row["share"] < BARS["share"]:
            found.append(f"{row['sessions']} sessions reach {row['share']:.0%} of the best count, bar {BARS['share']:.0%}")
    if (most := rows[-1])["session_mb"] > BARS["session_mb"]:
        found.append(f"{most['sessions']} sessions take {most['session_mb']:.1f} MB each, bar {BARS['session_mb']:g}")
    if unsolved := result["all"]["unsolved"] + sum(row["unsolved"] for row in rows):
        found.append(f"{unsolved} episodes were not solved: their actions ran past their deadlines")
    return found


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
    for heading in ("sessions", "turns/s", "of the best", "episodes/s", "CPU s/turn", "step ms", "reset ms", "MB/session"):
        rates.add_column(heading, justify="right")
    for row in result["throughput"]:
        rates.add_row(
            f"{row['sessions']}",
            f"{row['turns_per_s']:.1f}",
            f"{row['share']:.0%}",
            f"{row['episodes_per_s']:.1f}",
            f"{row['cpu_s_per_turn']:.4f}",
            *(f"{row[key]:.1f}" for key in ("step_p50_ms", "reset_p50_ms", "session_mb")),
        )
    return [steps, rates]
