"""Costs of an application in a process of its own: resets and steps beside the same pages in this process, and what its neighbours pay.

    make bench-applications [ARGS='--episodes 20 --sessions 16']
    python -m benchmarks.applications [--episodes 20] [--sessions 16] [--json FILE] [--strict]

The application (benchmarks/applications_app.py) is Starlette on SQLite. Episodes on its own processes and on the same application mounted
in this process take turns. Given are:

- reset_ms: p50 of a reset, from the call to the first observation; own_ms: what the application alone needs for its reset (a backup onto
  its database) and its first page, asked without a browser; over_ms: the difference (bar: 60); reset_in_process_ms: the same pages here
- step_ms and step_in_process_ms: p50 of a step that opens a card, marks it, or goes back to the list; step_ratio (bar: 1.5)
- neighbours_ratio: steps a second of sessions of the text twin while another application is leased again and again, whose reset takes
  1 s, over those without it, in rounds that take turns (bar: at least 0.95)
- sessions, processes, resident_mb: leases at the same time, the processes that they have, and their memory
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.applications_app import application, begin
from benchmarks.leases import Round, Watch, beside
from webgym import types as t
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import loop_thread
from webgym.packs import registry
from webgym.sites import Query, Server, Sqlite
from webgym.sites.apps.sqlite import copy_database
from webgym.task import PENDING, AsgiApp, Start, Task

APP = Path(__file__).with_name("applications_app.py")
COMMAND = [sys.executable, str(APP), "{port}", "{folder}"]
SLOW_S = 1.0
STEPS = ("Card number 3", "Mark as done", "All cards")  # what is clicked
BARS = {"over_ms": 60.0, "step_ratio": 1.5}
LEAST = {"neighbours_ratio": 0.95}


class Mounted:
    """The same application in this process, on a database of its own."""

    host = "mounted.localhost"

    def __init__(self, folder: Path) -> None:
        self._database = begin(folder)
        self._first = folder / "first.db"
        copy_database(self._database, self._first)
        self._app = application(self._database)

    async def lease(self, seed: int, site_state: Any) -> None:
        copy_database(self._first, self._database)

    def snapshot(self, state: None) -> Any:
        return {}

    async def release(self, state: None) -> None:
        return None

    @property
    def app(self) -> AsgiApp:
        return self._app


def task(name: str, site: Any) -> Task:
    """A task that never ends by itself."""
    url = f"http://{site.host}/"
    return registry.register(
        Task(f"applications.{name}", lambda seed: Start(url, "Look."), lambda evidence: PENDING, 10_000, hosts=(site.host,)), [site]
    )


async def episode(env: AsyncWebEnv, task_id: str, seed: int) -> tuple[float, list[float]]:
    """Milliseconds of a reset, and of each step."""
    begun = time.perf_counter()
    page = await env.reset(task_id, seed)
    reset, steps = 1e3 * (time.perf_counter() - begun), []
    for name in STEPS:
        ref = next(node.ref for node in page.nodes if node.ref is not None and node.text == name)
        begun = time.perf_counter()
        page = (await env.step(t.Click(ref))).observation
        steps.append(1e3 * (time.perf_counter() - begun))
    return reset, steps


async def own(server: Server) -> float:
    """Milliseconds of the application's own reset and first page, without a browser."""
    lease = await server.lease(0, None)
    try:
        loop = asyncio.get_running_loop()
        process = lease.running.process
        assert process is not None

        def work() -> float:
            begun = time.perf_counter()
            copy_database(process.born / "cards.db", process.folder / "cards.db")
            lease.plain.get("/")
            return 1e3 * (time.perf_counter() - begun)

        return await loop.run_in_executor(None, work)
    finally:
        await server.release(lease)


async def costs(episodes: int, folder: Path, tell: Callable[[str], None]) -> dict[str, float]:
    """Resets and steps of both kinds, which take turns."""
    server = Server(
        "http://cards.localhost/", command=COMMAND, reset=[Sqlite("cards.db")], readers={"cards": Query("cards.db", "select * from card")}
    )
    kinds = {
        "own process": (AsyncWebEnv(), task("own-process", server)),
        "in process": (AsyncWebEnv(), task("in-process", Mounted(folder))),
    }
    resets: dict[str, list[float]] = {kind: [] for kind in kinds}
    steps: dict[str, list[float]] = {kind: [] for kind in kinds}
    alone: list[float] = []
    try:
        for number in range(episodes + 2):
            tell(f"episode {number} of {episodes + 1}")
            for kind, (env, found) in kinds.items():
                reset, each = await episode(env, found.id, number)
                if number > 1:  # the first ones load what is needed
                    resets[kind].append(reset)
                    steps[kind] += each
            alone.append(await own(server))
    finally:
        for env, found in kinds.values():
            await env.close()
            registry.forget(found.id)
    p50 = statistics.median
    mine, other = p50(steps["own process"]), p50(steps["in process"])
    reset, own_ms = p50(resets["own process"]), p50(alone)
    return {
        "reset_ms": reset, "reset_in_process_ms": p50(resets["in process"]), "own_ms": own_ms, "over_ms": reset - own_ms,
        "step_ms": mine, "step_in_process_ms": other, "step_ratio": mine / other,
    }  # fmt: skip


