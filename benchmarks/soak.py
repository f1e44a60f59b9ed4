"""Many episodes in one browser: what it holds and how long a turn takes, which should be the same at the start and at the end.

    python -m benchmarks.soak [--turns 20000] [--sessions 16] [--tasks default mail.* ...] [--write docs/faults.md] [--json FILE]

Oracles play the tasks in turn, all sessions side by side. First every session is played until it was renewed once
(`webgym.backends.browser.profile.EPISODES`): by then all code and pictures were seen, and the largest memory was taken. Then the figures
are taken after every 500 turns, at rest: every session on the start page of the same episode, after a forced garbage collection.

- contexts, pages: of the browser; driver_objects: what the Playwright driver keeps for us: above all a request and a response of every
  document, until its session is renewed
- documents, nodes, listeners, heap_mb: of all sessions' renderers (CDP `Memory.getDOMCounters`, `Runtime.getHeapUsage`)
- scripts: without an address, alive in the sessions' documents: those that we inject
- episodes: open at the site server
- processes: of the browser; handles: file descriptors of this process and of the browser's
- memory_mb: proportional set size of this process, the driver and the browser's processes together (`/proc/PID/smaps_rollup`); after it
  the same of each kind: this process (`python_mb`), the driver, the browser's own process, its renderers, its GPU process and all others
- step_ms: the mean time of a turn since the figures before, by the clock; cpu_ms: processor time of all processes for a turn, resets
  included

Two bars: the upper 95% end of the slope is at most 1 MB of memory, and at most 1% of a turn's time, for every 1,000 turns. The slope is
that of least squares, its error the one of Newey and West (1987), which allows that neighbouring figures go together.
"""

import argparse
import asyncio
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import Browser
from rich.console import Console
from rich.table import Table

from benchmarks import marks
from trainers.studies.plots import pyplot
from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.profile import EPISODES
from webgym.backends.browser.session import in_browser
from webgym.commands.processes import command_line, descendants, pss_mb, tree_cpu_s
from webgym.env.core import AsyncWebEnv
from webgym.errors import ConfigError, UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.types import seed_from

EVERY = 500  # turns between two figures
TASKS = ("default", "mail.*", "shop.*", "travel.*", "wizard.*")
STEADY = {
    "contexts": 0, "pages": 0, "episodes": 0, "documents": 2, "nodes": 500, "listeners": 100, "heap_mb": 5, "scripts": 2, "handles": 4,
    "driver_objects": 4 * EPISODES,
}  # fmt: skip
"""What may be added from the first figures to the last, for a session. Memory and time have bars of their own."""
BARS = {"memory_mb": 1.0, "step_ms": 0.01, "cpu_ms": 0.01}
"""What the upper end of the slope may be for every 1,000 turns: MB, and shares of the mean."""
BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
PLOT = Path("docs/pictures/soak.png")


@dataclass
class Played:
    """Turns that were played, and the seconds that their steps took."""

    turns: int = 0
    seconds: float = 0.0


async def soak(
    turns: int,
    sessions: int,
    tasks: Sequence[str],
    every: int = EVERY,
    warm_up: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, float]]:
    """The figures after the warm-up and after every so many turns. `warm_up`: its episodes. Raises ConfigError."""
    if silent := [task_id for task_id in tasks if registry.task(task_id).oracle is None]:
        raise ConfigError(f"there is no oracle for {', '.join(silent)}: choose tasks that have one")
    envs = [AsyncWebEnv() for _ in range(sessions)]
    played, number = Played(), 0

    async def play(env: AsyncWebEnv, goes_on: Callable[[], bool]) -> None:
        nonlocal number
        while goes_on():
            number += 1
            await episode(env, tasks[number % len(tasks)], seed_from("soak", number) % 1_000_000, played)

    async def play_all(goes_on: Callable[[], bool]) -> None:
        await asyncio.gather(*(play(env, goes_on) for env in envs))

    try:
        warm = EPISODES * sessions if warm_up is None else warm_up
        await play_all(lambda: number < warm)
        played.turns = 0
        found = [{"turns": 0, **await figures(envs, tasks[0])}]
        while played.turns < turns:
            before, cpu_s = Played(played.turns, played.seconds), tree_cpu_s(os.getpid())
            upto = min(turns, played.turns + every)
            await play_all(lambda upto=upto: played.turns < upto)
            count, spent = played.turns - before.turns, tree_cpu_s(os.getpid()) - cpu_s
            times = {"step_ms": 1000 * (played.seconds - before.seconds) / count, "cpu_ms": 1000 * spent / count}
            found.append({"turns": played.turns, **await figures(envs, tasks[0]), **times})
            memory, step, cpu = (found[-1][key] for key in BARS)
            tell(f"{played.turns} turns: {memory:.0f} MB, {step:.1f} ms a step, {cpu:.1f} ms of processor time a turn")
        return found
    finally:
        for env in envs:
            await env.close()


