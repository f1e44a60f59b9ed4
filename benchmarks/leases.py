"""What the leases of one site cost other sessions, where a lease takes 300 ms and the site's state lives in another process.

    make bench-leases [ARGS='--leases 50 --rounds 5']
    python -m benchmarks.leases [--leases 50] [--sessions 16] [--rounds 5] [--json FILE] [--strict]

So many sessions of the text twin play workflows by their oracles, with a pause before each step, as a policy makes one. Rounds without
leases take turns with rounds in which one more session leases, plays and releases a counter of that other process, one episode after
another. A third kind of round has leases that block the loop, to show that the measurement notices. Of each kind are given:

- longest_step_ms: the longest step of the sessions beside it, from the end of its pause, and p50, p99; by round in `rounds`
- longest_stall_ms: the most by which the loop was late for a call that it had promised, over a ticker of 2 ms
- steps_per_s: of all sessions beside it

`longest_step_ratio` and `steps_ratio` compare leases with none, `added_ms` is the difference of the longest steps (bar: 100) and
`longest_stall_ms` has the bar 50. Where Linux tells it (/proc/thread-self/schedstat), the time for which this thread was ready and other
programs had its core is taken out of steps and stalls, and given as `waited_share`: so the figures mean the same on a busy machine.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from webgym.authoring.oracle import press
from webgym.env.core import AsyncWebEnv
from webgym.loop_thread import pass_over_what_is_loaded
from webgym.packs import registry
from webgym.sites.static import reply
from webgym.task import PENDING, SUCCESS, AsgiApp, Start, Task

LEASE_S = 0.3
PAUSE_S, TICK_S = 0.02, 0.002
HOST = "elsewhere.localhost"
PACE = "wizard.h12"
COUNT = 3  # what the task wants of the counter
BARS = {"added_ms": 100.0, "longest_stall_ms": 50.0}
PAGE = '<!doctype html><title>Count</title><body><p>{}</p><form method="post" action="/"><button>Add</button></form>'

Kind = Literal["without", "leases", "blocking"]


class Worker:
    """The other process, asked over its standard streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, lease_s: float = LEASE_S) -> AsyncIterator["Worker"]:
        """A worker of one's own; it ends with the context."""
        script, pipe = Path(__file__).with_name("leases_worker.py"), asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, str(script), str(lease_s), stdin=pipe, stdout=pipe)
        worker = cls(process)
        try:
            yield worker
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await worker._listening

    async def ask(self, method: str, counter: int = 0) -> Any:
        """The worker's answer."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([number, method, counter]).encode() + b"\n")
        return await self._waiting[number]

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            number, value = json.loads(line)
            self._waiting.pop(number).set_result(value)


class Elsewhere:
    """A page with a button that counts, whose counter the worker keeps. `blocking` leases stop the loop for as long."""

    host, plain, external = HOST, True, True

    def __init__(self, worker: Worker, blocking: bool = False) -> None:
        self.worker, self.blocking = worker, blocking

    async def lease(self, seed: int, site_state: Any) -> int:
        if self.blocking:
            time.sleep(LEASE_S)
        return await self.worker.ask("lease")

    async def snapshot(self, state: int) -> Any:
        return await self.worker.ask("read", state)

    async def release(self, state: int) -> None:
        await self.worker.ask("release", state)

    @property
    def app(self) -> AsgiApp:
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        counter = scope["webgym.state"]
        if scope["method"] == "POST":
            await self.worker.ask("add", counter)
            return await reply(send, 303, b"text/plain", b"", extra=((b"location", b"/"),))
        count = (await self.worker.ask("read", counter))["count"]
        await reply(send, 200, b"text/html", PAGE.format(count).encode())


def counting(task_id: str = "elsewhere.count") -> Task:
    """The task: press the button three times."""
    return Task(
        task_id,
        start=lambda seed: Start(f"http://{HOST}/", f"Count to {COUNT}."),
        check=lambda evidence: SUCCESS if evidence.site_state["count"] == COUNT else PENDING,
        oracle=lambda: lambda page: press(page, "Add"),
        hosts=(HOST,),
        chance=1.0,
    )


# --- measuring -------------------------------------------------------------------------------------------------------------


class Watch:
    """Seconds of the thread that makes it, without those for which it was ready and had no core, where the system counts them."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._file = None

    @property
    def waited_s(self) -> float:
        """The time for which the thread was ready and had no core."""
        return 0.0 if self._file is None else int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def now(self) -> float:
        """The seconds of this clock."""
        return time.perf_counter() - self.waited_s


@dataclass
class Round:
    """The steps of the sessions beside the leases, and the loop's lateness."""

    watch: Watch
    seconds: float = 0.0
    waited_s: float = 0.0
    steps_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)


async def play(env: AsyncWebEnv, task_id: str, seed: int, found: Round | None = None) -> None:
    """One episode by its oracle; its steps are noted, after pauses, in the round."""
    oracle = registry.task(task_id).oracle
    assert oracle is not None
    choose, observation, kind = oracle(), await env.reset(task_id, seed), ""
    while not kind:
        if found is None:
            step = await env.step(choose(observation))
        else:
            due = found.watch.now() + PAUSE_S
            await asyncio.sleep(PAUSE_S)
            step = await env.step(choose(observation))
            found.steps_ms.append(max(0.0, 1e3 * (found.watch.now() - due)))
        observation, kind = step.observation, step.kind


