"""Many episodes in one browser: what it holds at the start and at the end, which should be the same.

    python -m benchmarks.soak [--episodes 2000] [--sessions 4] [--tasks default ...] [--json FILE]

Oracles play the tasks in turn, a few sessions side by side. Figures are taken at rest: every session on the start page of the same
episode, after a forced garbage collection. The first is taken after two episodes of every task, when all code and pictures were seen.

- contexts, pages: of the browser; driver_objects: what the Playwright driver keeps for us: above all a request and a response of every
  document, until its session is renewed (`webgym.backends.browser.session.EPISODES`)
- documents, nodes, listeners, heap_mb: of all sessions' renderers (CDP `Memory.getDOMCounters`, `Runtime.getHeapUsage`)
- scripts: without an address, alive in the sessions' documents: those that we inject
- episodes: open at the site server
- pss_mb: proportional set size of the browser's processes together (`/proc/PID/smaps_rollup`); python_mb: of this one
"""

import argparse
import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser
from rich.console import Console
from rich.table import Table

from webgym.backends.browser.pool import shared_pool
from webgym.backends.browser.session import EPISODES, in_browser
from webgym.commands.processes import descendants, pss_mb
from webgym.env.core import AsyncWebEnv
from webgym.errors import ConfigError, UsageError
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.packs import sets as task_sets
from webgym.types import seed_from

WARM_UP = 2  # episodes of every task before the first figures
GROWTH = {
    "documents": 2,
    "nodes": 500,
    "listeners": 100,
    "heap_mb": 5,
    "scripts": 2,
    "driver_objects": 4 * EPISODES,
    "pss_mb": 50,
    "python_mb": 50,
}
"""What may be added in all, a session where the figure is of a session; contexts, pages and episodes stay as they are."""


async def soak(episodes: int, sessions: int, tasks: Sequence[str], tell: Callable[[int], None] = lambda _: None) -> list[dict[str, Any]]:
    """The figures after warm-up, after each quarter of the episodes, and at the end. Raises ConfigError."""
    if silent := [task_id for task_id in tasks if registry.task(task_id).oracle is None]:
        raise ConfigError(f"there is no oracle for {', '.join(silent)}: choose tasks that have one")
    envs = [AsyncWebEnv() for _ in range(sessions)]
    done = 0

    async def play_all(count: int) -> None:
        work = iter(range(done, done + count))

        async def play(env: AsyncWebEnv) -> None:
            for number in work:
                await episode(env, tasks[number % len(tasks)], seed_from("soak", number) % 1_000_000)
                tell(1)

        await asyncio.gather(*(play(env) for env in envs))

    try:
        for env in envs:
            await env.reset(tasks[0], 0)
        await play_all(WARM_UP * len(tasks) * sessions)
        found = [{"after": 0, **await figures(envs, tasks[0])}]
        for quarter in range(1, 5):
            upto = episodes * quarter // 4
            await play_all(upto - done)
            done = upto
            found.append({"after": done, **await figures(envs, tasks[0])})
        return found
    finally:
        for env in envs:
            await env.close()


async def episode(env: AsyncWebEnv, task_id: str, seed: int) -> None:
    """Play one episode by the task's oracle, or as far as it knows its way: what is measured is what stays behind."""
    oracle = registry.task(task_id).oracle
    assert oracle is not None
    choose, observation = oracle(), await env.reset(task_id, seed)
    while True:
        try:
            action = choose(observation)
        except Exception:  # an action ran past its deadline, and this is no page that the oracle knows
            return
        step = await env.step(action)
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
    return {**_of_driver(await pool.browser()), **summed, "episodes": pool.gateway.open_episodes, **_memory(await pool.process_id())}


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


def _memory(browser: int) -> dict[str, float]:
    tree = descendants(browser)
    return {"processes": len(tree), "pss_mb": round(sum(map(pss_mb, tree)), 1), "python_mb": round(pss_mb(os.getpid()), 1)}


def growth(found: Sequence[dict[str, Any]], sessions: int) -> dict[str, str]:
    """What grew beyond its allowance from the first figures to the last, in words."""
    first, last = found[0], found[-1]
    allowed = {key: GROWTH.get(key, 0) * (sessions if key != "python_mb" else 1) for key in first if key != "after"}
    return {key: f"{first[key]} -> {last[key]}, allowed +{most}" for key, most in allowed.items() if last[key] - first[key] > most}


def table(found: Sequence[dict[str, Any]]) -> Table:
    """The figures, a column for each time they were taken."""
    shown = Table(title="at rest, after so many episodes", title_justify="left")
    shown.add_column("figure")
    for row in found:
        shown.add_column(str(row["after"]), justify="right")
    for key in found[0]:
        if key != "after":
            shown.add_row(key, *(f"{row[key]:g}" for row in found))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", default=["default"], help="patterns or sets of tasks that have oracles")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    try:
        found = loop_thread().run(soak(arguments.episodes, arguments.sessions, task_sets.choose(arguments.tasks)))
    except UsageError as error:
        parser.error(str(error))
    grown = growth(found, arguments.sessions)
    result = {"episodes": arguments.episodes, "sessions": arguments.sessions, "figures": found, "grown": grown, "passed": not grown}
    Console().print(table(found))
    print("\n".join(f"grew: {key} {words}" for key, words in grown.items()) or "nothing grew beyond its allowance")
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    raise SystemExit(bool(grown))


if __name__ == "__main__":
    main()