async def episode(env: AsyncWebEnv, task_id: str, seed: int, played: Played) -> None:
    """Play one episode by the task's oracle, or as far as it knows its way: what is measured is what stays behind."""
    oracle = registry.task(task_id).oracle
    assert oracle is not None
    choose, observation = oracle(), await env.reset(task_id, seed)
    while True:
        try:
            action = choose(observation)
        except Exception:  # an action ran past its deadline, and this is no page that the oracle knows
            return
        begun = time.perf_counter()
        step = await env.step(action)
        played.turns, played.seconds = played.turns + 1, played.seconds + time.perf_counter() - begun
        if step.kind:
            return
        observation = step.observation


async def figures(envs: Sequence[AsyncWebEnv], task_id: str) -> dict[str, float]:
    """What the browser holds, at rest."""
    pool = await shared_pool()
    for env in envs:
        await env.reset(task_id, 0)
    each = [await _of_session(env) for env in envs]
    summed = {key: round(sum(one[key] for one in each), 1) for key in each[0]}
    return {**_of_driver(await pool.browser()), **summed, "episodes": pool.gateway.open_episodes, **_of_processes(await pool.process_id())}


async def _of_session(env: AsyncWebEnv) -> dict[str, float]:
    tab = in_browser(env.session).tab
    for _ in range(2):  # what the first collection finalises, the second frees
        await tab.send("HeapProfiler.collectGarbage")
    counters = await tab.send("Memory.getDOMCounters")
    heap = await tab.send("Runtime.getHeapUsage")
    return {
        "documents": counters["documents"],
        "nodes": counters["nodes"],
        "listeners": counters["jsEventListeners"],
        "heap_mb": heap["usedSize"] / 1e6,
        "scripts": await _scripts(env),
    }


async def _scripts(env: AsyncWebEnv) -> int:
    """How many scripts without an address live in the session's document."""
    page = in_browser(env.session).tab.page
    cdp, seen = await page.context.new_cdp_session(page), []
    cdp.on("Debugger.scriptParsed", lambda event: seen.append(event["url"]))
    await cdp.send("Debugger.enable")
    await cdp.detach()
    return seen.count("")


def _of_driver(browser: Browser) -> dict[str, float]:
    return {
        "contexts": len(browser.contexts),
        "pages": sum(len(context.pages) for context in browser.contexts),
        "driver_objects": len(browser._impl_obj._connection._objects),
    }


def _of_processes(browser: int) -> dict[str, float]:
    tree = descendants(browser)
    return {"processes": len(tree), "handles": sum(map(_handles, (os.getpid(), browser))), **_memory(browser, tree)}


def _memory(browser: int, below: Sequence[int]) -> dict[str, float]:
    """MB of all processes, and of each kind of them; `below` are those of the browser."""
    kinds: dict[str, float] = dict.fromkeys(("python_mb", "driver_mb", "browser_mb", "renderer_mb", "gpu-process_mb", "others_mb"), 0.0)
    for process in descendants(os.getpid()):
        if process == os.getpid():
            kind = "python_mb"
        elif process not in below:
            kind = "driver_mb"
        elif process == browser:
            kind = "browser_mb"
        else:
            words = command_line(process)
            kind = next((f"{one}_mb" for one in ("renderer", "gpu-process") if f"--type={one}" in words), "others_mb")
        kinds[kind] += pss_mb(process)
    return {"memory_mb": round(sum(kinds.values()), 1), **{kind: round(mb, 1) for kind, mb in kinds.items()}}


def _handles(process: int) -> int:
    try:
        return len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return 0


# --- verdict -----------------------------------------------------------------------------------------------------------------