async def beside(env: AsyncWebEnv, first: int, found: Round) -> None:
    """Workflows, one after the other, until cancelled."""
    for seed in itertools.count(first):
        await play(env, PACE, seed, found)


async def tick(found: Round) -> None:
    """Note by how much each call of the loop is late."""
    while True:
        begun = found.watch.now()
        await asyncio.sleep(TICK_S)
        found.late_ms.append(1e3 * (found.watch.now() - begun - TICK_S))


async def leasing(env: AsyncWebEnv, task: Task, leases: int) -> None:
    """So many episodes at the site elsewhere; each leases a counter."""
    for seed in range(leases):
        await play(env, task.id, seed)


async def one_round(kind: Kind, envs: list[AsyncWebEnv], extra: AsyncWebEnv, site: Elsewhere, leases: int, seconds: float) -> Round:
    """A round of a kind: of so many leases, or, without any, of so many seconds."""
    found, site.blocking = Round(Watch()), kind == "blocking"
    begun, waited_s = time.perf_counter(), found.watch.waited_s
    work = [asyncio.create_task(tick(found)), *(asyncio.create_task(beside(env, 1000 * i, found)) for i, env in enumerate(envs))]
    try:
        await (asyncio.sleep(seconds) if kind == "without" else leasing(extra, registry.task("elsewhere.count"), leases))
    finally:
        for each in work:
            each.cancel()
        ended = await asyncio.gather(*work, return_exceptions=True)
    for each in ended:
        if isinstance(each, Exception):
            raise each
    found.seconds, found.waited_s = time.perf_counter() - begun, found.watch.waited_s - waited_s
    return found


async def measure(leases: int, sessions: int, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """All figures as plain data."""
    found: dict[Kind, list[Round]] = {"without": [], "leases": [], "blocking": []}
    envs, extra = [AsyncWebEnv(backend="text") for _ in range(sessions)], AsyncWebEnv(backend="text")
    each = max(1, leases // rounds)
    async with Worker.started() as worker:
        site = Elsewhere(worker)
        registry.register(counting(), sites=[site])
        await one_round("leases", envs, extra, site, 1, 0.0)  # everything is loaded
        pass_over_what_is_loaded()  # as every executor does
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            found["leases"].append(await one_round("leases", envs, extra, site, each, 0.0))
            found["without"].append(await one_round("without", envs, extra, site, 0, found["leases"][-1].seconds))
        tell("leases that block")
        found["blocking"].append(await one_round("blocking", envs, extra, site, max(1, each // 2), 0.0))
        for env in [*envs, extra]:
            await env.close()
        asked = await worker.ask("asked")
    result: dict[str, Any] = {kind: figures(every) for kind, every in found.items()}
    one, other = result["leases"], result["without"]
    result["leases_measured"], result["asked"] = each * rounds, asked
    result["added_ms"] = one["longest_step_ms"] - other["longest_step_ms"]
    result["longest_stall_ms"] = one["longest_stall_ms"]
    result["longest_step_ratio"] = one["longest_step_ms"] / other["longest_step_ms"]
    result["steps_ratio"] = one["steps_per_s"] / other["steps_per_s"]
    result["missed"] = [f"{name} is {result[name]:.3g}, bar {bar:g}" for name, bar in BARS.items() if result[name] > bar]
    return result


def figures(rounds: list[Round]) -> dict[str, Any]:
    """The figures of the rounds of a kind."""
    steps = sorted(ms for each in rounds for ms in each.steps_ms)
    return {
        "steps": len(steps),
        "waited_share": sum(each.waited_s for each in rounds) / sum(each.seconds for each in rounds),
        "steps_per_s": len(steps) / sum(each.seconds for each in rounds),
        "step_p50_ms": statistics.median(steps),
        "step_p99_ms": steps[int(0.99 * (len(steps) - 1))],
        "longest_step_ms": steps[-1],
        "longest_stall_ms": max(ms for each in rounds for ms in each.late_ms),
        "rounds": [{"longest_step_ms": max(each.steps_ms), "longest_stall_ms": max(each.late_ms)} for each in rounds],
    }


# --- telling ---------------------------------------------------------------------------------------------------------------


def summary(result: dict[str, Any]) -> Table:
    """The figures of the three kinds side by side."""
    shown = Table(title=f"{result['leases_measured']} leases of {1e3 * LEASE_S:g} ms", title_justify="left")
    kinds = ("without", "leases", "blocking")
    for heading in ("figure", *kinds):
        shown.add_column(heading, justify="left" if heading == "figure" else "right")
    for name in ("waited_share", "steps_per_s", "step_p50_ms", "step_p99_ms", "longest_step_ms", "longest_stall_ms"):
        shown.add_row(name, *(f"{result[kind][name]:.3g}" for kind in kinds))
    for name in ("added_ms", "longest_step_ratio", "steps_ratio"):
        shown.add_row(name, "", f"{result[name]:.3g}", "")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leases", type=int, default=50, help="leases in all")
    parser.add_argument("--sessions", type=int, default=16, help="sessions beside them")
    parser.add_argument("--rounds", type=int, default=5, help="rounds with and without leases")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    with console.status("starting") as status:
        result = asyncio.run(measure(arguments.leases, arguments.sessions, arguments.rounds, status.update))
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