async def neighbours(rounds: int, seconds: float, tell: Callable[[str], None]) -> dict[str, float]:
    """Steps a second of other sessions with and without an application whose reset takes its time."""
    slow = Server("http://slow.localhost/", command=COMMAND, reset=[lambda instance: time.sleep(SLOW_S)])
    envs = [AsyncWebEnv(backend="text") for _ in range(4)]
    rates: dict[bool, list[float]] = {True: [], False: []}
    await slow.release(await slow.lease(0, None))

    async def leasing() -> None:
        while True:
            await slow.release(await slow.lease(0, None))

    try:
        for number in range(2 * rounds + 1):
            tell(f"neighbours, round {number + 1} of {2 * rounds + 1}")
            with_slow, found = number % 2 == 1, Round(Watch())
            work = [asyncio.create_task(beside(env, 1000 * place, found)) for place, env in enumerate(envs)]
            work += [asyncio.create_task(leasing())] if with_slow else []
            begun = found.watch.now()
            await asyncio.sleep(seconds)
            took = found.watch.now() - begun
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            if number:  # the first round loads what is needed
                rates[with_slow].append(len(found.steps_ms) / took)
    finally:
        slow.stop()
        for env in envs:
            await env.close()
    return {"neighbours_ratio": statistics.median(rates[True]) / statistics.median(rates[False])}


async def crowd(sessions: int) -> dict[str, float]:
    """So many sessions at once, each with a process of its own."""
    server = Server("http://crowd.localhost/", command=COMMAND, reset=[Sqlite("cards.db")])
    try:
        begun = time.perf_counter()
        leases = [await server.lease(0, None)]
        leases += await asyncio.gather(*(server.lease(seed, None) for seed in range(1, sessions)))
        took = time.perf_counter() - begun
        processes = {lease.plain.address.port for lease in leases}
        resident = sum(_resident_mb(lease.plain.address.port) for lease in leases)
        for lease in leases:
            await server.release(lease)
        begun = time.perf_counter()
        again = await asyncio.gather(*(server.lease(seed, None) for seed in range(sessions)))
        leased = 1e3 * (time.perf_counter() - begun)
        assert {lease.plain.address.port for lease in again} == processes
        return {
            "sessions": sessions,
            "processes": len(processes),
            "started_s": took,
            "all_leased_again_ms": leased,
            "resident_mb": resident,
        }
    finally:
        server.stop()


def _resident_mb(port: int) -> float:
    """The memory of the process that was started with a port, where the system tells."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().split(b"\0")
            if str(APP).encode() in line and str(port).encode() in line and not any(word.endswith(b"launcher.py") for word in line):
                return int(entry.with_name("statm").read_text().split()[1]) * 4096 / 2**20
        except OSError:
            continue
    return 0.0


async def measure(episodes: int, sessions: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """All figures as plain data."""
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = await costs(episodes, Path(folder), tell)
    result |= await neighbours(max(1, episodes // 5), 4.0, tell)
    tell(f"{sessions} sessions")
    result |= await crowd(sessions)
    missed = [f"{name} is {result[name]:.3g}, bar at most {bar:g}" for name, bar in BARS.items() if result[name] > bar]
    missed += [f"{name} is {result[name]:.3g}, bar at least {bar:g}" for name, bar in LEAST.items() if result[name] < bar]
    if result["processes"] != sessions:
        missed.append(f"{sessions} sessions had {result['processes']} processes: expected one each")
    return {**result, "missed": missed}


def summary(result: dict[str, Any]) -> Table:
    """The figures with their bars."""
    shown = Table("figure", "value", "bar", title="An application in a process of its own", title_justify="left")
    for name, value in result.items():
        if name != "missed":
            bar = f"≤ {BARS[name]:g}" if name in BARS else f"≥ {LEAST[name]:g}" if name in LEAST else ""
            shown.add_row(name, f"{value:.3g}", bar)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20, help="episodes of each kind")
    parser.add_argument("--sessions", type=int, default=16, help="sessions at the same time")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    with console.status("starting") as status:
        result = loop_thread().run(measure(arguments.episodes, arguments.sessions, status.update))
    console.print(summary(result))
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", "utf-8")
    for problem in result["missed"]:
        console.print(problem)
    raise SystemExit(arguments.strict and bool(result["missed"]))


if __name__ == "__main__":
    main()