def slope(turns: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """(slope, half of its 95% interval) for every 1,000 turns: least squares, with the error of Newey and West (Econometrica 55, 1987).

    The lag is floor(4 (n/100)^(2/9)), and the quantile that of the normal distribution. NaN with fewer than four values.
    """
    if len(turns) < 4:
        return math.nan, math.nan
    x, y = np.asarray(turns, dtype=float) / 1000, np.asarray(values, dtype=float)
    x = x - x.mean()
    rise = float(x @ y / (x @ x))
    scores, n = x * (y - y.mean() - rise * x), len(x)
    lag = int(4 * (n / 100) ** (2 / 9))
    spread = float(scores @ scores) + 2 * sum((1 - k / (lag + 1)) * float(scores[k:] @ scores[:-k]) for k in range(1, lag + 1))
    return rise, 1.96 * math.sqrt(max(spread, 0.0) * n / (n - 2)) / float(x @ x)


def verdict(found: Sequence[dict[str, float]], sessions: int) -> dict[str, Any]:
    """The slopes with their intervals, and in words what grew (`grown`): it is empty where all bars are met."""
    slopes, grown = {}, {}
    for key, most in BARS.items():
        rows = [row for row in found if key in row]
        rise, half = slope([row["turns"] for row in rows], [row[key] for row in rows])
        mean = float(np.mean([row[key] for row in rows])) if key != "memory_mb" and rows else 1.0
        slopes[key] = {"slope": rise / mean, "low": (rise - half) / mean, "high": (rise + half) / mean, "bar": most}
        if not slopes[key]["high"] <= most:
            grown[key] = f"its slope is at most {slopes[key]['high']:.3g} for every 1,000 turns, allowed {most:g}"
    first, last = found[0], found[-1]
    for key, most in STEADY.items():
        if last[key] - first[key] > most * sessions:
            grown[key] = f"{first[key]:g} -> {last[key]:g}, allowed +{most * sessions}"
    return {"slopes": slopes, "grown": grown, "passed": not grown}


def table(found: Sequence[dict[str, float]]) -> Table:
    """The figures, a column for some of the times when they were taken."""
    shown = Table(title="at rest, after so many turns", title_justify="left")
    shown.add_column("figure")
    some = found[:: max(1, len(found) // 5)]
    for row in some:
        shown.add_column(f"{row['turns']:.0f}", justify="right")
    for key in found[-1]:
        if key != "turns":
            shown.add_row(key, *(f"{row[key]:.4g}" if key in row else "" for row in some))
    return shown


def markdown(found: Sequence[dict[str, float]], result: dict[str, Any]) -> str:
    """The bars and the first and the last figures, for a page of the docs."""
    lines = ["| for every 1,000 turns | slope | 95% interval | bar |", "|---|---:|---:|---:|"]
    for key, told in result["slopes"].items():
        cells = [_unit(key, told[name]) for name in ("slope", "low", "high", "bar")]
        lines.append(f"| {key} | {cells[0]} | {cells[1]} to {cells[2]} | at most {cells[3]} |")
    lines += ["", "| figure | first | last |", "|---|---:|---:|"]
    for key, value in found[-1].items():
        first = found[0].get(key, found[1].get(key, math.nan))
        lines.append(f"| {key} | {first:.4g} | {value:.4g} |" if key != "turns" else f"| turns | {first:.0f} | {value:.0f} |")
    return "\n".join(lines)


def _unit(key: str, value: float) -> str:
    return f"{value:.3f} MB" if key == "memory_mb" else f"{value:.2%}"


def draw(found: Sequence[dict[str, float]], file: Path) -> None:
    """Memory and the time of a turn over the turns. Raises UsageError where matplotlib is not installed."""
    figure, axes = pyplot().subplots(2, 1, figsize=(9.0, 5.0), sharex=True)
    for plot, keys, label in zip(axes, (("memory_mb",), ("step_ms", "cpu_ms")), ("MB, all processes", "ms a turn"), strict=True):
        for key in keys:
            rows = [row for row in found if key in row]
            plot.plot([row["turns"] for row in rows], [row[key] for row in rows], marker="o", markersize=3, label=key)
        plot.set_ylabel(label)
        plot.set_ylim(bottom=0)
        plot.legend()
    axes[-1].set_xlabel("turns after the warm-up")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=16)
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="patterns or sets of tasks that have oracles")
    parser.add_argument("--write", type=Path, help=f"put the table into this page, and a plot into {PLOT}")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    try:
        tasks = task_sets.choose(arguments.tasks)
        found = loop_thread().run(soak(arguments.turns, arguments.sessions, tasks, tell=lambda words: print(words, flush=True)))
    except UsageError as error:
        parser.error(str(error))
    judged = verdict(found, arguments.sessions)
    result = {"turns": arguments.turns, "sessions": arguments.sessions, "tasks": len(tasks), "figures": found, **judged}
    Console().print(table(found))
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    if arguments.write:
        marks.put(arguments.write, BEGIN, END, f"\n{markdown(found, judged)}\n")
        draw(found, PLOT)
    for key, told in judged["slopes"].items():
        rise, high, bar = (_unit(key, told[name]) for name in ("slope", "high", "bar"))
        print(f"{key}: {rise} for every 1,000 turns, at most {high} (bar {bar})")
    print("\n".join(f"grew: {key}: {words}" for key, words in judged["grown"].items()) or "nothing grew beyond its allowance")
    raise SystemExit(not judged["passed"])


if __name__ == "__main__":
    main()
